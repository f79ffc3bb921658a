"""--gossip-key: a ring with a key works and survives what a ring without one does; nobody without the key joins it;
the key is changed while it runs. And another --cluster-name stays outside."""

import base64
import os
import signal
import socket
import struct

import pytest

import harness
from load import Load, Writer, fill, missing, violations


def new_key():
    made = harness.gyred("--gen-gossip-key")
    assert made.status == 0, made
    return made.out.strip()


def write_keys(path, *keys, mode=0o600):
    """Replaces the file as a whole, as an operator's tools do."""
    fresh = path.with_suffix(".new")
    fresh.write_text("# keys of a test\n" + "".join(key + "\n" for key in keys))
    fresh.chmod(mode)
    os.replace(fresh, path)
    return path


@pytest.fixture
def key_file(tmp_path):
    return write_keys(tmp_path / "gossip.key", new_key())


def metric(node, name):
    return harness.parse_metrics(node.http("/metrics")[1])[name]


def stranger(ring, flags):
    """A node that tries to join `ring` and is not let in. Not started by the ring, which waits for none of it."""
    node = harness.Node("stranger", ring.directory, flags)
    node.start(join=ring.nodes[:1], wait=False)
    return node


def gossip(node):
    return harness.gyre("status", "-o", "json", node=node).json()["gossip"]


def assert_kept_out(ring, node, says_stranger, says_ring):
    try:
        harness.wait_for(lambda: says_stranger in node.log(), f"the stranger says '{says_stranger}': {node.log()}")
        harness.wait_for(lambda: says_ring in ring.nodes[0].log(), f"n1 says '{says_ring}': {ring.nodes[0].log()}")
        for member in ring.nodes:
            assert "stranger" not in [m["name"] for m in member.status()["members"]]
        assert [m["name"] for m in node.status()["members"]] == ["stranger"]
    finally:
        node.kill()


def test_a_ring_with_a_key_survives_a_death_and_takes_the_dead_back(key_file):
    records = {f"before:{n}": b"%d" % n * 20 for n in range(500)}
    with harness.Ring(3, {"--gossip-key": key_file, "--write-acks": 2}) as ring:
        fill(ring.nodes[0], records)
        victim, survivors = ring.nodes[2], ring.nodes[:2]
        load = Load(*[Writer(survivors, first, [f"k:{first}:{n}" for n in range(100)]) for first in range(2)])
        with load:
            load.wait_progress()
            victim.kill()
            load.wait_progress()
        ring.restart(victim)
        ring.wait_settled(3)
        for node in ring.nodes:
            assert violations(node, load.writers) == []
            assert missing(node, records) == []
            for reason in ("unsealed", "key", "replay", "clock"):
                assert metric(node, f'gyre_gossip_refused_total{{reason="{reason}"}}') == 0
            assert metric(node, "gyre_link_handshakes_failed_total") == 0
            assert metric(node, "gyre_link_handshakes_total") > 0


def test_no_one_joins_without_the_key(key_file, tmp_path):
    with harness.Ring(2, {"--gossip-key": key_file}) as ring:
        assert_kept_out(ring, stranger(ring, {}), "start this node with --gossip-key", "without the gossip key")
        other = write_keys(tmp_path / "other.key", new_key())
        assert_kept_out(ring, stranger(ring, {"--gossip-key": other}), "different gossip keys: compare the files",
                        "different gossip keys: compare the files")
        assert metric(ring.nodes[0], "gyre_peer_requests_plain_total") > 0
        assert metric(ring.nodes[0], "gyre_link_handshakes_failed_total") > 0


def test_a_node_with_a_key_does_not_join_an_open_ring(key_file):
    with harness.Ring(2) as ring:
        node = stranger(ring, {"--gossip-key": key_file})
        assert_kept_out(ring, node, "runs without --gossip-key", "runs without --gossip-key")


def test_another_cluster_name_stays_outside(ring):
    node = stranger(ring, {"--cluster-name": "elsewhere"})
    assert_kept_out(ring, node, "--cluster-name", "--cluster-name")


def frame(kind, payload, request_id=7):
    return b"GY" + struct.pack("<BBIQ", 1, kind, len(payload), request_id) + payload


def exchange(port, data):
    """The reply frame to `data` as (type, id, payload)."""
    with socket.create_connection(("127.0.0.1", port), 5 * harness.PATIENCE) as connection:
        connection.sendall(data)
        file = connection.makefile("rb")
        head = file.read(16)
        _, kind, size, request_id = struct.unpack("<BBIQ", head[2:])
        return kind, request_id, file.read(size)


REQUEST, REPLY, PEER_REQUEST, PEER_REPLY = 1, 2, 3, 4


def test_requests_of_peers_in_the_clear_are_refused(key_file):
    with harness.Ring(1, {"--gossip-key": key_file, "--threads": 1}) as ring:
        port = ring.nodes[0].port
        ping = b"\x0a\x04PING"
        assert exchange(port, frame(REQUEST, ping)) == (REPLY, 7, b"\x0a\x02\x10\x07"), "clients need no key"
        # Replicate, with nothing in it; then a command as another node would pass it on (hops = 1).
        kind, request_id, payload = exchange(port, frame(PEER_REQUEST, b"\x0a\x00"))
        assert (kind, request_id) == (PEER_REPLY, 7) and b"--gossip-key" in payload
        kind, request_id, payload = exchange(port, frame(REQUEST, ping + b"\x10\x01"))
        assert (kind, request_id) == (REPLY, 7) and b"--gossip-key" in payload
        with ring.nodes[0].resp() as client:
            assert client.call("PING") == b"PONG"
        assert harness.gyre("set", "a", "1", node=ring.nodes[0]).status == 0


