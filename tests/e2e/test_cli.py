"""The command lines of gyre and gyred: exit codes, output for people and for programs, one clear line for mistakes."""

import json
import re
import shutil
import socket
import subprocess

import pytest

import harness
from harness import gyre, gyred

DONE, REFUSED, USAGE, CANNOT_CONNECT = 0, 1, 2, 3


def one_clear_line(result):
    """The program ended with exactly one line, on standard error, that is no dump of its insides."""
    lines = result.err.strip().splitlines()
    assert len(lines) == 1 and len(lines[0]) > 10, result
    assert result.out == "", result
    assert "terminate called" not in result.err and "what()" not in result.err, result
    return lines[0]


class TestOneCommand:
    def test_set_get_del(self, ring):
        first, _, third = ring.nodes
        assert gyre("set", "greeting", "hello world", node=first).status == DONE
        assert gyre("get", "greeting", node=third).out.strip().strip('"') == "hello world"
        assert gyre("del", "greeting", node=first).status == DONE
        assert gyre("get", "greeting", node=third).status == REFUSED
        assert gyre("del", "greeting", node=third).status == REFUSED

    def test_numbers_and_expiry(self, node):
        assert gyre("incr", "n", node=node).out.strip() == "1"
        assert gyre("incr", "n", node=node).out.strip() == "2"
        assert gyre("ttl", "none", node=node).status == REFUSED
        assert gyre("ttl", "n", node=node).status == DONE
        assert gyre("touch", "n", node=node).status == DONE
        assert gyre("touch", "none", node=node).status == REFUSED
        assert gyre("set", "text", "abc", node=node).status == DONE
        assert gyre("incr", "text", node=node).status == REFUSED

    def test_many_keys(self, ring):
        for number in range(20):
            assert gyre("set", f"cli:{number}", number, node=ring.nodes[0]).status == DONE
        result = gyre("mget", *[f"cli:{n}" for n in range(20)], node=ring.nodes[1])
        assert result.status == DONE
        for number in range(20):
            assert str(number) in result.out
        listed = gyre("keys", "cli:1*", node=ring.nodes[2])
        assert sorted(word.strip('"') for word in listed.out.split() if "cli:" in word) == sorted(
            f"cli:{n}" for n in [1, *range(10, 20)])

    @pytest.mark.parametrize("command", [
        ("get", "k"), ("set", "k", "v"), ("mget", "k", "none"), ("incr", "n"), ("ttl", "k"), ("keys", "*"),
        ("status",), ("ring",), ("locate", "k"), ("get", "none"), ("incr", "k")])
    def test_json(self, ring, command):
        gyre("set", "k", "v", node=ring.nodes[0])
        result = gyre(*command, "-o", "json", node=ring.nodes[0])
        assert result.status in (DONE, REFUSED), result
        json.loads(result.out)

    def test_status_ring_and_locate_tell_the_truth(self, ring):
        for node in ring.nodes:
            for command in (("status",), ("ring",)):
                out = gyre(*command, node=node).out
                assert all(other.name in out for other in ring.nodes), out
        where = json.dumps(gyre("locate", "some key", "-o", "json", node=ring.nodes[0]).json())
        with ring.nodes[0].cluster_resp() as client:
            slot = client.call("CLUSTER", "KEYSLOT", "some key")
        owner = ring.nodes[0].owners()[slot]
        owner = next(node for node in ring.nodes if node.cluster_port == owner)
        assert owner.name in where or owner.address in where

    def test_the_address_may_come_from_the_environment(self, node):
        assert gyre("set", "env", "1", env={"GYRE_CONNECT": node.address}).status == DONE
        assert gyre("get", "env", env={"GYRE_CONNECT": "127.0.0.1:1"}, node=node).status == DONE

    def test_bench(self, ring):
        for protocol, port in (("native", "port"), ("resp", "resp_port"), ("memcached", "memcached_port")):
            result = gyre("--connect", f"127.0.0.1:{getattr(ring.nodes[0], port)}", "bench", "--protocol", protocol,
                          "--requests", 20000, "--pipeline", 8, "--connections", 4, "-o", "json")
            assert result.status == DONE, (protocol, result)
            json.loads(result.out)


