"""A nemesis: breaks a ring of real processes under load, mends it, and lets the checker judge what the clients saw.

    with Scene(nodes=3, flags={...}) as scene:          a ring and its load; on hosts of our own where network faults are wanted
        row = scene.round(FAULTS["kill"], random)       breaks, holds, mends, waits HEAL_SECONDS, judges
        assert not row["violations"]

A fault is a function of a Scene that breaks something, holds it as long as it is meant to last, and mends it. The load
(bin/e2e_history) runs on all the while; it stands still only while every key is read through every node.
"""

import json
import queue
import signal
import subprocess
import threading
import time

import harness
import hosts as hosts_module

# The suspicion of a silent node lasts so long in small rings (server/cluster/membership/membership.h).
SUSPICION_SECONDS = 2.0
# From the end of a fault to the judgement: what the ring promises to need.
HEAL_SECONDS = 5.0
# A fault that lasts: long enough for a death to be declared, and for the ring to go on without the dead.
HOLD_SECONDS = 6.0

FLAGS = {"--memory": "64MiB", "--threads": 2}


class Load(harness.Process):
    """bin/e2e_history: its head says what it does and which commands it knows. Options are its flags without dashes, e.g.
    interval_ms=20."""

    ANSWER_SECONDS_MAX = 60

    def __init__(self, seeds, directory, within=(), **options):
        command = [*within, harness.binary("e2e_history"), "--seeds", ",".join(node.address for node in seeds)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        super().__init__("load", command, directory / "load.log")
        self.answers = queue.Queue()
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.command], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)
        # A thread, so that a load that hangs is an error and not a test that hangs.
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.popen.stdout:
            self.answers.put(line)
        self.answers.put("")

    def ask(self, command):
        """The answer to a command."""
        self.popen.stdin.write(command + "\n")
        try:
            line = self.answers.get(timeout=self.ANSWER_SECONDS_MAX * harness.PATIENCE)
        except queue.Empty:
            line = ""
        assert line, f"the load does not answer to '{command}'; its log:\n{self.log()}"
        return json.loads(line)

    def resume(self, shared=True):
        self.ask("resume" if shared else "resume own")

    def mark(self, name):
        """The figures of the window that ends now."""
        return self.ask("mark " + name)

    def judge(self, nodes):
        """Stops the load, reads every key through every one of `nodes`: {"violations", "late", "texts"}, and what is found
        beyond what the level promises: {"beyond", "beyond_texts"}; {"by_fault"} counts both, {"checked"} says of what."""
        return self.ask("judge " + ",".join(node.address for node in nodes))

    def cut(self, divided=False):
        """From now until `heal` an owner may change without a handover, and the end of its writes go with it. `divided`:
        each side of a cut network may have one, and reads show what the side has that they got to."""
        self.ask("cut divided" if divided else "cut")

    def heal(self):
        self.ask("heal")

    def figures(self):
        return self.ask("figures")


class Scene:
    """A ring of `nodes` under load. `network`: each node on a host of its own, and the clients on one more, so that the
    network can be broken. Options of the load as in Load."""

    def __init__(self, nodes, flags=None, network=False, **load_options):
        self.flags = {**FLAGS, **(flags or {})}
        acks, copies = self.flags.get("--write-acks", 1), self.flags.get("--replicas", 2)
        # Where fewer copies than all acknowledge a write, one that stands in for its owner may lack it.
        self.all_acknowledge = acks >= copies
        load_options = {"acks_may_be_lost": int(acks < 2), "stale_reads": int(not self.all_acknowledge), **load_options}
        self.majority = self.flags.get("--consistency") == "majority"
        self.never_stale = self.majority and self.flags.get("--write-acks") == self.flags.get("--replicas")
        self.stale = []
        self.failures = []
        self.hosts = hosts_module.Hosts(nodes + 1) if network else None
        self.client_host = nodes
        self.ring = None
        self.load = None
        try:
            self.ring = harness.Ring(nodes, self.flags, self.hosts)
            within = self.hosts.within(self.client_host) if network else ()
            self.load = Load(self.ring.nodes, self.ring.directory, within, **load_options)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is not None:
                self.ring.print_logs()
        finally:
            self.close()

    def close(self):
        if self.load is not None:
            self.load.kill()
        if self.ring is not None:
            for node in self.ring.nodes:
                node.resume()
            self.ring.close()
        if self.hosts is not None:
            self.hosts.close()

    @property
    def nodes(self):
        return self.ring.nodes

    def index(self, node):
        return self.nodes.index(node)

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def metric(self, name):
        """[node]: the sum of a metric over its labels."""
        sums = []
        for node in self.nodes:
            samples = harness.parse_metrics(node.http("/metrics")[1])
            sums.append(sum(value for key, value in samples.items() if key.split("{")[0] == name))
        return sums

    def mend(self):
        """Undoes what a fault that was interrupted left."""
        if self.hosts is not None:
            self.hosts.heal()
        for node in self.nodes:
            node.resume()
        self.ring.restart_all([node for node in self.nodes if not node.alive()])

    def round(self, fault, random):
        """One fault, from a ring at rest to a verdict. The row of a table: figures of the fault's window, and the
        violations found so far."""
        self.ring.wait_settled()
        # A network fault makes two owners of a key, except with a majority's consent; increments on both sides of a
        # partition cannot both survive, and are not promised to.
        self.load.resume(shared=self.majority or not fault.network)
        self.load.mark("before")
        time.sleep(1)
        self.load.mark(fault.name)
        if not (fault.planned or fault.cuts):
            self.load.cut(divided=fault.network and not self.majority)
        try:
            what = fault.act(self, random)
        finally:
            self.mend()
        time.sleep(HEAL_SECONDS)
        self.load.heal()
        row = self.load.mark("judged")
        row.update({"fault": what or fault.name, **self.load.judge(self.nodes)})
        if self.never_stale and row["reads_stale"]:
            self.stale.append(f"{row['reads_stale']} stale reads: {row['fault']}")
        if fault.no_failures and row["unknown"] + row["refused"]:
            self.failures.append(f"{row['unknown']} writes unknown, {row['refused']} refused: {row['fault']}: {row['errors']}")
        row["violations"] += len(self.stale) + len(self.failures)
        row["texts"] += self.stale + self.failures
        return row


