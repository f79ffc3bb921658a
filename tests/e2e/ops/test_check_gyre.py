"""scripts/deploy/nagios/check_gyre: what it says of real nodes, of nodes in trouble, and of what is no node at all.

Trouble is made by a small HTTP server that serves a real node's pages with some figures changed.
"""

import contextlib
import http.server
import importlib.machinery
import importlib.util
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

import harness

PLUGIN = harness.ROOT / "scripts" / "deploy" / "nagios" / "check_gyre"
OK, WARNING, CRITICAL, UNKNOWN = range(4)
STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
PERFORMANCE = re.compile(r"'([a-z0-9_]+)'=(U|-?[0-9.]+)(%|B|s|ms|)((?:;[^; ]*){0,4})$")


def load():
    loader = importlib.machinery.SourceFileLoader("check_gyre", str(PLUGIN))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_gyre", loader))
    sys.modules["check_gyre"] = module
    old, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = old
    return module


check_gyre = load()


class Result:
    def __init__(self, done):
        self.state = done.returncode
        self.out, self.error = done.stdout, done.stderr
        self.line = self.out.splitlines()[0] if self.out else ""
        self.text, _, performance = self.line.partition(" | ")
        self.values = {}
        for word in performance.split():
            match = PERFORMANCE.match(word)
            assert match, f"not performance data: {word!r}"
            self.values[match[1]] = None if match[2] == "U" else float(match[2])

    def __repr__(self):
        return f"exit {self.state}: {self.out}{self.error}"


