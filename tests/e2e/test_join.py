"""Planned changes under load: a node joins, a node is drained, a node is stopped. Nobody sees a miss."""

import os

import pytest

import harness
from harness import gyre
from load import check, fill, load_on, missing

RECORDS = harness.soak(20_000, 200_000)


def records(tag):
    return {f"{tag}:{n}": (b"%d:" % n) + b"v" * (n % 300) for n in range(RECORDS)}


def test_a_fourth_node_joins_without_a_miss_and_is_drained_again():
    wanted = records("join")
    with harness.Ring(3) as ring:
        fill(ring.nodes[0], wanted)
        old = list(ring.nodes)

        with load_on(old, wanted) as load:
            load.wait_progress(300)
            new = ring.add()
            ring.wait_settled(4)
            load.wait_progress(300)
        check(ring.nodes, load, wanted)
        assert not any(writer.refusals for writer in load.writers), [writer.refusals for writer in load.writers]
        owned = old[0].owners()
        share = owned.count(new.cluster_port) / len(owned)
        assert 0.20 < share < 0.30, f"the fourth node owns {share:.0%} of the slots"

        with load_on(old, wanted) as load:
            load.wait_progress(300)
            result = gyre("drain", new.name, node=old[0], seconds=harness.RING_SECONDS_MAX)
            assert result.status == 0, result
            harness.wait_for(lambda: all(set(node.owners()) == {other.cluster_port for other in old} for node in old),
                             "the drained node owns nothing", harness.RING_SECONDS_MAX)
            for node in old:
                ring_now = node.status()["ring"]
                assert ring_now["under_replicated"] == 0, ring_now
                assert not any(m["name"] == new.name and m["on_ring"] for m in node.status()["members"])
            load.wait_progress(300)
            if new.alive():
                new.terminate()
            load.wait_progress(300)
        check(old, load, wanted)


def test_two_nodes_join_at_once():
    wanted = {f"two:{n}": b"%d" % n * 9 for n in range(5000)}
    with harness.Ring(2) as ring:
        fill(ring.nodes[0], wanted)
        old = list(ring.nodes)
        with load_on(old, wanted) as load:
            load.wait_progress(200)
            ring.add(wait=False)
            ring.add(wait=False)
            ring.wait_settled(4)
            load.wait_progress(200)
        check(ring.nodes, load, wanted)


def test_sigterm_loses_nothing_and_moves_nothing():
    wanted = records("stop")
    with harness.Ring(3) as ring:
        fill(ring.nodes[0], wanted)
        before = ring.nodes[0].owners()
        stopped, others = ring.nodes[1], [ring.nodes[0], ring.nodes[2]]
        # Some clients talk to the node that stops: they may lose their connection, never a write or a key.
        with load_on(ring.nodes, wanted, tolerant=True) as load:
            load.wait_progress(300)
            assert stopped.terminate() == 0
            load.wait_progress(300)
        check(others, load, wanted)

        ring.restart(stopped)
        ring.wait_settled(3)
        check(ring.nodes, load, wanted)
        assert ring.nodes[0].owners() == before, "the restarted node has its old place"


def test_every_node_is_restarted_in_turn():
    wanted = {f"rolling:{n}": b"%d" % n * 9 for n in range(5000)}
    with harness.Ring(3) as ring:
        fill(ring.nodes[0], wanted)
        with load_on(ring.nodes, wanted, tolerant=True) as load:
            for node in ring.nodes:
                assert node.terminate() == 0
                ring.restart(node)
                ring.wait_settled(3)
                load.wait_progress(100)
        check(ring.nodes, load, wanted)


