"""gyre backup, restore, import and export: against nodes that serve, die and come back, and the real other servers."""

import contextlib
import csv
import json
import os
import socket
import subprocess
import threading
import time

import pytest

import harness
from harness import Ring, binary, gyre, wait_for

DONE, REFUSED, USAGE, CANNOT_CONNECT = 0, 1, 2, 3
HOUR_MS = 3_600_000

HOSTILE = [b"plain", b"", b"new\nline", b"\r\n", b'"quoted"', b"a,b", b"\x00", b"nul\x00inside", b"\xff\xfe", b"  blanks  ",
           "ä€😀".encode(), b'{"key":1}', b"\\x00", b"=cmd", b"\xef\xbb\xbfmark", b"*[glob]?", bytes(range(256))]


def dump(port):
    """{key: (value, expiry in unix ms or -1)} of all strings behind a RESP port."""
    records = {}
    with harness.Resp(port, 30) as client:
        cursor, keys = b"0", []
        while True:
            cursor, page = client.call("SCAN", cursor, "COUNT", 1000)
            keys += page
            if cursor == b"0":
                break
        values = client.pipeline([("GET", key) for key in keys])
        expiries = client.pipeline([("PEXPIRETIME", key) for key in keys])
        for key, (kind, value), (_, expiry) in zip(keys, values, expiries):
            if kind == b"$" and value is not None:
                records[key] = (value, int(expiry))
    return records


def load(port, records):
    """Stores {key: value or (value, milliseconds to live)}."""
    commands = []
    for key, value in records.items():
        value, ttl = value if isinstance(value, tuple) else (value, None)
        commands.append(("SET", key, value) if ttl is None else ("SET", key, value, "PX", ttl))
    with harness.Resp(port, 30) as client:
        replies = client.pipeline(commands)
    assert {reply for reply in replies} == {(b"+", b"OK")}


def same(one, other, slack_ms=0):
    """Both dumps have the same values, and expiries that differ by no more than the slack."""
    assert one.keys() == other.keys()
    for key, (value, expiry) in one.items():
        other_value, other_expiry = other[key]
        assert value == other_value, key
        assert (expiry == -1) == (other_expiry == -1), (key, expiry, other_expiry)
        assert abs(expiry - other_expiry) <= slack_ms, (key, expiry, other_expiry)


def hostile_records():
    records = {b"key " + bytes_: bytes_ for bytes_ in HOSTILE}
    records.update({bytes_: b"value" for bytes_ in HOSTILE if bytes_})
    records[b"expires"] = (b"soon", HOUR_MS)
    records[b"\xffexpires"] = (b"\xff", 2 * HOUR_MS)
    return records


def memcached_call(port, data, end=b"END\r\n"):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(data)
        answer = b""
        while not answer.endswith(end):
            part = connection.recv(65536)
            assert part, answer
            answer += part
        return answer


