"""Real processes under a nemesis, judged by the checker of tests/history: with --write-acks 2 no acknowledged write is
lost, no deleted key comes back, counters and swaps hold what was promised, whatever happens to the nodes and to the network
between them. scripts/nemesis runs the same for as long as one likes, and prints a table.
"""

import random

import pytest

import harness
import hosts
import nemesis

ROUNDS = harness.soak(1, 5)
LOCAL = harness.soak(["kill", "pause-thrice", "rolling-restart"], nemesis.LOCAL)
SNAPSHOTS = harness.soak(["rolling-restart-check", "restart-all"], [*nemesis.LOCAL, *nemesis.SNAPSHOTS])
NETWORK = harness.soak(["cut-link-one-way", "cut-incoming", "partition-both"], nemesis.NETWORK)


def run(faults, replicas, network, **flags):
    generator = random.Random(replicas)
    with nemesis.Scene(3, {"--replicas": replicas, "--write-acks": 2, **flags}, network, groups=8) as scene:
        for name in faults * ROUNDS:
            row = scene.round(nemesis.FAULTS[name], generator)
            assert row["violations"] == 0, (row["by_fault"], row["texts"], row)
            # The load did not just stand by.
            assert row["acknowledged"] > 100, row
            if name == "kill":
                assert row["reads_failed"] == 0, row


@pytest.mark.parametrize("replicas", harness.soak([2], [2, 3]))
def test_no_acknowledged_write_is_lost_to_nodes_that_die_and_sleep(replicas):
    run(LOCAL, replicas, network=False)


@pytest.mark.parametrize("replicas", harness.soak([2], [2, 3]))
def test_no_acknowledged_write_is_lost_to_stops_with_snapshots(replicas):
    run(SNAPSHOTS, replicas, network=False, **{"--snapshot-on-exit": None})


@pytest.mark.parametrize("replicas", harness.soak([3], [2, 3]))
def test_no_acknowledged_write_is_lost_to_a_broken_network(replicas):
    if reason := hosts.unavailable():
        pytest.skip(reason)
    run(NETWORK, replicas, network=True)
