"""RESP: the same commands to Gyre and to redis-server must bring the same replies, byte for byte and type for type.

Each story runs against a single node and, sent to one node only, against a ring of three: most keys belong to
another node then. Errors are compared by their first word (ERR, WRONGTYPE, ...). What depends on the server itself
(INFO, CLUSTER, CLIENT, ...) is tested by its meaning, with python3-redis.
"""

import random
import time

import pytest
import redis as redis_py

import harness
from harness import Resp, plain

FUTURE = int(time.time()) + 10_000
PAST = 1_000_000_000

# Commands whose integer replies are times left or moments: equal within this much (seconds or milliseconds).
NEAR = {b"TTL": 2, b"PTTL": 2000, b"EXPIRETIME": 2, b"PEXPIRETIME": 2000}
# Commands whose replies have no order.
UNORDERED = {b"KEYS"}

STORIES = {
    "connection": [
        ("PING",), ("PING", "hello"), ("ECHO", "x\r\ny\0z"), ("SELECT", 0), ("SELECT", 99), ("SELECT", 0), ("PING", "a", "b"),
        ("ECHO",), ("ping",), ("pInG", ""),
    ],
    "set and get": [
        ("GET", "k"), ("SET", "k", "v"), ("GET", "k"), ("SET", "k", ""), ("GET", "k"), ("SET", "k", b"\0\r\n\xff" * 99),
        ("GET", "k"), ("SET", b"\0binary\r\nkey\xff", "b"), ("GET", b"\0binary\r\nkey\xff"), ("SET", "", "empty key"),
        ("GET", ""), ("SET", "k"), ("GET",), ("GET", "a", "b"), ("SET", "k", "v", "WHAT"), ("STRLEN", "k"),
        ("STRLEN", "none"), ("TYPE", "k"), ("TYPE", "none"),
    ],
    "set with options": [
        ("SET", "o", 1, "NX"), ("SET", "o", 2, "NX"), ("SET", "o", 3, "XX"), ("SET", "p", 1, "XX"), ("GET", "o"),
        ("GET", "p"), ("SET", "o", 4, "GET"), ("SET", "new", 1, "GET"), ("SET", "o", 5, "NX", "GET"), ("GET", "o"),
        ("SET", "o", 6, "XX", "GET"), ("SET", "o", 7, "EX", 100), ("TTL", "o"), ("SET", "o", 8, "KEEPTTL"),
        ("TTL", "o"),
        ("SET", "o", 9), ("TTL", "o"), ("SET", "o", 1, "PX", 100_000), ("PTTL", "o"), ("SET", "o", 1, "EXAT", FUTURE),
        ("EXPIRETIME", "o"), ("SET", "o", 1, "PXAT", FUTURE * 1000), ("PEXPIRETIME", "o"), ("SET", "o", 1, "EX", 0),
        ("SET", "o", 1, "EX", -1), ("SET", "o", 1, "PX", "x"), ("SET", "o", 1, "EX"), ("SET", "o", 1, "NX", "XX"),
        ("SET", "o", 1, "EX", 10, "PX", 10), ("SET", "o", 1, "EX", 10, "KEEPTTL"),
        ("SET", "o", 2, "ex", 50, "xx", "get"),
        ("TTL", "o"), ("SET", "o", 3, "EXAT", PAST), ("GET", "o"), ("EXISTS", "o"),
    ],
    "other ways to set": [
        ("SETEX", "a", 100, "v"), ("TTL", "a"), ("SETEX", "a", 0, "v"), ("SETEX", "a", "x", "v"),
        ("PSETEX", "a", 100_000, "w"),
        ("PTTL", "a"), ("PSETEX", "a", -5, "w"), ("GET", "a"), ("SETNX", "a", "x"), ("SETNX", "b", "x"), ("GET", "b"),
        ("GETSET", "b", "y"), ("GETSET", "c", "z"), ("GET", "c"), ("GETSET", "a", "1"), ("TTL", "a"), ("GETDEL", "c"),
        ("GETDEL", "c"), ("EXISTS", "c"), ("GETDEL",),
    ],
    "getex": [
        ("SET", "g", "v"), ("GETEX", "g"), ("TTL", "g"), ("GETEX", "g", "EX", 100), ("TTL", "g"),
        ("GETEX", "g", "PX", 50_000),
        ("PTTL", "g"), ("GETEX", "g", "EXAT", FUTURE), ("EXPIRETIME", "g"), ("GETEX", "g", "PXAT", FUTURE * 1000),
        ("PEXPIRETIME", "g"), ("GETEX", "g", "PERSIST"), ("TTL", "g"), ("GETEX", "none"), ("GETEX", "none", "EX", 5),
        ("GETEX", "g", "EX", 0), ("GETEX", "g", "WHAT"), ("GETEX", "g", "EX", 10, "PERSIST"),
        ("GETEX", "g", "EXAT", PAST), ("GET", "g"),
    ],
    "many keys": [
        ("MSET", "m1", 1, "m2", 2, "m3", 3), ("MGET", "m1", "m2", "m3", "m4"), ("MSET", "m1"), ("MSET", "m1", 1, "m2"),
        ("MGET",), ("MSET", "d", 1, "d", 2), ("GET", "d"), ("MGET", "d", "d"), ("EXISTS", "m1", "m2", "none", "m1"),
        ("TOUCH", "m1", "none", "m3"), ("DEL", "m1", "none", "m1"), ("UNLINK", "m2", "m3", "m3"),
        ("MGET", "m1", "m2", "m3"), ("DEL",), ("EXISTS",), ("TOUCH",), ("UNLINK",),
    ],
    "msetnx": [
        ("MSETNX", "{t}1", 1, "{t}2", 2), ("MSETNX", "{t}2", 3, "{t}3", 4), ("MGET", "{t}1", "{t}2", "{t}3"),
        ("MSETNX", "{t}9"), ("MSETNX", "{u}1", "a"), ("GET", "{u}1"),
    ],
    "parts of a value": [
        ("APPEND", "s", "Hello"), ("APPEND", "s", " World"), ("GET", "s"), ("STRLEN", "s"), ("GETRANGE", "s", 0, 4),
        ("GETRANGE", "s", -5, -1), ("GETRANGE", "s", 3, 100), ("GETRANGE", "s", 5, 3), ("GETRANGE", "s", -100, 2),
        ("GETRANGE", "s", -1, -5), ("GETRANGE", "none", 0, 1), ("GETRANGE", "s", "a", 1), ("GETRANGE", "s", 0),
        ("SETRANGE", "s", 6, "Redis"), ("GET", "s"), ("SETRANGE", "pad", 5, "x"), ("GET", "pad"),
        ("SETRANGE", "s", -1, "x"),
        ("SETRANGE", "s", "q", "x"), ("SETRANGE", "s", 0, ""), ("SETRANGE", "none", 5, ""), ("EXISTS", "none"),
        ("SETRANGE", "s", 20, "tail"), ("GET", "s"), ("APPEND", "s", ""), ("STRLEN", "s"), ("EXPIRE", "s", 100),
        ("APPEND", "s", "!"), ("TTL", "s"),
    ],
    "counters": [
        ("INCR", "n"), ("INCR", "n"), ("DECR", "n"), ("INCRBY", "n", 41), ("DECRBY", "n", 2), ("GET", "n"),
        ("INCRBY", "n", -50), ("DECRBY", "n", -3), ("SET", "n", "9223372036854775807"), ("INCR", "n"), ("GET", "n"),
        ("SET", "n", "-9223372036854775808"), ("DECR", "n"), ("DECRBY", "n", "-9223372036854775808"),
        ("SET", "n", "10"),
        ("INCRBY", "n", "x"), ("INCRBY", "n", "9223372036854775808"), ("INCRBY", "n", "1.5"), ("INCRBY", "n"),
        ("SET", "t", "abc"), ("INCR", "t"), ("SET", "t", " 1"), ("INCR", "t"), ("SET", "t", "1 "), ("INCR", "t"),
        ("SET", "t", ""), ("INCR", "t"), ("SET", "t", "01"), ("INCR", "t"), ("SET", "t", "+1"), ("INCR", "t"),
        ("SET", "t", "-0"), ("INCR", "t"), ("SET", "n", 5, "EX", 100), ("INCR", "n"), ("TTL", "n"),
    ],
    "floats": [
        ("INCRBYFLOAT", "f", "10.5"), ("INCRBYFLOAT", "f", "0.1"), ("GET", "f"), ("INCRBYFLOAT", "f", "-5"),
        ("SET", "f", "5.0e3"),
        ("INCRBYFLOAT", "f", "2.0e2"), ("INCRBYFLOAT", "f", "x"), ("SET", "f", "abc"), ("INCRBYFLOAT", "f", 1),
        ("SET", "f", "3.0"), ("INCRBYFLOAT", "f", "1.000000"), ("SET", "f", "3"), ("INCRBYFLOAT", "f", "0.25"),
        ("INCRBYFLOAT", "f", "inf"), ("INCRBYFLOAT", "f", "nan"), ("INCRBYFLOAT", "f"), ("SET", "f", "1"),
        ("INCRBYFLOAT", "f", "1e-7"),
        ("SET", "f", "0"), ("INCRBYFLOAT", "f", "0.1"), ("INCRBYFLOAT", "f", "0.2"), ("INCRBYFLOAT", "f", "1e17"),
        ("SET", "f", "1", "EX", 100), ("INCRBYFLOAT", "f", "1"), ("TTL", "f"),
    ],
    "expiry": [
        ("TTL", "none"), ("PTTL", "none"), ("EXPIRETIME", "none"), ("PEXPIRETIME", "none"), ("SET", "e", "v"),
        ("TTL", "e"), ("PTTL", "e"), ("EXPIRETIME", "e"), ("PEXPIRETIME", "e"), ("EXPIRE", "e", 100), ("TTL", "e"),
        ("PEXPIRE", "e", 200_000),
        ("PTTL", "e"), ("EXPIREAT", "e", FUTURE), ("EXPIRETIME", "e"), ("PEXPIREAT", "e", FUTURE * 1000),
        ("PEXPIRETIME", "e"),
        ("PERSIST", "e"), ("PERSIST", "e"), ("TTL", "e"), ("EXPIRE", "none", 10), ("PERSIST", "none"),
        ("EXPIRE", "e", "x"),
        ("EXPIRE", "e"), ("EXPIRE", "e", "9223372036854775807"), ("EXPIRE", "e", 0), ("EXISTS", "e"), ("SET", "e", "v"),
        ("EXPIRE", "e", -1), ("GET", "e"), ("SET", "e", "v"), ("EXPIREAT", "e", PAST), ("GET", "e"), ("SET", "e", "v"),
        ("PEXPIREAT", "e", PAST), ("EXISTS", "e"), ("SET", "e", "v"), ("PEXPIRE", "e", -5), ("EXISTS", "e"),
    ],
    "expiry with a condition": [
        ("SET", "e", "v"), ("EXPIRE", "e", 100, "XX"), ("EXPIRE", "e", 100, "GT"), ("EXPIRE", "e", 100, "NX"),
        ("EXPIRE", "e", 200, "NX"), ("EXPIRE", "e", 50, "GT"), ("EXPIRE", "e", 200, "GT"), ("TTL", "e"),
        ("EXPIRE", "e", 300, "LT"),
        ("EXPIRE", "e", 60, "LT"), ("TTL", "e"), ("EXPIRE", "e", 70, "XX"), ("EXPIRE", "e", 10, "NX", "XX"),
        ("EXPIRE", "e", 10, "GT", "LT"), ("EXPIRE", "e", 10, "WHAT"),
    ],
    "key space": [
        ("DBSIZE",), ("MSET", "one", 1, "two", 2, "three", 3, "four", 4), ("DBSIZE",), ("KEYS", "*"),
        ("KEYS", "t*"), ("KEYS", "?ne"),
        ("KEYS", "[ot]*"), ("KEYS", "[^t]*"), ("KEYS", "t[a-w]o"), ("KEYS", "none*"), ("KEYS",), ("KEYS", "*o*"),
        ("SET", "a*b", 1),
        ("KEYS", "a\\*b"), ("FLUSHDB",), ("DBSIZE",), ("SET", "x", 1), ("FLUSHALL",), ("DBSIZE",), ("GET", "x"),
        ("RANDOMKEY",),
        ("SET", "only", 1), ("RANDOMKEY",), ("FLUSHALL", "ASYNC"), ("FLUSHDB", "SYNC"), ("FLUSHALL", "WHAT"),
    ],
    "mistakes": [
        ("NOSUCHCOMMAND",), ("NOSUCHCOMMAND", "with", "arguments"), ("",), ("GET",), ("INCR",),
        ("EXPIRE", "k", "1", "2", "3"),
        ("SETEX", "k", 1), ("DBSIZE", "x"), ("CLUSTER",), ("CLUSTER", "NOSUCH"), ("CLIENT", "NOSUCH"),
        ("CONFIG", "NOSUCH"),
        ("SCAN", "x"), ("SCAN",), ("WAIT", 0), ("WAIT", "x", 0), ("HELLO", 9), ("AUTH", "password"),
        ("GET", "still works"),
    ],
}