@contextlib.contextmanager
def running(node, *arguments):
    """A gyre that goes on by itself; its result is what the with statement gives, once it is asked for."""
    process = subprocess.Popen([binary("gyre"), "--connect", node.address, *[str(word) for word in arguments]],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def outcome(process, seconds=120):
    out, err = process.communicate(timeout=seconds * harness.PATIENCE)
    return process.returncode, out, err


# ---- Backup and restore ----------------------------------------------------------------------------------------


class TestBackup:
    def test_everything_comes_back_in_a_ring_of_another_size(self, ring, node, tmp_path):
        load(ring.nodes[0].resp_port, hostile_records())
        memcached_call(ring.nodes[1].memcached_port, b"set flagged 4294967295 3600 3\r\nabc\r\n", b"STORED\r\n")
        memcached_call(ring.nodes[1].memcached_port, b"set flagged2 7 0 0\r\n\r\n", b"STORED\r\n")
        before = dump(ring.nodes[0].resp_port)
        made = gyre("backup", tmp_path / "b", "-o", "json", node=ring.nodes[2])
        assert made.status == DONE, made
        summary = made.json()
        assert summary["complete"] and summary["keys"] == len(before), summary
        assert summary["bytes"] == sum(len(key) + len(value) for key, (value, _) in before.items())
        assert set(summary) == {"complete", "keys", "bytes", "expired", "skipped", "failed", "bad_lines", "damaged_blocks",
                                "flags_dropped", "unsupported", "seconds", "keys_per_second", "first_error"}
        restored = gyre("restore", tmp_path / "b", "-o", "json", node=node)
        assert restored.status == DONE, restored
        assert restored.json()["keys"] == len(before)
        # What has flags and an expiry is stored as memcached does it: in whole seconds.
        same(before, dump(node.resp_port), slack_ms=1000)
        expiries = [dump(port)[b"expires"][1] for port in (ring.nodes[0].resp_port, node.resp_port)]
        assert expiries[0] == expiries[1]
        for key, flags in ((b"flagged", b"4294967295"), (b"flagged2", b"7")):
            answer = memcached_call(node.memcached_port, b"get " + key + b"\r\n")
            assert answer.startswith(b"VALUE " + key + b" " + flags + b" "), answer

    def test_from_one_node_into_three(self, ring, node, tmp_path):
        load(node.resp_port, {f"k{i}": "v" * (i % 300) for i in range(20_000)})
        assert gyre("backup", tmp_path / "b", node=node).status == DONE
        text = gyre("restore", tmp_path / "b", node=ring.nodes[1])
        assert text.status == DONE and text.out.startswith("20000 keys, "), text
        same(dump(node.resp_port), dump(ring.nodes[0].resp_port))

    def test_only_some_keys(self, node, tmp_path):
        load(node.resp_port, {"a*b:1": "1", "aXb:1": "2", "c:1": "3", "c:2": "4"})
        assert gyre("backup", tmp_path / "p", "--prefix", "a*b", node=node).out.startswith("1 key")
        assert gyre("backup", tmp_path / "m", "--match", "c:*", node=node).out.startswith("2 keys")
        assert gyre("backup", tmp_path / "x", "--match", "c:*", "--prefix", "c", node=node).status == USAGE
        assert gyre("backup", tmp_path / "all", node=node).out.startswith("4 keys")
        gyre("flushall", "--yes", node=node)
        assert gyre("restore", tmp_path / "all", "--prefix", "c:", node=node).out.startswith("2 keys")
        assert sorted(dump(node.resp_port)) == [b"c:1", b"c:2"]

    def test_values_larger_than_a_batch(self, node, tmp_path):
        load(node.resp_port, {f"large{i}": bytes([i]) * 6_000_000 for i in range(6)})
        load(node.resp_port, {f"small{i}": "x" for i in range(100)})
        before = dump(node.resp_port)
        assert gyre("backup", tmp_path / "b", node=node).status == DONE
        gyre("flushall", "--yes", node=node)
        assert gyre("restore", tmp_path / "b", node=node).status == DONE
        same(before, dump(node.resp_port))

    def test_what_is_there_is_overwritten_or_left(self, node, tmp_path):
        load(node.resp_port, {"a": "1", "b": "2"})
        gyre("backup", tmp_path / "b", node=node)
        load(node.resp_port, {"a": "changed", "other": "stays"})
        gyre("del", "b", node=node)
        kept = gyre("restore", tmp_path / "b", "--if-absent", "-o", "json", node=node)
        assert kept.status == DONE and (kept.json()["keys"], kept.json()["skipped"]) == (1, 1), kept
        assert {k: v for k, (v, _) in dump(node.resp_port).items()} == {b"a": b"changed", b"b": b"2", b"other": b"stays"}
        assert gyre("restore", tmp_path / "b", node=node).status == DONE
        assert {k: v for k, (v, _) in dump(node.resp_port).items()} == {b"a": b"1", b"b": b"2", b"other": b"stays"}

    def test_what_expired_meanwhile_is_left_out(self, node, tmp_path):
        load(node.resp_port, {"short": ("1", 2000), "long": ("2", HOUR_MS)})
        made = gyre("backup", tmp_path / "b", "-o", "json", node=node).json()
        assert made["keys"] == 2, "the machine was too slow for this test"
        wait_for(lambda: list(dump(node.resp_port)) == [b"long"], "the short one has expired")
        gyre("flushall", "--yes", node=node)
        restored = gyre("restore", tmp_path / "b", "-o", "json", node=node)
        assert restored.status == DONE and (restored.json()["keys"], restored.json()["expired"]) == (1, 1), restored
        assert list(dump(node.resp_port)) == [b"long"]

    def test_the_rate_is_kept(self, node, tmp_path):
        load(node.resp_port, {f"k{i:03}": "v" * 996 for i in range(300)})
        gyre("backup", tmp_path / "b", node=node)
        # 300,000 bytes at 102,400 a second.
        for words in (("restore", tmp_path / "b"), ("backup", tmp_path / "slow")):
            done = gyre(*words, "--limit", "100KB", "-o", "json", node=node).json()
            assert done["keys"] == 300 and done["seconds"] > 2.5, done

    def test_progress_is_for_a_terminal(self, node, tmp_path):
        load(node.resp_port, {f"k{i}": "v" * 1000 for i in range(1000)})
        ours, theirs = os.openpty()
        try:
            done = subprocess.run([binary("gyre"), "--connect", node.address, "backup", str(tmp_path / "b"), "--limit",
                                   "500KB"], stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60 * harness.PATIENCE)
        finally:
            os.close(theirs)
        # The kernel hands what was written over in pieces, and says EIO behind the last one.
        shown = b""
        with contextlib.suppress(OSError), open(ours, "rb", buffering=0) as screen:
            while piece := screen.read(65536):
                shown += piece
        assert done.returncode == DONE and done.stdout.startswith("1000 keys, "), done
        lines = shown.decode().split("\r")
        assert any("%" in line and "keys/s" in line and "ETA" in line for line in lines), lines
        assert lines[-1] == "\x1b[K", "the line is wiped at the end"
        assert gyre("backup", tmp_path / "c", node=node).err == ""

    def test_a_folder_that_is_in_use_is_refused(self, node, tmp_path):
        load(node.resp_port, {"a": "1"})
        assert gyre("backup", tmp_path / "b", node=node).status == DONE
        again = gyre("backup", tmp_path / "b", node=node)
        assert again.status == REFUSED and "--force" in again.err, again
        load(node.resp_port, {"b": "2"})
        assert gyre("backup", tmp_path / "b", "--force", node=node).out.startswith("2 keys")
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter").write_text("x")
        refused = gyre("backup", tmp_path / "mine", "--force", node=node)
        assert refused.status == REFUSED and "letter" in refused.err, refused
        assert (tmp_path / "mine" / "letter").read_text() == "x"

    def test_a_full_disk_leaves_nothing_that_looks_like_a_backup(self, node, tmp_path):
        load(node.resp_port, {f"k{i}": "v" * 10_000 for i in range(1000)})
        done = subprocess.run(["prlimit", "--fsize=3000000", binary("gyre"), "--connect", node.address, "backup",
                               str(tmp_path / "b")], capture_output=True, text=True, timeout=60 * harness.PATIENCE)
        assert done.returncode == REFUSED, done
        assert "cannot write" in done.stderr and "make room" in done.stderr, done.stderr
        assert list((tmp_path / "b").iterdir()) == []
        export = subprocess.run(["prlimit", "--fsize=3000000", binary("gyre"), "--connect", node.address, "export",
                                 str(tmp_path / "all.json")], capture_output=True, text=True, timeout=60 * harness.PATIENCE)
        assert export.returncode == REFUSED and "disk full" in export.stderr, export
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]

    def test_damage_is_refused_or_left_out(self, node, tmp_path):
        load(node.resp_port, {f"k{i}": "v" * 1000 for i in range(5000)})
        assert gyre("backup", tmp_path / "b", node=node).status == DONE
        data = tmp_path / "b" / "data-000001.gyb"
        content = bytearray(data.read_bytes())
        content[2_500_000] ^= 1
        data.write_bytes(content)
        gyre("flushall", "--yes", node=node)
        refused = gyre("restore", tmp_path / "b", node=node)
        assert refused.status == REFUSED and "data-000001.gyb: block 2 " in refused.err, refused
        assert dump(node.resp_port) == {}
        partly = gyre("restore", tmp_path / "b", "--skip-damaged", "-o", "json", node=node)
        assert partly.status == REFUSED, partly
        assert partly.json()["damaged_blocks"] == 1 and not partly.json()["complete"], partly
        stored = dump(node.resp_port)
        assert len(stored) == partly.json()["keys"] and 3800 < len(stored) < 5000
        (tmp_path / "b" / "manifest.json").unlink()
        unfinished = gyre("restore", tmp_path / "b", node=node)
        assert unfinished.status == REFUSED and "not finished" in unfinished.err, unfinished