class TestMistakes:
    def test_nothing_listens(self):
        result = gyre("--connect", f"127.0.0.1:{harness.free_port()}", "get", "k")
        assert result.status == CANNOT_CONNECT
        assert result.out == "" and len(result.err.splitlines()) <= 2 and "refused" in result.err, result

    @pytest.mark.parametrize("arguments", [
        ("nosuchcommand",), ("--nosuchflag",), ("get",), ("set", "k"),
        ("get", "k", "-o", "xml"),
        ("--connect", "127.0.0.1:notaport", "get", "k"), ("--connect", "127.0.0.1:99999", "get", "k")])
    def test_usage(self, node, arguments):
        options = {} if "--connect" in arguments else {"node": node}
        result = gyre(*arguments, **options)
        assert result.status == USAGE, result
        assert result.err.strip() and result.out == "", result

    @pytest.mark.parametrize("program", [gyre, gyred])
    def test_version_and_help(self, program):
        version = program("--version")
        assert version.status == DONE and "0.1.0" in version.out and version.err == ""
        help_text = program("--help")
        assert help_text.status == DONE and help_text.err == ""
        assert ("--connect" if program is gyre else "--resp-port") in help_text.out

    def test_the_help_names_every_flag_of_the_design(self):
        help_text = gyred("--help").out
        for flag in ("--name", "--host", "--port", "--resp-port", "--resp-cluster-port", "--memcached-port", "--http-port",
                     "--join",
                     "--memory", "--threads", "--replicas", "--write-acks", "--zone", "--weight", "--data-dir",
                     "--config", "--log-level", "--log-format", "--max-value", "--max-connections",
                     "--max-connections-per-address", "--idle-timeout"):
            assert flag in help_text, flag


class TestShell:
    def test_commands_from_a_pipe(self, ring):
        lines = ['set greeting "hello world"', "get greeting", "incr visits", "incr visits", "get missing", "mget greeting visits"]
        result = gyre(node=ring.nodes[1], stdin="\n".join(lines) + "\n")
        assert "hello world" in result.out and "2" in result.out, result
        with ring.nodes[0].resp() as client:
            assert client.call("GET", "greeting") == b"hello world"
            assert client.call("GET", "visits") == b"2"

    def test_a_mistake_does_not_end_it(self, node):
        result = gyre(node=node, stdin="nosuchcommand\nset after 1\nset k\nget after\n")
        with node.resp() as client:
            assert client.call("GET", "after") == b"1"
        assert "1" in result.out, result

    @pytest.mark.parametrize("word", ["quit", "exit", ""])
    def test_it_ends(self, node, word):
        assert gyre(node=node, stdin=f"set a 1\n{word}\n" if word else "").status == DONE

    def test_help(self, node):
        out = gyre(node=node, stdin="help\n").out
        for command in ("get", "set", "status", "ring", "locate"):
            assert command in out


def ports_off(tmp_path):
    return ["--port", harness.free_port(), "--resp-port", 0, "--resp-cluster-port", 0, "--memcached-port", 0,
            "--http-port", 0, "--data-dir", tmp_path / "data"]