@pytest.fixture
def check(tmp_path):
    """Runs the plugin, with its state files in a folder of the test's own."""
    folder = tmp_path / "state"

    def run(port, *arguments, host="127.0.0.1", lines=1):
        done = subprocess.run(
            [PLUGIN, "-H", host, "-p", str(port), "--state-dir", folder, "--interval", "0.1", *map(str, arguments)], text=True,
            capture_output=True, timeout=60 * harness.PATIENCE, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
        result = Result(done)
        assert not result.error, result
        assert result.state in range(4) and result.line.startswith("GYRE"), result
        assert f" {STATES[result.state]} - " in result.line, result
        assert lines is None or len(result.out.splitlines()) == lines, result
        return result

    return run


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, body = self.server.pages.get(self.path, (404, "no such page\n"))
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Fake:
    """A server that answers like a node whose figures can be changed."""

    def __init__(self, node):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.port = self.server.server_address[1]
        self.pages = self.server.pages = {path: node.http(path) for path in ("/ready", "/metrics", "/status")}
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def metric(self, name, value):
        """The sample, or the first of its loops, gets the value."""
        text, count = re.subn(rf"^({re.escape(name)}(?:{{[^}}]*}})?) \S+$", rf"\1 {value}", self.pages["/metrics"][1],
                              count=1, flags=re.M)
        assert count == 1, name
        self.pages["/metrics"] = (200, text)

    def status(self, change):
        status = json.loads(self.pages["/status"][1])
        change(status)
        self.pages["/status"] = (200, json.dumps(status))


@pytest.fixture
def fake(ring):
    server = Fake(ring.nodes[0])
    yield server
    server.close()


@contextlib.contextmanager
def talker(answer):
    """A TCP server that calls `answer(connection)` for each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class TestThresholds:
    @pytest.mark.parametrize("text, quiet, loud", [
        ("10", (0, 5, 10), (-0.1, 10.1)),
        ("10:", (10, 1e9), (9.9, -1)),
        ("~:10", (-1e9, 10), (10.1,)),
        (":10", (0, 10), (-1, 11)),
        ("10:20", (10, 15, 20), (9.9, 20.1)),
        ("@10:20", (9.9, 20.1), (10, 15, 20)),
        ("@10", (-1, 11), (0, 10)),
        ("-5:-1.5", (-5, -2), (-6, 0)),
        ("1e3:", (1000,), (999,)),
        ("~:", (-1e9, 1e9), ()),
    ])
    def test_ranges(self, text, quiet, loud):
        one = check_gyre.Range(text)
        assert not any(one.alerts(value) for value in quiet)
        assert all(one.alerts(value) for value in loud)

    @pytest.mark.parametrize("text", ["", ":", "@", "ten", "10:5", "1:2:3", "~", "10-20", "nan", "inf", "1;2", " 1"])
    def test_what_is_no_range(self, text, check):
        with pytest.raises(check_gyre.Problem):
            check_gyre.Range(text)
        assert check(1, "-m", "memory", "-w", text).state == UNKNOWN

    def test_quantiles(self):
        inf = float("inf")
        assert check_gyre.quantile({}, 0.99) is None
        assert check_gyre.quantile({0.1: 0, inf: 0}, 0.99) is None
        assert check_gyre.quantile({0.1: 100, inf: 100}, 0.5) == pytest.approx(0.05)
        assert check_gyre.quantile({0.1: 50, 0.2: 100, inf: 100}, 0.75) == pytest.approx(0.15)
        assert check_gyre.quantile({0.1: 50, inf: 100}, 0.99) == 0.1


class TestUsage:
    def test_version_is_the_releases(self):
        release = re.search(r"project\(gyre VERSION (\S+)", (harness.ROOT / "CMakeLists.txt").read_text())[1]
        done = subprocess.run([PLUGIN, "--version"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"check_gyre {release}\n")

    def test_help_lists_every_value(self, ring, check):
        done = subprocess.run([PLUGIN, "--help"], capture_output=True, text=True)
        assert done.returncode == 0
        values = check(ring.nodes[0].http_port).values
        assert not [label for label in values if not re.search(rf"\b{label}\b", done.stdout)]
        only_with_majority = {"leases_missing"}
        assert {label for label in check_gyre.DEFAULTS if label not in values} == only_with_majority

    @pytest.mark.parametrize("arguments", [
        ("-m", "everything"), ("-t", "0"), ("-t", "soon"), ("-t", "5:maybe"), ("--hold", "-1"), ("--nonsense",), ("--interval", "0"),
        ("-w", "5"), ("-m", "memory", "-w", "no_such_value=5")])
    def test_a_mistake_is_unknown_and_said(self, node, check, arguments):
        result = check(node.http_port, *arguments)
        assert result.state == UNKNOWN and not result.values

    def test_without_a_host(self):
        done = subprocess.run([PLUGIN], capture_output=True, text=True)
        assert done.returncode == UNKNOWN and "-H" in done.stdout and not done.stderr

    @pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "\u0663"])
    def test_a_bad_port(self, check, port):
        assert check(port).state == UNKNOWN


class TestRealRing:
    def test_all_is_well(self, ring, check):
        for node in ring.nodes:
            # The machine may be busy with the other tests: how fast a turn was is theirs.
            result = check(node.http_port, "-w", "latency_p99=none", "-c", "latency_p99=none", "-w", "pauses=none")
            assert result.state == OK, result
            assert result.values["alive"] == 3 and result.values["ready"] == 1
            assert len(result.values) >= 30

    @pytest.mark.parametrize("mode", check_gyre.MODES)
    def test_each_mode(self, ring, check, mode):
        result = check(ring.nodes[1].http_port, "-m", mode, "-w", "latency_p99=none", "-c", "latency_p99=none",
                       "-w", "pauses=none") if mode == "latency" else check(ring.nodes[1].http_port, "-m", mode)
        assert result.state == OK and result.text.startswith(f"GYRE {mode.upper()} OK - "), result
        assert check_gyre.MODES[mode][1] in result.values

    def test_verbose_has_a_line_for_each_value(self, node, check):
        result = check(node.http_port, "-m", "ring", "-v", lines=None)
        assert len(result.out.splitlines()) == 1 + len(result.values)
        assert "unowned: 0 (warning none, critical 0): OK" in result.out

    def test_hit_rate_since_the_last_check(self, node, check):
        with node.resp() as client:
            client.call("SET", "k", "v")
            client.pipeline([("GET", "none")] * 500)
            first = check(node.http_port, "-m", "hitrate", "--min-reads", 1000)
            assert first.state == OK and "too few" in first.text and first.values["hitrate"] is None
            client.pipeline([("GET", "k")] * 900 + [("GET", "none")] * 100)
        second = check(node.http_port, "-m", "hitrate", "-w", "95:", "-c", "50:")
        assert second.values["hitrate"] == pytest.approx(90, abs=0.5) and second.state == WARNING
        assert "only 90" in second.text

    def test_a_dead_member_is_named_with_what_to_do(self, check):
        with harness.Ring(3, {"--evict-after": "1h"}) as ring:
            assert check(ring.nodes[0].http_port, "-m", "ring").state == OK
            ring.nodes[2].kill()
            seen = harness.wait_for(lambda: (r := check(ring.nodes[0].http_port, "-m", "ring")).values["dead"] and r,
                                    "the death is seen")
            harness.wait_for(lambda: check(ring.nodes[0].http_port, "-m", "ring").values["missing_copies"] == 0,
                             "the copies are whole again")
            again = check(ring.nodes[0].http_port, "-m", "ring")
            assert again.state == WARNING and "n3 (127.0.0.1:" in again.text and "start it again" in again.text
            assert f"gyre --connect {ring.nodes[0].address} status" in again.text
            since = re.search(r"dead since (\S+ \S+)", again.text)[1]
            assert since in seen.text, "when it died moves on with each check"
            gone = check(ring.nodes[2].http_port)
            assert gone.state == CRITICAL and "nothing listens" in gone.text
            assert check(ring.nodes[2].http_port, "-m", "memory").state == UNKNOWN
            ring.restart(ring.nodes[2])
            ring.wait_settled(3)
            assert check(ring.nodes[0].http_port, "-m", "ring").state == OK


    def test_data_that_is_lost(self, check):
        with harness.Ring(3, {"--replicas": 1, "--evict-after": "1h"}) as ring:
            assert check(ring.nodes[0].http_port, "-m", "ring").state == OK
            ring.nodes[2].kill()
            result = harness.wait_for(lambda: (r := check(ring.nodes[0].http_port, "-m", "ring")).values["losses"] and r,
                                      "the loss is seen", 30 * harness.PATIENCE)
            assert result.state == CRITICAL and "began empty: the data is gone" in result.text
            assert check(ring.nodes[0].http_port, "-m", "ring").state == CRITICAL

    def test_a_node_without_a_majority(self, check):
        with harness.Ring(3, {"--consistency": "majority", "--evict-after": "1h"}) as ring:
            left = ring.nodes[0]
            assert harness.wait_for(lambda: check(left.http_port, "-m", "ring").state == OK, "all is well")
            for other in ring.nodes[1:]:
                other.kill()
            result = harness.wait_for(lambda: (r := check(left.http_port, "-m", "ring")).state == CRITICAL and r,
                                      "it is seen", 30 * harness.PATIENCE)
            assert "does not see a majority of the ring" in result.text and result.values["leases_missing"] > 100


class TestTrouble:
    """(what is changed, mode, state, what the line says)"""

    @pytest.mark.parametrize("metric, value, mode, state, says", [
        ("gyre_ring_partitions_unowned", 3, "ring", CRITICAL, "3 partitions of 1024 have no owner"),
        ("gyre_ring_partitions_under_replicated", 1, "ring", WARNING, "1 partition of 1024 lack"),
        ("gyre_client_memory_bytes", 66_000_000, "memory", WARNING, "--client-memory"),
        ("gyre_replication_queue_bytes", 20 << 20, "replication", WARNING, "20.0 MiB of writes"),
        ("gyre_replication_queue_bytes", 60 << 20, "replication", CRITICAL, "not yet acknowledged"),
    ])
    def test_a_figure_beyond_its_default(self, fake, check, metric, value, mode, state, says):
        assert check(fake.port, "-m", mode).state == OK
        fake.metric(metric, value)
        result = check(fake.port, "-m", mode)
        assert result.state == state and says in result.text, result
        everything = check(fake.port, "-w", "latency_p99=none", "-c", "latency_p99=none", "-w", "pauses=none")
        assert everything.state == state and f"{mode}: " in everything.text and "other 7 checks are OK" in everything.text

    @pytest.mark.parametrize("metric, mode, state, says", [
        ("gyre_partition_losses_total", "ring", CRITICAL, "4 partitions lost all copies"),
        ("gyre_refused_memory_total", "memory", CRITICAL, "4 stores refused"),
        ("gyre_memory_reserve_used_total", "memory", CRITICAL, "no memory left 4 times"),
        ("gyre_connections_rejected_total", "connections", CRITICAL, "4 connections refused"),
        ("gyre_accept_errors_total", "connections", WARNING, "ulimit -n"),
        ("gyre_replication_late_total", "replication", WARNING, "outcome is unknown"),
    ])
    def test_an_event_counts_while_it_is_held(self, fake, check, metric, mode, state, says):
        assert check(fake.port, "-m", mode).state == OK
        fake.metric(metric, 4)
        for _ in range(2):
            result = check(fake.port, "-m", mode)
            assert result.state == state and says in result.text, result
        assert check(fake.port, "-m", mode, "--hold", 0).state in (OK, state)
        harness.wait_for(lambda: check(fake.port, "-m", mode, "--hold", 0).state == OK, "the event is over")

    def test_old_events_of_a_node_seen_for_the_first_time(self, fake, check):
        fake.metric("gyre_partition_losses_total", 4)
        fake.metric("gyre_start_time_seconds", time.time() - 100_000)
        assert check(fake.port, "-m", "ring").state == OK
        fake.metric("gyre_start_time_seconds", time.time() - 10)  # it restarted, and lost some at once
        result = check(fake.port, "-m", "ring")
        assert result.state == CRITICAL and result.values["losses"] == 4

    @pytest.mark.parametrize("eta, says", [(90, "n1 is filling 7 partitions, done in 2 min"), (-1, "stands still")])
    def test_how_long_new_copies_take(self, fake, check, eta, says):
        for metric, value in (("gyre_ring_partitions_under_replicated", 9), ("gyre_transfer_partitions_left", 7),
                              ("gyre_rebalance_eta_seconds", eta)):
            fake.metric(metric, value)
        result = check(fake.port, "-m", "ring")
        assert result.state == WARNING and "9 partitions of 1024 lack a copy" in result.text and says in result.text

    def test_evictions_have_the_thresholds_that_one_gives(self, fake, check):
        assert check(fake.port, "-m", "memory").state == OK
        fake.metric("gyre_evicted_total", 1_000_000)
        result = check(fake.port, "-m", "memory")
        assert result.state == OK and result.values["evictions"] > 1000
        fake.metric("gyre_evicted_total", 100_000_000)
        result = check(fake.port, "-m", "memory", "-w", "50", "-c", "evictions=500")
        assert result.state == CRITICAL and "evictions/s: the data outgrows --memory" in result.text

    @pytest.mark.parametrize("ahead, state, says", [(150, OK, "within 150"), (-300, WARNING, "300.0 ms behind"),
                                                    (700, CRITICAL, "700.0 ms ahead of")])
    def test_clocks(self, fake, check, ahead, state, says):
        def change(status):
            next(m for m in status["members"] if m["name"] == "n2")["clock_ahead_ms"] = ahead
        fake.status(change)
        result = check(fake.port, "-m", "clock")
        assert result.state == state and says in result.text, result
        assert state == OK or ("n2" in result.text and "chronyc" in result.text)

    @pytest.mark.parametrize("member_state, says", [("suspect", "does not answer the probes"), ("dead", "start it again"),
                                                    ("stopped", "keeps its place")])
    def test_members(self, fake, check, member_state, says):
        def change(status):
            next(m for m in status["members"] if m["name"] == "n2")["state"] = member_state
        fake.status(change)
        result = check(fake.port, "-m", "ring")
        assert result.state == WARNING and f"is {member_state} since" in result.text and says in result.text
        assert check(fake.port, "-m", "ring", "-w", f"{member_state}=1").state == OK

    def test_many_dead_members_fit_a_line(self, fake, check):
        def change(status):
            one = next(m for m in status["members"] if m["name"] == "n2")
            status["members"] += [dict(one, name=f"d{n}", id=str(n), state="dead") for n in range(200)]
        fake.status(change)
        result = check(fake.port, "-m", "ring")
        assert "and 195 more are dead" in result.text and len(result.line) < 2000

    def test_not_ready_says_why(self, fake, check):
        fake.pages["/ready"] = (503, "filling 17 partitions\n")
        result = check(fake.port, "-m", "ready")
        assert result.state == CRITICAL and "filling 17 partitions" in result.text

    def test_drained_is_a_warning(self, fake, check):
        fake.pages["/ready"] = (503, "drained\n")
        fake.status(lambda status: next(m for m in status["members"] if m["self"]).update(state="drained", drained=True))
        result = check(fake.port, "-m", "ready")
        assert result.state == WARNING and "gyre undrain n1" in result.text

    def test_p99_of_the_histogram(self, fake, check):
        head = re.sub(r"^(# (HELP|TYPE) )?gyre_(loop_busy|request_duration)_seconds.*\n", "", fake.pages["/metrics"][1], flags=re.M)

        def histogram(fast, slow):
            fake.pages["/metrics"] = (200, head + "".join(
                f'h_seconds_bucket{{le="{le}"}} {n}\n' for le, n in (("0.001", fast), ("0.5", fast + slow),
                                                                      ("+Inf", fast + slow))))
        histogram(1000, 0)
        result = check(fake.port, "-m", "latency")
        assert result.state == UNKNOWN and "no histogram of times" in result.text, result
        assert check(fake.port, "-m", "latency", "--histogram", "h_seconds").state == OK
        histogram(2000, 1000)  # since the last check half of them were slow
        result = check(fake.port, "-m", "latency", "--histogram", "h_seconds")
        assert result.state == CRITICAL and result.values["latency_p99"] == pytest.approx(490, abs=1)


BROKEN = {
    "RESP": b"-ERR unknown command 'GET'\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\ngyre_build_info 1\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\nab",
    "no length and no last line end": b"HTTP/1.1 200 OK\r\n\r\ngyre_build_info 1\ngyre_hi",
    "another web server": b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>",
    "a page that is not there": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "somewhere else": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "bytes that are no text": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\xff\xfe\x00\x80|\n",
    "a list": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
    "a deep list": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000,
}


class TestBadAnswers:
    @pytest.mark.parametrize("mode", ["all", "ring", "clock"])
    @pytest.mark.parametrize("answer", BROKEN)
    def test_is_unknown(self, check, answer, mode):
        def say(connection):
            connection.recv(4096)
            connection.sendall(BROKEN[answer])
        with talker(say) as port:
            result = check(port, "-m", mode)
        assert result.state == UNKNOWN and not result.values, result
        assert "fault of check_gyre" not in result.text and "|" not in result.line

    @pytest.mark.parametrize("page, text", [
        ("/metrics", "gyre_build_info{ 1\n"), ("/metrics", "gyre_build_info one\n"), ("/metrics", "\n"),
        ("/metrics", "other_build_info 1\n"), ("/metrics", "gyre_build_info 1\n"),
        ("/metrics", "gyre_build_info 1\ngyre_start_time_seconds NaN\n"),
        ("/status", "{}"), ("/status", '{"members": 1}'), ("/status", '{"members": [{"name": 1}]}'), ("/status", "null"),
    ])
    def test_a_page_that_makes_no_sense(self, fake, check, page, text):
        fake.pages[page] = (200, text)
        result = check(fake.port, "-m", "ring")
        assert result.state == UNKNOWN and not result.values and page in result.text, result

    @pytest.mark.parametrize("field, value", [("port", "x"), ("clock_ahead_ms", "x"), ("id", None), ("state", 7)])
    def test_a_member_that_makes_no_sense(self, fake, check, field, value):
        fake.status(lambda status: status["members"][0].update({field: value}))
        assert check(fake.port, "-m", "ring").state == UNKNOWN

    def test_a_name_cannot_break_the_line(self, fake, check):
        def change(status):
            next(m for m in status["members"] if m["name"] == "n2").update(name="n2 | 'dead'=0\nOK", state="dead")
        fake.status(change)
        result = check(fake.port, "-m", "ring")
        assert result.state == WARNING and result.line.count("|") == 1 and result.values["dead"] == 1

    def test_silence(self, check):
        with talker(lambda connection: connection.recv(1 << 20) and connection.recv(1)) as port:
            result = check(port, "-t", "0.3")
            assert result.state == UNKNOWN and "within 0.3 s" in result.text
            assert check(port, "-t", "0.3:critical").state == CRITICAL

    def test_an_answer_that_drips(self, check):
        stop = threading.Event()

        def drip(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not stop.wait(0.05):
                connection.sendall(b"x")
        with talker(drip) as port:
            result = check(port, "-t", "0.5")
            stop.set()
        assert result.state == UNKNOWN and "within 0.5 s" in result.text

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a" * 300, "two words", "|", "a\nb", "\u00e4"])
    def test_no_such_host(self, check, host):
        assert check(7780, "-t", "20", host=host).state == UNKNOWN

    def test_nothing_listens(self, check):
        port = harness.free_port()
        assert check(port, "-m", "ready").state == CRITICAL
        assert check(port).state == CRITICAL
        assert check(port, "-m", "ring").state == UNKNOWN


class TestState:
    def test_what_is_spoilt_or_not_ours_is_not_used(self, node, check, tmp_path):
        folder = tmp_path / "state"
        assert check(node.http_port, "-m", "memory").state == OK
        [file] = folder.iterdir()
        for text in ("", "{", "[]", '{"at": "x"}', '{"at": 1e999, "start": 1, "counters": {}}', "\0" * 100):
            file.write_text(text)
            assert check(node.http_port, "-m", "memory").state == OK
            assert json.loads(file.read_text())["counters"], "it was not written anew"
        folder.chmod(0o777)
        before = file.read_text()
        assert check(node.http_port, "-m", "memory").state == OK
        assert file.read_text() == before, "a folder that others can write to was trusted"

    def test_a_folder_that_cannot_be_there(self, node, tmp_path):
        (tmp_path / "file").write_text("")
        done = subprocess.run([PLUGIN, "-H", "127.0.0.1", "-p", str(node.http_port), "-m", "memory", "--state-dir",
                               tmp_path / "file" / "x"], capture_output=True, text=True)
        assert done.returncode == OK and "evictions/s" in done.stdout

    def test_leaves_nothing_but_one_file_a_mode(self, node, check, tmp_path):
        for _ in range(2):
            for mode in ("memory", "hitrate", "ready"):
                check(node.http_port, "-m", mode)
        assert len(list(pathlib.Path(tmp_path / "state").iterdir())) == 2
