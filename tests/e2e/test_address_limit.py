"""Where the system has no memory left for a request (ulimit -v, a full cgroup), the request fails and the node goes on."""

import contextlib
import pathlib
import resource
import socket

import pytest

import harness
from harness import Resp

MIB = 1 << 20
VALUE = 15 * MIB
# What the node may still have when the clients begin: less than two large replies, far less than --client-memory.
ROOM = 24 * MIB

pytestmark = pytest.mark.skipif(harness.sanitized(), reason="AddressSanitizer reserves all addresses there are")


def address_bytes(node):
    for line in pathlib.Path(f"/proc/{node.pid}/status").read_text().splitlines():
        if line.startswith("VmSize:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"{node.name} has no size")


@pytest.fixture
def node(tmp_path):
    """Large values, and hardly any memory beyond them. What it starts with is mapped before the limit comes."""
    node = harness.Node("narrow", tmp_path, {
        "--memory": "128MiB", "--client-memory": "256MiB", "--max-value": "16MiB", "--replicas": 1}).start()
    with node.resp() as client:
        for number in range(4):
            assert client.call("SET", f"large:{number}", bytes([97 + number]) * VALUE) == b"OK"
    limit = address_bytes(node) + ROOM
    resource.prlimit(node.pid, resource.RLIMIT_AS, (limit, limit))
    yield node
    node.kill()


LARGE = [f"large:{number % 4}" for number in range(400)]
REQUESTS = {
    "one MGET": ("resp_port", Resp.encode("MGET", *LARGE)),
    "pipelined GETs": ("resp_port", Resp.encode("GET", "large:1") * 400),
    "an MSET": ("resp_port", Resp.encode("MSET", *[word for n in range(8) for word in (f"k{n}", b"x" * VALUE)])),
    "a SET of what is refused": ("resp_port", Resp.encode("SET", "k", b"x" * VALUE) * 6),
    "memcached gets": ("memcached_port", b"get " + " ".join(LARGE[:40]).encode() + b"\r\n"),
    "a memcached set": ("memcached_port", b"set k 0 0 %d\r\n%b\r\n" % (VALUE, b"x" * VALUE)),
    "many arguments": ("resp_port", Resp.encode("MGET", *[b"k"] * 900_000)),
    "a walk": ("resp_port", Resp.encode("KEYS", "*") * 1000),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_that_finds_no_memory_fails_alone(node, name):
    port, data = REQUESTS[name]
    clients = [socket.create_connection(("127.0.0.1", getattr(node, port)), 10) for _ in range(8)]
    try:
        for client in clients:
            client.settimeout(1)
            with contextlib.suppress(OSError):
                client.sendall(data)
            with node.resp(timeout=5) as small:
                assert small.call("PING") == b"PONG"
        for client in clients:
            client.settimeout(0.5)
            with contextlib.suppress(OSError):
                while client.recv(1 << 20):
                    pass
            assert node.alive(), node.log()
    finally:
        for client in clients:
            client.close()
    assert node.alive(), node.log()

    def serves():
        with node.resp(timeout=5) as client:
            return client.call("GETRANGE", "large:2", "0", "9999") == b"c" * 10_000 and client.call("SET", "after", "1") == b"OK"
    harness.wait_for(serves, "it serves what is small", 20)
