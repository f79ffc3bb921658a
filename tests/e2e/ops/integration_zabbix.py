"""A real Zabbix server watches a ring with the template that is shipped, and nodes as if they were Redis.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import tempfile
import threading

import pytest

import harness
import zabbix_server

TEMPLATE = harness.ROOT / "scripts" / "deploy" / "zabbix" / "gyre_template.yaml"
SECONDS_MAX = 90 * harness.PATIENCE

# What the stock template asks of a Redis and a node does not say, because nothing here is that.
NOT_HERE = {
    "max_input_buffer and max_output_buffer of CLIENTS": r"redis\.clients\.max_(input|output)_buffer",
    "there is no other allocator below the arena": r"redis\.memory\.(allocator_.*|rss_overhead_.*)",
    "what is freed later is not counted": r"redis\.memory\.lazyfree_pending_objects",
    "no overhead is counted apart from data": r"redis\.memory\.used_memory_(dataset|dataset_perc|overhead|startup)",
    "no save and no rewrite, so no outcome of one": r"redis\.persistence\.(aof_last_(bgrewrite|write)_status|"
                                                    r"rdb_(last_bgsave_status|last_save_time|changes_since_last_save))",
    "no stream of Redis's replication": r"redis\.replication\.master_repl_offset",
    "expiry has no cycles with a budget": r"redis\.stats\.expired_(stale_perc|time_cap_reached_count)",
    "no slow log": r"redis\.slowlog\.count.*",
}


@pytest.fixture(scope="module")
def zabbix():
    with zabbix_server.zabbix() as api:
        yield api


@pytest.fixture
def host(zabbix, request):
    """Makes hosts that go with the test."""
    made = []

    def make(*arguments, **more):
        made.append(zabbix.host(f"host-{len(made)}-{request.node.name}"[:60], *arguments, **more))
        return made[-1]

    yield make
    if getattr(request.node, "failed_in_call", False):
        for one in made:
            for key, item in sorted(zabbix.items(one).items()):
                print(key, "|", item["lastvalue"][:60], "|", item["error"][:200])
            print("problems:", sorted(zabbix.problems(one)))
        print(zabbix.server_log(40))
    for one in made:
        zabbix.call("host.update", hostid=one, status=1)


def eventually(condition, what):
    return harness.wait_for(condition, what, SECONDS_MAX, 0.25)


class TestTemplate:
    def test_is_taken_twice_and_a_mistake_in_it_is_not(self, zabbix):
        text = TEMPLATE.read_text()
        for _ in range(2):
            zabbix.import_template(text)
        with pytest.raises(zabbix_server.ApiError):
            zabbix.import_template(text.replace("type: PROMETHEUS_PATTERN", "type: PROMETHEUS_PATERN", 1))

    def test_it_asks_for_metrics_that_there_are(self, node):
        """Even those whose items have no value yet."""
        body = node.http("/metrics")[1]
        asked = set(re.findall(r"^ *- '?(gyre_[a-z_]+)", TEMPLATE.read_text(), flags=re.M)) - {"gyre_lease_majority"}
        assert len(asked) > 20
        assert not [name for name in asked if not re.search(rf"^{name}[{{ ]", body, flags=re.M)]

    def test_finds_the_members_and_tells_of_a_death(self, zabbix, host):
        zabbix.import_template(TEMPLATE.read_text())
        with harness.Ring(3, {"--evict-after": "1h"}) as ring:
            asked, other = ring.nodes[0], ring.nodes[2]
            ids = {member["name"]: member["id"] for member in asked.status()["members"]}
            watched = host("Gyre by HTTP", {"{$GYRE.HTTP.PORT}": str(asked.http_port), "{$GYRE.INTERVAL}": "1s",
                                            "{$GYRE.COPIES.TIME}": "10s"})

            def value(key):
                item = zabbix.items(watched).get(key)
                return item["lastvalue"] if item and item["lastclock"] != "0" else None

            def has_values():
                items = zabbix.items(watched)
                found = {name for name, one in ids.items() if f"gyre.member.state[{one}]" in items}
                asked_themselves = {name for name, one in ids.items() if f"gyre.node.metrics[{one}]" in items}
                if found != set(ids) or asked_themselves != set(ids):
                    return None
                # Pages are not stored, there are no reads and no leases, and a node is not ahead of itself.
                lacking = [key for key, item in items.items() if item["lastclock"] == "0" and not re.match(
                    r"gyre\.(ring\.(metrics|status)|node\.(metrics|hitratio|majority)\[|member\.clock\[" + ids["n1"] + ")", key)]
                return items if not lacking else None

            items = eventually(has_values, "all three members found, and every item has a value")
            wrong = [(key, item["error"]) for key, item in items.items() if item["state"] != "0"]
            assert not wrong, wrong
            assert items["gyre.ring.members[alive]"]["lastvalue"] == "3"
            assert items[f"gyre.node.ready[{ids['n3']}]"]["lastvalue"] == "ready"
            assert items[f"gyre.node.memory.limit[{ids['n2']}]"]["lastvalue"] == str(256 << 20)
            owned = sum(int(items[f"gyre.member.owned[{one}]"]["lastvalue"]) for one in ids.values())
            assert owned == 1024
            problems = {name for name in zabbix.problems(watched) if "restarted" not in name}
            assert not problems - {"Gyre: n1 stood still", "Gyre: n2 stood still", "Gyre: n3 stood still"}, problems

            with asked.resp() as client:
                client.call("SET", "k", "v")
                client.pipeline([("GET", "k")] * 300 + [("GET", "none")] * 100)
            eventually(lambda: any(value(f"gyre.node.hitratio[{one}]") for one in ids.values()), "a hit ratio")

            other.kill()
            wanted = {"Gyre: n3 is dead", "Gyre: n3 does not listen"}
            eventually(lambda: wanted <= set(zabbix.problems(watched)), f"the problems {wanted}")
            assert zabbix.problems(watched)["Gyre: n3 is dead"]["severity"] == "4"
            assert value("gyre.ring.members[dead]") == "1"
            assert value(f"gyre.member.state[{ids['n3']}]") == "2"

            ring.restart(other)
            eventually(lambda: not wanted & set(zabbix.problems(watched)), "they are over")

            asked.kill()
            eventually(lambda: "Gyre: The node that is asked does not listen" in zabbix.problems(watched), "it is missed")
            ring.restart(asked)
            eventually(lambda: "Gyre: The node that is asked does not listen" not in zabbix.problems(watched), "it is back")


    def test_tells_of_lost_data(self, zabbix, host):
        zabbix.import_template(TEMPLATE.read_text())
        with harness.Ring(3, {"--replicas": 1, "--evict-after": "1h"}) as ring:
            ids = {member["name"]: member["id"] for member in ring.nodes[0].status()["members"]}
            watched = host("Gyre by HTTP", {"{$GYRE.HTTP.PORT}": str(ring.nodes[0].http_port),
                                            "{$GYRE.INTERVAL}": "1s"})
            losses = f"gyre.node.losses[{ids['n1']}]"
            eventually(lambda: zabbix.items(watched).get(losses, {"lastclock": "0"})["lastclock"] != "0", "it is watched")
            ring.nodes[2].kill()
            eventually(lambda: "Gyre: n1 began partitions empty" in zabbix.problems(watched), "the loss is told of")

    def test_tells_of_evictions_and_of_a_lost_majority(self, zabbix, host):
        zabbix.import_template(TEMPLATE.read_text())
        flags = {"--memory": "64MiB", "--consistency": "majority", "--evict-after": "1h"}
        with harness.Ring(3, flags) as ring:
            first = ring.nodes[0]
            stop = threading.Event()

            def write():
                with contextlib.suppress(ConnectionError, OSError), first.resp() as client:
                    number = 0
                    while not stop.wait(0.02):
                        client.pipeline([("SET", f"k{number + n}", "x" * 10_000) for n in range(100)])
                        number += 100

            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            try:
                eventually(lambda: first.status()["evicted"] > 1000, "records are evicted")
                watched = host("Gyre by HTTP", {
                    "{$GYRE.HTTP.PORT}": str(first.http_port), "{$GYRE.INTERVAL}": "1s", "{$GYRE.MEMORY.MAX.WARN}": "80",
                    "{$GYRE.EVICTIONS.MAX.WARN}": "1"})
                wanted = {"Gyre: n1 evicts much", "Gyre: n1 is nearly full"}
                eventually(lambda: wanted <= set(zabbix.problems(watched)), f"the problems {wanted}")
                assert "Gyre: n1 sees no majority" not in zabbix.problems(watched)
                for other in ring.nodes[1:]:
                    other.kill()
                eventually(lambda: "Gyre: n1 sees no majority" in zabbix.problems(watched), "the lost majority")
            finally:
                stop.set()
                writer.join(30)


@pytest.fixture(scope="module")
def agent():
    """(port, configuration) of a Zabbix agent 2."""
    with tempfile.TemporaryDirectory(prefix="gyre-agent-") as path:
        folder, port = pathlib.Path(path), harness.free_port()
        configuration = folder / "agent2.conf"
        configuration.write_text(
            f"LogType=console\nServer=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\nHostname=agent\n"
            f"PidFile={folder}/pid\nControlSocket={folder}/control\nPluginSocket={folder}/plugin\n")
        process = harness.Process("zabbix_agent2", ["zabbix_agent2", "-f", "-c", configuration], folder / "log")
        with zabbix_server.running(process, lambda: "1" in subprocess.run(
                ["zabbix_get", "-s", "127.0.0.1", "-p", str(port), "-k", "agent.ping"], capture_output=True,
                text=True).stdout, "the agent answers"):
            yield port, configuration


class TestAgent2:
    @staticmethod
    def ask(agent, key):
        done = subprocess.run(["zabbix_agent2", "-c", agent[1], "-t", key], capture_output=True, text=True,
                              timeout=60 * harness.PATIENCE)
        match = re.search(r"\[s\|(.*)\]\s*$", done.stdout, flags=re.S)
        return match[1] if match else done.stdout + done.stderr

    def test_ping_info_and_config(self, agent, node):
        where = f"tcp://127.0.0.1:{node.resp_port}"
        assert self.ask(agent, f"redis.ping[{where}]") == "1"
        info = json.loads(self.ask(agent, f"redis.info[{where}]"))
        assert {"Server", "Clients", "Memory", "Stats", "Replication", "CPU"} <= set(info)
        assert info["Memory"]["maxmemory"] == str(256 << 20)
        assert self.ask(agent, f"redis.config[{where},,maxmemory]") == str(256 << 20)
        assert json.loads(self.ask(agent, f"redis.config[{where}]"))["maxmemory"] == str(256 << 20)

    def test_ping_of_nothing(self, agent):
        assert self.ask(agent, f"redis.ping[tcp://127.0.0.1:{harness.free_port()}]") == "0"

    def test_stock_template_for_redis(self, zabbix, agent, node, host):
        with node.resp() as client:
            client.call("SET", "k", "v")
        watched = host("Redis by Zabbix agent 2", {"{$REDIS.CONN.URI}": f"tcp://127.0.0.1:{node.resp_port}"},
                       interfaces=[{"type": 1, "main": 1, "useip": 1, "ip": "127.0.0.1", "dns": "",
                                    "port": str(agent[0])}])
        rules = zabbix.call("discoveryrule.get", hostids=[watched], output=["itemid", "type"])

        def all_judged():
            items = zabbix.items(watched)
            # "Execute now": what the agent is asked for once an hour is asked for at once.
            now = [one["itemid"] for one in [*items.values(), *rules] if one["type"] == "0"]
            zabbix.check_now(now)
            waiting = [key for key, item in items.items() if item["lastclock"] == "0" and item["state"] == "0"]
            return items if len(items) > 80 and not waiting else None

        items = harness.wait_for(all_judged, "every item has a value, or is not supported", SECONDS_MAX, 2)
        without = {key: item["error"] for key, item in items.items() if item["state"] != "0"}
        print(f"{len(items)} items: {len(items) - len(without)} with data, {len(without)} not supported")
        unexplained = {key: error for key, error in without.items()
                       if not any(re.match(pattern, key) for pattern in NOT_HERE.values())}
        assert not unexplained, unexplained
        assert len(items) - len(without) >= 80
        assert not {name for name in zabbix.problems(watched)} & {
            "Redis: Service is down", "Redis: Failed to fetch info data", "Redis: Memory usage is too high",
            "Redis: Configuration has changed"}