def comparable(command, reply):
    """What of `reply` two servers must share."""
    kind, value = reply
    name = harness.as_bytes(command[0]).upper()
    if kind in (b"-", b"!"):
        return kind, value.split(b" ", 1)[0]
    if name in UNORDERED and isinstance(value, list):
        return kind, sorted(value, key=repr)
    return reply


def differs(command, ours, theirs):
    """None if the replies to `command` agree."""
    name = harness.as_bytes(command[0]).upper()
    left, right = comparable(command, ours), comparable(command, theirs)
    if left == right:
        return None
    if name in NEAR and ours[0] == theirs[0] == b":":
        mine, redis = int(ours[1]), int(theirs[1])
        if min(mine, redis) >= 0 and abs(mine - redis) <= NEAR[name]:
            return None
    return f"{b' '.join(map(harness.as_bytes, command))!r}: gyre {ours!r}, redis {theirs!r}"


def compare(gyre_port, redis_port, commands, resp_version=2, pipelined=False):
    """The differences between the two servers' replies to the same commands; both start empty."""
    with Resp(gyre_port) as ours, Resp(redis_port) as theirs:
        for client in (ours, theirs):
            client.call("FLUSHALL")
            if resp_version == 3:
                client.call("HELLO", 3)
        if pipelined:
            replies = zip(commands, ours.pipeline(commands), theirs.pipeline(commands))
        else:
            replies = ((command, ours.raw(*command), theirs.raw(*command)) for command in commands)
        return [text for text in (differs(*each) for each in replies) if text]


