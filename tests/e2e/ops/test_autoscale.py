"""scripts/deploy/autoscale: a ring that grows when its load doubles, and shrinks when it falls, by the advice of its nodes
alone; and what clients notice meanwhile: nothing.

GYRE_AUTOSCALE_LOG=FILE keeps what was seen, for scripts/deploy/autoscale/plot.
"""

import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import harness
from harness import Process, gyre, wait_for
from load import Load, Writer, _Thread, violations

FOLDER = harness.ROOT / "scripts" / "deploy" / "autoscale"
VALUE_BYTES = 4000
# Small nodes, so that little data is much; what they ask for is judged within seconds. Other tests share the machine's
# cores: how busy the loops are says nothing here.
FLAGS = {"--memory": "16MiB", "--max-value": "1MiB", "--threads": 1, "--replicas": 2, "--write-acks": 2,
         "--partitions": 64, "--scale-out-window": "4s", "--scale-in-window": "8s", "--scale-cooldown": "8s",
         "--scale-out-load": 100, "--scale-in-load": 100, "--scale-in-hits": 4}
# Two nodes hold some 4,000 such records, with a copy of each.
FEW, MANY = 2250, 4500


class LookAside(_Thread):
    """A cache's client: reads at random, stores what is missing. Every value that comes is the key's own."""

    def __init__(self, node):
        super().__init__()
        self.node = node
        self.keys = FEW
        self.random = random.Random(7)
        self.reads = self.hits = 0
        self.problems = []

    @staticmethod
    def value(number):
        return b"%06d" % number * (VALUE_BYTES // 6)

    def work(self):
        with self.node.resp(timeout=30) as client:
            while not self.stopping.is_set():
                wanted = [self.random.randrange(self.keys) for _ in range(50)]
                replies = client.pipeline([("GET", f"item:{number}") for number in wanted])
                missing = set()
                for number, (kind, value) in zip(wanted, replies):
                    self.reads += 1
                    if kind in b"-!":
                        self.problems.append(value)
                    elif value is None:
                        missing.add(number)
                    else:
                        self.hits += 1
                        if value != self.value(number):
                            self.problems.append(f"item:{number} holds {value[:20]!r}")
                for kind, value in client.pipeline([("SET", f"item:{n}", self.value(n)) for n in missing]):
                    if kind != b"+":
                        self.problems.append(value)
                # A load that a busy machine can serve, too.
                self.stopping.wait(0.01)


class Autoscale:
    """The loop, and the nodes that it starts: those go with it. The first of the three numbers that it may give has a port
    that is another program's, and is passed over."""

    def __init__(self, ring, *options, log=""):
        self.directory = ring.directory / "autoscale"
        self.base_port = harness.free_ports(30)
        self.log = pathlib.Path(log or ring.directory / "autoscale.jsonl")
        flags = [str(word) for flag, value in FLAGS.items() for word in (flag, value)]
        self.command = [sys.executable, FOLDER / "autoscale", "--connect", ring.nodes[0].address, "--min", "2", "--max", "3",
                        "--interval", "0.5", "--dir", self.directory, "--base-port", str(self.base_port), "--log", self.log,
                        "--gyre", harness.binary("gyre"), "--gyred", harness.binary("gyred"), *options, "--", *flags]
        self.process = Process("autoscale", self.command, ring.directory / "autoscale.log")

    def __enter__(self):
        self.other_program = socket.create_server(("127.0.0.1", self.base_port + 3))
        self.process.spawn()
        return self

    def __exit__(self, kind, *_):
        self.process.kill()
        self.other_program.close()
        if kind is not None:
            print(f"\n---- autoscale\n{self.process.log()}")
            for file in sorted(self.directory.glob("*.log")):
                print(f"\n---- {file.name}\n{file.read_text(errors='replace')[-4000:]}")
        for file in self.directory.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError, OSError):
                pid, began = file.read_text().split()
                if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19] == began:
                    os.kill(int(pid), signal.SIGKILL)

    def once(self, *more):
        """One look of another such loop."""
        at = self.command.index("--")
        return subprocess.run([str(word) for word in [*self.command[:at], "--once", *more, *self.command[at:]]],
                              capture_output=True, text=True, timeout=60)

    def looks(self):
        """What it noted."""
        lines = self.log.read_text().splitlines()
        return [line for line in map(json.loads, lines) if "nodes" in line]

    def mark(self, phase):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(json.dumps({"time": round(time.time(), 2), "phase": phase}) + "\n")


def advice(node):
    result = gyre("-o", "json", "advise", node=node)
    assert result.status in (0, 1), result
    return result.json()


def now(advised):
    """What is said of as many nodes as there are."""
    return next(each for each in advised["forecasts"] if each["nodes"] == advised["nodes"])


def wait_nodes(node, count, what, seconds=120):
    """Until the ring has so many nodes and no data moves. Says what the advice was, if not."""
    last = {}

    def reached():
        last.update(advice(node))
        codes = {each["code"] for each in last["against"]}
        return last["nodes"] == count and not codes & {"moving", "silent", "suspect", "dead", "unowned"}

    try:
        wait_for(reached, what, seconds * harness.PATIENCE, interval=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}; {json.dumps(last)}") from None


