"""A ring that is operated: restarts by /ready and by `gyre restart-check`, nodes that go back to their ring by themselves,
stops that wait for what only they have.
"""

import pathlib
import random
import signal
import time

import pytest

import harness
import nemesis
from load import fill, missing

KEYS = 60000
COPIES = {"--replicas": 2, "--write-acks": 2, "--memory": "64MiB"}


def alone(node):
    """Starts it again as it stands, told to join nobody."""
    node.flags.pop("--join", None)
    return node.start(wait=False)


def ring_file(node):
    return pathlib.Path(node.flags["--data-dir"]) / "ring"


def metric(node, name):
    return harness.parse_metrics(node.http("/metrics")[1])[name]


def reason(node):
    status, text = node.http("/ready")
    return text if status == 503 else None


def test_a_rolling_restart_by_readiness_loses_nothing_and_fails_no_write():
    """Four nodes, twice around, the first of them without --join, as everybody starts the first."""
    records = {f"rolling:{n}": b"%d" % n * 4 for n in range(KEYS)}
    with harness.Ring(4, COPIES) as ring:
        assert "--join" not in ring.nodes[0].flags
        fill(ring.nodes[0], records)
        load = nemesis.Load(ring.nodes, ring.directory, interval_ms=5)
        try:
            load.resume()
            for node in ring.nodes * 2:
                assert node.terminate() == 0
                node.start()
                # At any moment true: it has whole what the ring gives it.
                assert node.status()["ring"]["warming_here"] == 0
            figures = load.figures()
            judged = load.judge(ring.nodes)
            assert judged["violations"] == 0, judged["texts"]
        finally:
            load.kill()
        assert figures["acknowledged"] > 500
        assert (figures["unknown"], figures["refused"]) == (0, 0), figures["errors"]
        for node in ring.nodes:
            assert missing(node, records)[:10] == []
            assert "LOST" not in node.log(5000)


def test_six_restarts_four_seconds_apart_fail_no_write():
    """Whether the nodes are ready or not."""
    with harness.Ring(4, COPIES) as ring:
        load = nemesis.Load(ring.nodes, ring.directory, interval_ms=2)
        try:
            load.resume()
            for turn in range(harness.soak(3, 6)):
                node = ring.nodes[turn % 4]
                begun = time.monotonic()
                assert node.terminate() == 0
                node.start(wait=False)
                time.sleep(max(0.0, begun + 4 - time.monotonic()))  # the pace is what is tested
            figures = load.figures()
            judged = load.judge(ring.nodes)
            assert judged["violations"] == 0, judged["texts"]
        finally:
            load.kill()
        assert (figures["unknown"], figures["refused"]) == (0, 0), figures["errors"]


def test_a_node_is_ready_once_it_is_filled_and_stays_so_until_it_stops():
    records = {f"ready:{n}": b"%d" % n * 20 for n in range(20000)}
    with harness.Ring(2, COPIES) as ring:
        fill(ring.nodes[0], records)
        first, second = ring.nodes
        assert harness.gyre("rebalance", "pause", node=first).status == 0
        # A third node has nothing to fill but moves, and those are held up.
        third = harness.Node("n3", ring.directory, COPIES)
        ring.nodes.append(third)
        third.start(join=[first], wait=False)
        text = harness.wait_for(lambda: (reason(third) or "") if "to be filled" in (reason(third) or "") else None,
                                "what is to be filled", harness.RING_SECONDS_MAX)
        assert "moves are paused" in text
        assert metric(third, "gyre_ready") == 0
        refused = harness.gyre("restart-check", "n1", node=first)
        assert refused.status == 1
        assert "n3 is filling" in refused.out
        assert harness.gyre("rebalance", "resume", node=first).status == 0
        third.wait_ready(harness.RING_SECONDS_MAX)
        ring.wait_settled(3)
        assert harness.gyre("restart-check", "n1", node=third).status == 0
        second.kill()
        harness.wait_for(lambda: third.status()["ring"]["under_replicated"] or second.name not in
                         [m["name"] for m in third.status()["members"] if m["state"] == "alive"], "the death is known")
        assert first.ready() and third.ready()
        check = harness.gyre("-o", "json", "restart-check", "n2", node=first)
        assert check.status == 1 and check.json()["safe"] is False
        ring.restart(second)
        ring.wait_settled(3)


def test_a_node_goes_back_to_its_ring_by_itself():
    records = {f"back:{n}": b"%d" % n * 20 for n in range(2000)}
    with harness.Ring(3, COPIES) as ring:
        fill(ring.nodes[0], records)
        victim = ring.nodes[0]
        harness.wait_for(lambda: all(len(ring_file(node).read_text().splitlines()) == 5 for node in ring.nodes),
                         "all remember the three")
        victim.kill()
        alone(victim).wait_ready()
        ring.wait_settled(3)
        # Nobody is where it was when the third was last there.
        for node in ring.nodes[:2]:
            assert node.terminate() == 0
            node.port = node.flags["--port"] = harness.free_port()
            node.start(join=[ring.nodes[2]])
        ring.wait_settled(3)
        harness.wait_for(lambda: str(ring.nodes[0].port) in ring_file(ring.nodes[2]).read_text(), "the new addresses are kept")
        assert ring.nodes[2].terminate() == 0
        alone(ring.nodes[2]).wait_ready()
        ring.wait_settled(3)
        for node in ring.nodes:
            assert missing(node, records) == []