# ---- The faults ------------------------------------------------------------------------------------------------------


class Fault:
    """`snapshots`: only where nodes write snapshots, else it loses all. `no_failures`: no write may fail meanwhile, for
    each owner hands over before it goes (so it is no cut). `cuts`: it says itself when owners may change, `load.cut()`."""

    def __init__(self, name, act, network=False, snapshots=False, no_failures=False, cuts=False):
        self.name = name
        self.act = act
        self.network = network
        self.snapshots = snapshots
        self.no_failures = self.planned = no_failures
        self.cuts = cuts


FAULTS = {}


def fault(name, **traits):
    def register(act):
        FAULTS[name] = Fault(name, act, **traits)
        return act
    return register


class _Turn:
    """Which node is next: each in turn."""

    def __init__(self):
        self.next = 0

    def of(self, scene):
        self.next += 1
        return scene.nodes[(self.next - 1) % len(scene.nodes)]


_turn = _Turn()


@fault("kill")
def kill(scene, random):
    node = _turn.of(scene)
    node.kill()
    time.sleep(3)
    scene.ring.restart(node)
    return f"kill {node.name}"


@fault("kill-and-restart")
def kill_and_restart(scene, random):
    node = _turn.of(scene)
    node.kill()
    scene.ring.restart(node)
    return f"kill and restart {node.name} at once"


def _pause(scene, share):
    node = _turn.of(scene)
    node.pause()
    time.sleep(share * SUSPICION_SECONDS)
    node.resume()
    return f"SIGSTOP {node.name} for {share * SUSPICION_SECONDS:.0f} s"


@fault("pause-half")
def pause_half(scene, random):
    return _pause(scene, 0.5)


@fault("pause-once")
def pause_once(scene, random):
    return _pause(scene, 1)


@fault("pause-thrice")
def pause_thrice(scene, random):
    return _pause(scene, 3)


@fault("pause-and-kill", cuts=True)
def pause_and_kill(scene, random):
    """One sleeps, and another dies before the first has heard what it wrote meanwhile; some of it waits in sockets."""
    sleeper = _turn.of(scene)
    victim = random.choice(scene.others(sleeper))
    sleeper.pause()
    time.sleep(0.4 * SUSPICION_SECONDS)
    scene.load.cut()
    victim.kill()
    sleeper.resume()
    time.sleep(3)
    scene.ring.restart(victim)
    return f"SIGSTOP {sleeper.name} for {0.4 * SUSPICION_SECONDS:.1f} s, then kill {victim.name}"


def _stop(nodes):
    """SIGTERM to all of them, and gone when this returns."""
    for node in nodes:
        node.signal(signal.SIGTERM)
    for node in nodes:
        status = node.wait_exit()
        assert status == 0, f"{node.name} exits {status} on SIGTERM:\n{node.log()}"


@fault("rolling-restart", no_failures=True)
def rolling_restart(scene, random):
    """As an orchestrator does it: each node once the last one is ready, without a pause, and without --join."""
    for node in scene.nodes:
        _stop([node])
        node.flags.pop("--join", None)
        node.start()
    return "rolling restart by readiness"


@fault("rolling-restart-check", no_failures=True)
def rolling_restart_check(scene, random):
    """As a script does it: each node once `gyre restart-check` allows it."""
    for node in scene.nodes:
        others = scene.others(node)
        harness.wait_for(lambda: harness.gyre("restart-check", node.name, node=others[0]).status == 0,
                         f"{node.name} may be restarted", 60 * harness.PATIENCE, interval=0.1)
        _stop([node])
        node.start()
    return "rolling restart by restart-check"