@pytest.mark.parametrize("story", STORIES)
class TestAsRedis:
    def test_single_node(self, node, redis, story):
        assert compare(node.resp_port, redis, STORIES[story]) == []

    def test_ring_through_one_node(self, ring, redis, story):
        assert compare(ring.nodes[2].resp_port, redis, STORIES[story]) == []

    def test_resp3(self, node, redis, story):
        assert compare(node.resp_port, redis, STORIES[story], resp_version=3) == []

    def test_pipelined(self, ring, redis, story):
        assert compare(ring.nodes[1].resp_port, redis, STORIES[story], pipelined=True) == []


def random_commands(seed, count):
    """Commands on few keys, so that they meet; the same for the same seed."""
    rng = random.Random(seed)

    def key():
        return f"key:{rng.randrange(12)}"

    def value():
        return rng.choice([
            str(rng.randrange(-1000, 1000)), "%.3f" % rng.uniform(-9, 9), "text " * rng.randrange(5),
            bytes(rng.randrange(256) for _ in range(rng.randrange(40))), "x" * rng.randrange(3000)])

    makers = [
        lambda: ("GET", key()), lambda: ("SET", key(), value()), lambda: ("SET", key(), value(), "NX"),
        lambda: ("SET", key(), value(), "XX", "GET"), lambda: ("SET", key(), value(), "EX", 1000),
        lambda: ("SET", key(), value(), "KEEPTTL"), lambda: ("DEL", key(), key()),
        lambda: ("MGET", key(), key(), key()),
        lambda: ("MSET", key(), value(), key(), value()), lambda: ("INCR", key()),
        lambda: ("INCRBY", key(), rng.randrange(-99, 99)),
        lambda: ("APPEND", key(), value()), lambda: ("STRLEN", key()), lambda: ("EXISTS", key(), key()),
        lambda: ("GETRANGE", key(), rng.randrange(-20, 20), rng.randrange(-20, 20)),
        lambda: ("SETRANGE", key(), rng.randrange(0, 60), value()),
        lambda: ("EXPIRE", key(), rng.choice([-1, 500, 1000])),
        lambda: ("PERSIST", key()), lambda: ("TTL", key()), lambda: ("GETDEL", key()),
        lambda: ("GETSET", key(), value()),
        lambda: ("SETNX", key(), value()), lambda: ("TYPE", key()), lambda: ("GETEX", key(), "PERSIST"),
        lambda: ("DBSIZE",),
        lambda: ("TOUCH", key()), lambda: ("UNLINK", key()), lambda: ("DECR", key()), lambda: ("KEYS", "key:1*"),
    ]
    return [rng.choice(makers)() for _ in range(count)]


