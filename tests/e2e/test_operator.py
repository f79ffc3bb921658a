"""What an operator does to a ring under load: a join taken back, the progress of a drain, a drained node that stays off
until it is undrained, a dead node removed by hand or by --evict-after. Nobody sees a miss, and no acknowledged write is
lost."""

import re

import harness
from harness import Process, binary, gyre, parse_metrics
from load import Load, Writer, check, fill, load_on, missing, violations

LIMIT = 1 << 20
# At LIMIT a node fills for some seconds: enough to look on.
RECORDS, VALUE_BYTES = 12_000, 1000


def records(tag):
    return {f"{tag}:{n}": (b"%d:" % n).ljust(VALUE_BYTES, b"v") for n in range(RECORDS)}


def metric(node, name):
    return parse_metrics(node.http("/metrics")[1])[name]


def on_ring(node):
    return {member["name"] for member in node.status()["members"] if member["on_ring"]}


def member(node, name):
    """What `node` says of the node `name`."""
    return next((each for each in node.status()["members"] if each["name"] == name), None)


def owns(node, name):
    """How many partitions the node `name` owns, as `node` sees it."""
    seen = member(node, name)
    return 0 if seen is None else seen["owned_partitions"]


def limits(nodes):
    return {node.status()["rebalance"]["limit_bytes_per_second"] for node in nodes}


def writers_on(nodes):
    return Load(*[Writer(nodes, first, [f"w:{first}:{n}" for n in range(200)]) for first in range(2)])


def test_a_node_is_drained_while_it_still_fills():
    wanted = records("back")
    with harness.Ring(3, {"--rebalance-limit": "64MiB"}) as ring:
        fill(ring.nodes[0], wanted)
        old = list(ring.nodes)
        before = old[0].owners()
        assert gyre("rebalance", "limit", "1MiB", node=old[0]).status == 0
        harness.wait_for(lambda: limits(old) == {LIMIT}, "every node hears of the limit")
        with load_on(old, wanted) as load:
            load.wait_progress(100)
            new = ring.add(wait=False)
            # It owns some partitions already, which have to come back, and waits for others.
            harness.wait_for(lambda: owns(old[1], new.name) > 0, "the new node owns something", 30)
            harness.wait_for(lambda: new.status().get("rebalance", {}).get("moves_left"), "it has a long way to go")
            result = gyre("drain", new.name, node=old[1], seconds=harness.RING_SECONDS_MAX)
            assert result.status == 0, result
            assert owns(new, new.name) == 0
            # Its share is half of the data: a quarter of two copies.
            assert metric(new, "gyre_transfer_bytes_total") < 0.4 * RECORDS * VALUE_BYTES, "the join was cut short"
            assert limits(old) == {LIMIT}, "all that happened under the limit"
            assert new.terminate() == 0
            ring.wait_settled(3)
            load.wait_progress(100)
        check(old, load, wanted)
        assert not any(writer.refusals for writer in load.writers), [writer.refusals for writer in load.writers]
        assert old[0].owners() == before, "the ring is what it was"

        # Taken back, it leaves each node its own.
        assert gyre("rebalance", "limit", "default", node=old[2]).status == 0
        harness.wait_for(lambda: limits(old) == {64 << 20}, "every node has its own limit again")


def test_a_drain_says_how_far_it_is():
    wanted = records("progress")
    with harness.Ring(3) as ring:
        fill(ring.nodes[0], wanted)
        stay, leaving = ring.nodes[:2], ring.nodes[2]
        assert gyre("rebalance", "limit", "1MiB", node=stay[0]).status == 0
        harness.wait_for(lambda: limits(stay) == {LIMIT}, "every node hears of the limit")
        drain = Process("gyre drain", [binary("gyre"), "--connect", stay[0].address, "drain", leaving.name],
                        ring.directory / "drain.log").spawn()
        try:
            harness.wait_for(lambda: all(metric(node, "gyre_rebalance_bytes_left") > LIMIT for node in stay),
                             "both have something to move")
            left, sums = [], []

            def look():
                for seen in (gyre("rebalance", "-o", "json", node=stay[0]).json(),
                             gyre("status", "-o", "json", node=stay[0]).json()["rebalance"]):
                    left.append(seen["left_bytes"])
                    sums.append(seen["done_bytes"] + seen["left_bytes"])
                return len(set(left)) >= 6 and 0 < left[-1] < left[0] / 2

            seen = gyre("rebalance", "-o", "json", node=stay[0]).json()
            assert [node["name"] for node in seen["leaving"]] == [leaving.name], seen
            harness.wait_for(look, f"half of the bytes are moved, in steps: {left}", 30)
            assert all(0 < metric(node, "gyre_rebalance_progress_ratio") < 1 for node in stay)
            assert all(metric(node, "gyre_rebalance_eta_seconds") >= 0 for node in stay)
            assert all(metric(node, "gyre_rebalance_limit_bytes_per_second") == LIMIT for node in stay)
            assert drain.wait_exit(harness.RING_SECONDS_MAX) == 0, drain.log()
            moved = sum(metric(node, "gyre_rebalance_bytes_done") for node in stay)
            assert moved > RECORDS * VALUE_BYTES / 3
            assert all(0.6 * moved < estimate < 1.4 * moved for estimate in sums), (moved, sums)
        finally:
            drain.kill()
        *lines, last = drain.log().splitlines()
        assert last == f"{leaving.name} has left the ring"
        line = re.compile(rf"{leaving.name}: (\d+) of \d+ partitions left to move; "
                          r"(\d+\.\d)% done, \d+ partitions, \S+ [KM]iB left, \S+ [KM]iB/s, \d+ s to go")
        told = [match for match in map(line.fullmatch, lines) if match]
        assert len(told) >= 3, drain.log()
        percents = [float(match[2]) for match in told]
        assert percents[0] < 50 < percents[-1], percents
        assert int(told[-1][1]) < int(told[0][1]), drain.log()
        for node in stay:
            assert metric(node, "gyre_rebalance_bytes_left") == 0
            assert metric(node, "gyre_rebalance_progress_ratio") == 1
            assert missing(node, wanted) == []


