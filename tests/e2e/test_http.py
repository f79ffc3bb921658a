"""The admin port: health, readiness, metrics; and what it says to those who ask wrongly."""

import collections
import concurrent.futures
import http.client
import json
import socket
import time
import urllib.request

import pytest

import harness


def test_health_and_readiness(ring):
    for node in ring.nodes:
        assert node.http("/health")[0] == 200
        assert node.http("/ready")[0] == 200


def test_a_node_that_cannot_reach_its_seeds_is_healthy_but_not_ready(tmp_path):
    node = harness.Node("lonely", tmp_path, {"--join": f"127.0.0.1:{harness.free_port()}"})
    try:
        node.start(wait=False)
        harness.wait_for(lambda: node.http("/health")[0] == 200, "the node is healthy")
        assert node.http("/ready")[0] == 503
    finally:
        node.kill()


@pytest.mark.parametrize("path, status", [("/nothing", 404), ("/metrics/x", 404), ("/ready?x=1", 200)])
def test_paths(node, path, status):
    assert node.http(path)[0] == status


def test_only_reading_is_allowed(node):
    assert node.http("/ready", "POST")[0] == 405
    assert node.http("/ready", "HEAD") == (200, "")


def test_one_connection_serves_many_requests(node):
    connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=10)
    for _ in range(20):
        connection.request("GET", "/ready")
        response = connection.getresponse()
        assert response.status == 200
        response.read()
    connection.close()


def test_metrics_are_prometheus_text(ring):
    for node in ring.nodes:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.http_port}/metrics", timeout=10) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            samples = harness.parse_metrics(response.read().decode())
        assert len(samples) > 20
        assert all(name.startswith(("gyre_", "process_")) for name in samples), sorted(samples)[:5]


def test_counters_only_grow_and_histograms_add_up(node):
    before = harness.parse_metrics(node.http("/metrics")[1])
    with node.resp() as client:
        client.pipeline([("SET", f"m{n}", "v") for n in range(500)] + [("GET", f"m{n}") for n in range(500)])
    body = node.http("/metrics")[1]
    after = harness.parse_metrics(body)
    types = [line.split()[2:] for line in body.splitlines() if line.startswith("# TYPE")]
    counters = {name for name, kind in types if kind == "counter"}
    grown = [name for name, value in after.items() if name.split("{")[0] in counters and value > before.get(name, 0)]
    shrunk = [name for name, value in after.items() if name.split("{")[0] in counters and value < before.get(name, 0)]
    assert grown and not shrunk, (grown, shrunk)
    assert any(after[name] - before.get(name, 0) >= 1000 for name in grown), "a thousand commands show in no counter"
    for histogram in (name for name, kind in types if kind == "histogram"):
        buckets = [(name, value) for name, value in after.items() if name.startswith(f"{histogram}_bucket{{")]
        assert any('le="+Inf"' in name for name, _ in buckets), histogram


def test_the_names_that_all_exporters_use(node):
    samples = harness.parse_metrics(node.http("/metrics")[1])
    assert samples["process_open_fds"] < samples["process_max_fds"]
    assert samples["process_resident_memory_bytes"] == pytest.approx(node.resident_bytes(), rel=0.2)
    assert samples["process_virtual_memory_bytes"] > samples["process_resident_memory_bytes"]
    assert samples["process_cpu_seconds_total"] > 0
    assert time.time() - 3600 < samples["process_start_time_seconds"] < time.time()


def test_only_commands_that_were_called_stand_on_the_page():
    with harness.Ring(1) as ring:
        with ring.nodes[0].resp() as client:
            client.call("GET", "k")
        body = ring.nodes[0].http("/metrics")[1]
        assert 'gyre_command_duration_seconds_count{command="get"}' in body
        assert 'command="object"' not in body


def test_requests_are_measured_by_protocol_and_command():
    with harness.Ring(1) as ring:  # nobody else's requests count

        def measured():
            return harness.parse_metrics(ring.nodes[0].http("/metrics")[1])

        with ring.nodes[0].resp() as client:
            client.pipeline([("SET", f"m{n}", "v" * 1000) for n in range(100)])
            client.pipeline([("GET", f"m{n}") for n in range(100)])
        harness.wait_for(lambda: measured()['gyre_request_duration_seconds_count{protocol="resp"}'] == 200,
                         "200 requests are measured")
        samples = measured()
    assert samples['gyre_command_duration_seconds_count{command="get"}'] == 100
    assert samples['gyre_command_duration_seconds_sum{command="set"}'] > 0
    assert samples['gyre_request_bytes_bucket{protocol="resp",le="1024"}'] == 100, "the GETs"
    assert samples['gyre_request_bytes_bucket{protocol="resp",le="4096"}'] == 200
    assert samples['gyre_reply_bytes_bucket{protocol="resp",le="64"}'] == 100, "the OKs"


