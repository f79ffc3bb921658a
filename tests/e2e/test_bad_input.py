"""Bad input on every port, while a good client works beside it.

Whatever comes: the connection gets an error or is closed, the node stays ready and its memory small, the other client
sees neither an error nor a wrong value.
"""

import os
import random
import socket
import struct
import threading

import pytest

import harness
from harness import Resp

HUGE = 1 << 40

RESP = {
    "a length that is no number": b"*x\r\n",
    "a negative count": b"*-2\r\n",
    "a count beyond reason": b"*%d\r\n" % HUGE,
    "a count that overflows": b"*99999999999999999999999999\r\n",
    "a negative length": b"*2\r\n$3\r\nGET\r\n$-5\r\n",
    "a length beyond reason": b"*2\r\n$3\r\nGET\r\n$%d\r\n" % HUGE,
    "a length that overflows": b"*1\r\n$99999999999999999999\r\n",
    "no dollar": b"*2\r\n$3\r\nGET\r\n:5\r\n",
    "no line end behind the bytes": b"*1\r\n$4\r\nPINGxx*1\r\n",
    "a line without end": b"*" + b"1" * 200_000,
    "an inline line without end": b"A" * 200_000,
    "unbalanced quotes": b"SET k \"v\r\n",
    "a null command": b"*1\r\n$-1\r\n",
    "zeros": b"\0" * 1000 + b"\r\n",
}
# Not answered until more comes: Redis skips the first two, and its own tests insist on that; the third has no line end.
SILENT = {"a negative count", "zeros", "a binary request"}
RESP_HALF = [b"*", b"*3\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nabc", b"SET half", b"*1\r\n$4\r\nPIN"]

MEMCACHED = {
    "an unknown word": b"nonsense here\r\n",
    "a length that is no number": b"set k 0 0 x\r\n",
    "a negative length": b"set k 0 0 -1\r\n",
    "a length beyond reason": b"set k 0 0 %d\r\n" % HUGE,
    "a length that overflows": b"set k 0 0 99999999999999999999999\r\n",
    "bytes longer than said": b"set k 0 0 1\r\nmuch more\r\n",
    "a key too long": b"get " + b"k" * 300 + b"\r\n",
    "a line without end": b"get " + b"k" * 2_000_000,
    "a binary request": b"\x80\x00\x00\x03" + b"\0" * 20 + b"key",
    "control characters": b"\x01\x02\x03\r\n",
}
MEMCACHED_HALF = [b"s", b"set k 0 0 1000000\r\nabc", b"get k", b"set k 0 0 5\r\nabcde", b"set k 0 0 5\r\nabcde\r"]