class TestNodesDie:
    """With two copies and --write-acks 2, while a node dies and comes back."""

    KEYS = 20_000

    @pytest.fixture
    def own_ring(self):
        with Ring(3, {"--write-acks": 2, "--replicas": 2}) as ring:
            yield ring

    def kill_and_restart(self, ring, process, begun):
        wait_for(begun, "it has begun")
        victim = ring.nodes[2]
        victim.kill()
        time.sleep(2)  # the others take over, or not yet: both are to be met
        assert process.poll() is None, "it had ended before the node was back"
        ring.restart(victim)

    def test_backup(self, own_ring, node, tmp_path):
        first = own_ring.nodes[0]
        stable = {f"stable:{i}": f"value {i} " + "v" * 90 for i in range(self.KEYS)}
        load(first.resp_port, stable)
        stop = threading.Event()
        written = [0]

        def write():
            with first.resp(30) as client:
                while not stop.is_set():
                    client.raw("SET", f"moving:{written[0] % 3000}", written[0], "PX", HOUR_MS)
                    written[0] += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            with running(first, "backup", tmp_path / "b", "--limit", "200KB", "-o", "json") as process:
                self.kill_and_restart(own_ring, process, (tmp_path / "b").exists)
                status, out, err = outcome(process)
        finally:
            stop.set()
            writer.join()
        assert status == DONE, (out, err)
        assert written[0] > 100
        restored = gyre("restore", tmp_path / "b", node=node)
        assert restored.status == DONE, restored
        records = dump(node.resp_port)
        for key, value in stable.items():
            assert records[key.encode()][0] == value.encode(), key
        for key, (value, expiry) in records.items():
            assert key.startswith((b"stable:", b"moving:"))
            assert (expiry == -1) == key.startswith(b"stable:"), key

    def test_restore(self, own_ring, node, tmp_path):
        records = {f"k{i}": f"value {i} " + "v" * 200 for i in range(self.KEYS)}
        load(node.resp_port, records)
        assert gyre("backup", tmp_path / "b", node=node).status == DONE
        with running(own_ring.nodes[0], "restore", tmp_path / "b", "--limit", "600KB", "-o", "json") as process:
            with own_ring.nodes[0].resp() as client:
                self.kill_and_restart(own_ring, process, lambda: client.call("DBSIZE") > 500)
            status, out, err = outcome(process)
        assert status == DONE, (out, err)
        assert json.loads(out)["keys"] == self.KEYS
        own_ring.wait_settled()
        same(dump(node.resp_port), dump(own_ring.nodes[1].resp_port))


