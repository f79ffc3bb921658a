"""The shell of gyre as a person sees it at a terminal of 80 columns, in UTF-8 and in a plain locale."""

import time

import pytest

import harness
from tmux import Tmux


@pytest.fixture(params=["C.UTF-8", "C"])
def terminal(request, node):
    with Tmux(node, request.param) as screen:
        screen.shell()
        yield screen


def last(screen):
    return screen.lines()[-1]


class TestHints:
    def test_what_a_command_still_takes_stands_behind_the_cursor(self, terminal):
        terminal.type("set")
        terminal.wait("> set KEY VALUE [EX seconds|PX ms|KEEPTTL] [NX|XX] [GET ...]", "all of it")
        terminal.type(" k v")
        terminal.wait("> set k v [EX seconds|PX ms|KEEPTTL] [NX|XX] [GET ...]", "what is left")
        terminal.type(" NX ")
        terminal.wait("> set k v NX [EX seconds|PX ms|KEEPTTL] [GET ...]", "what was not said")
        assert "\x1b[2m[EX" in terminal.shown(colours=True), "in grey"
        terminal.keys("Enter")
        terminal.wait("\nOK", "it is stored")
        line = next(line for line in terminal.lines() if "set k v" in line)
        assert line.endswith("> set k v NX"), "the hint is gone from what was entered"

    def test_a_hint_does_not_break_the_line(self, terminal):
        terminal.type("set " + "k" * 45 + " ")
        terminal.wait("VALUE [E", "as much as there is room for")
        assert len(terminal.lines()) == 2, terminal.shown()
        assert last(terminal).endswith("..."), terminal.shown()
        terminal.type("v" * 40)  # over the edge of the screen
        terminal.keys("Enter")
        terminal.wait("\nOK", "it is stored")
        terminal.enter("strlen " + "k" * 45)
        terminal.wait("\n40\n", "as it was typed")

    def test_subcommands_have_their_own(self, terminal):
        terminal.type("cluster keyslot ")
        terminal.wait("> cluster keyslot <key>", "what the servers say of it")

    def test_no_hint_while_the_cursor_is_inside(self, terminal):
        terminal.type("get")
        terminal.wait("> get KEY", "a hint")
        terminal.keys("Left")
        terminal.wait(lambda _: last(terminal).endswith("> get"), "no hint")
        terminal.keys("Right")
        terminal.wait("> get KEY", "again")


class TestCompletion:
    def test_commands_options_and_subcommands(self, terminal):
        terminal.type("getr")
        terminal.keys("Tab")
        terminal.wait("> getrange KEY START END", "the name, and its hint")
        terminal.keys("C-c")
        terminal.prompt()
        terminal.type("set k v --tt")
        terminal.keys("Tab")
        terminal.wait(lambda _: "> set k v --ttl" in last(terminal), "an option")
        terminal.keys("C-c")
        terminal.prompt()
        terminal.type("cluster keys")
        terminal.keys("Tab")
        terminal.wait("> cluster keyslot", "a subcommand")
        terminal.keys("C-c")
        terminal.prompt()
        terminal.type("pexpire")
        terminal.keys("Tab")
        terminal.wait("pexpire  pexpireat  pexpiretime", "several")

    def test_keys(self, node, terminal):
        with node.resp() as client:
            client.call("SET", "interesting:1", "v")
            client.call("SET", "with a blank", "v")
            for number in range(150):
                client.call("SET", f"many:{number:03}", "v")
        terminal.type("get inter")
        terminal.keys("Tab")
        terminal.wait("> get interesting:1", "the only one that begins so")
        terminal.keys("C-c")
        terminal.prompt()
        terminal.type("get with")
        terminal.keys("Tab")
        terminal.wait('> get "with a blank"', "what needs quotes has them")
        terminal.keys("C-c")
        terminal.prompt()
        terminal.type("get many:")
        terminal.keys("Tab")
        terminal.wait("... and more", "not all of many")
        assert all(len(line) <= 80 for line in terminal.lines())
        terminal.wait(lambda _: last(terminal).endswith("> get many:"), "the line is as before")


class TestLines:
    def test_a_quote_that_does_not_end_goes_on(self, node, terminal):
        terminal.enter("set k 'one")
        terminal.wait_last("...", "it goes on")
        terminal.enter("two'")
        terminal.wait("\nOK", "it is stored")
        with node.resp() as client:
            assert client.call("GET", "k") == b"one\ntwo"
        terminal.enter("set k \"oops")
        terminal.wait_last("...", "it goes on")
        terminal.keys("C-c")
        terminal.wait("^C", "it is given up")
        terminal.enter("strlen k")
        terminal.wait("\n7\n", "nothing was stored")

    def test_timing(self, terminal):
        terminal.enter("\\timing")
        terminal.wait("timing is on", "it is on")
        terminal.enter("ping")
        terminal.wait("\ntook ", "the time")
        terminal.enter("\\timing off")
        terminal.wait("timing is off", "it is off")

    def test_watch(self, node, terminal):
        terminal.enter("\\watch 0.2 dbsize")
        terminal.wait(lambda shown: "every 0.2s" in shown and "\n0\n" in shown, "it is shown")
        with node.resp() as client:
            client.call("SET", "k", "v")
        terminal.wait("\n1\n", "again")
        terminal.keys("q")
        terminal.wait(lambda shown: "every 0.2s" not in shown, "q ends it")
        terminal.enter("\\watch 1")
        terminal.wait("takes seconds and a command", "advice")

    def test_top_inside(self, terminal):
        terminal.enter("top")
        terminal.wait(lambda shown: "gyre top" in shown and "OPS/s" in shown, "it is drawn")
        terminal.keys("q")
        terminal.wait(lambda shown: "OPS/s" not in shown, "q ends it")
        terminal.type("get")
        terminal.wait("> get KEY", "the line is edited as before")

    def test_help(self, terminal):
        terminal.enter("\\pager off")
        terminal.enter("help shell")
        terminal.wait("\\watch [SECONDS] COMMAND", "a group")
        terminal.enter("help connect")
        terminal.wait("connect HOST[:PORT]", "a command of the shell")
        terminal.enter("help object")
        terminal.wait("encoding <key>", "its subcommands")