def test_bytes_that_are_no_handshake_do_no_harm(key_file):
    with harness.Ring(1, {"--gossip-key": key_file, "--threads": 1}) as ring:
        node = ring.nodes[0]
        hello = frame(5, bytes([1]) + os.urandom(64))
        kind, _, payload = exchange(node.port, hello)
        assert kind == REPLY and b"--gossip-key" in payload
        for data in (hello[:1], hello[:15], hello[:40], frame(5, b""), frame(5, b"x" * 5000), hello + hello):
            with socket.create_connection(("127.0.0.1", node.port), 5) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gossip:
            for data in (b"", b"GYS\x01", b"GYS\x01" + os.urandom(64), b"GYS\x01" + os.urandom(1400), os.urandom(100)):
                gossip.sendto(data, ("127.0.0.1", node.port))
        harness.wait_for(lambda: metric(node, 'gyre_gossip_refused_total{reason="key"}') >= 3, "datagrams are counted")
        with node.resp() as client:
            assert client.call("PING") == b"PONG"


def test_the_status_says_whether_there_is_a_key_and_never_which(tmp_path):
    keys = [new_key(), new_key()]
    path = write_keys(tmp_path / "gossip.key", *keys)
    with harness.Ring(1, {"--gossip-key": path}) as ring:
        node = ring.nodes[0]
        assert gossip(node) == node.status()["gossip"] == {"encrypted": True, "keys": 2}
        text = harness.gyre("status", "--all", node=node)
        assert "gossip:\n  encrypted: yes\n  keys: 2\n" in text.out, text
        for told in (text.out, node.http("/status")[1], node.http("/metrics")[1], node.log(10**6)):
            for key in keys:
                assert key not in told and base64.b64decode(key).hex() not in told


def test_the_status_says_that_there_is_no_key(node):
    assert gossip(node) == {"encrypted": False, "keys": 0}
    assert "gossip:\n  encrypted: no\n  keys: 0\n" in harness.gyre("status", "--all", node=node).out


def reload(ring, path, *keys):
    """Gives all nodes the file with these keys, and waits until they have read it."""
    write_keys(path, *keys)
    seen = {node: node.log(10**6).count("gossip keys read again") for node in ring.nodes}
    for node in ring.nodes:
        node.signal(signal.SIGHUP)
    for node in ring.nodes:
        harness.wait_for(lambda node=node: node.log(10**6).count("gossip keys read again") > seen[node],
                         f"{node.name} reads its keys again")


def test_the_key_is_changed_while_the_ring_runs(tmp_path):
    old, new = new_key(), new_key()
    path = write_keys(tmp_path / "gossip.key", old)
    with harness.Ring(3, {"--gossip-key": path, "--write-acks": 2}) as ring:
        load = Load(*[Writer(ring.nodes, first, [f"r:{first}:{n}" for n in range(100)]) for first in range(3)])
        with load:
            load.wait_progress()
            for keys in ((old, new), (new, old), (new,)):
                reload(ring, path, *keys)
                for node in ring.nodes:
                    assert gossip(node) == {"encrypted": True, "keys": len(keys)}
                load.wait_progress()
        ring.wait_settled(3)
        for node in ring.nodes:
            assert violations(node, load.writers) == []
            assert metric(node, "gyre_links_broken_total") == 0
            assert metric(node, "gyre_link_handshakes_failed_total") == 0
        # Nobody noticed: no write was refused or left without an answer.
        assert [writer.refusals for writer in load.writers if writer.refusals] == []
        # The old key opens nothing any more.
        stale = write_keys(tmp_path / "stale.key", old)
        assert_kept_out(ring, stranger(ring, {"--gossip-key": stale}), "different gossip keys", "different gossip keys")


def test_a_bad_file_at_sighup_leaves_the_keys_as_they_were(tmp_path):
    key = new_key()
    path = write_keys(tmp_path / "gossip.key", key)
    with harness.Ring(2, {"--gossip-key": path}) as ring:
        node = ring.nodes[0]
        for text, mode in (("no key", 0o600), (key, 0o644)):
            path.write_text(text)
            path.chmod(mode)
            before = node.log().count("the gossip keys stay as they were")
            node.signal(signal.SIGHUP)
            harness.wait_for(lambda: node.log().count("the gossip keys stay as they were") > before, "it says so")
        write_keys(path, key)
        ring.add()
        ring.wait_settled(3)


@pytest.mark.parametrize("text, mode, says", [
    ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0o604, "chmod 600"),
    ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 0o620, "chmod 600"),
    ("not a key", 0o600, "line 1 is no key"),
    ("", 0o600, "no key in it"),
    (None, 0o600, "No such file"),
])
def test_a_file_that_will_not_do_is_refused_at_the_start(tmp_path, text, mode, says):
    path = tmp_path / "gossip.key"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    started = harness.gyred("--gossip-key", path, "--port", harness.free_port(), "--resp-port", 0,
                            "--resp-cluster-port", 0, "--memcached-port", 0, "--http-port", 0)
    assert started.status == 2
    assert started.err.count("\n") == 1 and "--gossip-key" in started.err and says in started.err, started