def test_a_node_alone_of_its_ring_waits_for_most_of_it():
    with harness.Ring(3, COPIES) as ring:
        harness.wait_for(lambda: all(len(ring_file(node).read_text().splitlines()) == 5 for node in ring.nodes),
                         "all remember the three")
        for node in ring.nodes:
            node.kill()
        first, second, third = ring.nodes
        alone(first)
        harness.wait_for(lambda: "1 of 3 nodes are back" in (reason(first) or ""), "it says what it waits for")
        status = first.status()["ring"]
        assert status["under_replicated"] == status["unowned"] == status["partitions"]
        alone(third)
        first.wait_ready()
        third.wait_ready()
        alone(second)
        ring.wait_settled(3)


def test_in_available_mode_it_goes_on_alone_after_evict_after():
    with harness.Ring(2, {**COPIES, "--write-acks": 1, "--evict-after": "2s"}) as ring:
        harness.wait_for(lambda: all(len(ring_file(node).read_text().splitlines()) == 4 for node in ring.nodes),
                         "both remember both")
        for node in ring.nodes:
            node.kill()
        alone(ring.nodes[0]).wait_ready()
        assert "not enough nodes of the remembered ring are back" in ring.nodes[0].log()


def test_a_ring_of_one_is_ready_at_once(tmp_path):
    node = harness.Node("only", tmp_path).start()
    try:
        harness.wait_for(lambda: ring_file(node).exists(), "it remembers itself")
        assert node.terminate() == 0
        alone(node).wait_ready()
        assert node.status()["ring"]["under_replicated"] == 0
    finally:
        node.kill()


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_a_damaged_memory_is_a_clear_line(tmp_path, damage):
    node = harness.Node("damaged", tmp_path).start()
    try:
        harness.wait_for(lambda: ring_file(node).exists(), "it remembers itself")
        assert node.terminate() == 0
        text = ring_file(node).read_text()
        ring_file(node).write_text(text[: len(text) // 2] if damage == "cut" else "something else\n")
        alone(node)
        assert node.wait_exit() == 2
        assert "is damaged" in node.log() and "--join" in node.log()
        ring_file(node).unlink()
        alone(node).wait_ready()
    finally:
        node.kill()


def test_another_cluster_name_forgets_the_ring():
    with harness.Ring(2, COPIES) as ring:
        node = ring.nodes[1]
        harness.wait_for(lambda: len(ring_file(node).read_text().splitlines()) == 4, "it remembers both")
        assert node.terminate() == 0
        node.flags["--cluster-name"] = "other"
        alone(node).wait_ready()
        assert "the remembered ring is forgotten" in node.log()
        assert len(node.status()["members"]) == 1


def test_two_that_stop_at_once_leave_what_they_share_to_a_third():
    records = {f"pair:{n}": b"%d" % n * 20 for n in range(10000)}
    with harness.Ring(4, COPIES) as ring:
        fill(ring.nodes[0], records)
        for pair in (ring.nodes[:2], ring.nodes[1:3]):
            for node in pair:
                node.signal(signal.SIGTERM)
            for node in pair:
                assert node.wait_exit() == 0
                assert "LOST" not in node.log(5000)
            ring.restart_all(pair)
            ring.wait_settled(4)
        for node in ring.nodes:
            assert missing(node, records)[:10] == []
            assert node.status()["ring"]["losses"] == 0


def test_a_stop_that_may_not_wait_says_what_is_lost():
    records = {f"lost:{n}": b"x" for n in range(1000)}
    with harness.Ring(2, {"--replicas": 1, "--stop-timeout": 0}) as ring:
        fill(ring.nodes[0], records)
        assert ring.nodes[0].terminate() == 0
        assert "LOST with this node" in ring.nodes[0].log()


def test_the_only_copy_goes_to_who_stays():
    records = {f"single:{n}": b"%d" % n * 20 for n in range(5000)}
    with harness.Ring(2, {"--replicas": 1}) as ring:
        fill(ring.nodes[0], records)
        assert ring.nodes[0].terminate() == 0
        assert "LOST" not in ring.nodes[0].log()
        assert missing(ring.nodes[1], records)[:10] == []


def test_all_at_once_nobody_waits_and_snapshots_keep_all():
    records = {f"all:{n}": b"%d" % n * 20 for n in range(5000)}
    with harness.Ring(3, {**COPIES, "--snapshot-on-exit": None, "--stop-timeout": "60s"}) as ring:
        fill(ring.nodes[0], records)
        for _ in range(2):
            for node in ring.nodes:
                node.signal(signal.SIGTERM)
            for node in ring.nodes:
                assert node.wait_exit(30 * harness.PATIENCE) == 0
            order = random.sample(ring.nodes, 3)
            for node in order:
                alone(node)
            ring.wait_settled(3)
            for node in ring.nodes:
                assert missing(node, records)[:10] == []