# ---- Other servers ---------------------------------------------------------------------------------------------


class TestRedis:
    def test_import_takes_strings_and_names_the_rest(self, ring):
        with harness.redis_server() as port:
            load(port, hostile_records())
            load(port, {f"many:{i}": "x" * (i % 50) for i in range(3000)})
            with harness.Resp(port) as client:
                client.call("HSET", "a hash", "f", "v")
                client.call("RPUSH", "a list", "1")
                client.call("RPUSH", "another list", "1")
                client.call("XADD", "a stream", "*", "f", "v")
            imported = gyre("import", f"redis://127.0.0.1:{port}", "-o", "json", node=ring.nodes[0])
            assert imported.status == REFUSED, imported  # partly: not everything was taken
            assert imported.json()["unsupported"] == {"hash": 1, "list": 2, "stream": 1}
            assert imported.json()["failed"] == 0
            same(dump(port), dump(ring.nodes[1].resp_port), slack_ms=60_000)
            text = gyre("import", f"redis://127.0.0.1:{port}", "--if-absent", node=ring.nodes[0])
            assert "2 of type list, not taken" in text.out and "were there already" in text.out, text

    def test_export_and_back(self, ring, node):
        load(ring.nodes[0].resp_port, hostile_records())
        load(ring.nodes[0].resp_port, {f"many:{i}": "x" * (i % 50) for i in range(3000)})
        with harness.redis_server("--requirepass", "p@ss/word") as port:
            url = f"redis://:p%40ss%2Fword@127.0.0.1:{port}/5"
            exported = gyre("export", url, "-o", "json", node=ring.nodes[2])
            assert exported.status == DONE and exported.json()["complete"], exported
            before = dump(ring.nodes[0].resp_port)
            assert exported.json()["keys"] == len(before)
            back = gyre("import", url, node=node)
            assert back.status == DONE, back
            same(before, dump(node.resp_port), slack_ms=60_000)
            for wrong in ("redis://:wrong@", "redis://"):
                refused = gyre("import", f"{wrong}127.0.0.1:{port}", node=node)
                assert refused.status == REFUSED and "AUTH" in refused.err, refused
                assert "wrong@" not in refused.err

    def test_flags_that_have_no_place_are_counted(self, node):
        memcached_call(node.memcached_port, b"set flagged 5 0 1\r\nx\r\n", b"STORED\r\n")
        with harness.redis_server() as port:
            exported = gyre("export", f"redis://127.0.0.1:{port}", "-o", "json", node=node)
            assert exported.status == DONE and exported.json()["flags_dropped"] == 1, exported

    def test_what_the_server_refuses_is_counted(self, node):
        load(node.resp_port, {f"k{i}": "v" * 1000 for i in range(2000)})
        with harness.redis_server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as port:
            exported = gyre("export", f"redis://127.0.0.1:{port}", "-o", "json", node=node)
            assert exported.status == REFUSED, exported
            assert exported.json()["failed"] > 0 and "maxmemory" in exported.json()["first_error"], exported