@pytest.mark.parametrize("seed", range(harness.soak(3, 100)))
def test_random_commands_as_redis(ring, redis, seed):
    # Not pipelined through the ring: the order of commands on different nodes is not promised within a batch,
    # and DBSIZE and KEYS look at all of them.
    assert compare(ring.nodes[seed % 3].resp_port, redis, random_commands(seed, 1500)) == []


@pytest.mark.parametrize("seed", range(harness.soak(2, 50)))
def test_random_commands_pipelined_as_redis(node, redis, seed):
    assert compare(node.resp_port, redis, random_commands(1000 + seed, 3000), pipelined=True) == []


class TestPipelining:
    def test_a_request_split_at_every_byte(self, node):
        request = Resp.encode("SET", "split", "value\r\n") + Resp.encode("GET", "split") + b"PING\r\n"
        for cut in range(1, len(request)):
            with node.resp() as client:
                client.send_raw(request[:cut])
                client.send_raw(request[cut:])
                assert [client.read() for _ in range(3)] == [(b"+", b"OK"), (b"$", b"value\r\n"), (b"+", b"PONG")], cut

    def test_replies_keep_the_order_of_requests_across_nodes(self, ring):
        commands = []
        for number in range(5000):
            commands += [("SET", f"order:{number}", number), ("GET", f"order:{number}")]
        with ring.nodes[0].resp() as client:
            replies = client.pipeline(commands, chunk=len(commands))
        assert replies == [r for n in range(5000) for r in ((b"+", b"OK"), (b"$", str(n).encode()))]

    def test_inline_commands(self, node):
        with node.resp() as client:
            client.send_raw(b"SET inline 'two words'\r\nGET inline\r\n\r\nECHO \"a\\x41\\n\"\r\n  PING  \r\nPING\n")
            assert [client.read() for _ in range(5)] == [
                (b"+", b"OK"), (b"$", b"two words"), (b"$", b"aA\n"), (b"+", b"PONG"), (b"+", b"PONG")]

    def test_unbalanced_quotes_are_an_error(self, node):
        with node.resp() as client:
            client.send_raw(b'SET k "half\r\n')
            assert client.read()[0] == b"-"


