"""A real Prometheus watches a real ring with the configuration, the rules and the dashboard that are shipped.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import urllib.parse
import urllib.request

import pytest

import harness

PROMETHEUS = harness.ROOT / "scripts" / "deploy" / "prometheus"
RULES = (PROMETHEUS / "gyre.rules.yml").read_text()
DASHBOARD = json.loads((harness.ROOT / "scripts" / "deploy" / "grafana" / "gyre.json").read_text())
SECONDS_MAX = 60 * harness.PATIENCE


def promtool(*arguments, stdin=None):
    """Its output; anything but success is a failure of the test."""
    done = subprocess.run(["promtool", *[str(argument) for argument in arguments]], input=stdin, capture_output=True,
                          text=True, timeout=120 * harness.PATIENCE, cwd=PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus(harness.Process):
    """With the shipped configuration and rules, made faster: a scrape a second, alerts after two."""

    def __init__(self, nodes, edit=lambda config: config):
        self.port = harness.free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="prometheus-e2e-"))
        config = (PROMETHEUS / "prometheus.yml").read_text()
        for number, node in enumerate(nodes, 1):
            config = config.replace(f"gyre-{number}.example:7780", f"{node.host}:{node.http_port}")
        config = config.replace(": 15s", ": 1s").replace("scrape_timeout: 10s", "scrape_timeout: 1s")
        config = edit(config.replace("refresh_interval: 30s", "refresh_interval: 1s"))
        (self.directory / "prometheus.yml").write_text(config)
        (self.directory / "gyre.rules.yml").write_text(re.sub(r"(?m)^( +for:) \S+$", r"\1 2s", RULES))
        super().__init__("prometheus", [
            "prometheus", f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'data'}", f"--web.listen-address=127.0.0.1:{self.port}"],
            self.directory / "log")

    def __enter__(self):
        self.spawn()
        harness.wait_for(lambda: self.get("/-/ready"), f"prometheus is ready\n{self.log()}", SECONDS_MAX)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.log())
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def get(self, path):
        assert self.alive(), self.log()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return response.read().decode()

    def query(self, expression):
        """[(labels, value)] of an instant query."""
        answer = json.loads(self.get("/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        assert answer["status"] == "success", answer
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def firing(self):
        """{(alert, node)}; the node of an alert for the whole ring is ""."""
        return {(labels["alertname"], labels.get("node", ""))
                for labels, _ in self.query('ALERTS{alertstate="firing"}')}


class Clients(threading.Thread):
    """All that clients do, a little of it, until it is stopped."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.node = node
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(0.2):
            use(self.node)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def use(node):
    with node.resp() as client:
        client.pipeline([("SET", f"k{n}", "v" * (20 * n), "PX", 500 + 100 * n) for n in range(200)])
        client.pipeline([("GET", f"k{n}") for n in range(300)])
        client.pipeline([("MGET", "k1", "k2", "k3"), ("INCR", "count"), ("DEL", "k5"), ("GET",), ("INCR", "k6")])
    with harness.Resp(node.memcached_port) as client:
        client.send_raw(b"set m 0 0 3\r\nabc\r\nget m\r\n")
        for _ in range(4):
            client._line()
    assert harness.gyre("get", "k7", node=node).status in (0, 1)


def ring_is_up(prometheus, nodes):
    up = dict((labels.get("node"), value) for labels, value in prometheus.query('up{job="gyre"}'))
    return up == {node.name: 1 for node in nodes}


# ---- What promtool says ------------------------------------------------------------------------------------------


def test_what_is_shipped_is_valid():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert "SUCCESS" in promtool("check", "rules", "gyre.rules.yml")


def test_each_alert_fires_when_it_should_and_only_then():
    tests = (PROMETHEUS / "gyre.rules_test.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", RULES):
        assert f'alertname="{alert}"' in tests, f"no test fires {alert}"
    assert "SUCCESS" in promtool("test", "rules", "gyre.rules_test.yml")


def test_each_alert_says_what_to_do():
    runbook = (PROMETHEUS.parent / "RUNBOOK.md").read_text()
    for alert in RULES.split("- alert: ")[1:]:
        name = alert.split()[0]
        assert re.search(r"severity: (critical|warning)\n", alert), name
        assert f"RUNBOOK.md, {name}." in " ".join(alert.split()), name
        assert f"\n## {name}\n" in runbook, name


@pytest.mark.parametrize("flags", [{}, {"--consistency": "majority", "--gossip-key": "key"}])
def test_the_page_has_no_fault(tmp_path, flags):
    if "--gossip-key" in flags:
        flags = {**flags, "--gossip-key": tmp_path / "key"}
        flags["--gossip-key"].write_text(harness.gyred("--gen-gossip-key").out)
        flags["--gossip-key"].chmod(0o600)
    with harness.Ring(3, flags) as ring:
        use(ring.nodes[0])
        for page in ("/metrics", "/metrics?ring=1"):
            assert promtool("check", "metrics", stdin=ring.nodes[0].http(page)[1]) == "", page


