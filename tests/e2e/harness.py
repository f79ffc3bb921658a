"""Real processes for the end-to-end tests: gyred nodes and rings of them, and the servers they are compared with.

Everything binds 127.0.0.1, or the addresses of hosts of our own (hosts.py). Every process started here is stopped here,
by its own pid. Nothing sleeps for readiness: `wait_for` polls a condition with a deadline and says what it waited for
when that passes.
"""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("GYRE_BIN", ROOT / "build" / "release" / "bin"))
SOAK = bool(os.environ.get("GYRE_SOAK"))
# How much longer the waits are for binaries that are slow (sanitizers, a loaded machine).
PATIENCE = float(os.environ.get("GYRE_PATIENCE", "1"))

SLOTS = 16384
READY_SECONDS_MAX = 20 * PATIENCE
STOP_SECONDS_MAX = 20 * PATIENCE
RING_SECONDS_MAX = 60 * PATIENCE

# Below the range that the kernel gives to outgoing connections, so that none of these takes a node's port.
PORT_FIRST, PORT_LAST = 20000, 32000
# Above it: blocks of ports that a program under test counts through, and that free_port() of no other process gives.
BLOCK_FIRST, BLOCK_LAST = 61000, 65000


def binary(name):
    """The path of gyred, gyre or a test's program."""
    path = BIN / name
    assert path.exists(), f"{path} is not there: scripts/build release, or set GYRE_BIN to a folder that has it"
    return str(path)


@functools.cache
def sanitized():
    """Whether the binaries were built with AddressSanitizer: their memory says nothing of what they ship with."""
    return b"__asan_init" in pathlib.Path(binary("gyred")).read_bytes()


def soak(short, long):
    """`long` under scripts/test --soak, else `short`."""
    return long if SOAK else short


# ---- Waiting -------------------------------------------------------------------------------------------------


