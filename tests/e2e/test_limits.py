"""The bounds: memory under ten times its size, values at and over their limit."""

import random
import socket
import subprocess
import time

import pytest

import harness
from harness import Resp

MIB = 1 << 20
SLACK = 16 * MIB  # beyond --memory, for all that does not grow with the data


@pytest.fixture
def small(tmp_path):
    if harness.sanitized():
        pytest.skip("a sanitizer's own memory would be measured")
    node = harness.Node("small", tmp_path, {"--memory": "64MiB", "--replicas": 1}).start()
    yield node
    node.kill()


def test_the_memory_limit_holds_for_small_values(small):
    """Ten times the memory in values of 100 bytes: keys, headers and tables count, too."""
    requests = harness.soak(5_000_000, 20_000_000)
    fill = subprocess.Popen(
        ["redis-benchmark", "-p", str(small.resp_port), "-t", "set", "-d", "100", "-r", "1000000000", "-P", "64", "-n",
         str(requests), "-q"], stdout=subprocess.DEVNULL)
    highest = 0
    while fill.poll() is None:
        highest = max(highest, small.resident_bytes())
        time.sleep(0.02)
    assert fill.returncode == 0
    assert 40 * MIB <= highest <= 64 * MIB + SLACK, f"{highest / MIB:.1f} MiB resident"
    status = small.status()
    assert status["requests"] >= requests and status["evicted"] > 0.8 * requests, status


@pytest.mark.parametrize("sizes", [(1000, 1000), (4000, 200_000)], ids=["one kilobyte", "large"])
def test_the_memory_limit_is_a_limit(small, sizes):
    rng = random.Random(1)
    block = rng.randbytes(sizes[1])
    written, number, highest = 0, 0, 0
    target = harness.soak(10, 40) * 64 * MIB
    with small.resp(timeout=30) as client:
        while written < target:
            batch = []
            while sum(map(len, batch)) < MIB and len(batch) < 2000:
                size = rng.randint(*sizes)
                batch.append(Resp.encode("SET", f"fill:{number}", block[:size]))
                number += 1
                written += size + 40
            client.send_raw(b"".join(batch))
            for _ in batch:
                assert client.read() == (b"+", b"OK")
            highest = max(highest, small.resident_bytes())
        assert highest <= 64 * MIB + SLACK, f"{highest / MIB:.1f} MiB resident"
        # It is a cache still: what was just written is there, and a good part of the memory is in use.
        assert client.call("EXISTS", f"fill:{number - 1}") == 1
        assert highest >= 40 * MIB, f"only {highest / MIB:.1f} MiB resident after {written / MIB:.0f} MiB written"
    metrics = harness.parse_metrics(small.http("/metrics")[1])
    assert any("evict" in name and value > 0 for name, value in metrics.items()), "no eviction shows in the metrics"


