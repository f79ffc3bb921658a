"""No command of one client makes the others wait: while each runs, the slowest PING of another stays short.

One worker loop, so that all share it. The sizes are such that a command that ran in one go would take seconds. What counts
is the processor time that the node spent while the PING waited. Other work on the machine, which shares caches and cores,
makes it up to three times as long, not more; and memory that the kernel gives out for the first time costs some
microseconds a page, up to fifty on a virtual machine, so that values are no larger than they must be.
"""

import collections
import contextlib
import socket
import subprocess
import sys

import pytest

import harness
from harness import Resp

WORK_SECONDS_MAX = 0.15 * harness.PATIENCE
# And a node that sleeps works little.
PING_SECONDS_MAX = 2 * harness.PATIENCE

# In a process of its own: what the test does with its replies must not count. Nor must what the node does after the reply,
# until the pinger has a core: it goes first where it may. Ends with its input. The clock is that of clock_getcpuclockid(3).
PINGER = r"""
import contextlib, os, select, socket, sys, time
with contextlib.suppress(PermissionError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
work = (~int(sys.argv[2]) << 3) | 2
link = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
slowest, most, count = 0.0, 0.0, 0
while True:
    worked = time.clock_gettime(work)
    begin = time.monotonic()
    link.sendall(b"PING\r\n")
    assert link.recv(64) == b"+PONG\r\n"
    slowest = max(slowest, time.monotonic() - begin)
    most = max(most, time.clock_gettime(work) - worked)
    count += 1
    if count == 1:
        print("pings", flush=True)
    if select.select([sys.stdin], [], [], 0.001)[0]:
        break
print(slowest, most, count, flush=True)
"""