class TestMemcached:
    def test_import(self, ring):
        with harness.memcached_server() as port:
            for i in range(500):
                memcached_call(port, b"set many:%d %d 0 3\r\nabc\r\n" % (i, i), b"STORED\r\n")
            memcached_call(port, b"set expires 1 3600 4\r\n\x00\xff\r\n\r\n", b"STORED\r\n")
            memcached_call(port, b"set od%d%%20d 9 0 0\r\n\r\n" % 1, b"STORED\r\n")
            imported = gyre("import", f"memcached://127.0.0.1:{port}", "-o", "json", node=ring.nodes[0])
            assert imported.status == DONE and imported.json()["keys"] == 502, imported
            for key in [b"many:%d" % i for i in range(0, 500, 50)] + [b"expires", b"od1%20d"]:
                request = b"get " + key + b"\r\n"
                assert memcached_call(ring.nodes[1].memcached_port, request) == memcached_call(port, request)
            left = dump(ring.nodes[0].resp_port)[b"expires"][1] - time.time() * 1000
            assert HOUR_MS - 120_000 < left <= HOUR_MS + 1000

    def test_export(self, ring):
        with harness.memcached_server() as port:
            load(ring.nodes[0].resp_port, {f"many:{i}": b"\r\nEND\r\n" for i in range(1000)})
            load(ring.nodes[0].resp_port, {"expires": ("x", HOUR_MS), "with blank": "x", "k" * 251: "x", "": "x"})
            memcached_call(ring.nodes[0].memcached_port, b"set flagged 77 0 1\r\nx\r\n", b"STORED\r\n")
            exported = gyre("export", f"memcached://127.0.0.1:{port}", "-o", "json", node=ring.nodes[0])
            assert exported.status == REFUSED, exported  # three keys cannot be there
            assert (exported.json()["keys"], exported.json()["failed"]) == (1002, 3)
            assert "no blanks" in exported.json()["first_error"]
            for key in (b"many:0", b"many:999", b"expires", b"flagged"):
                request = b"get " + key + b"\r\n"
                assert memcached_call(port, request) == memcached_call(ring.nodes[0].memcached_port, request)
            listed = memcached_call(port, b"lru_crawler metadump all\r\n").decode()
            expiry = next(line for line in listed.splitlines() if line.startswith("key=expires ")).split()[1]
            assert abs(int(expiry.removeprefix("exp=")) - time.time() - 3600) < 120

    def test_where_keys_cannot_be_listed_import_is_refused(self, ring, node):
        refused = gyre("import", f"memcached://127.0.0.1:{ring.nodes[0].memcached_port}", node=node)
        assert refused.status == REFUSED and "metadump" in refused.err, refused


