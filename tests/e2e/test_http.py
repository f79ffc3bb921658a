"""The admin port: health, readiness, metrics; and what it says to those who ask wrongly."""

import http.client
import json
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


def test_json_logs_are_json(tmp_path):
    node = harness.Node("json", tmp_path, {"--log-format": "json"}).start()
    try:
        assert node.terminate() == 0
        lines = node.log().splitlines()
        assert lines and all(isinstance(json.loads(line), dict) for line in lines)
    finally:
        node.kill()
