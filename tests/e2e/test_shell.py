"""The shell of gyre as a person has it: at a terminal. And as scripts have it: bytes in and out through pipes."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

import harness
from harness import gyre

DONE, REFUSED, USAGE, CANNOT_CONNECT = 0, 1, 2, 3
BYTES = bytes(range(256)) * 500


class Terminal:
    """gyre on a pseudo-terminal of its own."""

    def __init__(self, *arguments, home, **environment):
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "GYRE_"))}
        kept.update(environment, HOME=str(home), TERM="xterm")
        command = [str(harness.binary("gyre")), *map(str, arguments)]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, kept)
        self.output = b""
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self):
        """What comes within a moment; empty at the end."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return None
        try:
            return os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return b""

    def expect(self, pattern, seconds=20):
        """Reads until the pattern (of bytes) was seen in what has not been expected yet; returns the match."""
        deadline = time.monotonic() + seconds * harness.PATIENCE
        while not (match := re.search(pattern, self.output)):
            assert time.monotonic() < deadline, (pattern, self.output)
            got = self.read()
            assert got != b"" or re.search(pattern, self.output), (pattern, self.output)
            self.output += got or b""
        self.output = self.output[match.end():]
        return match

    def send(self, data):
        os.write(self.fd, data)

    def line(self, text):
        self.send(text + b"\n")

    def prompt(self):
        self.expect(rb"127\.0\.0\.1:\d+> ")

    def end(self):
        """The exit status."""
        deadline = time.monotonic() + 20 * harness.PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.status = status
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, self.output
            self.output += self.read() or b""


@pytest.fixture
def shell(node, tmp_path):
    with Terminal("--connect", node.address, home=tmp_path, LANG="C.UTF-8") as terminal:
        terminal.prompt()
        yield terminal


class TestTerminal:
    @pytest.mark.parametrize("locale", [{"LANG": "C.UTF-8"}, {"LANG": "C"}, {"LC_ALL": "C"}, {}, {"LANG": "xx_YY.UTF-8"}])
    def test_what_is_typed_is_stored(self, node, tmp_path, locale):
        text = "grüße 日本 €"
        with Terminal("--connect", node.address, home=tmp_path, **locale) as terminal:
            terminal.prompt()
            terminal.line(f"set u '{text}'".encode())
            terminal.expect(rb"\nOK\r\n")
            terminal.prompt()
            terminal.line(b"get u")
            terminal.expect(text.encode() + b"\r\n")
        with node.resp() as client:
            assert client.call("GET", "u") == text.encode()

    def test_bytes_that_are_no_characters_store_nothing(self, node, shell):
        shell.line(b"set u 'gr\xfc\xdfe'")
        shell.expect(rb"no characters of this terminal")
        shell.prompt()
        shell.line(b'set v "gr\\xfc\\xdfe"')
        shell.expect(rb"\nOK\r\n")
        with node.resp() as client:
            assert client.call("GET", "u") is None
            assert client.call("GET", "v") == b"gr\xfc\xdfe"

    def test_control_c_clears_the_line_and_control_d_ends(self, node, shell):
        shell.send(b"set k oops")
        shell.expect(rb"oops")
        shell.send(b"\x03")
        shell.expect(rb"\^C\r\n")
        shell.prompt()
        shell.line(b"set k good")
        shell.expect(rb"\nOK\r\n")
        shell.prompt()
        shell.send(b"\x04")
        assert shell.end() == DONE
        with node.resp() as client:
            assert client.call("GET", "k") == b"good"

    def test_control_c_cancels_the_command_that_runs(self, node, shell):
        node.pause()
        try:
            shell.line(b"get k --deadline 600000")
            shell.expect(rb"600000\r\n")
            shell.send(b"\x03")
            shell.expect(rb"cancelled")
            shell.prompt()
        finally:
            node.resume()
        shell.line(b"bench --duration 600")
        shell.expect(rb"600\r\n")
        shell.send(b"\x03")
        shell.expect(rb"ops/s|cancelled")  # it had begun, or not yet
        shell.prompt()
        shell.line(b"set k v")
        shell.expect(rb"\nOK\r\n")

    def test_control_c_that_comes_as_the_command_begins_cancels_it(self, node, shell):
        node.pause()
        try:
            for wait in range(20):
                shell.line(b"get k --deadline 600000")
                shell.expect(rb"600000\r\n")
                time.sleep(wait / 10000)  # between the line's end and the request
                os.kill(shell.pid, signal.SIGINT)
                shell.expect(rb"cancelled")
                shell.prompt()
        finally:
            node.resume()

    def test_the_history_outlives_a_kill(self, node, shell, tmp_path):
        shell.line("set k 'grüße'".encode())
        shell.prompt()
        os.kill(shell.pid, signal.SIGKILL)
        assert shell.end() == -signal.SIGKILL
        assert (tmp_path / ".gyre_history").stat().st_mode & 0o777 == 0o600
        with Terminal("--connect", node.address, home=tmp_path, LANG="C.UTF-8") as again:
            again.prompt()
            again.send(b"\x1b[A")
            again.expect("set k 'grüße'".encode())

    def test_flushall_wants_the_name_of_the_cluster(self, node, shell):
        shell.line(b"set k v")
        shell.expect(rb"\nOK\r\n")
        for answer in (b"\n", b"yes\n", b"\x03"):
            shell.line(b"flushall")
            shell.expect(rb"removes 1 keys of cluster gyre. Type the cluster's name: ")
            shell.send(answer)
            shell.expect(rb"nothing was removed")
            shell.prompt()
        with node.resp() as client:
            assert client.call("GET", "k") == b"v"
            shell.line(b"FLUSHALL")
            shell.expect(rb"name: ")
            shell.line(b"gyre")
            shell.expect(rb"\nOK\r\n")
            assert client.call("GET", "k") is None

    def test_the_tab_key_completes(self, shell):
        shell.send(b"getr\t")
        shell.expect(rb"ange ")  # what is new of the line
        shell.send(b"\x03")
        shell.expect(rb"\^C")
        shell.send(b"pexpire\t")
        shell.expect(rb"pexpire  pexpireat  pexpiretime")

    def test_a_terminal_is_not_sent_what_it_would_obey(self, node, shell):
        with node.resp() as client:
            client.call("SET", "k", b"\x1b[2J\xff")
        shell.line(b"get k")
        shell.expect(rb'"\\x1b\[2J\\xff"\r\n')


