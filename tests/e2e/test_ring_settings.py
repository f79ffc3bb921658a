"""What holds for the whole ring (`gyre config set --ring`): it is on all nodes within moments, on those that come later
and on those that come back; it survives a stop of all; each node may differ for a while, and says so."""

import concurrent.futures
import json
import pathlib

import harness
from harness import gyre, parse_metrics


def parameter(node, name):
    with node.resp() as client:
        return client.call("CONFIG", "GET", name)[1].decode()


def all_say(nodes, name, value):
    return all(parameter(node, name) == value for node in nodes)


def sources(node, name):
    """[node] -> where its value of the parameter comes from, asked at `node`."""
    answer = gyre("config", "get", name, "-o", "json", node=node).json()
    return {each["name"]: each["sources"].get(name) for each in answer["nodes"] if each["ok"]}


def ring_parameter(node, name):
    parameters = gyre("config", "get", "--ring", name, "-o", "json", node=node).json()["parameters"]
    return parameters[0] if parameters else None


def set_for_ring(node, *words):
    result = gyre("config", "set", "--ring", *words, node=node)
    assert result.status == 0, result
    return result


def test_it_is_on_all_nodes_and_stays():
    with harness.Ring(3) as ring:
        n1, n2, n3 = ring.nodes
        result = set_for_ring(n1, "log-level", "debug", "stop-timeout", "20s")
        assert result.out.split() == ["n1", "OK", "n2", "OK", "n3", "OK"], result
        assert all_say(ring.nodes, "log-level", "debug"), "gyre waits until all have it"
        assert all_say(ring.nodes, "stop-timeout", "20s")
        assert set(sources(n2, "log-level").values()) == {"ring"}
        assert set(sources(n2, "evict-after").values()) == {"default"}
        assert any("parameter changed" in node.log(1000) for node in ring.nodes)

        # A new node has it when it is ready.
        n4 = ring.add()
        assert parameter(n4, "log-level") == "debug"

        # One that is away while it changes has it when it is back, and undoes nothing.
        n2.kill()
        harness.wait_for(lambda: next(m for m in n1.status()["members"] if m["name"] == "n2")["state"] == "dead",
                         "its death is known")
        result = gyre("config", "set", "--ring", "log-level", "warn", node=n3)
        assert result.status == 1 and "n2  it is dead" in result.out, result
        assert gyre("config", "unset", "--ring", "stop-timeout", node=n3).status == 1, "n2 does not know it yet"
        assert all_say([n1, n3, n4], "log-level", "warn")
        ring.restart(n2)
        assert parameter(n2, "log-level") == "warn"
        assert all_say(ring.nodes, "stop-timeout", "25s")

        # The whole ring is stopped.
        ring.wait_settled(4)
        for node in ring.nodes:
            node.signal(15)
        assert [node.wait_exit() for node in ring.nodes] == [0] * 4
        for node in ring.nodes:
            node.flags.pop("--join", None)
        ring.restart_all(ring.nodes)
        assert all_say(ring.nodes, "log-level", "warn")
        assert ring_parameter(n4, "log-level")["set_by"] == "n3"
        assert ring_parameter(n4, "log-level")["everywhere"]

        # Taken back, each node has its own.
        result = gyre("config", "unset", "--ring", "loglevel", node=n4)
        assert result.status == 0, result
        assert all_say(ring.nodes, "log-level", "info")
        assert ring_parameter(n1, "log-level") is None
        # Their figures are of a moment ago.
        harness.wait_for(lambda: json.loads(n1.http("/ui/ring.json")[1])["settings_agree"], "the page says so")
        assert gyre("status", node=n2).status == 0
        wanted = {"gyre_ring_settings": 0, "gyre_ring_settings_unset": 2, "gyre_ring_settings_nodes_differing": 0}
        harness.wait_for(lambda: wanted.items() <= parse_metrics(n3.http("/metrics")[1]).items(), "the metrics, too")
        figures = parse_metrics(n3.http("/metrics")[1])
        assert figures["gyre_settings_file_writes_total"] >= 1
        assert figures["gyre_settings_file_failures_total"] == 0


def test_a_node_may_differ_until_it_is_told_otherwise():
    with harness.Ring(2) as ring:
        n1, n2 = ring.nodes
        n3 = ring.add(flags={"--idle-timeout": "9m"})
        assert sources(n1, "idle-timeout") == {"n1": "default", "n2": "default", "n3": "flag"}
        set_for_ring(n2, "timeout", "300")
        assert all_say(ring.nodes, "idle-timeout", "5m"), "what a node was started with does not count"
        assert gyre("config", "set", "--node", "n3", "idle-timeout", "1m", node=n1).status == 0
        assert parameter(n3, "idle-timeout") == "1m"
        assert sources(n1, "idle-timeout") == {"n1": "ring", "n2": "ring", "n3": "set"}
        shown = gyre("config", "get", "--ring", node=n1)
        assert shown.status == 1 and "n3: CONFIG SET there: 1m" in shown.out, shown
        assert parse_metrics(n3.http("/metrics")[1])["gyre_ring_parameters_overridden"] == 1
        assert gyre("config", "unset", "--node", "n3", "idle-timeout", node=n1).status == 0
        assert parameter(n3, "idle-timeout") == "5m"
        assert gyre("config", "unset", "--ring", "idle-timeout", node=n1).status == 0
        assert parameter(n3, "idle-timeout") == "9m", "its own flag"
        assert parameter(n1, "idle-timeout") == "0"