@pytest.fixture(params=["single", "ring"])
def client(request):
    """python3-redis against a single node, and against the ring through its third node."""
    if request.param == "single":
        target = request.getfixturevalue("node")
    else:
        target = request.getfixturevalue("ring").nodes[2]
    connection = redis_py.Redis(port=target.resp_port, socket_timeout=10)
    yield connection
    connection.close()


class TestPythonRedis:
    """The calls of a real client, with the results that its users know."""

    def test_strings(self, client):
        assert client.set("a", "1") is True
        assert client.get("a") == b"1"
        assert client.set("a", "2", nx=True) is None
        assert client.mset({"x": 1, "y": 2}) is True
        assert client.mget("x", "y", "z") == [b"1", b"2", None]
        assert client.incr("a", 5) == 6
        assert client.incrbyfloat("a", 0.5) == 6.5
        assert client.append("s", "ab") == 2
        assert client.getrange("s", 0, 0) == b"a"
        assert client.setrange("s", 1, "xyz") == 4
        assert client.getex("s", ex=100) == b"axyz"
        assert 98 <= client.ttl("s") <= 100
        assert client.getdel("s") == b"axyz"
        assert client.delete("a", "x", "nothing") == 2
        with pytest.raises(redis_py.ResponseError):
            client.set("t", "abc") and client.incr("t")

    def test_binary_keys_and_large_values(self, client):
        key, value = bytes(range(256)), bytes(range(256)) * 8192
        assert client.set(key, value)
        assert client.get(key) == value
        assert client.strlen(key) == len(value)

    def test_expired_keys_are_gone(self, client):
        client.set("short", "v", px=30)
        harness.wait_for(lambda: client.get("short") is None, "a key of 30 ms is gone", 5)
        assert client.exists("short") == 0
        assert client.ttl("short") == -2

    def test_scan_finds_every_key_once_or_more(self, client):
        wanted = {f"scan:{n}".encode() for n in range(3000)}
        pipe = client.pipeline(transaction=False)
        for key in wanted:
            pipe.set(key, "v")
        pipe.set("other", "v")
        pipe.execute()
        assert set(client.scan_iter(match="scan:*", count=100)) == wanted
        assert set(client.scan_iter()) == wanted | {b"other"}
        assert set(client.scan_iter(match="scan:*", _type="string")) == wanted
        assert sorted(client.keys("scan:1?")) == sorted(f"scan:1{n}".encode() for n in range(10))
        assert client.dbsize() == 3001
        assert client.randomkey() in wanted | {b"other"}

    def test_flush_is_for_the_whole_cluster(self, client):
        for number in range(100):
            client.set(f"f{number}", 1)
        assert client.dbsize() == 100
        assert client.flushall() is True
        assert client.dbsize() == 0
        assert client.keys() == []

    def test_about_the_server(self, client):
        info = client.info()
        assert info["redis_version"]
        assert int(info["connected_clients"]) >= 1
        assert "used_memory" in info
        assert client.info("server")["redis_version"] == info["redis_version"]
        assert abs(client.time()[0] - time.time()) < 5
        assert client.command_count() > 60
        commands = client.command()
        assert commands["get"]["arity"] == 2 and commands["set"]["arity"] == -3
        assert commands["mget"]["first_key_pos"] == 1 and commands["mget"]["last_key_pos"] == -1

    def test_config(self, client):
        before = client.config_get("maxmemory")
        assert int(before["maxmemory"]) == 256 * 1024 * 1024
        assert "maxmemory" in client.config_get("max*")
        assert client.config_get("no-such-parameter") == {}
        with pytest.raises(redis_py.ResponseError):
            client.config_set("no-such-parameter", "1")

    def test_connections(self, client):
        client.client_setname("tester")
        assert client.client_getname() == "tester"
        mine = client.client_id()
        listed = {int(entry["id"]): entry for entry in client.client_list()}
        assert listed[mine]["name"] == "tester"
        assert listed[mine]["addr"].startswith("127.0.0.1:")
        assert int(client.client_info()["id"]) == mine

    def test_wait(self, client, request):
        copies = 1 if "ring" in request.node.callspec.params.values() else 0
        client.set("w", 1)
        assert client.wait(copies, 5000) == copies