def test_a_paused_join_moves_nothing_until_it_is_resumed():
    wanted = {f"pause:{n}": b"%d" % n * 99 for n in range(5000)}
    with harness.Ring(3) as ring:
        fill(ring.nodes[0], wanted)
        old = list(ring.nodes)
        assert gyre("rebalance", "pause", node=old[1]).status == 0
        harness.wait_for(lambda: all(node.status()["rebalance"]["paused"] for node in old), "every node hears of the pause")
        new = ring.add(wait=False)
        harness.wait_for(lambda: new.status().get("rebalance", {}).get("moves_left"),
                         "the new node has something to move", 30)
        seen = gyre("rebalance", "-o", "json", node=old[0]).json()
        assert seen["paused"] and seen["moves_left"] > 0 and seen["eta_seconds"] is None, seen
        assert new.status()["rebalance"]["paused"], "a node that joins later knows it"
        # A death is not held up: what it made lacking is filled while moves wait.
        old[2].kill()
        harness.wait_for(lambda: new.status()["rebalance"]["repairs_left"] == 0 and
                         old[0].status()["ring"]["under_replicated"] == 0, "copies that lack are back", 60)
        assert missing(old[0], wanted) == []
        assert gyre("rebalance", "resume", node=new).status == 0
        harness.wait_for(lambda: new.status()["rebalance"]["partitions_left"] == 0, "the rest has moved", 60)
        assert missing(new, wanted) == []


def test_a_join_cancelled_by_kill_leaves_the_others_whole():
    wanted = records("cancel")
    with harness.Ring(3, {"--evict-after": "2s"}) as ring:
        fill(ring.nodes[0], wanted)
        old = list(ring.nodes)
        assert gyre("rebalance", "limit", "1MiB", node=old[0]).status == 0
        with load_on(old, wanted) as load:
            load.wait_progress(200)
            new = ring.add(wait=False)
            harness.wait_for(lambda: new.status().get("rebalance", {}).get("done_bytes"),
                             "the join is under way", 30)
            new.kill()
            harness.wait_for(lambda: not any(m["name"] == new.name and m["on_ring"] for m in old[0].status()["members"]),
                             "the dead node is off the ring", 60)
            ring.wait_settled(3)
            load.wait_progress(200)
        check(old, load, wanted)


def colliding(number):
    """A key that has the same XXH3 hash whatever the number is: its first bytes make the product with it 0."""
    return b"\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe" + b"%08d" % number + b"{colliding}-keys"


def test_a_node_joins_though_megabytes_share_one_hash():
    keys = [colliding(n) for n in range(50)]
    with harness.Ring(1, {"--memory": "512MiB"}) as ring:
        with ring.nodes[0].resp(timeout=60) as client:
            assert set(client.pipeline([("SET", key, b"v" * (1 << 20)) for key in keys])) == {(b"+", b"OK")}
            new = ring.add()
            ring.wait_settled(2)
            assert client.call("EXISTS", *keys) == len(keys)
        ring.nodes[0].kill()
        harness.wait_for(lambda: set(new.owners()) == {new.cluster_port}, "the new node has taken over", 30)
        with new.resp(timeout=60) as client:
            assert client.call("EXISTS", *keys) == len(keys)


def test_nodes_that_all_join_one_name_are_one_ring(tmp_path):
    """As behind a headless service: the name has the addresses of all nodes, one's own first."""
    if os.geteuid() != 0:
        pytest.skip("gives the nodes an /etc/hosts of their own, which wants root")
    hosts = tmp_path / "hosts"
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    hosts.write_text("".join(f"{address} ring.test\n" for address in addresses))
    within = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    port = harness.free_port()
    nodes = [harness.Node(f"n{n}", tmp_path, {"--port": port, "--join": f"ring.test:{port}"}, host=host, within=within)
             for n, host in enumerate(addresses, 1)]
    for node in nodes:
        node.port = port
    try:
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()
        harness.wait_for(lambda: all(len(node.status()["members"]) == 3 for node in nodes), "one ring of three")
        assert {member["name"] for member in nodes[0].status()["members"]} == {"n1", "n2", "n3"}

        # The name has nobody else: who is alone there begins.
        hosts.write_text(f"{addresses[0]} ring.test\n")
        alone = harness.Node("alone", tmp_path, {"--join": f"ring.test:{nodes[0].port}"}, host="127.0.0.4", within=within)
        alone.flags["--join"] = f"ring.test:{alone.port}"
        hosts.write_text("127.0.0.4 ring.test\n")
        nodes.append(alone.start())
        assert len(alone.status()["members"]) == 1
    finally:
        for node in nodes:
            node.kill()
