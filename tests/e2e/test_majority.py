"""--consistency majority: an owner acts only while a majority of the ring answers it. Counters and swaps stay exact
whatever happens to nodes and network; who has no majority says so; and a ring of one mind is asked for."""

import random

import pytest

import harness
import hosts
import nemesis

FLAGS = {"--replicas": 2, "--write-acks": 2, "--consistency": "majority"}
LOCAL = harness.soak(["pause-thrice", "kill"], nemesis.LOCAL)
NETWORK = harness.soak(["partition-both", "isolate"], nemesis.NETWORK)
ROUNDS = harness.soak(1, 5)


def run(faults, network):
    generator = random.Random(7)
    with nemesis.Scene(3, FLAGS, network) as scene:
        for name in faults * ROUNDS:
            row = scene.round(nemesis.FAULTS[name], generator)
            assert row["violations"] == 0, row
            assert row["acknowledged"] > 100, row


def test_counters_and_swaps_are_exact_when_nodes_sleep_and_die():
    run(LOCAL, network=False)


def test_counters_and_swaps_are_exact_in_a_partition():
    if reason := hosts.unavailable():
        pytest.skip(reason)
    run(NETWORK, network=True)


def lease(node):
    return node.status()["lease"]


def test_the_minority_refuses_and_goes_on_when_it_is_none_any_more():
    with harness.Ring(3, {"--replicas": 3, "--consistency": "majority"}) as ring:
        ring.wait_settled(3)
        alone, *others = ring.nodes
        with alone.resp() as client:
            key = next(f"key{n}" for n in range(1000) if owned_by(alone, f"key{n}"))
            assert client.call("INCR", key) == 1
            assert lease(alone)["held"] == lease(alone)["claimed"] > 0
            for node in others:
                node.pause()
            harness.wait_for(lambda: lease(alone)["held"] == 0, "its leases run out")
            with pytest.raises(harness.ReplyError, match="does not see a majority of the ring"):
                client.call("INCR", key)
            with pytest.raises(harness.ReplyError, match="does not see a majority of the ring"):
                client.call("GET", key)
            assert lease(alone)["refusals"] > 0 and not lease(alone)["majority_in_view"]
            metrics = harness.parse_metrics(alone.http("/metrics")[1])
            assert metrics["gyre_lease_held"] == 0
            for node in others:
                node.resume()
            harness.wait_for(lambda: increments(client, key), "it goes on", 20 * harness.PATIENCE)
            assert int(client.call("GET", key)) >= 2


def increments(client, key):
    try:
        return client.call("INCR", key) >= 2
    except harness.ReplyError:
        return False


def owned_by(node, key):
    slot = node_slot(node, key)
    return node.owners()[slot] == node.cluster_port


def node_slot(node, key):
    with node.cluster_resp() as client:
        return client.call("CLUSTER", "KEYSLOT", key)


def test_a_node_of_another_mode_is_refused_with_the_flag():
    with harness.Ring(1, {"--consistency": "majority"}) as ring:
        other = harness.Node("other", ring.directory, {"--consistency": "available"})
        other.start(join=[ring.nodes[0]], wait=False)
        try:
            harness.wait_for(lambda: "start it with --consistency majority" in other.log(), "it says which flag differs")
        finally:
            other.kill()