def test_it_takes_effect_on_every_node():
    with harness.Ring(2) as ring:
        clients = [node.resp() for node in ring.nodes]
        try:
            for client in clients:
                assert client.call("PING") == b"PONG"
            set_for_ring(ring.nodes[0], "idle-timeout", "1s")
            for client in clients:
                assert client.socket.recv(1) == b"", "closed as idle"
        finally:
            for client in clients:
                client.close()


def test_changes_at_two_nodes_at_once_end_alike():
    with harness.Ring(3) as ring:
        def change(node, first):
            for n in range(first, first + 6):
                gyre("config", "set", "--ring", "evict-after", f"{n}s", node=node)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            for done in [pool.submit(change, node, 100 * (n + 1)) for n, node in enumerate(ring.nodes)]:
                done.result()

        def values():
            return {parameter(node, "evict-after") for node in ring.nodes}

        harness.wait_for(lambda: len(values()) == 1, "all have the same")
        (value,) = values()
        assert int(value[:-1]) % 100 < 6, "one that was set"
        harness.wait_for(lambda: len({node.status()["ring_settings"]["digest"] for node in ring.nodes}) == 1,
                         "all have the same settings")


def test_what_cannot_be_is_refused():
    with harness.Ring(2) as ring:
        node = ring.nodes[0]
        for words, why in [
            (("log-level", "loud"), "'loud' is no level: choose trace, debug, info, warn, error or off"),
            (("memory", "1GiB"), "it cannot change while the node runs: restart it with the new value"),
            (("evict-after", "0"), "too short"),
            (("nothing", "1"), "there is no such option"),
            (("stop-timeout", "5s", "threads", "9"), "'threads' cannot be set for the ring"),
        ]:
            result = gyre("config", "set", "--ring", *words, node=node)
            assert result.status == 1 and why in result.err, result
        assert parameter(node, "stop-timeout") == "25s", "all of it or nothing"
        result = gyre("config", "unset", "--ring", "log-level", node=node)
        assert result.status == 1 and "is not set for the ring" in result.err, result
        for words in [("get", "--ring", "a", "b"), ("set", "--ring", "log-level"), ("resetstat", "--ring"),
                      ("set", "--ring", "--node", "n1", "log-level", "info")]:
            assert gyre("config", *words, node=node).status == 2, words
        assert gyre("config", "get", "--ring", node=node).status == 0
        assert gyre("config", "get", "--ring", "log-level", node=node).status == 1
        result = gyre("config", "set", "--ring", *["evict-after", "100s"] * 65, node=node)
        assert result.status == 1 and "more than 64 settings at once" in result.err, result
        # Not so often that gossip has nothing else to say: gyre, which asks either node, tries again until it may.
        for _ in range(4):
            set_for_ring(node, *["evict-after", "100s"] * 60)
        assert all_say(ring.nodes, "evict-after", "100s")
        harness.wait_for(lambda: sum(parse_metrics(each.http("/metrics")[1])
                                     ['gyre_ring_settings_refused_total{cause="operator"}'] for each in ring.nodes) > 0,
                         "it is counted")
        with node.resp() as client:
            try:
                client.call("RINGCONFIG", "SET", "log-level", "debug")
            except harness.ReplyError as error:
                assert "unknown command" in str(error).lower(), error
            else:
                raise AssertionError("clients of RESP may not")


def test_a_disk_that_fails_costs_nothing_else():
    with harness.Ring(2) as ring:
        node, other = ring.nodes
        path = pathlib.Path(node.flags["--data-dir"]) / "settings"
        path.mkdir()  # in the way of the file
        set_for_ring(other, "log-level", "debug")
        assert parameter(node, "log-level") == "debug"
        harness.wait_for(lambda: parse_metrics(node.http("/metrics")[1])["gyre_settings_file_failures_total"] > 0,
                         "the failure is counted")
        assert "the ring's settings cannot be written" in node.log(1000)
        assert node.terminate() == 0
        ring.restart(node)
        assert parameter(node, "log-level") == "debug", "by the other"
        assert path.is_file(), "what stood in the way was set aside"
        # A file that was damaged is set aside, too.
        assert node.terminate() == 0
        path.write_text(path.read_text().replace("config", "c nfig"))
        ring.restart(node)
        assert parameter(node, "log-level") == "debug"
        assert path.with_name("settings.damaged").exists()