# ---- Files ------------------------------------------------------------------------------------------------------


class TestFiles:
    @pytest.mark.parametrize("name", ["all.json", "all.csv"])
    def test_hostile_bytes_come_back(self, ring, node, tmp_path, name):
        load(ring.nodes[0].resp_port, hostile_records())
        memcached_call(ring.nodes[1].memcached_port, b"set flagged 12 0 2\r\n\xff\x00\r\n", b"STORED\r\n")
        path = tmp_path / name
        exported = gyre("export", path, node=ring.nodes[0])
        assert exported.status == DONE, exported
        assert sorted(p.name for p in tmp_path.iterdir()) == [name]
        assert gyre("export", path, node=ring.nodes[0]).status == REFUSED
        imported = gyre("import", path, node=node)
        assert imported.status == DONE, imported
        same(dump(ring.nodes[0].resp_port), dump(node.resp_port), slack_ms=60_000)
        assert memcached_call(node.memcached_port, b"get flagged\r\n").startswith(b"VALUE flagged 12 2\r\n\xff\x00")

    def test_standard_input_and_output(self, ring, node):
        load(ring.nodes[0].resp_port, {"a": "1", "b": ("2", HOUR_MS)})
        exported = gyre("export", "-", "--format", "json", "-o", "json", node=ring.nodes[0])
        assert exported.status == DONE, exported
        lines = [json.loads(line) for line in exported.out.splitlines()]
        assert sorted(line["key"] for line in lines) == ["a", "b"]
        assert json.loads(exported.err)["keys"] == 2
        imported = gyre("import", "-", "--format", "json", node=node, stdin=exported.out)
        assert imported.status == DONE and imported.out.startswith("2 keys"), imported
        same(dump(ring.nodes[0].resp_port), dump(node.resp_port), slack_ms=60_000)

    def test_other_programs_read_and_write_them(self, node, tmp_path):
        with open(tmp_path / "in.csv", "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["key", "value"])
            writer.writerow(["multi\nline", 'say "hi", twice'])
        assert gyre("import", tmp_path / "in.csv", node=node).status == DONE
        assert gyre("export", tmp_path / "out.csv", node=node).status == DONE
        with open(tmp_path / "out.csv", newline="") as text:
            assert list(csv.DictReader(text)) == [{"key": "multi\nline", "value": 'say "hi", twice', "ttl_ms": "",
                                                   "flags": "", "encoding": ""}]

    def test_bad_lines(self, node, tmp_path):
        path = tmp_path / "bad.json"
        path.write_text('{"key": "a", "value": "1"}\nnonsense\n{"key": "b", "value": "2"}\n')
        refused = gyre("import", path, node=node)
        assert refused.status == REFUSED and "line 2 is no JSON" in refused.err, refused
        partly = gyre("import", path, "--skip-bad", "-o", "json", node=node)
        assert partly.status == REFUSED and (partly.json()["keys"], partly.json()["bad_lines"]) == (2, 1), partly
        assert sorted(dump(node.resp_port)) == [b"a", b"b"]


class TestExitStatus:
    def test_usage(self, node, tmp_path):
        for words in (("backup",), ("import", "what"), ("import", "-"), ("import", "http://a"), ("export", "redis://a:x"),
                      ("restore", "a", "b"), ("backup", "a", "--limit", "fast"), ("import", "redis://a", "--format", "csv")):
            result = gyre(*words, node=node)
            assert result.status == USAGE and result.out == "", (words, result)

    def test_cannot_connect(self, node, tmp_path):
        assert gyre("--connect", "127.0.0.1:1", "backup", tmp_path / "b").status == CANNOT_CONNECT
        assert not (tmp_path / "b").exists()
        for scheme in ("redis", "memcached"):
            for command in ("import", "export"):
                result = gyre(command, f"{scheme}://127.0.0.1:1", node=node)
                assert result.status == CANNOT_CONNECT and "127.0.0.1:1" in result.err, result

    def test_in_a_script_standard_input_has_the_commands(self, node, tmp_path):
        result = gyre(node=node, stdin=f"set a 1\nbackup {tmp_path}/b\nimport - --format json\n")
        assert result.status == REFUSED and "line 3" in result.err, result
        assert (tmp_path / "b" / "manifest.json").exists()