@contextlib.contextmanager
def others_are_served(node, what):
    pinger = subprocess.Popen([sys.executable, "-c", PINGER, str(node.resp_port), str(node.pid)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        assert pinger.stdout.readline() == "pings\n"
        yield
        out, _ = pinger.communicate("", timeout=60 * harness.PATIENCE)
    finally:
        pinger.kill()
        pinger.wait()
    slowest, most, count = (float(word) for word in out.split())
    assert most < WORK_SECONDS_MAX, f"{what}: the node worked {most:.3f} s while a PING waited, of {count:.0f}"
    assert slowest < PING_SECONDS_MAX, f"{what}: a PING of another client took {slowest:.3f} s of {count:.0f}"


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """A node with one worker loop."""
    node = harness.Node("loop", tmp_path_factory.mktemp("loop"), {"--threads": 1, "--memory": "512MiB"}).start()
    yield node
    node.kill()


@pytest.fixture
def client(loop):
    with loop.resp(timeout=60) as client:
        client.call("FLUSHALL")
        yield client


def pipelined(client, *arguments, count):
    client.send_raw(Resp.encode(*arguments) * count)
    return [client.read() for _ in range(count)]


def filled(client, count):
    """The names of `count` new keys."""
    names = [f"key:{n}" for n in range(count)]
    client.send_raw(Resp.encode("MSET", *(word for name in names for word in (name, "value"))))
    assert client.read() == (b"+", b"OK")
    return names


def test_keys_with_a_costly_pattern(loop, client):
    names = [f"{n:02}" + "a" * 65_000 for n in range(40)]
    for name in names:
        assert client.call("SET", name, "v") == b"OK"
    with others_are_served(loop, "KEYS"):
        assert client.call("KEYS", "*" + "a" * 2000 + "b*") == []
        assert client.call("KEYS", "*" + "[^b]" * 1000 + "b*") == []
        assert client.call("KEYS", "a*" * 2000) == []
        assert sorted(client.call("KEYS", "*a*")) == [name.encode() for name in names]
        with pytest.raises(harness.ReplyError, match="pattern is longer"):
            client.call("KEYS", "*" + "a" * 30_000 + "b*")
        cursor, found = "0", []
        while True:
            cursor, page = client.call("SCAN", cursor, "MATCH", "*" + "a" * 3000 + "*", "COUNT", 1_000_000)
            found += page
            if cursor == b"0":
                break
        assert sorted(found) == [name.encode() for name in names]


@pytest.mark.parametrize("command, bytes_of_value, count", [
    (["APPEND", "big", "x"], 1_000_000, 1000),
    (["SETRANGE", "big", 5, "x"], 1_000_000, 1000),
    (["GETRANGE", "big", 0, 1_000_000], 4_000_000, 400),
    (["COMMAND"], 0, 300),
    (["INFO", "everything"], 0, 1000),
    (["PING"], 0, 300_000),
], ids=lambda value: value[0].lower() if isinstance(value, list) else None)
def test_a_long_pipeline(loop, client, command, bytes_of_value, count):
    client.call("SET", "big", "x" * bytes_of_value)
    with others_are_served(loop, f"{count} times {command[0]}"):
        assert all(kind not in (b"-", b"!") for kind, _ in pipelined(client, *command, count=count))


def test_commands_with_very_many_keys(loop, client):
    count = 200_000
    names = [f"key:{n}" for n in range(count)]
    pairs = [word for name in names for word in (name, "value")]
    requests = {name: Resp.encode(*words) for name, words in {
        "MSET": ["MSET", *pairs], "EXISTS": ["EXISTS", *names], "MGET": ["MGET", *names], "DEL": ["DEL", *names]}.items()}
    with others_are_served(loop, "MSET"):
        client.send_raw(requests["MSET"] + Resp.encode("GET", names[-1]))
        assert client.read() == (b"+", b"OK")
        assert client.read() == (b"$", b"value"), "what stands behind it in the pipeline sees all of it"
    with others_are_served(loop, "EXISTS"):
        client.send_raw(requests["EXISTS"])
        assert client.read() == (b":", str(count).encode())
    with others_are_served(loop, "MGET"):
        client.send_raw(requests["MGET"])
        kind, values = client.read()
        assert kind == b"*" and len(values) == count and all(value == (b"$", b"value") for value in values)
    with others_are_served(loop, "KEYS"):
        assert client.call("DBSIZE") == count
        assert len(client.call("KEYS", "*")) == count
    with others_are_served(loop, "DEL"):
        client.send_raw(requests["DEL"])
        assert client.read() == (b":", str(count).encode())
    client.send_raw(requests["MSET"])
    assert client.read() == (b"+", b"OK")
    with others_are_served(loop, "FLUSHALL"):
        assert client.call("FLUSHALL") == b"OK"
        assert client.call("DBSIZE") == 0


def test_client_list_of_many_connections(loop, client):
    with contextlib.ExitStack() as links, others_are_served(loop, "CLIENT LIST"):
        for _ in range(1000):
            links.enter_context(loop.resp())
        harness.wait_for(lambda: client.call("CLIENT", "LIST").count(b"\n") >= 1001, "all are accepted")
        for _ in range(5):
            assert client.call("CLIENT", "LIST").count(b"\n") >= 1001
        for kind, lines in pipelined(client, "CLIENT", "LIST", count=50):
            assert lines.count(b"\n") >= 1001


def test_memcached_gets_of_many_keys(loop, client):
    names = filled(client, 100_000)
    gets = b"".join(b"get %s\r\n" % " ".join(names[n:n + 100]).encode() for n in range(0, len(names), 100))
    stats = 300
    with (others_are_served(loop, "gets of 100 keys, stats"),
          socket.create_connection(("127.0.0.1", loop.memcached_port), 60) as link, link.makefile("rb") as replies):
        for _ in range(3):
            link.sendall(gets + b"stats\r\n" * stats)
            ends, starts = 0, collections.Counter()
            while ends < len(names) // 100 + stats:
                line = replies.readline()
                ends += line == b"END\r\n"
                starts[line.split()[0]] += line.startswith((b"VALUE key:", b"STAT pid "))
            assert (starts[b"VALUE"], starts[b"STAT"]) == (len(names), stats)


def test_the_http_port_asked_again_and_again(loop, client):
    filled(client, 100_000)
    with others_are_served(loop, "/metrics, /status"):
        for _ in range(30):
            for path in ("/metrics", "/status"):
                status, body = loop.http(path)
                assert status == 200 and len(body) > 1000


def test_the_shell_with_very_many_keys(loop, client):
    names = filled(client, 30_000)
    with others_are_served(loop, "gyre mget, gyre del"):
        for command in ("mget", "del"):
            result = harness.gyre(command, *names, node=loop)
            assert result.status == 0, result.err
        assert str(len(names)) in result.out