def wait_for(condition, what, seconds=10.0, interval=0.02):
    """Returns the first true result of `condition()`. A failure names `what` and the last exception seen."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            result = condition()
            if result:
                return result
            last = None
        except (OSError, ConnectionError, http.client.HTTPException, ReplyError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}" + (f" ({last!r})" if last else ""))
        time.sleep(interval)


# ---- Ports ---------------------------------------------------------------------------------------------------

_given = set()
_ports_lock = threading.Lock()


def _bindable(port, kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def free_port():
    """A port of 127.0.0.1 that is free for TCP and UDP, and not given before in this process."""
    with _ports_lock:
        for _ in range(1000):
            port = random.SystemRandom().randrange(PORT_FIRST, PORT_LAST)
            if port in _given:
                continue
            if _bindable(port, socket.SOCK_STREAM) and _bindable(port, socket.SOCK_DGRAM):
                _given.add(port)
                return port
    raise AssertionError("no free port on 127.0.0.1")


def free_ports(count):
    """The first of `count` ports of 127.0.0.1 in a row, each free for TCP and UDP."""
    for _ in range(1000):
        first = random.SystemRandom().randrange(BLOCK_FIRST, BLOCK_LAST - count)
        if all(_bindable(port, kind) for port in range(first, first + count)
               for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return first
    raise AssertionError(f"no {count} free ports in a row on 127.0.0.1")


# ---- A small RESP client that hides nothing -------------------------------------------------------------------


class ReplyError(Exception):
    """An error reply, as an exception (`Resp.call`)."""


class Resp:
    """Speaks RESP2 and RESP3 and returns replies as they are on the wire, so that two servers can be compared:
    (type byte, value), where value is bytes, an int, a list of replies, or None."""

    def __init__(self, port, timeout=10.0, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout * PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    @staticmethod
    def encode(*arguments):
        parts = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            data = as_bytes(argument)
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        return b"".join(parts)

    def send(self, *arguments):
        self.socket.sendall(self.encode(*arguments))

    def send_raw(self, data):
        self.socket.sendall(data)

    def _line(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("connection closed")
        return line[:-2]

    def read(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"+-:,#(":
            return kind, rest
        if kind in b"$=!":
            size = int(rest)
            if size < 0:
                return kind, None
            data = self.file.read(size + 2)
            if len(data) != size + 2:
                raise ConnectionError("connection closed")
            return kind, data[:-2]
        if kind == b"_":
            return kind, None
        if kind in b"*~>":
            return kind, None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return kind, [self.read() for _ in range(2 * int(rest))]
        raise AssertionError(f"not RESP: {line!r}")

    def raw(self, *arguments):
        self.send(*arguments)
        return self.read()

    def call(self, *arguments):
        """Like raw, but plain values: bytes, int, list, None; an error reply is raised."""
        return plain(self.raw(*arguments))

    def pipeline(self, commands, chunk=1000):
        """The raw replies to many commands."""
        replies = []
        for start in range(0, len(commands), chunk):
            part = commands[start : start + chunk]
            self.socket.sendall(b"".join(self.encode(*command) for command in part))
            replies += [self.read() for _ in part]
        return replies


def as_bytes(value):
    if isinstance(value, bytes):
        return value
    return str(value).encode()


def plain(reply):
    kind, value = reply
    if kind in (b"-", b"!"):
        raise ReplyError(value.decode(errors="replace"))
    if kind == b":":
        return int(value)
    if isinstance(value, list):
        return [plain(element) for element in value]
    return value


# ---- Processes -----------------------------------------------------------------------------------------------


class Process:
    """A process started by a test; its output is in a file that a failing test shows."""

    def __init__(self, name, command, log_path, env=None):
        self.name = name
        self.command = [str(word) for word in command]
        self.log_path = pathlib.Path(log_path)
        self.env = env
        self.popen = None

    def spawn(self):
        with open(self.log_path, "ab") as log:
            # Should the tests themselves be killed, the kernel takes the process with them.
            self.popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.env)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def log(self, lines=60):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def wait_exit(self, seconds=STOP_SECONDS_MAX):
        """The exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds:.0f} s; its log:\n{self.log()}") from None

    def kill(self):
        """SIGKILL, and gone when it returns."""
        self.signal(signal.SIGKILL)
        if self.popen is not None:
            self.popen.wait()

    def pause(self):
        """Stopped when this returns: each of its threads."""
        self.signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        wait_for(lambda: all(task.joinpath("stat").read_text().rsplit(")", 1)[1].split()[0] == "T" for task in tasks.iterdir()),
                 f"{self.name} is stopped")

    def resume(self):
        self.signal(signal.SIGCONT)

    def terminate(self):
        """SIGTERM; the exit status. A process that does not follow is killed, and that is a failure."""
        self.resume()
        self.signal(signal.SIGTERM)
        try:
            return self.wait_exit()
        finally:
            self.kill()

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError(f"{self.name} has no resident size")

    def resident_within(self, bytes_max):
        return sanitized() or self.resident_bytes() <= bytes_max