def test_remove_takes_a_dead_node_from_the_ring_and_no_other():
    wanted = records("remove")
    with harness.Ring(3, {"--write-acks": 2, "--evict-after": "1h"}) as ring:
        fill(ring.nodes[0], wanted)
        stay, dead = ring.nodes[:2], ring.nodes[2]
        load = writers_on(stay)
        with load:
            load.wait_progress()
            refused = gyre("remove", dead.name, node=stay[0])
            assert refused.status != 0 and "gyre drain" in refused.err, refused
            assert on_ring(stay[0]) == {"n1", "n2", "n3"}, "a live node stays"

            dead.kill()
            harness.wait_for(lambda: all(member(node, dead.name)["state"] == "dead" for node in stay),
                             "its death is known")
            assert on_ring(stay[0]) == {"n1", "n2", "n3"}, "nothing but the operator's word removes it"
            refused = gyre("drain", dead.name, node=stay[0])
            assert refused.status != 0 and "gyre remove" in refused.err, refused

            assert gyre("remove", dead.name, node=stay[0]).status == 0
            assert on_ring(stay[0]) == {"n1", "n2"}, "at once"
            ring.wait_settled(2)
            load.wait_progress()
        for node in stay:
            assert node.status()["ring"]["under_replicated"] == 0
            assert violations(node, load.writers) == []
            assert missing(node, wanted) == []


def test_a_dead_node_is_evicted_under_load():
    wanted = records("evict")
    with harness.Ring(4, {"--write-acks": 2, "--evict-after": "2s"}) as ring:
        fill(ring.nodes[0], wanted)
        stay, dead = ring.nodes[:3], ring.nodes[3]
        load = writers_on(stay)
        with load:
            load.wait_progress()
            dead.kill()
            load.wait_progress()
            harness.wait_for(lambda: all(on_ring(node) == {"n1", "n2", "n3"} for node in stay),
                             "it is off the ring", 30)
            load.wait_progress()
            ring.wait_settled(3)
        for node in stay:
            assert set(node.owners()) == {other.cluster_port for other in stay}
            assert violations(node, load.writers) == []
            assert missing(node, wanted) == []


def drained_again(node, witness, join):
    """Stops the drained `node` and starts it with `join`: it says why it is not ready, and stays off the ring."""
    before = member(witness, node.name)["incarnation"]
    assert node.terminate() == 0
    node.flags.pop("--join", None)
    node.start(join=join, wait=False)
    harness.wait_for(lambda: member(witness, node.name)["incarnation"] > before and
                     member(witness, node.name)["state"] == "drained", "its new life is known")
    harness.wait_for(lambda: member(node, witness.name)["on_ring"], "it sees the ring")
    code, reason = node.http("/ready")
    assert code == 503 and reason.startswith("drained"), reason
    assert node.name not in on_ring(witness) and node.name not in on_ring(node)


def test_a_drained_node_stays_off_the_ring_until_it_is_undrained():
    wanted = records("drained")
    with harness.Ring(3, {"--write-acks": 2}) as ring:
        fill(ring.nodes[0], wanted)
        stay, leaver = ring.nodes[:2], ring.nodes[2]
        before = stay[0].owners()
        for _ in range(2):
            assert gyre("drain", leaver.name, node=stay[0]).status == 0, "twice is as good as once"
        # It finds the ring by what it remembers, or by --join.
        drained_again(leaver, stay[0], join=[])
        drained_again(leaver, stay[0], join=stay)
        seen = gyre("ring", "-o", "json", node=stay[1]).json()["nodes"]
        assert {node["name"]: node["state"] for node in seen} == {"n1": "alive", "n2": "alive", "n3": "drained"}
        assert next(node for node in seen if node["name"] == leaver.name)["partitions_held"] == 0
        for node in ring.nodes:
            assert metric(node, 'gyre_members{state="drained"}') == 1
            assert metric(node, 'gyre_members{state="alive"}') == 2
            assert node.status()["ring"]["under_replicated"] == 0
            assert set(node.owners()) == {other.cluster_port for other in stay}
            assert missing(node, wanted) == [], "it forwards what is elsewhere"

        undrained = gyre("undrain", leaver.name, "-o", "json", node=stay[1])
        assert undrained.status == 0 and undrained.json()["undrained"], undrained
        ring.wait_settled(3)
        assert stay[0].owners() == before, "it has its old place"
        for node in ring.nodes:
            assert missing(node, wanted) == []
        again = gyre("undrain", leaver.name, node=stay[1])
        assert again.status == 1 and "not drained" in again.err, again


def test_a_node_is_undrained_while_it_is_down():
    with harness.Ring(3) as ring:
        stay, leaver = ring.nodes[:2], ring.nodes[2]
        assert gyre("drain", leaver.name, node=stay[0]).status == 0
        assert leaver.terminate() == 0
        harness.wait_for(lambda: member(stay[0], leaver.name)["state"] == "stopped", "it is gone")
        assert member(stay[0], leaver.name)["drained"]
        assert gyre("undrain", leaver.name, node=stay[1]).status == 0
        assert not member(stay[1], leaver.name)["drained"]
        ring.restart(leaver)
        ring.wait_settled(3)