def test_sizes_that_shift_do_not_break_it(small):
    """Small values fill the memory, then large ones come, then small ones again: pages move between the sizes."""
    with small.resp(timeout=30) as client:
        for size in (100, 100_000, 1_000_000, 60):
            value = b"x" * size
            count = 2 * 64 * MIB // (size + 60)
            chunk = max(1, min(2000, MIB // size))
            for start in range(0, count, chunk):
                client.send_raw(b"".join(Resp.encode("SET", f"{size}:{n}", value) for n in range(start, start + chunk)))
                replies = [client.read() for _ in range(chunk)]
                assert all(reply == (b"+", b"OK") for reply in replies), replies[:2]
            assert client.call("GET", f"{size}:{start + chunk - 1}") == value
            assert small.resident_bytes() <= 64 * MIB + SLACK


def test_one_hash_tag_may_use_most_of_the_memory(tmp_path):
    """The memory is the node's, not its shards'; then other keys take their place again."""
    node = harness.Node("tag", tmp_path, {"--memory": "256MiB", "--threads": 2, "--replicas": 1}).start()
    value = b"x" * 10_000

    def fill(prefix):
        """Twice the memory, of which so many bytes are there in the end."""
        count = 2 * 256 * MIB // len(value)
        for start in range(0, count, 500):
            batch = [Resp.encode("SET", f"{prefix}{n}", value) for n in range(start, min(start + 500, count))]
            client.send_raw(b"".join(batch))
            assert all(client.read() == (b"+", b"OK") for _ in batch)
        return sum(client.call("EXISTS", f"{prefix}{n}") for n in range(0, count, 10)) * 10 * len(value)

    try:
        with node.resp(timeout=60) as client:
            held = fill("{tag}:")
            assert held >= 0.8 * 256 * MIB, f"{held / MIB:.1f} MiB of one tag"
            held = fill("any:")
            assert held >= 0.8 * 256 * MIB, f"{held / MIB:.1f} MiB of many keys after one tag had all"
            if not harness.sanitized():
                assert node.resident_bytes() <= 256 * MIB + SLACK
    finally:
        node.kill()


def test_keys_chosen_to_share_a_hash_are_stored(tmp_path):
    """XXH3 multiplies what is made of the first bytes: these make it 0, whatever the number is."""
    keys = [b"\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe" + b"%08d" % n + b"{colliding}-keys" for n in range(5000)]
    node = harness.Node("attack", tmp_path, {"--memory": "64MiB", "--replicas": 1}).start()
    try:
        with node.resp(timeout=60) as client:
            assert set(client.pipeline([("SET", key, b"v") for key in keys])) == {(b"+", b"OK")}
            assert client.call("EXISTS", *keys) == len(keys)
            assert client.call("DEL", *keys[::2]) == len(keys) // 2
            assert client.call("DBSIZE") == len(keys) // 2
    finally:
        node.kill()


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    node = harness.Node("big", tmp_path_factory.mktemp("big"), {"--memory": "256MiB", "--replicas": 1}).start()
    yield node
    node.kill()


@pytest.mark.parametrize("size", [1, 4096, 65_536, MIB - 1, MIB, 5 * MIB + 3, 16 * MIB])
def test_values_up_to_the_limit(big, size):
    value = random.Random(size).randbytes(size)
    with big.resp(timeout=60) as client:
        assert client.call("SET", "value", value) == b"OK"
        assert client.call("STRLEN", "value") == size
        assert client.call("GET", "value") == value
    with socket.create_connection(("127.0.0.1", big.memcached_port), 60) as client, client.makefile("rb") as file:
        client.sendall(b"set mc 0 0 %d\r\n%s\r\nget mc\r\n" % (size, value))
        assert file.readline() == b"STORED\r\n"
        assert file.readline() == b"VALUE mc 0 %d\r\n" % size
        assert file.read(size) == value


def test_a_value_over_the_limit_is_refused_clearly(big):
    with big.resp(timeout=60) as client:
        client.call("SET", "over", "small")
        try:
            client.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\nover\r\n$%d\r\n" % (16 * MIB + 1))
            client.send_raw(b"v" * (16 * MIB + 1) + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused on the length alone
        kind, message = client.read()
        assert kind == b"-" and len(message) > 10, message
    with big.resp() as client:
        assert client.call("GET", "over") == b"small"


def test_memcached_over_the_limit(big):
    with socket.create_connection(("127.0.0.1", big.memcached_port), 60) as client, client.makefile("rb") as file:
        try:
            client.sendall(b"set over 0 0 %d\r\n" % (16 * MIB + 1))
            client.sendall(b"v" * (16 * MIB + 1) + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert file.readline().startswith(b"SERVER_ERROR ")
    assert big.ready()


def test_growing_over_the_limit_is_refused(big):
    with big.resp(timeout=60) as client:
        client.call("SET", "grow", b"v" * (16 * MIB))
        assert client.raw("APPEND", "grow", "x")[0] == b"-"
        assert client.raw("SETRANGE", "grow", 16 * MIB, "x")[0] == b"-"
        assert client.raw("SETRANGE", "new", 2**31, "x")[0] == b"-"
        assert client.call("STRLEN", "grow") == 16 * MIB
        assert client.call("EXISTS", "new") == 0


def test_keys_up_to_the_limit(big):
    with big.resp() as client:
        for size in (1, 250, 251, 65_535, 65_536):
            assert client.call("SET", b"k" * size, size) == b"OK"
            assert client.call("GET", b"k" * size) == str(size).encode()
        assert client.raw("SET", b"k" * 65_537, "v")[0] == b"-"
    with big.resp() as client:
        assert client.call("PING") == b"PONG"


def test_a_value_that_fits_nowhere_is_refused(tmp_path):
    node = harness.Node("tiny", tmp_path, {"--memory": "16MiB", "--replicas": 1}).start()
    try:
        with node.resp(timeout=60) as client:
            kind, message = client.raw("SET", "big", b"v" * (16 * MIB))
            assert kind == b"-" and len(message) > 10
        with node.resp() as client:
            assert client.call("SET", "small", "v") == b"OK"
    finally:
        node.kill()


def test_many_connections(big):
    """A thousand idle connections and one that works."""
    clients = [socket.create_connection(("127.0.0.1", big.resp_port), 10) for _ in range(1000)]
    try:
        for client in clients:
            client.sendall(b"PING\r\n")
        for client in clients:
            assert client.recv(100) == b"+PONG\r\n"
        with big.resp() as worker:
            assert worker.call("SET", "k", "v") == b"OK"
    finally:
        for client in clients:
            client.close()
    assert big.ready()


def test_clients_that_take_all_places_keep_neither_peers_nor_operators_out():
    """A node full of idle clients: a peer that restarts comes back, writes go on, `gyre` and HTTP get their answers."""
    with harness.Ring(2, {"--max-connections": 20, "--write-acks": 2}) as ring:
        full, other = ring.nodes
        with full.resp() as client, other.resp() as writer:
            assert client.call("PING") == b"PONG"
            idle = [full.resp() for _ in range(19)]
            for link in idle:
                assert link.call("PING") == b"PONG"
            with full.resp() as refused, pytest.raises(harness.ReplyError, match="max number of clients reached"):
                refused.call("PING")
            with socket.create_connection(("127.0.0.1", full.memcached_port), 10) as refused:
                assert refused.recv(100).startswith(b"ERROR Too many open connections\r\n")
            assert other.terminate() == 0
            writer.close()
            ring.restart(other)
            ring.wait_settled(2)
            for n in range(200):
                assert client.call("SET", f"key:{n}", n) == b"OK"
            with other.resp() as writer:
                for n in range(200):
                    assert writer.call("GET", f"key:{n}") == str(n).encode()
            assert harness.gyre("get", "key:7", node=full).out.strip() == "7"
            assert harness.gyre("status", node=full).status == 0
            assert full.http("/metrics")[0] == 200
            for link in idle:
                assert link.call("PING") == b"PONG"
                link.close()


def test_idle_clients_are_closed(tmp_path):
    node = harness.Node("idle", tmp_path, {"--idle-timeout": "1s"}).start()
    try:
        with node.resp() as idle, node.resp() as busy:
            assert idle.call("PING") == b"PONG"
            harness.wait_for(lambda: busy.call("PING") and harness.parse_metrics(node.http("/metrics")[1])[
                'gyre_idle_clients_closed_total{loop="0"}'] + harness.parse_metrics(node.http("/metrics")[1])[
                'gyre_idle_clients_closed_total{loop="1"}'] == 1, "the idle client is closed", 20)
            assert idle.socket.recv(1) == b""
            assert busy.call("PING") == b"PONG"
    finally:
        node.kill()
