"""The operator's screens against a real ring: the verdict and its exit status, with a node that dies and comes back; what
is seen at 80 columns, in UTF-8 and in a plain locale."""

import json
import os
import pathlib
import signal
import subprocess

import pytest

import harness
from harness import binary, gyre
from tmux import Tmux

UTF8 = {"LC_ALL": "C.UTF-8"}
PLAIN = {"LC_ALL": "C"}


def first_line(node, **options):
    return gyre("status", node=node, **options).out.splitlines()[0]


def test_the_first_line_answers_while_a_node_dies_and_comes_back():
    with harness.Ring(3) as ring:
        asked, victim = ring.nodes[0], ring.nodes[2]
        healthy = gyre("status", node=asked, env=UTF8)
        assert healthy.status == 0, healthy
        assert healthy.out.startswith("OK  cluster "), healthy
        assert "3/3 up" in healthy.out and all(node.name in healthy.out for node in ring.nodes)

        victim.kill()
        harness.wait_for(lambda: gyre("status", node=asked).status == 1, "the death is known")
        degraded = gyre("status", node=asked, env=UTF8)
        assert degraded.out.startswith("DEGRADED  cluster "), degraded
        assert "2/3 up" in degraded.out
        assert f"{victim.name} dead" in degraded.out, degraded
        # When it leaves the ring is told a moment after its death.
        assert "leaves the ring in" in degraded.out or f"gyre remove {victim.name}" in degraded.out, degraded
        document = gyre("status", "-o", "json", node=asked).json()
        assert document["verdict"] == "DEGRADED"
        assert "node_dead" in [finding["code"] for finding in document["findings"]]
        assert {node["name"]: node["answered"] for node in document["nodes"]} == {
            node.name: node is not victim for node in ring.nodes}
        # So says each of the others.
        assert gyre("status", node=ring.nodes[1]).out.startswith("DEGRADED")

        ring.restart(victim)
        harness.wait_for(lambda: gyre("status", node=asked).status == 0, "all is well again", 60)


def test_exit_3_where_nobody_answers():
    port = harness.free_port()
    result = subprocess.run([binary("gyre"), "--connect", f"127.0.0.1:{port}", "status"], capture_output=True, timeout=30)
    assert result.returncode == 3


def test_the_ring_is_drawn(ring):
    utf8 = gyre("ring", node=ring.nodes[0], env=UTF8).out
    plain = gyre("ring", node=ring.nodes[0], env=PLAIN).out
    assert "█" in utf8 and "#" not in utf8
    assert plain.isascii() and "####" in plain
    for node in ring.nodes:
        assert node.name in utf8 and node.name in plain


def test_top_counts_what_happens(ring):
    node = ring.nodes[0]
    before = node.status()["hits"]
    top = subprocess.Popen([binary("gyre"), "--connect", node.address, "top", "--count", "3", "--interval", "0.5",
                            "-o", "json"], stdout=subprocess.PIPE, text=True)
    try:
        with node.resp() as client:
            client.call("SET", "top", "v")
            for _ in range(500):
                assert client.call("GET", "top") == b"v"
            while top.poll() is None:
                assert client.call("GET", "top") == b"v"
        frames = [json.loads(line) for line in top.stdout]
    finally:
        top.kill()
        top.wait()
    assert top.returncode == 0 and len(frames) == 3
    assert frames[-1]["commands"]["get"]["calls_per_second"] > 10, frames[-1]
    assert sum(each.status()["hits"] for each in ring.nodes) > before
    assert len(frames[-1]["nodes"]) == len(ring.nodes)


def test_the_doctor_finds_options_that_differ():
    with harness.Ring(2, {"--write-acks": "1"}) as ring:
        assert gyre("config", "diff", node=ring.nodes[0]).status == 0
        other = ring.nodes[1]
        assert other.terminate() == 0
        other.flags["--write-acks"] = "2"
        ring.restart(other)
        diff = gyre("config", "diff", "-o", "json", node=ring.nodes[0])
        assert diff.status == 1
        assert diff.json()["write-acks"] == {ring.nodes[0].name: "1", other.name: "2"}
        doctor = gyre("doctor", node=ring.nodes[0])
        assert doctor.status == 1, doctor
        assert "--write-acks differs" in doctor.out
        assert gyre("doctor", "-o", "json", node=ring.nodes[0]).json()["healthy"] is False


def expect_edited_lines(terminal):
    """Back in the shell, whose prompt comes a moment after what was on the screen is put back."""
    terminal.wait_last("$", "the shell goes on")
    terminal.enter("clear; stty -a | grep -c ' icanon'")
    terminal.wait(lambda _: terminal.lines()[:1] == ["1"], "lines are edited as before")


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_screens_fit_80_columns(ring, locale):
    """On a terminal, as a person sees them."""
    with Tmux(ring.nodes[0], locale) as terminal:
        terminal.enter("clear; gyre status")
        terminal.wait("KEYS", "the status is shown")
        lines = terminal.lines()
        assert any(line.startswith("OK  cluster") for line in lines), lines
        header = next(line for line in lines if line.startswith("NODE"))
        assert header.endswith("KEYS"), "no line is broken"
        terminal.enter("clear; gyre top")
        terminal.wait(lambda shown: "gyre top" in shown and "OPS/s" in shown, "top is drawn")
        terminal.keys("s")
        terminal.wait("s sort (memory)", "s sorts")
        terminal.keys("n")
        terminal.wait(lambda shown: "all nodes" not in shown, "n shows one node")
        terminal.keys("q")
        terminal.wait(lambda shown: "OPS/s" not in shown, "q puts back what was there")
        expect_edited_lines(terminal)


@pytest.mark.parametrize("number", ["TERM", "HUP"])
def test_top_that_is_ended_leaves_a_terminal_that_can_be_used(ring, number):
    with Tmux(ring.nodes[0], "C.UTF-8") as terminal:
        terminal.enter(f"clear; sh -c 'echo $$ > {terminal.folder}/pid; exec gyre top'")
        terminal.wait(lambda shown: "gyre top" in shown and "OPS/s" in shown, "top is drawn")
        terminal.enter("")  # is no key of top
        pid = int(pathlib.Path(terminal.folder, "pid").read_text())
        os.kill(pid, getattr(signal, f"SIG{number}"))
        terminal.wait(lambda shown: "OPS/s" not in shown, "what was there is put back")
        expect_edited_lines(terminal)
        terminal.wait(lambda _: terminal.cursor_shown(), "the cursor is there")
