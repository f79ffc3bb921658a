"""The secret that the ring hashes keys with: nobody can build keys that share a hash, and nobody is told it."""

import pathlib
import re
import stat
import urllib.parse

import harness
from harness import Node
from load import fill, missing

KEYS = 3000


def colliding(number):
    """Of one hash without a secret, whatever the number is: the first bytes make XXH3's product with it 0."""
    return b"\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe" + b"%08d" % number + b"{colliding}-keys"


def secret_file(node):
    return pathlib.Path(node.flags["--data-dir"]) / "key-hash"


def secret_of(node):
    """(created and tag, secret)"""
    harness.wait_for(secret_file(node).exists, f"{node.name} keeps the ring's secret")
    head, end = secret_file(node).read_bytes().splitlines()
    assert end == b"end 0"
    magic, version, _, created, tag, secret = head.split(b" ")
    assert (magic, version) == (b"gyre-key-hash", b"1")
    return (created, tag), urllib.parse.unquote_to_bytes(secret)


def metric(node, name):
    return harness.parse_metrics(node.http("/metrics")[1])[name]


def test_a_scan_steps_through_keys_built_to_share_a_hash():
    keys = [colliding(n) for n in range(KEYS)]
    with harness.Ring(3, {"--replicas": 2}) as ring:
        with ring.nodes[0].resp(timeout=60) as client:
            assert set(client.pipeline([("SET", key, b"v") for key in keys])) == {(b"+", b"OK")}
            found, cursor, most, cursors = [], b"0", 0, set()
            while True:
                cursor, page = client.call("SCAN", cursor, "COUNT", 10)
                most = max(most, len(page))
                found += page
                if cursor == b"0":
                    break
                assert cursor not in cursors, "a cursor comes once"
                assert int(cursor) < 1 << 53
                cursors.add(cursor)
            assert set(found) == set(keys)
            assert most <= 20, "a step has about COUNT keys, not all of a hash"


def test_the_cursor_goes_on_at_another_node_and_after_the_owner_died():
    keys = [colliding(n) for n in range(KEYS)]
    with harness.Ring(3, {"--replicas": 2, "--write-acks": 2}) as ring:
        with ring.nodes[0].resp(timeout=60) as client:
            assert set(client.pipeline([("SET", key, b"v") for key in keys])) == {(b"+", b"OK")}
        with ring.nodes[0].cluster_resp() as client:
            slot = client.call("CLUSTER", "KEYSLOT", "{colliding}")
        owner = next(node for node in ring.nodes if node.cluster_port == ring.nodes[0].owners()[slot])
        others = [node for node in ring.nodes if node is not owner]
        found, cursor, step = [], b"0", 0
        while True:
            with others[step % 2].resp(timeout=60) as client:
                cursor, page = client.call("SCAN", cursor, "COUNT", 100)
            found += page
            step += 1
            if step == 10:
                owner.kill()
                harness.wait_for(lambda: len(others[0].status()["members"]) and all(
                    port != owner.cluster_port for port in others[0].owners()), "the others have taken over", 30)
            if cursor == b"0":
                break
        assert set(found) == set(keys)


def test_nodes_that_start_at_once_agree_and_have_it_again_after_a_stop(tmp_path):
    """Each joins through the others; what is written from the first moment on is there, whoever made the secret."""
    flags = {"--replicas": 2, "--write-acks": 2, "--snapshot-on-exit": None}
    nodes = [Node(f"n{n}", tmp_path, flags) for n in range(1, 4)]
    records = {f"early:{n}": b"%d" % n * 20 for n in range(5000)}
    try:
        for node in nodes:
            node.start(join=[other for other in nodes if other is not node], wait=False)
        for node in nodes:
            node.wait_ready()
        fill(nodes[1], records)
        harness.wait_for(lambda: all(len(node.status()["members"]) == 3 for node in nodes), "one ring of three")
        harness.wait_for(lambda: len({secret_of(node) for node in nodes}) == 1, "one secret")
        before = secret_of(nodes[0])
        assert all(stat.S_IMODE(secret_file(node).stat().st_mode) == 0o600 for node in nodes)
        for node in nodes:
            assert missing(node, records) == []

        for node in nodes:
            node.signal(harness.signal.SIGTERM)
        for node in nodes:
            assert node.wait_exit() == 0
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()
        assert {secret_of(node) for node in nodes} == {before}
        for node in nodes:
            assert missing(node, records) == []
            assert metric(node, "gyre_rehashed_total") == 0, "the snapshot is loaded in the order that stays"
    finally:
        for node in nodes:
            node.kill()


def test_nobody_is_told_the_secret():
    with harness.Ring(2, {"--replicas": 2, "--log-level": "debug", "--snapshot-on-exit": None}) as ring:
        node = ring.nodes[1]
        fill(node, {f"k{n}": b"v" for n in range(100)})
        (_, tag), secret = secret_of(node)
        with node.resp() as client:
            said = [client.call("INFO", "ALL"), client.call("CONFIG", "GET", "*")]
        said = [harness.as_bytes(repr(each)) for each in said]
        said += [node.http(path)[1].encode() for path in ("/status", "/metrics", "/sd")]
        said += [harness.gyre(*words, node=node).out.encode() for words in (["status"], ["ring"], ["status", "-o", "json"])]
        ring.nodes[0].terminate()
        node.terminate()
        said.append(pathlib.Path(node.log_path).read_bytes())
        data = pathlib.Path(node.flags["--data-dir"])
        said += [path.read_bytes() for path in data.iterdir() if path.is_file() and path.name != "key-hash"]
        for text in said:
            for at in range(0, len(secret) - 8, 8):
                piece = secret[at : at + 8]
                assert piece not in text and piece.hex().encode() not in text.lower()
                assert not re.search(re.escape(harness.as_bytes(repr(piece)[2:-1])), text)