HTTP = {
    "no HTTP": b"nonsense\r\n\r\n",
    "a version of the future": b"GET / HTTP/9.9\r\n\r\n",
    "a method unheard of": b"FROBNICATE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a negative length": b"POST /ready HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "a length beyond reason": b"POST /ready HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % HUGE,
    "two lengths": b"POST /ready HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy",
    "a header without end": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "headers without end": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "a chunk that is no number": b"POST /ready HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}
HTTP_HALF = [b"G", b"GET /ready HTTP/1.1\r\nHost:", b"POST /ready HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc"]


def frame(payload, kind=1, request_id=7, version=1, length=None, magic=b"GY"):
    """A frame of the native protocol (proto/frame.h). Kinds: 1 request, 2 reply, 3 peer request, 4 peer reply."""
    length = len(payload) if length is None else length
    return magic + struct.pack("<BBIQ", version, kind, length & 0xFFFFFFFF, request_id) + payload


def native_request(*arguments):
    """The payload of a request: field 1, bytes, for each argument."""
    return b"".join(b"\x0a" + bytes([len(argument)]) + argument for argument in arguments)


NATIVE = {
    "zeros": b"\0" * 64,
    "ones": b"\xff" * 64,
    "a length beyond reason": frame(b"x" * 100, length=0xFFFFFFFF),
    "a large length": frame(b"x" * 100, length=0x7FFFFFFF),
    "a wrong magic": frame(native_request(b"GET", b"k"), magic=b"YG"),
    "a version of the future": frame(native_request(b"GET", b"k"), version=200),
    "a type unheard of": frame(native_request(b"GET", b"k"), kind=99),
    "a reply that nobody asked for": frame(b"", kind=2),
    "an empty request": frame(b""),
    "a request that is no Protobuf": frame(b"\xff" * 50),
    "a field longer than its message": frame(b"\x0a\xff\xff\xff\xff\x07abc"),
    "a peer request that is no Protobuf": frame(b"\xff" * 50, kind=3),
    "an empty peer request": frame(b"", kind=3),
    "text": b"GET k\r\n" * 20,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(range(180)),
    "noise": random.Random(1).randbytes(4096),
}
NATIVE_HALF = [b"G", b"GY\1\1", frame(native_request(b"GET", b"k"))[:-1], frame(b"abc", length=1000)]

PORTS = {
    "resp": ("resp_port", RESP, RESP_HALF),
    "resp cluster": ("cluster_port", RESP, RESP_HALF),
    "memcached": ("memcached_port", MEMCACHED, MEMCACHED_HALF),
    "http": ("http_port", HTTP, HTTP_HALF),
    "native": ("port", NATIVE, NATIVE_HALF),
}
CASES = [(port, name) for port, (_, cases, _) in PORTS.items() for name in cases]


class Neighbour(threading.Thread):
    """A client that works all the time, and notes everything that goes wrong."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.stopping = threading.Event()
        self.rounds = 0
        self.problems = []

    def run(self):
        try:
            with self.node.resp(timeout=10) as client:
                while not self.stopping.is_set():
                    self.rounds += 1
                    value = b"%d" % self.rounds
                    replies = client.raw("SET", "neighbour", value), client.raw("GET", "neighbour")
                    if replies != ((b"+", b"OK"), (b"$", value)):
                        self.problems.append(f"round {self.rounds}: {replies}")
        except Exception as error:  # noqa: BLE001: the test reports it
            self.problems.append(repr(error))

    def progress(self):
        goal = self.rounds + 3
        harness.wait_for(lambda: self.rounds >= goal or self.problems, "the neighbour goes on", 10)
        assert not self.problems, self.problems


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    node = harness.Node("victim", tmp_path_factory.mktemp("victim"), {"--memory": "64MiB", "--replicas": 1}).start()
    neighbour = Neighbour(node)
    neighbour.start()
    yield node, neighbour
    neighbour.stopping.set()
    neighbour.join(20)
    node.kill()


@pytest.fixture(autouse=True)
def neighbour_is_well(victim):
    node, neighbour = victim
    yield
    if not node.alive():
        pytest.fail(f"the node ended with {node.popen.returncode}:\n{node.log()}")
    neighbour.progress()
    assert node.ready()
    assert node.resident_within((64 + 32) * (1 << 20))


def connect(node, port):
    return socket.create_connection(("127.0.0.1", getattr(node, PORTS[port][0])), 10)


def everything_from(client, seconds):
    """What comes until the other side closes, and whether it did within `seconds`."""
    client.settimeout(seconds * harness.PATIENCE)
    received = b""
    try:
        while data := client.recv(1 << 16):
            received += data
    except TimeoutError:
        return received, False
    except ConnectionError:
        pass
    return received, True


@pytest.mark.parametrize("port, case", CASES, ids=[f"{port}: {case}" for port, case in CASES])
def test_an_error_or_the_end(victim, port, case):
    with connect(victim[0], port) as client:
        try:
            client.sendall(PORTS[port][1][case])
            client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        received, closed = everything_from(client, 5)
    assert closed or received, "neither an answer nor the end of the connection"


@pytest.mark.parametrize("port", ["resp", "memcached"])
def test_the_error_comes_while_the_client_waits(victim, port):
    """The same without the client's end of the stream: the bad bytes alone must be enough."""
    for case, data in PORTS[port][1].items():
        if case in SILENT:
            continue
        with connect(victim[0], port) as client:
            try:
                client.sendall(data)
            except ConnectionError:
                continue
            client.settimeout(5 * harness.PATIENCE)
            try:
                answer = client.recv(1 << 16)
            except ConnectionError:
                continue
            except TimeoutError:
                pytest.fail(f"{case}: no answer")
            errors = (b"-", b"ERROR", b"CLIENT_ERROR", b"SERVER_ERROR")
            assert answer == b"" or answer.startswith(errors), (case, answer)


@pytest.mark.parametrize("port", PORTS)
def test_half_a_request_and_then_nothing(victim, port):
    """Half a request holds no one up, and its connection can go at any moment, cleanly or with a reset."""
    node, neighbour = victim
    for half in PORTS[port][2]:
        waiting, reset = connect(node, port), connect(node, port)
        waiting.sendall(half)
        reset.sendall(half)
        neighbour.progress()
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        waiting.close()


def test_a_slow_client_is_served(victim):
    request = Resp.encode("SET", "slow", "v") + Resp.encode("GET", "slow")
    with connect(victim[0], "resp") as client:
        for byte in request:
            client.sendall(bytes([byte]))
            victim[1].progress()
        client.shutdown(socket.SHUT_WR)
        received, _ = everything_from(client, 5)
    assert received == b"+OK\r\n$1\r\nv\r\n"


@pytest.mark.parametrize("port", PORTS)
def test_random_bytes(victim, port):
    rng = random.Random(port)
    for _ in range(harness.soak(40, 2000)):
        with connect(victim[0], port) as client:
            try:
                client.sendall(rng.randbytes(rng.randrange(1, 5000)))
                client.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            everything_from(client, 5)


@pytest.mark.parametrize("port", ["resp", "memcached", "native"])
def test_damaged_requests(victim, port):
    """Valid conversations with a few bytes changed: nearer to what a codec takes for true than noise is."""
    good = {
        "resp": b"".join(Resp.encode("SET", f"k{n}", "v" * n) + Resp.encode("MGET", "a", "b") for n in range(20)),
        "memcached": b"".join(b"set k%d 0 0 3\r\nabc\r\nget k%d x\r\nincr k%d 1\r\n" % (n, n, n) for n in range(20)),
        "native": b"".join(frame(native_request(b"SET", b"k%d" % n, b"v" * n), request_id=n) for n in range(20))
        + frame(b"\x0a\x05\x08\x01\x12\x01x" * 3, kind=3),
    }[port]
    rng = random.Random(port)
    for _ in range(harness.soak(60, 3000)):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with connect(victim[0], port) as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            everything_from(client, 5)


def test_datagrams(victim):
    node, neighbour = victim
    rng = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for size in [0, 1, 2, 5, 16, 100, 1400, 9000, 65_000]:
            for _ in range(20):
                client.sendto(rng.randbytes(size), ("127.0.0.1", node.port))
        # A field of length 2^31 within; the right first field of another cluster; deep nesting.
        too_long, nested = b"\x4a\xff\xff\xff\xff\x07abc", b"\x4a\x02" * 700
        foreign = b"\x0d" + os.urandom(4) + b"\x10\x01\x1a\x10" + bytes(16)
        for datagram in (too_long, nested, foreign):
            client.sendto(datagram, ("127.0.0.1", node.port))
    neighbour.progress()


def test_a_client_that_does_not_read_is_not_a_problem(victim):
    """It asks for far more than it takes: the node stops reading from it, or closes it, and keeps its memory."""
    node, neighbour = victim
    with node.resp() as setup:
        setup.call("SET", "wide", "w" * 1_000_000)
    with connect(node, "resp") as client:
        client.setblocking(False)
        request = Resp.encode("GET", "wide") * 100
        asked = 0
        try:
            for _ in range(100):
                asked += client.send(request)
        except (BlockingIOError, ConnectionError):
            pass
        assert asked > 0
        neighbour.progress()
        assert node.resident_within((64 + 100) * (1 << 20))


def test_many_connections_come_and_go(victim):
    for _ in range(harness.soak(300, 20_000)):
        for port in PORTS:
            connect(victim[0], port).close()