# ---- A ring that is watched --------------------------------------------------------------------------------------


def test_a_node_that_dies_is_missed():
    with harness.Ring(3) as ring, Prometheus(ring.nodes) as prometheus:
        harness.wait_for(lambda: ring_is_up(prometheus, ring.nodes), "all nodes are found through /sd", SECONDS_MAX)
        for labels, _ in prometheus.query("gyre_build_info"):
            assert labels["job"] == "gyre" and labels["cluster"] == "gyre", labels
        # Before it found the first, none was there.
        harness.wait_for(lambda: prometheus.firing() == set(), "all is well", SECONDS_MAX)
        # The node that tells Prometheus of the others, too.
        victim = ring.nodes[0]
        victim.kill()
        harness.wait_for(lambda: ("GyreNodeDown", victim.name) in prometheus.firing(), "the alert", SECONDS_MAX)
        ring.restart(victim)
        ring.wait_settled()
        harness.wait_for(lambda: prometheus.firing() == set(), "all alerts are over", SECONDS_MAX)


def test_one_node_tells_of_all():
    def ask_one(config):
        config = config[:config.index("  - job_name: gyre\n")]
        return config + (
            "  - job_name: gyre\n    metrics_path: /metrics\n    params: {ring: ['1']}\n    static_configs:\n"
            f"      - targets: ['127.0.0.1:{ring.nodes[0].http_port}']\n        labels: {{cluster: gyre}}\n")

    with harness.Ring(3) as ring, Prometheus(ring.nodes, ask_one) as prometheus:
        harness.wait_for(lambda: {labels["node"] for labels, value in prometheus.query("gyre_node_up == 1")} ==
                         {"n1", "n2", "n3"}, "one answers for all", SECONDS_MAX)
        assert len(prometheus.query("gyre_build_info")) == 3
        ring.nodes[2].kill()
        harness.wait_for(lambda: ("GyreNodeDown", "n3") in prometheus.firing(), "the alert", SECONDS_MAX)


# ---- The dashboard ------------------------------------------------------------------------------------------------


def expressions():
    """(panel, query) of the dashboard."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["label"], re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"]).group(1)


def test_each_query_of_the_dashboard_and_of_the_rules_finds_something():
    with harness.Ring(3) as ring, Prometheus(ring.nodes) as prometheus, Clients(ring.nodes[0]):
        harness.wait_for(lambda: ring_is_up(prometheus, ring.nodes), "all nodes are found", SECONDS_MAX)
        for name in re.findall(r"- record: (\S+)", RULES):
            harness.wait_for(lambda: prometheus.query(name), f"the rule {name} records something", SECONDS_MAX)

        def empty():
            return [(panel, query) for panel, query in expressions() if not prometheus.query(
                query.replace("$__rate_interval", "30s").replace("$cluster", "gyre").replace("$node", ".*"))]

        try:
            harness.wait_for(lambda: not empty(), "each query has an answer", SECONDS_MAX, interval=1)
        except AssertionError as error:
            raise AssertionError(f"{error}: {empty()}") from None
        # No number until two scrapes differ.
        harness.wait_for(lambda: 0 < prometheus.query("cluster:gyre_request_duration_seconds:p99_5m")[0][1] < 10,
                         "the p99 is one", SECONDS_MAX)
        assert {labels["command"] for labels, _ in prometheus.query("gyre_command_duration_seconds_count")} >= {
            "get", "set", "mget", "incr", "del"}
        protocols = {labels["protocol"] for labels, value in prometheus.query("gyre_request_duration_seconds_count > 0")}
        assert protocols == {"resp", "memcached", "native", "peer"}


def test_the_dashboard_is_what_grafana_takes():
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed, and Debian could not install them")
    folder = harness.ROOT / "build" / "e2e-grafana"
    if not (folder / "node_modules" / "typescript").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "@grafana/schema@13",
                               "typescript@5"], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install what describes dashboards: {done.stderr.strip()[-300:]}")
    dashboard = json.loads(json.dumps(DASHBOARD))
    for annotation in dashboard["annotations"]["list"]:
        for own in ("target", "titleFormat", "textFormat"):  # the Prometheus data source's, which the schema leaves open
            annotation.pop(own, None)
    # The schema's enums as the texts that they are in JSON.
    (folder / "dashboard.ts").write_text(
        'import type {Dashboard} from "@grafana/schema";\n'
        "type Text<T> = T extends string ? `${T}` : T extends (infer E)[] ? Text<E>[]\n"
        "  : T extends object ? {[K in keyof T]: Text<T[K]>} : T;\n"
        f"export const dashboard: Text<Partial<Dashboard>> = {json.dumps(dashboard)};\n")
    done = subprocess.run(["npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler",
                           "--module", "esnext", "--target", "es2022", "dashboard.ts"], cwd=folder, capture_output=True,
                          text=True, timeout=120 * harness.PATIENCE)
    assert done.returncode == 0, done.stdout
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
