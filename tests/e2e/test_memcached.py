"""memcached text: the same lines to Gyre and to memcached must bring the same bytes; then the clients that people use.

Unique CAS tokens differ by nature: each server gets its own back where a command says <cas>, and they are blanked in
the comparison. So are the texts behind CLIENT_ERROR and SERVER_ERROR, but not the word.
"""

import re
import socket
import subprocess

import pytest
from pymemcache.client.base import Client

import harness

# Each command is sent, then what it brings is read up to the reply of a "version" sent behind it.
FENCE = b"version\r\n"
FENCE_REPLY = re.compile(rb"(?:^|\n)VERSION [^\r\n]*\r\n$")


def put(verb, key, value, flags=0, expiry=0, *more, noreply=False):
    data = harness.as_bytes(value)
    words = [verb, key, str(flags), str(expiry), str(len(data)), *map(str, more)] + (["noreply"] if noreply else [])
    return " ".join(words).encode() + b"\r\n" + data + b"\r\n"


def line(text):
    return text.encode() + b"\r\n"


STORIES = {
    "storage": [
        put("set", "k", "v"), line("get k"), put("set", "k", "", 7), line("get k"),
        put("set", "k", b"a\r\nb\0", 4294967295),
        line("get k"), put("add", "k", "x"), put("add", "new", "x"), line("get new"), put("replace", "k", "r", 3),
        put("replace", "none", "r"), line("get k none new"), put("append", "k", "-end", 9),
        put("prepend", "k", "start-", 9),
        line("get k"), put("append", "none", "x"), put("prepend", "none", "x"), line("get none"),
    ],
    "cas": [
        put("set", "k", "v", 5), line("gets k"), put("cas", "k", "w", 6, 0, "<cas>"), line("get k"),
        put("cas", "k", "x", 0, 0, "<cas>"), line("gets k"), put("cas", "k", "y", 0, 0, "<cas>"), line("get k"),
        put("cas", "none", "y", 0, 0, 1), put("set", "k2", "a"), line("gets k k2 none"), line("get none"),
    ],
    "delete and touch": [
        put("set", "k", "v"), line("delete k"), line("delete k"), line("get k"), put("set", "k", "v"),
        line("delete k 0"),
        put("set", "k", "v", 3), line("touch k 100"), line("touch none 100"), line("get k"), line("gat 100 k none"),
        line("gats 100 none"), line("gat 0 k"), line("touch k -1"), line("get k"), put("set", "k", "v"),
        line("gat -1 k"), line("get k"), line("touch k"), line("delete"),
    ],
    "counters": [
        line("incr n 1"), put("set", "n", "10", 4), line("incr n 5"), line("decr n 3"), line("get n"),
        line("decr n 100"),
        put("set", "n", "18446744073709551615"), line("incr n 1"), line("incr n 18446744073709551615"), line("get n"),
        put("set", "n", "text"), line("incr n 1"), line("decr n 1"), line("incr n x"), line("incr n -1"),
        line("incr n"),
        put("set", "n", ""), line("incr n 1"), put("set", "n", "99"), line("decr n 0"), line("incr n 0"), line("get n"),
    ],
    "expiry": [
        put("set", "k", "v", 0, 100), line("get k"), put("set", "k", "v", 0, -1), line("get k"),
        put("add", "k", "again"),
        line("get k"), put("set", "k", "v", 0, 1_000_000_000), line("get k"), put("set", "k", "v", 0, 2_592_000),
        line("get k"),
    ],
    "noreply": [
        put("set", "k", "v", noreply=True), line("get k"), put("add", "k", "w", noreply=True),
        put("add", "a", "1", noreply=True),
        put("replace", "k", "r", noreply=True), put("append", "k", "+", noreply=True),
        put("prepend", "k", "-", noreply=True),
        line("get k a"), line("incr a 5 noreply"), line("decr a 2 noreply"), line("get a"), line("touch a 100 noreply"),
        line("delete k noreply"), line("get k"), line("flush_all noreply"), line("get a"), line("verbosity 1 noreply"),
    ],
    "flush": [
        put("set", "a", 1), put("set", "b", 2), line("flush_all"), line("get a b"), put("set", "a", 3), line("get a"),
        line("flush_all 0"), line("get a"),
    ],
    "server": [line("version"), line("verbosity 1"), line("verbosity"), line("stats reset")],
    "mistakes": [
        line("nosuchcommand"), line("get"), line("gets"), line("set k 0 0"), line("incr k"), line("set"),
        line("add k"), line("get k"),
        put("set", "k" * 250, "long key"), line("get " + "k" * 250), line("get " + "k" * 251),
        line("delete " + "k" * 251), line("touch " + "k" * 251 + " 1"), line("incr " + "k" * 251 + " 1"),
    ],
}