def test_hello_and_reset(node):
    with node.resp() as client:
        kind, fields = client.raw("HELLO", 3)
        assert kind == b"%"
        hello = dict(zip(map(plain, fields[::2]), map(plain, fields[1::2])))
        assert hello[b"proto"] == 3 and hello[b"server"] and hello[b"version"] and hello[b"mode"]
        assert client.raw("GET", "nothing") == (b"_", None)
        assert client.raw("HELLO", "2", "SETNAME", "me")[0] == b"*"
        assert client.raw("GET", "nothing") == (b"$", None)
        assert client.call("CLIENT", "GETNAME") == b"me"
        assert client.raw("HELLO", "9") == client.raw("HELLO", "9")
        assert client.raw("HELLO", "9")[1].startswith(b"NOPROTO")
        client.call("HELLO", 3)
        assert client.raw("RESET") == (b"+", b"RESET")
        assert client.raw("GET", "nothing") == (b"$", None)


def test_quit_closes(node):
    with node.resp() as client:
        assert client.raw("QUIT") == (b"+", b"OK")
        assert client.file.read() == b""


def test_cluster_commands_agree_on_every_node(ring):
    ids, tables, digests = set(), [], []
    for member in ring.nodes:
        with member.cluster_resp() as client:
            ids.add(client.call("CLUSTER", "MYID"))
            tables.append(member.owners())
            nodes = client.call("CLUSTER", "NODES").decode()
            assert nodes.count("\n") == 3 and nodes.count("myself") == 1 and f":{member.cluster_port}@" in nodes
            info = dict(line.split(":", 1) for line in client.call("CLUSTER", "INFO").decode().split("\r\n") if line)
            assert info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"
            assert info["cluster_slots_assigned"] == "16384"
            digests.append(sorted(repr(shard) for shard in client.call("CLUSTER", "SHARDS")))
            assert client.call("CLUSTER", "KEYSLOT", "123456789") == 12739
            assert client.call("CLUSTER", "KEYSLOT", "{tag}a") == client.call("CLUSTER", "KEYSLOT", "{tag}b")
            assert client.call("READONLY") == b"OK" and client.call("READWRITE") == b"OK"
    assert len(ids) == 3
    assert tables[0] == tables[1] == tables[2]
    assert set(tables[0]) == {member.cluster_port for member in ring.nodes}


def test_the_cluster_port_sends_clients_to_the_owner(ring):
    table = ring.nodes[0].owners()
    with Resp(ring.nodes[0].cluster_port) as client:
        for number in range(50):
            key = f"moved:{number}"
            slot = client.call("CLUSTER", "KEYSLOT", key)
            kind, value = client.raw("SET", key, "v")
            if table[slot] == ring.nodes[0].cluster_port:
                assert (kind, value) == (b"+", b"OK")
            else:
                assert (kind, value) == (b"-", b"MOVED %d 127.0.0.1:%d" % (slot, table[slot]))
                with Resp(table[slot]) as owner:
                    assert owner.raw("SET", key, "v") == (b"+", b"OK")
    with ring.nodes[0].resp() as client:
        assert client.call("MGET", *[f"moved:{n}" for n in range(50)]) == [b"v"] * 50


def test_a_value_written_through_one_node_is_read_through_every_other(ring):
    for number in range(60):
        with ring.nodes[number % 3].resp() as writer:
            writer.call("SET", f"any:{number}", f"value {number}")
    for member in ring.nodes:
        with member.resp() as reader:
            assert reader.call("MGET", *[f"any:{n}" for n in range(60)]) == [f"value {n}".encode() for n in range(60)]