class TestServerMistakes:
    """Each is one clear line and exit 2."""

    @pytest.mark.parametrize("flags, word", [
        (["--nosuchflag"], "nosuchflag"), (["--port", "abc"], "port"), (["--port", "70000"], "port"),
        (["--memory", "lots"], "memory"), (["--memory", "1KiB"], "memory"), (["--replicas", "0"], "replicas"),
        (["--write-acks", "3", "--replicas", "2"], "write-acks"),
        (["--log-level", "loud"], "log-level"), (["--log-format", "xml"], "log-format"),
        (["--join", "nowhere"], "join"), (["--threads", "-1"], "threads"), (["stray"], "stray"),
        (["--host", "no.such.host.invalid", "--insecure"], "no.such.host.invalid"),
        (["--host", "192.0.2.1"], "--gossip-key FILE"), (["--host", "192.0.2.1"], "--insecure"),
        (["--host", "0.0.0.0", "--insecure"], "--advertise"), (["--host", "::"], "--advertise"),
        (["--config", "/no/such/file.toml"], "/no/such/file.toml"),
        (["--data-dir", "/proc/nothing/here"], "/proc/nothing/here")])
    def test_flags(self, tmp_path, flags, word):
        result = gyred(*ports_off(tmp_path), *flags)
        assert result.status == 2, result
        assert word in one_clear_line(result), result

    @pytest.mark.parametrize("text, word", [
        ("port = [", "gyre.toml"), ("port = 'abc'", "port"), ("nosuchkey = 1", "nosuchkey"),
        ("port = 99999", "port"), ("\0", "gyre.toml")])
    def test_config_file(self, tmp_path, text, word):
        config = tmp_path / "gyre.toml"
        config.write_text(text + "\n")
        result = gyred("--config", config, "--data-dir", tmp_path / "data")
        assert result.status == 2, result
        assert word in one_clear_line(result), result

    @pytest.mark.parametrize(
        "flag", ["--port", "--resp-port", "--resp-cluster-port", "--memcached-port", "--http-port"])
    def test_port_in_use(self, tmp_path, flag):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = gyred(*ports_off(tmp_path), flag, port)
        assert result.status == 2, result
        assert str(port) in one_clear_line(result), result

    def test_udp_port_in_use(self, tmp_path):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            result = gyred(*ports_off(tmp_path), "--port", port)
        assert result.status == 2, result
        assert str(port) in one_clear_line(result), result

    def test_a_data_directory_has_one_node(self, tmp_path):
        first = harness.Node("first", tmp_path).start()
        try:
            result = gyred(*ports_off(tmp_path), "--data-dir", first.flags["--data-dir"])
            assert result.status == 2, result
            one_clear_line(result)
        finally:
            first.kill()


class TestServer:
    def test_a_config_file_sets_what_the_flags_do_not(self, tmp_path):
        node = harness.Node("filed", tmp_path)
        config = tmp_path / "gyre.toml"
        config.write_text("".join(
            f"{flag[2:]} = {json.dumps(value if isinstance(value, int) else str(value))}\n" for flag,
            value in node.flags.items()))
        node.flags = {"--config": config, "--memory": "77MiB"}
        node.start()
        try:
            with node.resp() as client:
                assert client.call("CONFIG", "GET", "maxmemory")[1] == str(77 << 20).encode()
        finally:
            assert node.terminate() == 0

    def test_ports_can_be_turned_off(self, tmp_path):
        off = {"--resp-port": 0, "--memcached-port": 0, "--resp-cluster-port": 0}
        node = harness.Node("quiet", tmp_path, off).start()
        try:
            assert gyre("set", "k", "v", node=node).status == DONE
        finally:
            assert node.terminate() == 0

    def test_sigint_stops_it_too(self, tmp_path):
        node = harness.Node("interrupted", tmp_path).start()
        node.signal(2)
        assert node.wait_exit() == 0


class TestCompletion:
    """Of the system's shells, written from the table of commands."""

    @staticmethod
    def offered(*words):
        """What bash offers for the last of the words."""
        script = ('eval "$1"; shift; COMP_WORDS=(gyre "$@"); COMP_CWORD=$#; _gyre; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "-euc", script, "bash", gyre("completion", "bash").out, *words],
                              capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return set(done.stdout.split())

    def test_every_command_is_offered(self):
        commands = set(re.findall(r"^  ([a-z][a-z-]+) ", gyre("--help").out, flags=re.M))
        assert len(commands) > 50
        assert commands <= self.offered("")
        assert self.offered("help", "") == commands | {"help"}
        assert self.offered("--connect", "a:1", "re") == {word for word in commands if word.startswith("re")}

    def test_a_commands_options_are_offered_behind_it(self):
        assert {"--ttl", "--nx", "--connect"} <= self.offered("set", "k", "--")
        assert "--ttl" not in self.offered("get", "--") | self.offered("--")
        assert self.offered("set", "k") == set(), "keys are not known"

    def test_zsh_takes_its_script(self):
        script = gyre("completion", "zsh").out
        assert script.startswith("#compdef gyre\n") and "'restart-check:" in script
        if shutil.which("zsh"):
            done = subprocess.run(["zsh", "-n"], input=script, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")

    def test_another_shell_is_refused(self):
        result = gyre("completion", "fish")
        assert result.status == USAGE and "bash and zsh" in result.err