class Text:
    """A memcached connection that returns the very bytes."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10 * harness.PATIENCE)
        self.cas = b"1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, command):
        self.socket.sendall(command.replace(b"<cas>", self.cas) + FENCE)
        reply = b""
        while not FENCE_REPLY.search(reply):
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError(f"closed after {reply!r}")
            reply += data
        reply = FENCE_REPLY.sub(lambda match: b"\n" if match.group().startswith(b"\n") else b"", reply)
        tokens = re.findall(rb"^VALUE \S+ \d+ \d+ (\d+)\r$", reply, re.MULTILINE)
        if tokens:
            self.cas = tokens[0]
        return reply


def comparable(reply):
    reply = re.sub(rb"^(VALUE \S+ \d+ \d+) \d+\r$", rb"\1 <cas>\r", reply, flags=re.MULTILINE)
    reply = re.sub(rb"^((?:CLIENT|SERVER)_ERROR)[^\r\n]*", rb"\1", reply, flags=re.MULTILINE)
    return re.sub(rb"^VERSION .*\r$", rb"VERSION\r", reply, flags=re.MULTILINE)


def compare(gyre_port, memcached_port, commands):
    differences = []
    with Text(gyre_port) as ours, Text(memcached_port) as theirs:
        assert ours.ask(line("flush_all")) == theirs.ask(line("flush_all")) == b"OK\r\n"
        for command in commands:
            mine, reference = ours.ask(command), theirs.ask(command)
            if comparable(mine) != comparable(reference):
                differences.append(f"{command[:80]!r}: gyre {mine!r}, memcached {reference!r}")
    return differences


# Of its own for each story: memcached's clock has seconds, and its flush hides what was stored in the second before.
@pytest.fixture
def fresh_memcached():
    with harness.memcached_server() as port:
        yield port


@pytest.mark.parametrize("story", STORIES)
class TestAsMemcached:
    def test_single_node(self, node, fresh_memcached, story):
        assert compare(node.memcached_port, fresh_memcached, STORIES[story]) == []

    def test_ring_through_one_node(self, ring, fresh_memcached, story):
        assert compare(ring.nodes[1].memcached_port, fresh_memcached, STORIES[story]) == []


def test_flush_empties_the_whole_ring_and_nothing_written_after_it(ring):
    with Text(ring.nodes[0].memcached_port) as client, Text(ring.nodes[1].memcached_port) as other:
        for number in range(60):
            assert client.ask(put("set", f"k{number}", number)) == b"STORED\r\n"
        assert client.ask(line("flush_all")) == b"OK\r\n"
        for number in range(60):
            assert other.ask(line(f"get k{number}")) == b"END\r\n"
        assert client.ask(put("set", "after", 1)) == b"STORED\r\n"
        assert other.ask(line("get after")) == b"VALUE after 0 1\r\n1\r\nEND\r\n"


def test_a_flush_may_be_ordered_for_later(node):
    with Text(node.memcached_port) as client:
        client.ask(put("set", "k", "v"))
        assert client.ask(line("flush_all 2")) == b"OK\r\n"
        assert client.ask(line("get k")) == b"VALUE k 0 1\r\nv\r\nEND\r\n"
        harness.wait_for(lambda: client.ask(line("get k")) == b"END\r\n", "the flush that was ordered", 6)


def test_a_conversation_split_at_every_byte(node):
    conversation = put("set", "s", "v\r\n1", 3) + line("get s missing s") + line("delete s") + line("incr s 1")
    wanted = b"STORED\r\n" + b"VALUE s 3 4\r\nv\r\n1\r\n" * 2 + b"END\r\nDELETED\r\nNOT_FOUND\r\n"
    for cut in range(1, len(conversation)):
        with socket.create_connection(("127.0.0.1", node.memcached_port), 10) as client:
            client.sendall(conversation[:cut])
            client.sendall(conversation[cut:] + b"quit\r\n")
            reply = b""
            while data := client.recv(1 << 16):
                reply += data
            assert reply == wanted, cut


def test_memccapable(node):
    """libmemcached's own conformance test; memcached passes every case of it."""
    done = subprocess.run(["memccapable", "-a", "-h", "127.0.0.1", "-p", str(node.memcached_port)],
                          capture_output=True, text=True, timeout=120 * harness.PATIENCE)
    cases = re.findall(r"^ascii (.*?)\s*\[(pass|FAIL|fail|skip).*\]", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(cases) == 27 and all(result == "pass" for _, result in cases), done.stdout


@pytest.fixture(params=["single", "ring"])
def client(request):
    target = request.getfixturevalue("node") if request.param == "single" else request.getfixturevalue("ring").nodes[2]
    connection = Client(("127.0.0.1", target.memcached_port), timeout=10, connect_timeout=10, default_noreply=False)
    yield connection
    connection.close()


class TestPymemcache:
    def test_all_commands(self, client):
        assert client.set("a", b"1", flags=5) is True
        assert client.get("a") == b"1"
        assert client.add("a", b"2") is False and client.add("b", b"2") is True
        assert client.replace("a", b"3") is True and client.replace("none", b"3") is False
        assert client.append("a", b"4") and client.prepend("a", b"2") and client.get("a") == b"234"
        assert client.incr("a", 6) == 240 and client.decr("a", 40) == 200 and client.incr("none", 1) is None
        value, token = client.gets("b")
        assert value == b"2"
        assert client.cas("b", b"x", token) is True
        assert client.cas("b", b"y", token) is False
        assert client.cas("none", b"y", token) is None
        assert client.touch("b", 100) is True and client.touch("none", 100) is False
        assert client.delete("b") is True and client.delete("b") is False
        assert client.version()
        assert client.flush_all() is True
        assert client.get("a") is None

    def test_many(self, client):
        values = {f"many:{n}": b"%d" % n * 10 for n in range(500)}
        assert client.set_many(values) == []
        assert client.get_many(list(values) + ["none"]) == values
        assert {key: pair[0] for key, pair in client.gets_many(list(values)).items()} == values
        assert client.delete_many(list(values)[:100])
        assert len(client.get_many(list(values))) == 400

    def test_stats(self, client):
        client.set("a", b"1")
        client.get("a")
        client.get("none")
        stats = {key.decode(): value for key, value in client.stats().items()}
        for name in ("pid", "uptime", "time", "version", "curr_items", "curr_connections", "bytes", "limit_maxbytes",
                     "cmd_get", "cmd_set", "get_hits", "get_misses", "evictions", "threads"):
            assert name in stats, sorted(stats)

    def test_expiry(self, client):
        client.set("short", b"v", expire=1)
        harness.wait_for(lambda: client.get("short") is None, "an item of one second is gone", 5)


def test_protocols_share_the_keys(ring):
    """What one protocol writes another reads: the same key space, flags and counters included."""
    with ring.nodes[0].resp() as redis_side, Text(ring.nodes[1].memcached_port) as memcached_side:
        assert memcached_side.ask(put("set", "shared", "from memcached", 9)) == b"STORED\r\n"
        assert redis_side.call("GET", "shared") == b"from memcached"
        redis_side.call("SET", "shared", "41")
        assert memcached_side.ask(line("incr shared 1")) == b"42\r\n"
        assert redis_side.call("INCR", "shared") == 43
        redis_side.call("SET", "expires", "v", "EX", 100)
        assert memcached_side.ask(line("gat 50 expires")).startswith(b"VALUE expires 0 1\r\nv\r\n")
        assert 48 <= redis_side.call("TTL", "expires") <= 50