class Node(Process):
    """One gyred with all its ports open. `flags` replace or add to the flags, e.g. {"--memory": "64MiB"}; None: a
    flag without a value. `host` is
    its address, `within` the words before a command that make it run where that address is (hosts.Hosts.within)."""

    def __init__(self, name, directory, flags=None, host="127.0.0.1", within=()):
        self.host = host
        self.within = list(within)
        self.port = free_port()
        self.resp_port = free_port()
        self.cluster_port = free_port()
        self.memcached_port = free_port()
        self.http_port = free_port()
        self.directory = pathlib.Path(directory)
        self.flags = {
            "--name": name,
            "--host": host,
            "--port": self.port,
            "--resp-port": self.resp_port,
            "--resp-cluster-port": self.cluster_port,
            "--memcached-port": self.memcached_port,
            "--http-port": self.http_port,
            "--memory": "256MiB",
            "--threads": 2,
            "--data-dir": self.directory / f"{name}.data",
        }
        self.flags.update(flags or {})
        if not host.startswith("127.") and "--gossip-key" not in self.flags:
            self.flags["--insecure"] = None
        super().__init__(name, [], self.directory / f"{name}.log")

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self, join=None, wait=True):
        """Starts it, with `--join` where `join` (a list of nodes) is given, and waits until it is ready."""
        if join:
            self.flags["--join"] = ",".join(node.address for node in join)
        self.command = [*self.within, binary("gyred")]
        for flag, value in self.flags.items():
            self.command += [flag] if value is None else [flag, str(value)]
        self.spawn()
        if wait:
            self.wait_ready()
        return self

    def http(self, path, method="GET"):
        """(status, body) of an HTTP request."""
        connection = http.client.HTTPConnection(self.host, self.http_port, timeout=5 * PATIENCE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def ready(self):
        if not self.alive():
            raise AssertionError(f"{self.name} ended with status {self.popen.returncode}; its log:\n{self.log()}")
        return self.http("/ready")[0] == 200

    def wait_ready(self, seconds=READY_SECONDS_MAX):
        wait_for(self.ready, f"{self.name} ready\n{self.log()}", seconds)

    def resp(self, timeout=10.0):
        return Resp(self.resp_port, timeout, self.host)

    def cluster_resp(self, timeout=10.0):
        """On the port for cluster clients: CLUSTER is there alone, and keys of other nodes are MOVED."""
        return Resp(self.cluster_port, timeout, self.host)

    def status(self):
        """What `gyre status` shows, as the admin port says it."""
        code, body = self.http("/status")
        assert code == 200, body
        return json.loads(body)

    def owners(self):
        """[slot] -> the cluster port of its owner, or None where it has none, as this node sees it."""
        table = [None] * SLOTS
        with self.cluster_resp() as client:
            for first, last, owner, *_ in client.call("CLUSTER", "SLOTS"):
                table[first : last + 1] = [owner[1]] * (last + 1 - first)
        return table


class Ring:
    """A ring of nodes n1, n2, ... in a directory of its own, which goes when it closes. With `hosts` (hosts.Hosts) each
    node runs on one of its own, n1 on the host 0."""

    def __init__(self, count, flags=None, hosts=None):
        self.hosts = hosts
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="gyre-e2e-"))
        self.flags = dict(flags or {})
        self.nodes = []
        try:
            for _ in range(count):
                self.add(wait=False)
            if count:
                self.wait_settled()
        except BaseException:
            self.print_logs()
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                self.print_logs()
        finally:
            self.close()

    def add(self, wait=True, flags=None):
        """Starts one more node, which joins through the others; returns it. `flags`: besides those of the ring."""
        index = len(self.nodes)
        where = {} if self.hosts is None else {"host": self.hosts.address(index), "within": self.hosts.within(index)}
        node = Node(f"n{index + 1}", self.directory, {**self.flags, **(flags or {})}, **where)
        running = self.running()
        self.nodes.append(node)
        node.start(join=running[:3], wait=wait)
        return node

    def restart(self, node):
        """Starts a stopped node again, with the same data directory and ports."""
        node.start(join=[other for other in self.running() if other is not node])

    def restart_all(self, nodes):
        """Likewise several: none is ready before most of the ring is back."""
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()

    def running(self):
        return [node for node in self.nodes if node.alive()]

    def unsettled(self, count):
        """Why the `count` running nodes are not yet one ring at rest, or None: all of them see each other, each
        partition has its owner and its replicas and no further copies, and nothing is on its way."""
        nodes = self.running()
        if len(nodes) != count:
            return f"{len(nodes)} nodes run"
        digests = set()
        for node in nodes:
            if not node.ready():
                return f"{node.name} is not ready: {node.http('/ready')[1].strip()}"
            status = node.status()
            ring = status["ring"]
            members = [m for m in status["members"] if m["on_ring"] and m["state"] == "alive"]
            if sorted(m["name"] for m in members) != sorted(n.name for n in nodes):
                return f"{node.name} sees {[(m['name'], m['state'], m['on_ring']) for m in status['members']]}"
            wanted = ring["partitions"] * min(ring["replicas"], count)
            if ring["unowned"] or ring["under_replicated"] or ring["transfers_left_here"]:
                return f"{node.name} says {ring}"
            held = {m["name"]: m["complete_partitions"] for m in members}
            if sum(held.values()) != wanted:
                return f"{node.name} sees {held} copies, {wanted} wanted"
            owned = {m["name"]: m["owned_partitions"] for m in members}
            if min(owned.values()) * count < 0.5 * ring["partitions"]:
                return f"{node.name} sees the owners {owned}"
            digests.add(ring["digest"])
        return None if len(digests) == 1 else f"{len(digests)} different views"

    def wait_settled(self, count=None, seconds=RING_SECONDS_MAX):
        count = len(self.running()) if count is None else count
        reason = "?"

        def settled():
            nonlocal reason
            reason = self.unsettled(count)
            return reason is None

        try:
            wait_for(settled, f"a ring of {count} nodes at rest", seconds, interval=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}: {reason}") from None

    def flush(self):
        with self.nodes[0].resp() as client:
            client.call("FLUSHALL")

    def print_logs(self):
        for node in self.nodes:
            state = "runs" if node.alive() else f"ended ({node.popen.returncode if node.popen else 'never ran'})"
            print(f"\n---- {node.name}, {state}: {' '.join(node.command)}\n{node.log()}")

    def close(self):
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