def test_the_ring_on_one_page(ring):
    page = ring.nodes[1].http("/metrics?ring=1")[1]
    samples = harness.parse_metrics(page)
    for node in ring.nodes:
        assert samples[f'gyre_node_up{{node="{node.name}"}}'] == 1
        assert samples[f'gyre_ready{{node="{node.name}"}}'] == 1
    heads = [line for line in page.splitlines() if line.startswith("# HELP")]
    assert len(heads) == len(set(heads))
    # Many at a time get the same.
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        for status, body in threads.map(lambda _: ring.nodes[0].http("/metrics?ring=1"), range(20)):
            assert status == 200 and 'gyre_node_up{node="n3"} 1\n' in body


def test_what_is_told_of_a_node_that_is_gone():
    with harness.Ring(3) as ring:
        first, second, gone = ring.nodes
        targets = json.loads(first.http("/sd")[1])
        addresses = sorted(target["targets"][0] for target in targets)
        assert addresses == sorted(f"127.0.0.1:{node.http_port}" for node in ring.nodes)
        gone.pause()  # it takes the question and does not answer
        begin = time.monotonic()
        body = first.http("/metrics?ring=1")[1]
        assert time.monotonic() - begin < 4 * harness.PATIENCE
        assert 'gyre_node_up{node="n3"} 0\n' in body and 'gyre_node_up{node="n2"} 1\n' in body
        gone.kill()

        def told():
            members = {member["name"]: member for member in second.status()["members"]}
            return members if "since_seconds" in members["n3"] else None

        members = harness.wait_for(told, "its death is told", 20 * harness.PATIENCE)
        assert members["n3"]["state"] == "dead" and 0 <= members["n3"]["since_seconds"] < 60
        assert 200 < members["n3"]["evict_in_seconds"] <= 300
        assert "since_seconds" not in members["n2"]
        assert json.loads(first.http("/sd")[1]) != [] and len(json.loads(first.http("/sd")[1])) == 3, "it is missed"


def test_the_ring_as_the_dashboard_asks_for_it(ring):
    first = ring.nodes[0]
    with first.resp() as client:
        client.pipeline([("SET", f"d{n}", "v") for n in range(300)])
    report = json.loads(first.http("/ui/ring.json")[1])
    status = harness.gyre("status", "-o", "json", node=first).json()
    assert (report["verdict"], report["findings"]) == (status["verdict"], status["findings"])
    assert [node["name"] for node in report["nodes"]] == ["n1", "n2", "n3"]
    for node, shown in zip(ring.nodes, report["nodes"]):
        assert shown["answered"] and shown["condition"] == "alive" and not shown["stale"]
        assert shown["self"] == (node is first)
        assert shown["http_address"] == f"127.0.0.1:{node.http_port}"
        assert 0 < shown["memory_used_bytes"] < shown["memory_limit_bytes"] == 256 << 20
        assert "history" not in shown
    assert sum(node["owned_partitions"] for node in report["nodes"]) == report["partitions"]

    def records():
        return sum(node["records"] for node in json.loads(first.http("/ui/ring.json")[1])["nodes"])

    harness.wait_for(lambda: records() == 600, "two copies")
    for shown in json.loads(first.http("/ui/ring.json?history=1")[1])["nodes"]:
        past = shown["history"]
        assert past["step_seconds"] == 2 and 0 < len(past["memory_used_bytes"]) <= 150
        assert len({len(past[name]) for name in past if name != "step_seconds"}) == 1, past
    # Many pages at a time cost no more than one.
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        assert all(status == 200 for status, _ in threads.map(lambda _: first.http("/ui/ring.json"), range(40)))


