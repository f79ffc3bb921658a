"""Nodes that evict: a key may vanish, but what was removed stays removed on every copy, whatever its owner had left of it."""

import random

import harness
import nemesis
from harness import Ring

KEYS = [f"evicted:{n}" for n in range(1500)]
VALUE = b"v" * 20_000  # 30 MB of them


def test_a_deleted_key_stays_so_even_if_its_owner_had_evicted_it():
    with Ring(1, {"--replicas": 2, "--write-acks": 2, "--memory": "16MiB"}) as ring:
        ring.flags["--memory"] = "256MiB"
        small, large = ring.nodes[0], ring.add()
        ring.wait_settled(2)
        owned = [key for key, owner in zip(KEYS, owners(large, KEYS)) if owner == small.cluster_port]
        assert len(owned) > 300
        with small.resp() as client:
            assert set(client.pipeline([("SET", key, VALUE) for key in KEYS])) == {(b"+", b"OK")}
            # Removed in each of the ways that there are; most of them are no longer here.
            ways = [("DEL",), ("UNLINK",), ("GETDEL",), ("PEXPIRE", -1), ("GETEX", "PXAT", 1)]
            commands = [(ways[n % 5][0], key, *ways[n % 5][1:]) for n, key in enumerate(owned)]
            replies = [harness.plain(reply) for reply in client.pipeline(commands)]
            assert sum(reply in (0, None) for reply in replies) > len(owned) / 4
        small.kill()
        harness.wait_for(lambda: set(large.owners()) == {large.cluster_port}, "the other copy took over",
                         30 * harness.PATIENCE)
        with large.resp() as client:
            values = map(harness.plain, client.pipeline([("GET", key) for key in owned]))
            back = [key for key, value in zip(owned, values) if value is not None]
            assert back == []
            # What was only evicted may be read again.
            assert client.call("DBSIZE") == len(KEYS) - len(owned)


def owners(node, keys):
    """The cluster port of each key's owner."""
    table = node.owners()
    with node.cluster_resp() as client:
        return [table[client.call("CLUSTER", "KEYSLOT", key)] for key in keys]


def test_nothing_that_was_removed_comes_back_under_the_nemesis():
    """Nor does a reader see a part of what one command wrote."""
    generator = random.Random(1)
    flags = {"--replicas": 2, "--write-acks": 2, "--memory": "16MiB"}
    load = {"keys": 1000, "counters": 0, "swaps": 0, "interval_ms": 1000, "value_bytes": 30_000, "evicts": 1,
            "groups": 8, "group_value_bytes": 500}
    with nemesis.Scene(3, flags, **load) as scene:
        for name in harness.soak(["kill", "rolling-restart"], nemesis.LOCAL):
            row = scene.round(nemesis.FAULTS[name], generator)
            assert row["violations"] == 0, row
            assert row["acknowledged"] > 100, row
        assert sum(scene.metric("gyre_evicted_total")) > 100