@fault("restart-pairs")
def restart_pairs(scene, random):
    """Two at once: what they share is on no other node."""
    pair = random.sample(scene.nodes, 2)
    _stop(pair)
    scene.ring.restart_all(pair)
    return "restart of " + " and ".join(sorted(node.name for node in pair)) + " at once"


@fault("restart-all", snapshots=True)
def restart_all(scene, random):
    _stop(scene.nodes)
    order = random.sample(scene.nodes, len(scene.nodes))
    for node in order:
        node.flags.pop("--join", None)
    scene.ring.restart_all(order)
    return "restart of all at once"


@fault("restart-all-twice", snapshots=True)
def restart_all_twice(scene, random):
    """Stopped again before the ring is back: what was restored is not lost."""
    _stop(scene.nodes)
    first = random.choice(scene.nodes)
    first.start(wait=False)
    harness.wait_for(lambda: first.http("/ready")[0], f"{first.name} serves", 20 * harness.PATIENCE)
    _stop([first])
    scene.ring.restart_all(scene.nodes)
    return f"restart of all at once, {first.name} twice"


@fault("isolate", network=True)
def isolate(scene, random):
    node = _turn.of(scene)
    scene.hosts.isolate(scene.index(node))
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return f"{node.name}'s cable cut"


def _partition(scene, random, client):
    """Splits the nodes in a minority and a majority; `client`: with which of them the clients are ("both" sees all)."""
    hosts = list(range(len(scene.nodes)))
    random.shuffle(hosts)
    minority, majority = hosts[:(len(hosts) - 1) // 2], hosts[(len(hosts) - 1) // 2:]
    left, right = list(minority), list(majority)
    if client == "minority":
        left.append(scene.client_host)
    if client == "majority":
        right.append(scene.client_host)
    scene.hosts.partition(left, right)
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    names = ["+".join(sorted(scene.nodes[host].name for host in side)) for side in (minority, majority)]
    return f"partition {names[0]} | {names[1]}, clients see {client}"


@fault("partition-majority", network=True)
def partition_majority(scene, random):
    return _partition(scene, random, "majority")


@fault("partition-minority", network=True)
def partition_minority(scene, random):
    return _partition(scene, random, "minority")


@fault("partition-both", network=True)
def partition_both(scene, random):
    return _partition(scene, random, "both")


@fault("cut-link-one-way", network=True)
def cut_one_way(scene, random):
    source, target = random.sample(range(len(scene.nodes)), 2)
    scene.hosts.cut(source, target)
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return f"nothing from {scene.nodes[source].name} to {scene.nodes[target].name}"


@fault("cut-link", network=True)
def cut_link(scene, random):
    one, other = random.sample(range(len(scene.nodes)), 2)
    scene.hosts.partition([one], [other])
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return f"no link between {scene.nodes[one].name} and {scene.nodes[other].name}"


@fault("cut-outgoing", network=True)
def cut_outgoing(scene, random):
    node = _turn.of(scene)
    scene.hosts.cut_outgoing(scene.index(node))
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return f"nothing from {node.name}"


@fault("cut-incoming", network=True)
def cut_incoming(scene, random):
    node = _turn.of(scene)
    scene.hosts.cut_incoming(scene.index(node))
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return f"nothing to {node.name}"


@fault("loss", network=True)
def lose(scene, random):
    scene.hosts.lose(5)
    time.sleep(HOLD_SECONDS)
    scene.hosts.heal()
    return "5% of the packets lost"


LOCAL = [name for name, each in FAULTS.items() if not each.network and not each.snapshots]
SNAPSHOTS = [name for name, each in FAULTS.items() if each.snapshots]
NETWORK = [name for name, each in FAULTS.items() if each.network]


# ---- Tables ------------------------------------------------------------------------------------------------------------

COLUMNS = [
    ("fault", "fault", "{}"), ("acked", "acknowledged", "{}"), ("unknown", "unknown", "{}"), ("refused", "refused", "{}"),
    ("reads", "reads", "{}"), ("failed", "reads_failed", "{}"), ("stale", "reads_stale", "{}"),
    ("longest read ms", "read_ms_max", "{:.0f}"), ("longest write gap ms", "write_gap_ms_max", "{:.0f}"),
    ("violations", "violations", "{}"), ("beyond", "beyond", "{}"),
]


def print_findings(row):
    """What was checked in a run and what was found, of its last row."""
    print("       checked: " + row["checked"])
    found = ", ".join(f"{count} {name}" for name, count in sorted(row["by_fault"].items()))
    print(f"       found: {found or 'nothing'}", flush=True)


def print_head():
    print(f"{'round':>5}  {'fault':<52}" + "".join(f"{title:>{max(9, len(title) + 2)}}" for title, _, _ in COLUMNS[1:]),
          flush=True)


def print_row(number, row):
    cells = "".join(f"{form.format(row[key]):>{max(9, len(title) + 2)}}" for title, key, form in COLUMNS[1:])
    print(f"{number:>5}  {row['fault']:<52}{cells}", flush=True)
