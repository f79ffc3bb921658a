"""Restarts: a node that stops with a snapshot comes back with its data, and fetches only what changed."""

import pathlib
import shutil

import harness
from load import Load, Writer, fill, missing, violations

SNAPSHOTS = {"--replicas": 2, "--write-acks": 2, "--snapshot-on-exit": None}


def snapshot_of(node):
    return pathlib.Path(node.flags["--data-dir"]) / "snapshot"


def stop(node):
    assert node.terminate() == 0
    return node


def counts(node):
    return node.status()["ring"]


def test_a_rolling_restart_loses_nothing_and_fetches_only_what_changed():
    records = {f"rolling:{n}": b"%d" % n * 30 for n in range(20000)}
    with harness.Ring(3, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        bytes_all = sum(len(key) + len(value) for key, value in records.items())
        writers = []
        for number, victim in enumerate(ring.nodes):
            others = [node for node in ring.nodes if node is not victim]
            moved = [counts(node)["transferred_bytes"] for node in others]
            load = Load(Writer(others, number, [f"during:{number}:{n}" for n in range(50)]))
            writers += load.writers
            with load:
                stop(victim)
                assert snapshot_of(victim).exists()
                load.wait_progress()
                changed = {f"rolling:{n}": b"changed by %d" % number for n in range(number, 1000, 7)}
                fill(others[0], changed)
                records.update(changed)
                ring.restart(victim)
                ring.wait_settled(3)
            assert not snapshot_of(victim).exists(), "a snapshot is used once"
            assert [counts(node)["transferred_bytes"] for node in others] == moved, "who stays fills nothing"
            status = victim.status()
            assert status["snapshot"]["last"] == "loaded"
            assert status["snapshot"]["records"] > 8000
            ring_counts = status["ring"]
            # Two thirds of everything are this node's: nearly all of it was here.
            assert ring_counts["matched_records"] > 8000, ring_counts
            assert ring_counts["transferred_bytes"] < bytes_all / 10, ring_counts
            for node in ring.nodes:
                assert missing(node, records) == []
                assert violations(node, writers) == []


def test_deletions_meanwhile_are_not_undone():
    records = {f"kept:{n}": b"x" * 50 for n in range(3000)}
    with harness.Ring(3, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        gone = [f"kept:{n}" for n in range(0, 3000, 3)]
        victim, other = ring.nodes[1], ring.nodes[0]
        stop(victim)
        with other.resp() as client:
            assert all(reply == (b":", b"1") for reply in client.pipeline([("DEL", key) for key in gone]))
        ring.restart(victim)
        ring.wait_settled(3)
        for key in gone:
            del records[key]
        for node in ring.nodes:
            with node.resp() as client:
                assert set(client.pipeline([("GET", key) for key in gone])) == {(b"$", None)}
            assert missing(node, records) == []


def test_a_whole_cluster_stopped_and_started_has_its_data():
    records = {f"all:{n}": b"%d" % n * 20 for n in range(5000)}
    with harness.Ring(3, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        # One after the other, with changes in between: the later snapshots are newer.
        stop(ring.nodes[0])
        changed = {f"all:{n}": b"after the first stopped" for n in range(0, 5000, 5)}
        fill(ring.nodes[1], changed)
        records.update(changed)
        gone = [f"all:{n}" for n in range(1, 5000, 5)]
        with ring.nodes[2].resp() as client:
            client.pipeline([("DEL", key) for key in gone])
        for key in gone:
            del records[key]
        # It waits until the third has what only it and the first had.
        stop(ring.nodes[1])
        stop(ring.nodes[2])
        # Together, each joining the first.
        first = ring.nodes[0]
        first.flags.pop("--join", None)
        first.start(wait=False)
        for node in ring.nodes[1:]:
            node.start(join=[first], wait=False)
        ring.wait_settled(3)
        for node in ring.nodes:
            assert missing(node, records) == []
            with node.resp() as client:
                assert set(client.pipeline([("GET", key) for key in gone])) == {(b"$", None)}


def test_nodes_started_one_by_one_bring_their_data_in():
    records = {f"one:{n}": b"%d" % n * 20 for n in range(5000)}
    with harness.Ring(3, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        for node in ring.nodes:
            stop(node)
        first = ring.nodes[0]
        first.flags.pop("--join", None)
        first.start(wait=False)  # most of the ring must be back before one is ready
        harness.wait_for(lambda: "waiting for the ring" in first.http("/ready")[1], "it says what it waits for")
        assert not harness.gyre("status", "-o", "json", node=first).json()["ring"]["owned_here"]
        for node in ring.nodes[1:]:
            node.start(join=[first])
        ring.wait_settled(3)
        for node in ring.nodes:
            assert missing(node, records) == []


def test_a_new_address_is_the_same_node():
    records = {f"moved:{n}": b"%d" % n * 20 for n in range(3000)}
    with harness.Ring(3, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        victim = ring.nodes[2]
        before = victim.status()["id"]
        stop(victim)
        victim.port = victim.flags["--port"] = harness.free_port()
        victim.host = victim.flags["--host"] = "127.0.0.2"
        ring.restart(victim)
        ring.wait_settled(3)
        status = victim.status()
        assert status["id"] == before
        seen = [member for member in ring.nodes[0].status()["members"] if member["id"] == before]
        assert [(member["host"], member["port"]) for member in seen] == [("127.0.0.2", victim.port)]
        assert len(ring.nodes[0].status()["members"]) == 3
        assert status["ring"]["matched_records"] > 1000
        assert status["ring"]["transferred_records"] < 100
        for node in ring.nodes:
            assert missing(node, records) == []


def test_a_damaged_snapshot_is_refused_and_kept():
    records = {f"damaged:{n}": b"%d" % n * 20 for n in range(2000)}
    with harness.Ring(2, SNAPSHOTS) as ring:
        fill(ring.nodes[0], records)
        victim = ring.nodes[1]
        for damage in ("truncated", "corrupt", "foreign"):
            stop(victim)
            path = snapshot_of(victim)
            content = bytearray(path.read_bytes())
            if damage == "truncated":
                path.write_bytes(content[:-100])
            elif damage == "corrupt":
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
            else:
                stop(ring.nodes[0])
                shutil.copy(snapshot_of(ring.nodes[0]), path)
                ring.nodes[0].flags.pop("--join", None)
                ring.nodes[0].start(wait=False)
            ring.restart(victim)
            ring.wait_settled(2)
            status = victim.status()["snapshot"]
            assert status["last"] == "refused", damage
            assert status["records"] == 0
            assert not path.exists()
            assert path.with_name("snapshot.refused").exists()
            assert [name.name for name in path.parent.glob("snapshot*")] == ["snapshot.refused"]
            refusals = [line for line in victim.log(2000).splitlines() if "refused, starting empty" in line]
            assert refusals, damage
            assert missing(victim, records) == []


def test_the_flag_needs_a_directory():
    with harness.Ring(1) as ring:
        node = ring.nodes[0]
        stop(node)
        node.flags["--snapshot-on-exit"] = None
        del node.flags["--data-dir"]
        node.start(wait=False)
        assert node.wait_exit() == 2
        assert "--snapshot-on-exit needs --data-dir" in node.log()
