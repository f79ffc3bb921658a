"""What an operator asks once something is wrong: which key, how far, what would move, what to send; and many commands at
once."""

import io
import json
import subprocess
import tarfile
import threading

import pytest

import harness
from harness import binary, gyre
from tmux import Tmux

DONE, REFUSED, USAGE = 0, 1, 2


def piped(node, data, *options):
    done = subprocess.run([binary("gyre"), "--connect", node.address, "pipe", *options], input=data, capture_output=True,
                          timeout=60 * harness.PATIENCE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class TestPipe:
    def test_lines_and_resp(self, ring):
        value = bytes(range(256)) + b"\r\n*3\r\n"
        data = "".join(f"SET pipe:{number} 'a value {number}'\n" for number in range(5000)).encode()
        data += b"# a comment\n\n" + b"INCR pipe:count\n" * 300
        data += harness.Resp.encode("SET", "pipe:binary", value)
        status, out, err = piped(ring.nodes[0], data, "-o", "json")
        assert status == DONE, err
        summary = json.loads(out)
        assert summary["commands"] == 5301 and summary["errors"] == 0 and summary["bytes"] == len(data)
        with ring.nodes[1].resp() as client:
            assert client.call("GET", "pipe:4999") == b"a value 4999"
            assert client.call("GET", "pipe:count") == b"300"
            assert client.call("GET", "pipe:binary") == value
            assert client.call("DBSIZE") == 5002

    def test_errors_name_the_command(self, node):
        status, out, err = piped(node, b"SET k text\nINCR k\nGET 'open\nSET last v\nNOSUCH\n")
        assert status == REFUSED
        assert "command 2 (INCR): wrong_type" in err and "command 3: invalid_argument" in err, err
        assert "command 5 (NOSUCH): unknown_command" in err, err
        assert out.startswith("4 commands, 3 errors"), out
        with node.resp() as client:
            assert client.call("GET", "last") == b"v", "what follows is done all the same"

    def test_what_cannot_be_told_apart_is_not_sent(self, node):
        status, out, err = piped(node, harness.Resp.encode("SET", "k", "v") + b"*2\r\n+GET\r\n*1\r\n$7\r\nFLUSHALL\r\n")
        assert status == REFUSED and "not all was sent" in out and "stands no RESP" in err, (out, err)

    def test_a_node_in_front_of_a_script_reads_it(self, node):
        assert gyre(node=node, stdin="pipe\nset k v\n").status == USAGE


class TestRepeating:
    def test_so_often(self, node):
        assert gyre("-r", 3, "incr", "n", node=node).out == "1\n2\n3\n"
        assert gyre("incr", "n", "-r", 2, "-i", "0.01", node=node).out == "4\n5\n"
        assert gyre(node=node, stdin="incr n -r 2\nincr n\n").out == "6\n7\n8\n"
        assert gyre("-r", "x", "ping", node=node).status == USAGE

    def test_until_it_is_interrupted(self, node):
        process = subprocess.Popen([binary("gyre"), "--connect", node.address, "-i", "0.01", "incr", "n"],
                                   stdout=subprocess.PIPE, text=True)
        assert [process.stdout.readline().strip() for _ in range(20)] == [str(number) for number in range(1, 21)]
        process.terminate()
        process.wait()
        process.stdout.close()


def test_stat(ring):
    with ring.nodes[0].resp() as client:
        client.pipeline([("SET", f"k{number}", "v") for number in range(200)])
    lines = gyre("--stat", "--count", 2, "--interval", 0.3, "-o", "json", node=ring.nodes[0])
    assert lines.status == DONE, lines
    documents = [json.loads(line) for line in lines.out.splitlines()]
    assert len(documents) == 2
    assert documents[0]["keys"] == 200 and documents[0]["nodes_answered"] == 3
    assert documents[0]["memory_limit_bytes"] == sum(node.status()["memory"]["limit_bytes"] for node in ring.nodes)
    text = gyre("stat", "--count", 2, "--interval", 0.1, node=ring.nodes[0]).out.splitlines()
    assert len(text) == 3 and text[0].split()[0] == "KEYS" and text[1].split()[0] == "200", text


def test_hotkeys(ring):
    stop = threading.Event()

    def ask():
        with ring.nodes[0].resp() as client:
            while not stop.is_set():
                client.pipeline([("GET", "the hot one")] * 60 + [("GET", f"cold:{number}") for number in range(40)])
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        def found():
            keys = gyre("hotkeys", "-o", "json", node=ring.nodes[1]).json()["keys"]
            return keys and keys[0]["key"] == "the hot one" and keys[0]["calls_per_second"] > 100
        harness.wait_for(found, "the hot key is found", 30)
        listed = gyre("hotkeys", node=ring.nodes[1])
        assert listed.out.splitlines()[1].endswith("the hot one"), listed
        top = gyre("top", "--count", 1, node=ring.nodes[0]).out
        assert "hot keys  " in top, top
    finally:
        stop.set()
        asker.join()
    with ring.nodes[0].resp() as client, pytest.raises(harness.ReplyError, match="unknown command"):
        client.call("HOTKEYS")


def test_bigkeys(ring):
    with ring.nodes[0].resp() as client:
        client.pipeline([("SET", f"small:{number}", "v" * 10) for number in range(3000)])
        client.call("SET", "big:1", "v" * 100_000)
        client.call("SET", b"big:\xff", "v" * 50_000)
    found = gyre("bigkeys", "--top", 2, "-o", "json", node=ring.nodes[1])
    assert found.status == DONE, found
    document = found.json()
    assert document["complete"] and document["failed"] == 0
    assert document["keys"] >= 3002 and document["types"]["string"]["keys"] == document["keys"]
    # In memory: with what a record takes besides its value.
    for one, value_bytes in zip(document["largest"], [100_000, 50_000], strict=True):
        assert value_bytes < one["bytes"] < value_bytes * 1.1
    assert document["largest"][0]["key"] == "big:1" and "key_base64" in document["largest"][1]
    matching = gyre("bigkeys", "--match", "small:1*", "-o", "json", node=ring.nodes[1]).json()
    assert 10 < matching["largest"][0]["bytes"] < 100 and matching["keys"] >= 1111


def test_latency(ring):
    result = gyre("latency", "--seconds", 1, "--interval", 20, "-o", "json", node=ring.nodes[0])
    assert result.status == DONE, result
    nodes = result.json()["nodes"]
    assert [node["name"] for node in nodes] == ["n1", "n2", "n3"]
    for node in nodes:
        assert node["pings"] > 5 and node["lost"] == 0
        assert 0 < node["min_us"] <= node["p50_us"] <= node["p99_us"] <= node["max_us"]


def test_a_plan_is_what_comes_of_it():
    def shares(node):
        return {each["name"]: (each["partitions_owned"], each["partitions_held"])
                for each in gyre("ring", "-o", "json", node=node).json()["nodes"]}

    with harness.Ring(4, {"--replicas": "2"}) as ring:
        asked, leaver = ring.nodes[0], ring.nodes[3]
        with asked.resp() as client:
            client.pipeline([("SET", f"k{number}", "v" * 100) for number in range(2000)])
        added = gyre("plan", "add", "n9", "-o", "json", node=asked).json()
        assert added["ring_whole"] and added["copies"] == 2048
        assert 0.15 < added["copies_moved"] / added["copies"] < 0.3, "about a fifth"
        assert {node["name"]: (node["owned_before"], node["held_before"]) for node in added["nodes"]
                if node["name"] != "n9"} == shares(asked), "it begins where the ring is"
        assert added["moved_bytes"] > 0

        planned = gyre("plan", "remove", leaver.name, "-o", "json", node=asked).json()
        assert "would move" in gyre("plan", "remove", leaver.name, node=asked).out
        assert shares(asked)[leaver.name][1] > 0, "nothing was changed"
        assert gyre("drain", leaver.name, node=asked).status == DONE
        wanted = {node["name"]: (node["owned_after"], node["held_after"]) for node in planned["nodes"]}
        harness.wait_for(lambda: shares(asked) == wanted, "the ring is as planned", 60)

        back = gyre("plan", "add", leaver.name, "-o", "json", node=asked).json()
        assert {node["name"]: node["held_after"] for node in back["nodes"]} == {
            node["name"]: node["held_before"] for node in planned["nodes"]}, "a known node has its own id"
        unknown = gyre("plan", "remove", "nobody", node=asked)
        assert unknown.status == REFUSED and "on it are: n1, n2, n3" in unknown.err, unknown
    assert gyre("plan", "move", "n1").status == USAGE


class TestConfig:
    def test_of_each_node(self, ring):
        got = gyre("config", "get", "replicas", "name", "-o", "json", node=ring.nodes[0]).json()["nodes"]
        assert [(one["name"], one["ok"], one["parameters"]["name"]) for one in got] == [
            (node.name, True, node.name) for node in ring.nodes]
        text = gyre("config", "get", "replicas", node=ring.nodes[0]).out
        assert "all 3" in text, text
        try:
            changed = gyre("config", "set", "log-level", "warn", node=ring.nodes[0])
            assert changed.status == DONE and changed.out == "n1  OK\nn2  OK\nn3  OK\n", changed
            one = gyre("config", "set", "log-level", "debug", "--node", "n2", "-o", "json", node=ring.nodes[0])
            assert one.json() == {"nodes": [{"name": "n2", "ok": True}]}
            got = gyre("config", "get", "log-level", "-o", "json", node=ring.nodes[0]).json()["nodes"]
            assert [node["parameters"]["log-level"] for node in got] == ["warn", "debug", "warn"]
        finally:
            gyre("config", "set", "log-level", "info", node=ring.nodes[0])

    def test_refused(self, ring):
        bad = gyre("config", "set", "replicas", 5, node=ring.nodes[0])
        assert bad.status == REFUSED and "n3  " in bad.out, bad
        nobody = gyre("config", "get", "*", "--node", "nobody", node=ring.nodes[0])
        assert nobody.status == REFUSED and "there are: n1, n2, n3" in nobody.err, nobody
        assert gyre("config", "get", "nosuch", node=ring.nodes[0]).status == REFUSED
        for usage in (("get",), ("set", "a"), ("resetstat", "x")):
            assert gyre("config", *usage, node=ring.nodes[0]).status == USAGE

    def test_a_node_that_is_down_is_told(self):
        with harness.Ring(2) as ring:
            ring.nodes[1].kill()
            harness.wait_for(lambda: gyre("status", node=ring.nodes[0]).status == REFUSED, "its death is known", 30)

            def told():
                return gyre("config", "set", "log-level", "info", node=ring.nodes[0])
            harness.wait_for(lambda: "n2  it is dead" in told().out, "it is told", 30)
            assert told().status == REFUSED and "n1  OK" in told().out


def test_support_bundle(ring, tmp_path):
    with ring.nodes[0].resp() as client:
        client.pipeline([("SET", "a-key-of-somebody", "a-value-of-somebody")] * 500)
    path = tmp_path / "bundle.tar.gz"
    written = gyre("support-bundle", path, "-o", "json", node=ring.nodes[0])
    assert written.status == DONE, written
    data = path.read_bytes()
    assert written.json() == {"file": str(path), "bytes": len(data)}
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    for node in ring.nodes:
        folder = f"nodes/{node.name}"
        assert json.loads(files[f"{folder}/status.json"])["own"]["name"] == node.name
        assert json.loads(files[f"{folder}/config.json"])["name"] == node.name
        assert json.loads(files[f"{folder}/restart-check.json"])["safe"] in (True, False)
        harness.parse_metrics(files[f"{folder}/metrics.txt"].decode())
        assert b"uptime_in_seconds" in files[f"{folder}/info.txt"]
    assert json.loads(files["doctor.json"])["checks"] and json.loads(files["status.json"])["verdict"]
    assert files["errors.txt"] == b"none\n"
    assert b"of-somebody" not in b"".join(files.values()), "no keys, no values"
    again = gyre("support-bundle", path, node=ring.nodes[0])
    assert again.status == REFUSED and "name another file" in again.err and path.read_bytes() == data


def test_support_bundle_hides_secrets(tmp_path):
    key = tmp_path / "gossip.key"
    key.write_text(harness.gyred("--gen-gossip-key").out)
    key.chmod(0o600)
    with harness.Ring(1, {"--gossip-key": key}) as ring:
        path = tmp_path / "bundle.tar.gz"
        assert gyre("support-bundle", path, node=ring.nodes[0]).status == DONE
        with tarfile.open(path) as archive:
            config = json.loads(archive.extractfile("nodes/n1/config.json").read())
            everything = b"".join(archive.extractfile(member).read() for member in archive)
        assert config["gossip-key"] == "(redacted)"
        assert key.read_text().strip().encode() not in everything


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_they_fit_80_columns(ring, locale):
    with ring.nodes[0].resp() as client:
        client.pipeline([("SET", f"{number}:" + "k" * 200, "v" * 100) for number in range(50)])
    with Tmux(ring.nodes[0], locale) as screen:
        screen.enter("clear; gyre latency")
        screen.wait(lambda shown: "gyre latency" in shown and "up to" in shown, "it is drawn")
        assert ("█" in screen.shown()) == (locale == "C.UTF-8")
        screen.keys("q")
        screen.wait(lambda shown: "p99.9" in shown and "q quit" not in shown,
                    "what was measured stays on the screen")
        header = next(line for line in screen.lines() if line.startswith("NODE"))
        assert header.endswith("MAX"), "no line is broken"
        screen.enter("clear; gyre bigkeys --top 5")
        screen.wait("50 keys", "it is done")
        assert len([line for line in screen.lines() if "kkk" in line]) == 5, "one line for each key"
        screen.enter("clear; gyre plan add n9")
        screen.wait(lambda shown: "would move" in shown and "\nNODE" in shown, "the plan")
        header = next(line for line in screen.lines() if line.startswith("NODE"))
        assert header.endswith("BYTES AFTER"), "no line is broken"
        screen.enter("clear; gyre --stat --count 1")
        screen.wait("3/3", "a line")
        assert next(line for line in screen.lines() if "KEYS" in line).endswith("NODES")


class TestBench:
    def test_it_cleans_up(self, ring):
        with ring.nodes[0].resp() as client:
            client.call("SET", "kept", "v")
            result = gyre("bench", "--load", "--keys", 3000, "--requests", 5000, "--routed", "--clean", node=ring.nodes[0])
            assert result.status == DONE, result
            assert "loaded 3000 keys" in result.out and "removed 3000 keys" in result.out, result
            assert client.call("DBSIZE") == 1
        assert gyre("bench", "--protocol", "resp", "--clean", node=ring.nodes[0]).status == USAGE

    def test_it_says_how_far_it_is(self, node):
        with Tmux(node, "C") as screen:
            screen.enter("clear; gyre bench --duration 4 --keys 1000")
            screen.wait("measuring [####", "the bar moves")
            screen.wait("latency ms", "the report", 30)
            assert "measuring" not in screen.shown(), "the bar is gone"