def test_the_dashboard_of_a_ring_with_a_silent_node():
    with harness.Ring(3) as ring:
        first, _, silent = ring.nodes
        assert json.loads(first.http("/ui/ring.json")[1])["verdict"] == "OK"
        silent.pause()

        def seen():
            report = json.loads(first.http("/ui/ring.json")[1])
            shown = report["nodes"][2]
            return report if shown["condition"] in ("alive", "suspect") and not shown["answered"] else None

        begin = time.monotonic()
        report = harness.wait_for(seen, "its silence is seen before its death")
        assert time.monotonic() - begin < 4 * harness.PATIENCE, "one that is silent holds nothing up"
        assert report["verdict"] == "DEGRADED", report["findings"]
        assert {finding["code"] for finding in report["findings"]} & {"node_unreachable", "node_suspect"}
        assert report["nodes"][2]["stale"] and report["nodes"][2]["memory_used_bytes"] > 0, "it is shown as it was"
        harness.wait_for(lambda: json.loads(first.http("/ui/ring.json")[1])["nodes"][2]["condition"] == "dead",
                         "its death is told", 30 * harness.PATIENCE)


def test_a_node_is_observed_while_clients_hold_all_their_memory():
    """Prometheus and probes have a budget of their own; who exceeds that is closed, and no client of the cache."""
    with harness.Ring(1, {"--client-memory": "8MiB", "--max-value": "6MiB"}) as ring:
        node = ring.nodes[0]
        with node.resp() as client:
            # The page grows with each command that was called.
            for name in "GET SET EXISTS ECHO PING DBSIZE TIME TTL PTTL STRLEN TYPE DEL UNLINK TOUCH PERSIST INCR DECR GETDEL EXPIRETIME PEXPIRETIME".split():
                client.raw(name, "n")
        holders = [node.resp() for _ in range(3)]
        for holder in holders:
            holder.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2300000\r\n" + b"x" * 2_299_000)
        held = 3 * 2_299_000
        harness.wait_for(lambda: metrics(node)["gyre_client_memory_bytes"] > held, "all is held", 20)
        for _ in range(20):
            assert node.http("/ready")[0] == 200
            assert len(node.http("/metrics")[1]) > 64 << 10, "a page that needs room"
        # Pages that nobody reads: more than there is room for.
        unread = [socket.create_connection(("127.0.0.1", node.http_port)) for _ in range(40)]
        for each in unread:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

        def refused():
            """One request: there may be room for one and none for the next."""
            status, body = node.http("/metrics")
            if status == 200:
                return totals(body)["gyre_clients_closed_for_memory_total"] > 0
            assert status == 503 and "--http-port" in body and "--client-memory" not in body
            return True

        harness.wait_for(refused, "they have taken what there is for them", 20)
        for each in unread:
            each.close()

        def page():
            status, body = node.http("/metrics")
            return body if status == 200 else None

        body = harness.wait_for(page, "there is room again", 20)
        assert totals(body)["gyre_client_memory_bytes"] > held, "no client of the cache was closed"
        for holder in holders:
            holder.socket.sendall(b"x" * 1000 + b"\r\n")
            assert holder.read() == (b"+", b"OK")
            holder.close()


def metrics(node):
    return totals(node.http("/metrics")[1])


def totals(page):
    """Each name with the sum of its samples."""
    found = collections.Counter()
    for sample, value in harness.parse_metrics(page).items():
        found[sample.split("{")[0]] += value
    return found


def test_status_tells_what_clients_felt(node):
    with node.resp() as client:
        for number in range(50):
            client.call("SET", f"s{number}", "v")
        for number in range(100):
            client.call("GET", f"s{number}")
    status = node.status()
    assert status["requests_per_second"] > 0
    assert 0 < status["latency_p99_seconds"] < 10
    assert 0 < status["hit_ratio"] < 1
    assert status["consistency"] == "available" and status["write_acks"] == 1


def test_json_logs_are_json(tmp_path):
    node = harness.Node("json", tmp_path, {"--log-format": "json"}).start()
    try:
        assert node.terminate() == 0
        lines = node.log().splitlines()
        lines = [json.loads(line) for line in lines]
        serving = next(line for line in lines if line["message"] == "serving")
        assert serving["name"] == "json" and serving["node"] == "json" and serving["level"] == "info"
        assert serving["port"] == node.port and serving["http_port"] == node.http_port
        assert not any("=" in line["message"] for line in lines), "facts are fields"
    finally:
        node.kill()