def test_load_doubles_and_a_node_is_added_it_falls_and_one_is_drained():
    with harness.Ring(2, FLAGS) as ring:
        first = ring.nodes[0]
        writers = [Writer(ring.nodes, at, [f"w:{at}:{n}" for n in range(20)]) for at in range(2)]
        cache = LookAside(first)
        with Autoscale(ring, log=os.environ.get("GYRE_AUTOSCALE_LOG", "")) as loop, Load(*writers, cache):
            # At rest: what there is holds what is read.
            loop.mark("load begins")
            wait_for(lambda: advice(first)["marginal_hit_ratio"]["+1"] is not None, "reads are sampled", 60)
            wait_for(lambda: (now(advice(first))["hit_ratio"] or 0) > 0.97, "nearly all is held", 60)
            assert advice(first)["nodes"] == 2
            loop.mark("load doubles")
            cache.keys = MANY
            wait_nodes(first, 3, "a node is added")
            wait_for(lambda: (now(advice(first))["hit_ratio"] or 0) > 0.97, "again nearly all is held", 60)
            loop.mark("load falls")
            cache.keys = FEW
            wait_nodes(first, 2, "a node is drained")
            wait_for(lambda: not list(loop.directory.glob("*.pid")), "it is stopped", 30)
            loop.mark("drained")
            at_rest = writers[0].written
            wait_for(lambda: writers[0].written > at_rest + 100, "writes go on", 30)
            looks = loop.looks()
            wait_for(lambda: len(loop.looks()) > len(looks) + 5, "it goes on looking", 30)
            assert loop.looks()[-1]["nodes"] == 2
        # Errors that clients saw, and writes that they lost.
        assert [writer.refusals for writer in writers] == [{}, {}]
        assert cache.problems == []
        assert violations(first, writers) == []
        states = {node["name"]: node["state"] for node in first.status()["members"]}
        assert "auto-1" not in states and states["auto-2"] in ("drained", "stopped"), states
        # What the loop noted is what the plot shows.
        drawn = subprocess.run([FOLDER / "plot", loop.log], capture_output=True, text=True, check=True)
        assert drawn.stdout.startswith("<svg") and "load doubles" in drawn.stdout
        steps = [line["did"] for line in loop.looks() if line["did"]]
        assert steps == ["out", "in"], steps


def test_a_silent_or_dead_node_is_no_reason_to_shrink():
    """Idle nodes ask for fewer, until one of them cannot be asked."""
    flags = {**FLAGS, "--replicas": 1, "--write-acks": 1, "--scale-in-window": "2s", "--scale-cooldown": "2s",
             "--evict-after": "10m"}
    with harness.Ring(3, flags) as ring:
        first = ring.nodes[0]
        wait_for(lambda: advice(first)["direction"] == "in", "one fewer is advised", 60)
        assert advice(first)["advised_nodes"] == 2
        ring.nodes[2].pause()
        try:
            wait_for(lambda: advice(first)["direction"] == "stay", "not any more", 30)
            codes = {each["code"] for each in advice(first)["against"]}
            assert codes & {"silent", "suspect", "dead"}, codes
        finally:
            ring.nodes[2].resume()
        wait_for(lambda: advice(first)["direction"] == "in", "again", 60)
        ring.nodes[2].kill()
        wait_for(lambda: "dead" in {each["code"] for each in advice(first)["against"]}, "it is known dead", 30)
        assert advice(first)["advised_nodes"] == 3
        result = gyre("advise", node=first)
        assert result.status == 0 and result.out.startswith("STAY"), result
        assert "n3 is dead" in result.out


def test_dry_run_and_the_bounds_of_the_loop():
    flags = {**FLAGS, "--replicas": 1, "--write-acks": 1, "--scale-in-window": "2s", "--scale-cooldown": "2s"}
    with harness.Ring(2, flags) as ring:
        first = ring.nodes[0]
        wait_for(lambda: advice(first)["direction"] == "in", "one fewer is advised", 60)
        loop = Autoscale(ring)
        done = loop.once("--min", "1", "--dry-run")
        assert done.returncode == 0 and done.stdout == "", "it stops no node that it did not start"
        done = loop.once("--min", "3", "--dry-run")
        assert done.returncode == 0 and "would start one" in done.stdout, done
        assert not list(loop.directory.glob("*.pid"))
        done = loop.once("--min", "4", "--max", "3")
        assert done.returncode == 2
        done = loop.once("--connect", "127.0.0.1:1")
        assert done.returncode == 1 and "autoscale: gyre advise" in done.stderr, done


def test_advice_on_the_page_of_metrics():
    with harness.Ring(2, {**FLAGS, "--network-limit": "100MiB"}) as ring:
        first = ring.nodes[0]
        wait_for(lambda: "gyre_advised_nodes" in first.http("/metrics")[1], "advice is there", 30)
        wait_for(lambda: advice(first)["nodes"] == 2, "of the whole ring", 30)
        samples = harness.parse_metrics(first.http("/metrics")[1])
        assert samples["gyre_advised_nodes"] == 2
        assert samples["gyre_network_limit_bytes_per_second"] == 100 << 20
        assert 0 <= samples["gyre_busy_ratio"] <= 1
        assert samples['gyre_advice_wanted_nodes{signal="busy"}'] == 2
        assert samples['gyre_advice_wanted_nodes{signal="network"}'] == 2
        assert 'gyre_marginal_hit_ratio{nodes="+1"}' not in samples, "nothing was read"
        text = gyre("advise", node=first).out
        assert text.startswith("STAY") and "NODES" in text, text
