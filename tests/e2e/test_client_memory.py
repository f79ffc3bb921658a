"""What clients make a node hold stays within --client-memory, whatever they send or do not read, and goes again."""

import contextlib
import socket
import struct

import pytest

import harness
from harness import Resp

MIB = 1 << 20
MEMORY, CLIENT_MEMORY = 32 * MIB, 16 * MIB
# Beside the records and what clients hold: the program, its threads, the kernel's pages.
SLACK = 16 * MIB
VALUE = 3 * MIB


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = harness.Node("held", tmp_path_factory.mktemp("held"), {
        "--memory": "32MiB", "--client-memory": "16MiB", "--max-value": "4MiB", "--replicas": 1, "--threads": 2}).start()
    with node.resp() as client:
        for number in range(4):
            assert client.call("SET", f"large:{number}", bytes([97 + number]) * VALUE) == b"OK"
    yield node
    node.kill()


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return client


def send_all_that_goes(client, data):
    """Until the node takes no more for a while, or closes."""
    client.settimeout(0.3)
    with contextlib.suppress(OSError):
        client.sendall(data)


def attack(node, port, clients, data):
    """Bytes resident at the most while each of `clients` sends `data` and reads nothing."""
    attackers = [connect(port) for _ in range(clients)]
    highest = 0
    try:
        for attacker in attackers:
            send_all_that_goes(attacker, data)
            highest = max(highest, node.resident_bytes())
            # A small client goes on.
            with node.resp(timeout=5) as small:
                assert small.call("PING") == b"PONG"
    finally:
        for attacker in attackers:
            attacker.close()
    return highest


def held_bytes(node):
    metrics = harness.parse_metrics(node.http("/metrics")[1])
    return sum(value for name, value in metrics.items() if name.startswith("gyre_client_memory_bytes"))


def open_clients(node):
    """Connections of the loops; the HTTP port, which is asked, is not one of theirs."""
    metrics = harness.parse_metrics(node.http("/metrics")[1])
    loops = [value for name, value in metrics.items() if name.startswith("gyre_connections{")]
    assert loops
    return sum(loops)


def half_mset(values):
    head = b"*%d\r\n$4\r\nMSET\r\n" % (2 * values + 3)
    pairs = b"".join(b"$2\r\n%02d\r\n$%d\r\n%b\r\n" % (n, VALUE, b"x" * VALUE) for n in range(values))
    return head + pairs


KEYS = b" ".join(b"large:%d" % (n % 4) for n in range(40))
ATTACKS = {
    "unfinished MSETs": ("resp_port", 12, half_mset(3)),
    "unfinished frames": ("port", 12, struct.pack("<2sBBIQ", b"GY", 1, 1, 4 * MIB, 1) + b"x" * VALUE),
    "unfinished sets": ("memcached_port", 12, b"set k 0 0 %d\r\n" % VALUE + b"x" * (VALUE - 1)),
    "one MGET": ("resp_port", 6, Resp.encode("MGET", *KEYS.split())),
    "one memcached get": ("memcached_port", 6, b"get " + KEYS + b"\r\n"),
    "pipelined GETs": ("resp_port", 12, Resp.encode("GET", "large:1") * 20),
    "many arguments": ("resp_port", 6, b"*1000001\r\n$4\r\nMGET\r\n" + b"$1\r\nk\r\n" * 900_000),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_unread_and_unfinished_requests_stay_within_the_bound(node, name):
    port, clients, data = ATTACKS[name]
    highest = attack(node, getattr(node, port), clients, data)
    bound = MEMORY + SLACK + CLIENT_MEMORY
    assert harness.sanitized() or highest <= bound, f"{highest / MIB:.1f} of {bound / MIB:.0f} MiB resident"
    harness.wait_for(lambda: node.resident_within(MEMORY + 2 * SLACK), "memory is given back", 20)
    harness.wait_for(lambda: held_bytes(node) <= 4 * MIB, "what was charged is given back", 20)
    # What they had sent before may still be read: it counts, and is given up in its turn.
    harness.wait_for(lambda: open_clients(node) == 0, "the attackers are gone", 20)


def test_a_reply_larger_than_the_budget_is_streamed(node):
    """120 MiB by one command from a node that holds 16 MiB for clients."""
    with node.resp(timeout=60) as client:
        values = client.call("MGET", *[key.decode() for key in KEYS.split()])
    assert [value[:1] for value in values] == [bytes([97 + n % 4]) for n in range(40)]
    assert all(len(value) == VALUE for value in values)
    assert node.resident_within(MEMORY + SLACK + CLIENT_MEMORY)


def test_the_largest_client_is_closed_and_named(node):
    with connect(node.resp_port) as hog, connect(node.resp_port) as other:
        for client in (hog, other):
            send_all_that_goes(client, half_mset(4))
        hog.settimeout(10)
        other.settimeout(10)

        def closed():
            metrics = harness.parse_metrics(node.http("/metrics")[1])
            return sum(value for name, value in metrics.items()
                       if name.startswith("gyre_clients_closed_for_memory_total")) > 0
        harness.wait_for(closed, "a client is closed for its memory")
    assert "--client-memory" in node.log(2000)
    harness.wait_for(lambda: held_bytes(node) <= 4 * MIB, "what was charged is given back", 20)
    harness.wait_for(lambda: open_clients(node) == 0, "both are gone", 20)


def test_a_native_reply_that_cannot_fit_is_refused(node):
    """It must be here as a whole."""
    payload = b"".join(b"\x0a" + bytes([len(word)]) + word for word in [b"MGET", *KEYS.split()])
    with connect(node.port) as client:
        client.sendall(struct.pack("<2sBBIQ", b"GY", 1, 1, len(payload), 7) + payload)
        assert b"reply too large" in client.recv(4096)


@pytest.mark.parametrize("held", [1 * MIB, 2 * MIB, 5 * MIB // 2, VALUE])
def test_large_replies_beside_one_who_holds_memory(node, held):
    """Streamed or refused, whatever is left of the budget; and nobody is closed for it."""
    with node.resp() as holder:
        holder.send_raw(b"*2\r\n$6\r\nSTRLEN\r\n$%d\r\n" % (held + 1) + b"x" * held)
        harness.wait_for(lambda: held_bytes(node) >= held, "the unfinished request is held")
        with node.resp(timeout=60) as client:
            values = client.call("MGET", *[key.decode() for key in KEYS.split()])
        assert [len(value) for value in values] == [VALUE] * 40
        test_a_native_reply_that_cannot_fit_is_refused(node)
        holder.send_raw(b"x\r\n")
        assert holder.read() == (b":", b"0")


def test_values_must_fit_the_budget():
    done = harness.gyred("--max-value", "64MiB", "--memory", "1GiB", "--client-memory", "32MiB")
    assert done.status == 2
    assert done.err.count("\n") == 1 and "--client-memory" in done.err and "--max-value" in done.err
