"""Load with a memory: writers and readers that know what a cluster owes them.

A `Writer` thread writes rising numbers to keys of its own and notes, for each key, the newest number that was
acknowledged and the newest that was tried. Whatever happens to the nodes meanwhile, a key may afterwards hold any
number from the one to the other (a write without an answer may have been carried out or not), never an older one,
and never none.
"""

import threading

import harness
from harness import Resp


class Endpoint:
    """A RESP connection to one of several nodes, which moves on to the next node when one fails."""

    def __init__(self, nodes, first, timeout=5.0):
        self.nodes = nodes
        self.at = first
        self.timeout = timeout
        self.client = None

    def call(self, *command):
        """The raw reply, or None if the answer did not come (then it is unknown what the command did)."""
        try:
            if self.client is None:
                self.client = Resp(self.nodes[self.at % len(self.nodes)].resp_port, self.timeout)
            return self.client.raw(*command)
        except (OSError, ConnectionError, ValueError):
            self.close()
            self.at += 1
            return None

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


class _Thread(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.crash = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001: reported by stop()
            self.crash = error

    def stop(self):
        self.stopping.set()
        self.join(60 * harness.PATIENCE)
        assert not self.is_alive(), "a load thread hangs"
        if self.crash is not None:
            raise self.crash


class Writer(_Thread):
    """Writes over and over to `keys`, through `nodes` starting with the one numbered `first`."""

    def __init__(self, nodes, first, keys, padding=100):
        super().__init__()
        self.endpoint = Endpoint(nodes, first)
        self.keys = keys
        self.padding = "." * padding
        self.acknowledged = {}
        self.tried = {}
        self.written = 0
        self.refusals = {}

    def work(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            for key in self.keys:
                if self.stopping.is_set():
                    break
                self.tried[key] = number
                reply = self.endpoint.call("SET", key, f"{number}:{self.padding}")
                if reply == (b"+", b"OK"):
                    self.acknowledged[key] = number
                    self.written += 1
                elif reply is not None:
                    self.refusals[reply[1]] = self.refusals.get(reply[1], 0) + 1
        self.endpoint.close()

    def violation(self, key, value):
        """None if `value` (bytes or None) is what the cluster owes for `key`."""
        low, high = self.acknowledged.get(key, 0), self.tried.get(key, 0)
        if value is None:
            return None if low == 0 else f"{key}: acknowledged {low}, now missing"
        number = int(value.split(b":", 1)[0])
        if not low <= number <= high:
            return f"{key}: holds {number}, acknowledged {low}, tried up to {high}"
        return None if value == f"{number}:{self.padding}".encode() else f"{key}: a damaged value {value[:80]!r}"


class Reader(_Thread):
    """Reads keys that exist and do not change; notes each miss and each wrong value. `tolerant` readers may lose
    their connection (their node stops) but must then find the key through another node."""

    def __init__(self, nodes, first, records, tolerant=False):
        super().__init__()
        self.endpoint = Endpoint(nodes, first)
        self.records = list(records.items())
        self.tolerant = tolerant
        self.reads = 0
        self.problems = []

    def work(self):
        position = 0
        while not self.stopping.is_set():
            key, value = self.records[position % len(self.records)]
            position += 7919  # a prime: all over the slots, and each key in the end
            reply = self.endpoint.call("GET", key)
            if reply is None and self.tolerant:
                continue
            self.reads += 1
            if reply != (b"$", value):
                self.problems.append(f"{key}: {reply and reply[1] and reply[1][:80]!r} instead of {value[:40]!r}")
        self.endpoint.close()


class Load:
    """Writers and readers together, as a context: they stop at its end."""

    def __init__(self, *threads):
        self.threads = threads

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.stop()

    @property
    def writers(self):
        return [thread for thread in self.threads if isinstance(thread, Writer)]

    @property
    def readers(self):
        return [thread for thread in self.threads if isinstance(thread, Reader)]

    def wait_progress(self, each=200, seconds=30.0):
        """Waits until every writer has `each` more writes acknowledged, and every reader as many reads."""
        goals = [(thread, "written", thread.written + each) for thread in self.writers]
        goals += [(thread, "reads", thread.reads + each) for thread in self.readers]

        def reached():
            crashed = next((thread.crash for thread in self.threads if thread.crash is not None), None)
            if crashed is not None:
                raise AssertionError(f"a load thread crashed: {crashed!r}") from crashed
            return all(getattr(thread, name) >= goal for thread, name, goal in goals)

        harness.wait_for(reached, f"{each} more operations of each client; refusals so far: "
                         f"{[thread.refusals for thread in self.writers]}", seconds * harness.PATIENCE)


def fill(node, records):
    """Writes {key: value} through one node, pipelined; every one must be acknowledged."""
    with node.resp(timeout=30) as client:
        replies = client.pipeline([("SET", key, value) for key, value in records.items()])
    wrong = [reply for reply in replies if reply != (b"+", b"OK")]
    assert not wrong, wrong[:3]


def violations(node, writers):
    """What the cluster, read through `node`, owes the writers and does not hold."""
    found = []
    with node.resp(timeout=30) as client:
        for writer in writers:
            keys = list(writer.tried)
            for key, (kind, value) in zip(keys, client.pipeline([("GET", key) for key in keys])):
                if kind != b"$" and kind != b"_":
                    found.append(f"{key}: {value!r}")
                elif problem := writer.violation(key, value):
                    found.append(problem)
    return found


def missing(node, records):
    """The keys of {key: value} that do not hold their value, read through `node`."""
    with node.resp(timeout=30) as client:
        replies = client.pipeline([("GET", key) for key in records])
    return [f"{key}: {reply[1] and reply[1][:60]!r}" for (key, value), reply in zip(records.items(), replies)
            if reply != (b"$", value)]


def load_on(nodes, wanted, tolerant=False):
    """Three readers of `wanted` and two writers, each through another of `nodes` first."""
    readers = [Reader(nodes, first, wanted, tolerant) for first in range(3)]
    writers = [Writer(nodes, first, [f"w:{first}:{n}" for n in range(300)]) for first in range(2)]
    return Load(*readers, *writers)


def check(nodes, load, wanted):
    """Nobody read a wrong value, and each of `nodes` knows all that was acknowledged."""
    problems = [problem for reader in load.readers for problem in reader.problems][:10]
    assert not problems, problems
    for node in nodes:
        assert violations(node, load.writers) == []
        assert missing(node, wanted)[:10] == []