def piped(*arguments, node, data=b""):
    return subprocess.run([str(harness.binary("gyre")), "--connect", node.address, *map(str, arguments)], input=data,
                          capture_output=True, timeout=60 * harness.PATIENCE, check=False)


class TestPipes:
    def test_bytes_in_and_out(self, node):
        assert piped("set", "-x", "k", node=node, data=BYTES).stdout == b"OK\n"
        assert piped("get", "--raw", "k", node=node).stdout == BYTES
        assert piped("get", "k", node=node).stdout == BYTES + b"\n"
        assert piped("getrange", "--raw", "k", 0, 9, node=node).stdout == BYTES[:10]
        with node.resp() as client:
            assert client.call("GET", "k") == BYTES

    def test_a_reader_that_stops_reading_ends_it_quietly(self, node):
        piped("set", "-x", "k", node=node, data=BYTES * 8)
        done = subprocess.run(f"{harness.binary('gyre')} --connect {node.address} get k | head -c 3", shell=True,
                              capture_output=True, timeout=60 * harness.PATIENCE, check=False)
        assert done.stdout == BYTES[:3] and done.stderr == b""

    def test_an_unwritable_output_is_an_error(self, node):
        piped("set", "k", "v", node=node)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(harness.binary("gyre")), "--connect", node.address, "get", "k"], stdout=full,
                                  stderr=subprocess.PIPE, timeout=60 * harness.PATIENCE, check=False)
        assert done.returncode == REFUSED and b"standard output" in done.stderr

    def test_a_script(self, node):
        done = piped(node=node, data="set u 'grüße'\n\n# comment\nget u\nincr u\nexpire u 5s\nnosuch\nget u".encode())
        assert done.stdout == "OK\ngrüße\nOK\ngrüße\n".encode()
        assert done.returncode == USAGE
        first, second = done.stderr.decode().splitlines()
        assert first.startswith("gyre: line 5: wrong_type: ") and second.startswith("gyre: line 7: there is no command")

    def test_every_command_of_the_node_is_known(self, node):
        of_connections = {"auth", "hello", "quit", "readonly", "readwrite", "reset", "select", "monitor", "asking",
                          "subscribe", "feed", "unfeed", "replicaof", "slaveof", "debug", "shutdown", "save", "bgsave"}
        with node.resp() as client:
            names = {name.decode().lower() for name in client.call("COMMAND", "LIST")}
        known = set(re.findall(r"^  (\S+)", gyre("--help").out, re.MULTILINE))
        internal = {name for name in names if "." in name}
        assert names - internal - of_connections - known == set()


@pytest.mark.parametrize("port, protocol", [
    ("resp_port", "Redis's protocol"), ("memcached_port", "memcached's protocol"), ("http_port", "HTTP")])
def test_another_port_of_the_node_is_named(node, port, protocol):
    result = gyre("--connect", f"127.0.0.1:{getattr(node, port)}", "--deadline", 600000, "ping", seconds=20)
    assert result.status == CANNOT_CONNECT and protocol in result.err and "--port" in result.err, result


def test_more_acks_than_copies_are_refused_at_once(node):
    result = gyre("--write-acks", 7, "--deadline", 600000, "set", "k", "v", node=node, seconds=20)
    assert result.status == USAGE and "copies" in result.err, result