class TestOutput:
    def test_what_is_longer_than_the_screen_is_paged(self, node, terminal):
        with node.resp() as client:
            for number in range(100):
                client.call("SET", f"key:{number:03}", "v")
        terminal.enter("keys key:*")
        terminal.wait_last(":", "less waits")
        terminal.keys("q")
        terminal.prompt()
        terminal.enter("keys key:00*")
        terminal.prompt()
        terminal.wait("key:007", "what fits is not")
        terminal.enter("\\pager off")
        terminal.enter("keys key:*")
        terminal.prompt()
        terminal.enter("dbsize")
        terminal.wait("\n100\n", "nobody waits")

    def test_into_a_program(self, node, terminal):
        with node.resp() as client:
            for number in range(100):
                client.call("SET", f"key:{number:03}", "v")
        terminal.enter("keys key:* | wc -l")
        terminal.wait("\n100\n", "it reads all keys")
        terminal.enter("keys key:* | head -1")
        terminal.wait(lambda _: any(line.startswith("key:") for line in terminal.lines()), "one that reads no more")
        terminal.enter("ping")
        terminal.wait("PONG", "the shell goes on")
        terminal.enter("set bar '|'")
        terminal.wait("\nOK", "a bar in quotes is a value")

    def test_a_pager_of_ones_own(self, node):
        with node.resp() as client:
            for number in range(60):
                client.call("SET", f"key:{number:03}", "v")
        with Tmux(node, "C.UTF-8", PAGER="sed s/^key/line/") as screen:
            screen.shell()
            screen.enter("keys key:*")
            screen.wait("line:0", "it is used")
            screen.prompt()


class TestConnection:
    def test_connect(self, ring):
        first, second = ring.nodes[:2]
        with Tmux(first, "C.UTF-8") as screen:
            screen.shell()
            screen.enter(f"connect {second.address}")
            screen.wait(f"connected to {second.address}, 3/3 up", "the other node")
            screen.wait_last(f"{second.address}>", "the prompt names it")
            screen.enter(f"connect 127.0.0.1:{harness.free_port()}")
            screen.wait(f"still connected to {second.address}", "nobody is there")
            screen.enter("ping")
            screen.wait("PONG", "it is usable")

    def test_it_connects_again(self):
        with harness.Ring(1) as ring, Tmux(ring.nodes[0], "C.UTF-8") as screen:
            node = ring.nodes[0]
            screen.shell()
            node.kill()
            screen.enter("get k --deadline 500")
            screen.wait("no node answers; trying to reach one", "it is noticed")
            node.start()
            screen.wait("connected again, 1/1 up; the command was not repeated", "it is back")
            screen.enter("set k v")
            screen.wait("\nOK", "it is usable")

    def test_a_node_that_dies_is_told(self):
        with harness.Ring(3) as ring, Tmux(ring.nodes[0], "C.UTF-8") as screen:
            screen.shell()
            ring.nodes[2].kill()

            def told():
                screen.enter("ring")
                time.sleep(0.5)
                return "(2/3 up)>" in screen.shown()
            harness.wait_for(told, "the prompt says how many are there", 30)
            assert f"{ring.nodes[2].name} dead" in screen.shown()


class TestDestruction:
    def test_a_node_is_removed_after_the_clusters_name_was_typed(self, ring):
        with Tmux(ring.nodes[0], "C.UTF-8") as screen:
            screen.enter("clear; gyre remove n3")
            screen.wait("removes the node n3 of cluster gyre. Type the cluster's name:", "it asks")
            screen.enter("n3")
            screen.wait("nothing was removed", "another answer is none")
            screen.enter("clear; gyre remove n3 --yes")
            screen.wait("gyre: not_allowed", "it is alive: the servers refuse, and nobody was asked")
            assert "Type the" not in screen.shown()

    @pytest.mark.parametrize("command", ["flushall", "flushdb"])
    def test_all_keys(self, node, terminal, command):
        with node.resp() as client:
            client.call("SET", "k", "v")
            terminal.enter(command)
            terminal.wait("removes 1 keys of cluster gyre. Type the cluster's name:", "it asks")
            terminal.enter("no")
            terminal.wait("nothing was removed", "another answer is none")
            assert client.call("GET", "k") == b"v"
            terminal.enter(command)
            terminal.wait(lambda _: last(terminal).endswith("name:"), "it asks")
            terminal.enter("gyre")
            terminal.wait("\nOK", "it is done")
            assert client.call("GET", "k") is None