# ---- The servers that Gyre is compared with ---------------------------------------------------------------------


@contextlib.contextmanager
def _server(name, command, port):
    directory = tempfile.mkdtemp(prefix=f"{name}-e2e-")
    process = Process(name, command, os.path.join(directory, "log")).spawn()
    try:
        def listening():
            assert process.alive(), f"{name} ended: {process.log()}"
            with socket.create_connection(("127.0.0.1", port), 1):
                return True
        wait_for(listening, f"{name} listens on {port}")
        yield port
    finally:
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)


def redis_server(*options):
    port = free_port()
    return _server("redis-server", ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                                    "--appendonly", "no", "--dir", "/tmp", *options], port)


def memcached_server(*options):
    port = free_port()
    return _server("memcached", ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "64",
                                 *options],
                   port)


# ---- The gyre tool ------------------------------------------------------------------------------------------------


class ToolResult:
    def __init__(self, done):
        self.status = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.status}\nstdout: {self.out}\nstderr: {self.err}"


def gyre(*arguments, node=None, stdin="", env=None, seconds=60.0):
    """Runs `gyre`, against `node` where given."""
    command = [binary("gyre")]
    if node is not None:
        command += ["--connect", node.address]
    environment = {key: value for key, value in os.environ.items() if key != "GYRE_CONNECT"}
    environment.update(env or {})
    return ToolResult(subprocess.run(
        command + [str(argument) for argument in arguments], input=stdin, capture_output=True, text=True,
        env=environment, timeout=seconds * PATIENCE, errors="replace"))


def gyred(*arguments, seconds=15.0):
    """Runs `gyred` to its end: for flags that make it end."""
    return ToolResult(subprocess.run(
        [binary("gyred")] + [str(argument) for argument in arguments], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=seconds * PATIENCE, errors="replace"))


# ---- Metrics ------------------------------------------------------------------------------------------------------

_SAMPLE = re.compile(
    r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? '
    r'([-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|Inf)|NaN)( -?[0-9]+)?$')


def parse_metrics(text):
    """{name with labels: value} of Prometheus text; a line that is not such text is an AssertionError."""
    assert text.endswith("\n"), "the last line of the metrics is not ended"
    samples, types = {}, {}
    for line in text.splitlines():
        if not line or line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            assert name not in types, f"two TYPE lines for {name}"
            types[name] = kind
            continue
        match = _SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value, _ = match.groups()
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name in types or base in types, f"{name} has no TYPE line before it"
        assert name + (labels or "") not in samples, f"{line!r} is there twice"
        samples[name + (labels or "")] = float(value.replace("Inf", "inf"))
    return samples
