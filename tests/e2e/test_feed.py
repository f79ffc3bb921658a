"""The feed of changes, as `gyre watch` reads it: each acknowledged write once and in the order of its key, whatever the
nodes do meanwhile; and a gap told where there is one."""

import json
import signal
import socket
import struct
import subprocess
import threading

import pytest

import harness
from harness import binary, gyre
from load import Load, Writer

DONE, REFUSED, USAGE = 0, 1, 2
READERS_MAX = 64  # of a node (StreamReaders::kReadersMax)


class Watch:
    """A `gyre watch -o json` that runs, and what it has said."""

    def __init__(self, nodes, *options):
        self.events, self.cursors = [], []
        self.process = subprocess.Popen([binary("gyre"), "--connect", ",".join(node.address for node in nodes), "-o",
                                         "json", "watch", "--cursor-every", "0.2", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        harness.wait_for(lambda: self.cursors or self.process.poll() is not None, "the feed is open", 20)

    def _read(self):
        for line in self.process.stdout:
            document = json.loads(line)
            if "cursor" in document:
                self.cursors.append(document["cursor"])
            elif "error" in document:
                raise AssertionError(document)
            else:
                self.events.append(document)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, signal_number=signal.SIGINT):
        """Ctrl-C, or SIGTERM; returns the cursor behind what was read."""
        before = len(self.cursors)
        self.process.send_signal(signal_number)
        assert self.process.wait(20) == DONE, self.process.stderr.read()
        self.thread.join()
        assert len(self.cursors) > before, "it ended without its cursor"
        return self.cursors[-1]

    def wait_for(self, condition, what, seconds=30):
        harness.wait_for(lambda: condition(list(self.events)), what, seconds)


class History(dict):
    """The numbers that were acknowledged for each key, beside the newest."""

    def __init__(self):
        super().__init__()
        self.all = {}

    def __setitem__(self, key, number):
        super().__setitem__(key, number)
        self.all.setdefault(key, []).append(number)


def writers_on(nodes):
    writers = [Writer(nodes, first, [f"w:{first}:{n}" for n in range(100)], padding=10) for first in range(2)]
    for writer in writers:
        writer.acknowledged = History()
    return writers


def told(events):
    """{key: [number, ...]} as the feed told them."""
    numbers = {}
    for event in events:
        if event["event"] == "set":
            numbers.setdefault(event["key"], []).append(int(event["value"].split(":")[0]))
    return numbers


def check(watch, writers):
    """Every acknowledged write was told, none twice, and those of a key in their order; and no gap."""
    def has_the_last(events):
        newest = {key: numbers[-1] for key, numbers in told(events).items()}
        return all(newest.get(key, 0) >= number for writer in writers
                   for key, number in writer.acknowledged.items())
    watch.wait_for(has_the_last, "the last writes")
    events = list(watch.events)
    assert [event for event in events if event["event"] != "set"] == []
    versions = [(event["key"], event["version"]) for event in events]
    assert len(set(versions)) == len(versions), "something was told twice"
    numbers = told(events)
    count = 0
    for writer in writers:
        for key, acknowledged in writer.acknowledged.all.items():
            assert numbers[key] == sorted(numbers[key]), f"{key} is out of order"
            lost = sorted(set(acknowledged) - set(numbers[key]))
            assert not lost, f"{key}: {lost} were acknowledged, and not told"
            assert set(numbers[key]) <= set(range(1, writer.tried[key] + 1))
            count += len(acknowledged)
    assert count > 500
    return count


def test_changes_come_as_they_are_made(ring):
    with Watch(ring.nodes[:1], "--prefix", "shop:", "--values") as watch, ring.nodes[1].resp() as client:
        client.call("SET", "shop:1", "one")
        client.call("SET", "other", "x")
        client.call("SET", b"shop:\xff", b"\xfe", "PX", 60_000)
        client.call("DEL", "shop:1")
        watch.wait_for(lambda events: len(events) == 3, "three changes")
        by_key = {}
        for event in watch.events:
            by_key.setdefault(event.get("key", event.get("key_base64")), []).append(event)
        assert [event["event"] for event in by_key["shop:1"]] == ["set", "remove"]
        assert by_key["shop:1"][0]["value"] == "one" and by_key["shop:1"][0]["expiry_ms"] == 0
        assert by_key["shop:1"][0]["version"] < by_key["shop:1"][1]["version"]
        binary_one = by_key["c2hvcDr/"][0]
        assert binary_one["value_base64"] == "/g==" and binary_one["expiry_ms"] > 0
        client.call("FLUSHALL")
        watch.wait_for(lambda events: sum(e["event"] == "flush" for e in events) == 1024, "all partitions are emptied")
        watch.stop()


def test_a_cursor_goes_on_where_it_was(ring):
    with ring.nodes[0].resp() as client:
        with Watch(ring.nodes) as watch:
            client.call("SET", "k", "1")
            watch.wait_for(lambda events: len(events) == 1, "the first change")
            cursor = watch.stop()
        client.pipeline([("SET", f"k{number}", "v") for number in range(500)])
        client.call("DEL", "k")
        found = gyre("watch", "--from", cursor, "--count", 501, node=ring.nodes[2])
        assert found.status == DONE, found
        lines = found.out.splitlines()
        assert sorted(lines) == sorted([f"set k{number}" for number in range(500)] + ["remove k"])
        assert found.err.startswith("cursor "), found
        client.call("SET", "last", "v")
        again = gyre("watch", "--from", found.err.split()[1], "--count", 1, "-o", "json", node=ring.nodes[1])
        assert [json.loads(line).get("key") for line in again.out.splitlines()] == ["last", None], again


def test_bad_cursors_are_refused(node):
    for cursor in ("nonsense", "AQ", "!"):
        refused = gyre("watch", "--from", cursor, node=node)
        assert refused.status == REFUSED and "no cursor of a feed" in refused.err, refused
    with harness.Ring(1, {"--partitions": "16"}) as other, other.nodes[0].resp() as client:
        with Watch(other.nodes) as watch:
            client.call("SET", "k", "v")
            watch.wait_for(len, "the change")
            cursor = watch.stop()
    refused = gyre("watch", "--from", cursor, node=node)
    assert refused.status == REFUSED and "of 16 partitions" in refused.err, refused


def an_owner_is_killed(ring, load):
    ring.nodes[0].kill()
    load.wait_progress(each=300)
    ring.restart(ring.nodes[0])


def an_owner_is_killed_and_back_at_once(ring, _):
    ring.nodes[0].kill()
    ring.restart(ring.nodes[0])


def an_owner_hangs(ring, load):
    """It breaks no connection: the feed learns from the ring that it was replaced."""
    ring.nodes[0].pause()
    load.wait_progress(each=300)
    ring.nodes[0].resume()


def nodes_are_restarted_in_turn(ring, load):
    for node in ring.nodes:
        node.terminate()
        node.wait_exit()
        ring.restart(node)
        ring.wait_settled()
        load.wait_progress(each=100)


def a_node_joins(ring, _):
    ring.add()


@pytest.mark.parametrize("nodes, copies, event", [
    (3, 2, an_owner_is_killed),
    (3, 2, an_owner_is_killed_and_back_at_once),
    (4, 3, an_owner_is_killed),
    (3, 2, an_owner_hangs),
    (3, 2, nodes_are_restarted_in_turn),
    (2, 2, a_node_joins),
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_nothing_is_missed_when(nodes, copies, event):
    """Two acknowledgements are waited for, whatever the copies are: of three, the heir may be the one that lacks a write."""
    with harness.Ring(nodes, {"--replicas": str(copies), "--write-acks": "2"}) as ring:
        writers = writers_on(ring.nodes[-2:])
        with Watch(ring.nodes, "--values") as watch, Load(*writers) as load:
            load.wait_progress(each=300)
            event(ring, load)
            ring.wait_settled()
            load.wait_progress(each=300)
            for writer in writers:
                writer.stop()
            check(watch, writers)
            watch.stop()


@pytest.mark.parametrize("options", [[], ["-o", "json"]], ids=["text", "json"])
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_how_far_it_was_when_it_is_ended(ring, signal_number, options):
    process = subprocess.Popen([binary("gyre"), "--connect", ring.nodes[0].address, *options, "watch", "--prefix", "ended:"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with ring.nodes[1].resp() as client:
            harness.wait_for(lambda: metric(ring.nodes[0], "gyre_subscribed_connections") > 0, "the feed is open", 20)
            client.call("SET", "ended:1", "v")
            assert "ended:1" in process.stdout.readline()
            process.send_signal(signal_number)
            out, err = process.communicate(timeout=20)
            assert process.returncode == DONE, err
            cursor = json.loads(out.splitlines()[-1])["cursor"] if options else err.split()[-1]
            client.call("SET", "ended:2", "v")
            found = gyre("watch", "--prefix", "ended:", "--from", cursor, "--count", 1, node=ring.nodes[2])
            assert found.out.splitlines() == ["set ended:2"], found
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_a_reader_that_slept_for_too_long_is_told_a_gap():
    with harness.Ring(1, {"--memory": "64MiB"}) as ring, ring.nodes[0].resp(timeout=30) as client:
        with Watch(ring.nodes, "--values") as watch:  # more than sockets hold
            client.call("SET", "k", "before")
            watch.wait_for(lambda events: len(events) == 1, "the first change")
            watch.process.send_signal(signal.SIGSTOP)  # it sleeps, and its node goes on
            for _ in range(100):
                client.pipeline([("SET", f"k{number}", "x" * 10_000) for number in range(200)])
            watch.process.send_signal(signal.SIGCONT)
            watch.wait_for(lambda events: any(event["event"] == "gap" for event in events), "a gap")
            client.call("SET", "k", "after")
            watch.wait_for(lambda events: any(event.get("value") == "after" for event in events),
                           "what comes behind it")
            watch.stop()


def frame(kind, request_id, payload):
    return b"GY\x01" + bytes([kind]) + struct.pack("<IQ", len(payload), request_id) + payload


# Of a megabyte each; as many as there may be would fill --client-memory, whose largest clients are closed then.
SLOW_READERS = 20


def test_who_never_reads_costs_little(ring):
    node = ring.nodes[0]
    readers = []
    for _ in range(SLOW_READERS):
        reader = socket.create_connection((node.host, node.port))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        words = [b"FEED", b"VALUES"]
        reader.sendall(frame(1, 1, b"".join(b"\x0a" + bytes([len(word)]) + word for word in words)))
        readers.append(reader)
    with node.resp(timeout=60) as client:
        harness.wait_for(lambda: client.call("CLIENT", "LIST").count(b" flags=P ") == SLOW_READERS, "the readers are there", 20)
        assert metric(node, "gyre_subscribed_connections") == SLOW_READERS
        client.pipeline([("SET", f"k{number}", "x" * 10_000) for number in range(2000)])
        before = node.resident_bytes()
        for _ in range(20):
            client.pipeline([("SET", f"k{number}", "x" * 10_000) for number in range(2000)])
        # A megabyte of output each, with what the pool and the allocator keep.
        assert node.resident_bytes() - before < (SLOW_READERS + 80) << 20
        assert metric(node, "gyre_push_pauses_total") > 0
    for reader in readers:
        reader.close()
    harness.wait_for(lambda: metric(node, "gyre_subscribed_connections") == 0, "their places are free", 20)


def metric(node, name):
    """The sum of its samples, whatever their labels."""
    samples = harness.parse_metrics(node.http("/metrics")[1])
    return sum(value for sample, value in samples.items() if sample.split("{")[0] == name)


def test_too_many_readers_are_refused(node):
    with node.resp() as first:
        connections = [node.resp() for _ in range(READERS_MAX)]
        for connection in connections:
            assert isinstance(connection.call("FEED"), list)
        with pytest.raises(harness.ReplyError, match="64 connections read the feed"):
            first.call("FEED")
        connections.pop().close()
        harness.wait_for(lambda: isinstance(first.raw("FEED")[1], list), "a place is free again", 10)
        for connection in connections:
            connection.close()


def test_resp_clients_have_it_too(node):
    for version, marks in ((2, b"*"), (3, b">")):
        with node.resp() as reader, node.resp() as client:
            reader.call("HELLO", version)
            assert isinstance(reader.call("FEED", "PREFIX", f"k{version}", "VALUES"), list)
            client.call("SET", f"k{version}", "v")
            kind, message = reader.read()
            assert kind == marks, (kind, message)
            word, place, change = [harness.plain(part) for part in message]
            assert word == b"group" and change[:2] == [b"set", b"k%d" % version] and change[3] == b"v"
            assert reader.call("UNFEED") == b"OK"
