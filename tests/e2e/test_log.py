"""The log's output takes nothing: a pipe that nobody reads, a full disk. The node lives, serves and stops all the same."""

import contextlib
import os
import pathlib
import re
import subprocess

import pytest

import harness


@contextlib.contextmanager
def blocked_pipe():
    """The write end of a pipe that is full."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def full_disk():
    with open("/dev/full", "wb") as full:
        yield full.fileno()


class DeafNode(harness.Node):
    """A node whose standard output and error are `output`."""

    output = None

    def spawn(self):
        self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.command], stdin=subprocess.DEVNULL,
                                      stdout=self.output, stderr=self.output)
        return self


@pytest.mark.parametrize("output", [blocked_pipe, full_disk])
def test_a_node_does_not_wait_for_its_log(tmp_path, output):
    with output() as file, contextlib.ExitStack() as nodes:
        first = harness.Node("first", tmp_path, {"--log-level": "debug"})
        deaf = DeafNode("deaf", tmp_path, {"--log-level": "debug"})
        deaf.output = file
        for node, join in ((first, None), (deaf, [first])):
            nodes.callback(node.kill)
            node.start(join=join)

        def member(name):
            return next(m for m in first.status()["members"] if m["name"] == name)

        with deaf.resp() as client:
            assert client.call("SET", "key", "value") == b"OK"
        assert member("deaf")["state"] == "alive"
        if output is full_disk:
            harness.wait_for(lambda: harness.parse_metrics(deaf.http("/metrics")[1])["gyre_log_lines_dropped_total"] > 0,
                             "lost lines are counted")
        assert deaf.terminate() == 0
        assert "dead name=deaf" not in first.log(1000)


def test_the_runbook_knows_each_warning():
    root = pathlib.Path(__file__).resolve().parents[2]
    literal = r'"(?:[^"\\]|\\.)*"'
    # One text, or two to choose from; or what FileWriter::Add is told to say.
    call = re.compile(rf'(?:LogWarn\(|LogError\(|LogLevel::k(?:Warn|Error),|Add\(\s*path_,)\s*(?:[^"();{{}}]*\?\s*)?'
                      rf'((?:{literal}\s*)+)(?::\s*((?:{literal}\s*)+))?')
    said = {"log lines dropped: their output did not take them"}
    for source in sorted(root.glob("server/**/*.cc")):
        for match in call.finditer(source.read_text()):
            said |= {"".join(part[1:-1] for part in re.findall(literal, text)) for text in match.groups() if text}
    assert len(said) > 35, "the sources are found"
    runbook = (root / "scripts/deploy/RUNBOOK.md").read_text().split("## What the log warns of")[1]
    known = re.findall(r"^\| `([^`]+)` \|", runbook, re.MULTILINE)
    assert [text for text in sorted(said) if not any(text.startswith(entry) for entry in known)] == []
    assert [entry for entry in known if not any(text.startswith(entry) for text in said)] == [], "said no more"
