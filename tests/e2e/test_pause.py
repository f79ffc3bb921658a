"""SIGSTOP: what waited in a stopped node is not carried out when it goes on, over what others acknowledged meanwhile."""

import time

import pytest

import harness
from harness import ReplyError


def stored(client, key, value):
    try:
        return client.call("SET", key, value) == b"OK"
    except (ReplyError, OSError):
        return False


@pytest.mark.parametrize("client_leaves", [False, True])
def test_a_write_that_waited_in_a_stopped_node_does_not_win(client_leaves):
    with harness.Ring(3) as ring:
        ring.wait_settled(3)
        for round_number in range(3):
            key = f"paused:{client_leaves}:{round_number}"
            with ring.nodes[0].cluster_resp() as client:
                slot = client.call("CLUSTER", "KEYSLOT", key)
            owner_port = ring.nodes[0].owners()[slot]
            owner = next(node for node in ring.nodes if node.cluster_port == owner_port)
            other = next(node for node in ring.nodes if node is not owner)
            with owner.resp() as waiting, owner.resp() as reading, other.resp(timeout=20) as client:
                assert waiting.call("PING") == reading.call("PING") == b"PONG"
                assert client.call("SET", key, "older") == b"OK"
                owner.pause()
                waiting.send("SET", key, "old")
                reading.send("GET", key)
                if client_leaves:
                    waiting.close()
                harness.wait_for(lambda: stored(client, key, "new"), "another node took the key over", 20)
                owner.resume()
                assert harness.plain(reading.read()) == b"new", "what the owner knew before it was stopped"
                if not client_leaves:
                    with pytest.raises(ReplyError, match="nothing was written"):
                        harness.plain(waiting.read())
                ring.wait_settled(3)
            assert harness.parse_metrics(owner.http("/metrics")[1])["gyre_process_pauses_total"] >= 1
            for node in ring.nodes:
                with node.resp() as client:
                    assert client.call("GET", key) == b"new", node.name


def test_writes_of_connections_that_nobody_accepted_yet_do_not_win_either():
    """A client that gives a silent link up makes another: the kernel accepts it, and what is sent on it."""
    with harness.Ring(3) as ring:
        ring.wait_settled(3)
        owner, other, _ = ring.nodes
        with other.cluster_resp() as client:
            slots = {f"backlog:{n}": client.call("CLUSTER", "KEYSLOT", f"backlog:{n}") for n in range(200)}
        owners = other.owners()
        keys = [key for key, slot in slots.items() if owners[slot] == owner.cluster_port][:12]
        assert len(keys) == 12
        owner.pause()
        waiting = [owner.resp(timeout=20) for _ in keys]
        for key, link in zip(keys, waiting):
            link.send("SET", key, "old")
        with other.resp(timeout=20) as client:
            harness.wait_for(lambda: all(stored(client, key, "new") for key in keys), "another took the keys over", 20)
        owner.resume()
        for link in waiting:
            with pytest.raises(ReplyError, match="nothing was written"):
                harness.plain(link.read())
            link.close()
        ring.wait_settled(3)
        with other.resp() as client:
            assert [client.call("GET", key) for key in keys] == [b"new"] * len(keys)


def test_what_came_after_the_pause_did_not_wait_through_it():
    """An idle connection's first write, long after the node went on, is carried out; what was sent meanwhile is not."""
    with harness.Ring(1, {"--threads": 1}) as ring:
        node = ring.nodes[0]

        def sleeps():
            return harness.parse_metrics(node.http("/metrics")[1])["gyre_process_pauses_total"]

        with node.resp() as waiting, node.resp() as idle, node.resp() as busy:
            for client in (waiting, idle, busy):
                assert client.call("PING") == b"PONG"
            node.pause()
            waiting.send("SET", "key", "waited")
            time.sleep(2.5)  # the pause: longer than PauseDetector::kPaused
            node.resume()
            harness.wait_for(lambda: sleeps() >= 1, "the node noticed that it slept", 20)
            with pytest.raises(ReplyError, match="nothing was written"):
                harness.plain(waiting.read())
            for client in (idle, busy, waiting):
                assert client.call("SET", "key", "later") == b"OK"
