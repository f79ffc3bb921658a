"""What a node tells the service manager that started it (sd_notify), and what --healthcheck says of it.

The service manager is a datagram socket of our own; a real systemd stands in ops/integration_packages.py.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

import harness

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WAIT_ALL = 0x40000000  # __WALL: threads, too
# After so long a loop that does not answer makes a node unhealthy (node.cc, kBeatOverdue).
OVERDUE_SECONDS = 10


class ServiceManager:
    """Collects what nodes say: [(when, {key: value})]."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.told = []
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        with contextlib.suppress(OSError):
            while True:
                lines = self.socket.recv(4096).decode().splitlines()
                self.told.append((time.monotonic(), dict(line.split("=", 1) for line in lines)))

    def values(self, key):
        return [message[key] for _, message in list(self.told) if key in message]

    def last(self, key):
        """When the key was said last."""
        return max(when for when, message in list(self.told) if key in message)

    def environment(self, **more):
        return {**os.environ, "NOTIFY_SOCKET": self.path, **more}


@pytest.fixture
def manager(tmp_path):
    manager = ServiceManager(tmp_path)
    yield manager
    manager.socket.close()


@contextlib.contextmanager
def started(node, join=None, wait=True):
    try:
        yield node.start(join=join, wait=wait)
    except BaseException:
        print(node.log())
        raise
    finally:
        node.kill()


@contextlib.contextmanager
def thread_stopped(thread):
    """One thread of a process stands still, the others go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    assert libc.ptrace(PTRACE_ATTACH, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


def threads_of(node, name):
    tasks = pathlib.Path(f"/proc/{node.pid}/task")
    return [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == name]


def test_ready_is_said_once_and_not_before_it_is_true(manager, tmp_path):
    with harness.Ring(1, {"--replicas": 1}) as ring:
        with ring.nodes[0].resp() as client:
            client.pipeline([("SET", f"k{n}", "v" * 1000) for n in range(20000)])
        # With one copy, joining is a move, and those can be held up: the newcomer is not ready until it has its share.
        assert harness.gyre("rebalance", "limit", "256K", node=ring.nodes[0]).status == 0
        node = harness.Node("n2", tmp_path, {"--replicas": 1})
        node.env = manager.environment()
        with started(node, join=ring.nodes, wait=False):
            harness.wait_for(lambda: manager.values("STATUS"), "a status is said")
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                said = manager.values("READY")
                assert not said or node.ready(), "READY=1 while /ready says no"
                time.sleep(0.02)
            assert not manager.values("READY"), "the share cannot have come yet: is rebalance limit obeyed?"
            assert all(status.startswith("Not ready: ") for status in manager.values("STATUS"))
            node.signal(signal.SIGHUP)  # must not look like ready
            harness.wait_for(lambda: "SIGHUP" in node.log(), "SIGHUP is seen")
            assert not manager.values("READY")
            assert harness.gyre("rebalance", "limit", "0", node=ring.nodes[0]).status == 0
            node.wait_ready()
            harness.wait_for(lambda: manager.values("READY"), "READY=1 is said", seconds=1)
            time.sleep(1.5)
            assert manager.values("READY") == ["1"]
            assert manager.values("STATUS")[-1] == "Ready"


def test_reload_and_stop_are_said(manager, tmp_path):
    node = harness.Node("n1", tmp_path, {"--stop-timeout": "7s"})
    node.env = manager.environment()
    with started(node):
        harness.wait_for(lambda: manager.values("READY") == ["1"], "READY=1 is said")
        node.signal(signal.SIGHUP)
        harness.wait_for(lambda: manager.values("READY") == ["1", "1"], "READY=1 ends the reload")
        (begun,) = manager.values("MONOTONIC_USEC")
        assert abs(time.monotonic() - int(begun) / 1e6) < 10
        assert manager.values("RELOADING") == ["1"]
        assert not manager.values("WATCHDOG"), "nobody watches"
        assert node.terminate() == 0
        assert manager.values("STOPPING") == ["1"]
        (longest,) = manager.values("EXTEND_TIMEOUT_USEC")
        assert 7e6 < int(longest) < 30e6, "the timeout of a stop, and a little more"


def test_the_watchdog_hears_only_of_a_node_whose_loops_turn(manager, tmp_path):
    node = harness.Node("n1", tmp_path)
    node.env = manager.environment(WATCHDOG_USEC="2000000")
    with started(node):
        harness.wait_for(lambda: len(manager.values("WATCHDOG")) >= 4, "WATCHDOG=1, twice in its interval", seconds=4)
        for name in ("gyre-worker", "gyre-control"):
            with thread_stopped(threads_of(node, name)[0]):
                stopped = time.monotonic()
                harness.wait_for(lambda: node.http("/health")[0] == 503, f"{name} is missed",
                                 OVERDUE_SECONDS + 5 * harness.PATIENCE)
                said = manager.last("WATCHDOG")
                assert said - stopped < OVERDUE_SECONDS + 3 * harness.PATIENCE
                time.sleep(3)
                assert manager.last("WATCHDOG") == said, f"said although {name} stands still"
            harness.wait_for(lambda: manager.last("WATCHDOG") > said, "life again")
        node.pause()
        time.sleep(1)
        said = manager.last("WATCHDOG")
        time.sleep(2)
        assert manager.last("WATCHDOG") == said, "the process is stopped"


def test_a_wrong_environment_is_one_line(tmp_path):
    node = harness.Node("n1", tmp_path)
    node.env = {**os.environ, "NOTIFY_SOCKET": "nowhere"}
    node.start(wait=False)
    assert node.wait_exit() == 2
    assert node.log().startswith("gyred: NOTIFY_SOCKET: 'nowhere' is neither")


def test_healthcheck_says_what_ready_says(node, tmp_path):
    def check(**variables):
        return harness.ToolResult(harness.subprocess.run(
            [harness.binary("gyred"), "--healthcheck"], capture_output=True, text=True, timeout=20 * harness.PATIENCE,
            env={**os.environ, **variables}))

    answer = check(GYRE_HTTP_PORT=str(node.http_port))
    assert (answer.status, answer.out, answer.err) == (0, "ready\n", "")
    # Where the node listens on all addresses, it is asked on this machine.
    assert check(GYRE_HTTP_PORT=str(node.http_port), GYRE_HOST="0.0.0.0", GYRE_ADVERTISE="10.9.8.7",
                 GYRE_INSECURE="1").status == 0
    answer = check(GYRE_HTTP_PORT=str(harness.free_port()))
    assert answer.status == 1 and "nobody answers" in answer.err
    answer = check(GYRE_HTTP_PORT=str(node.resp_port))
    assert answer.status == 1 and "no HTTP port" in answer.err
    answer = check(GYRE_HTTP_PORT="0")
    assert answer.status == 2 and "--http-port 0" in answer.err

    waiting = harness.Node("n2", tmp_path, {"--join": f"127.0.0.1:{harness.free_port()}"})
    with started(waiting, wait=False):
        harness.wait_for(lambda: waiting.http("/ready")[0] == 503, "it waits for a ring")
        answer = check(GYRE_HTTP_PORT=str(waiting.http_port))
        assert answer.status == 1 and answer.err.startswith("gyred: not ready: "), answer
        waiting.pause()
        answer = check(GYRE_HTTP_PORT=str(waiting.http_port))
        assert answer.status == 1 and "did not answer" in answer.err


def test_every_option_of_a_container_may_be_in_the_environment(tmp_path):
    """What compose files do: no flag at all."""
    ports = {name: harness.free_port() for name in ("port", "resp_port", "resp_cluster_port", "memcached_port", "http_port")}
    node = harness.Node("n1", tmp_path)
    node.flags = {}
    node.http_port, node.resp_port = ports["http_port"], ports["resp_port"]
    node.env = {**os.environ, "GYRE_NAME": "from-env", "GYRE_MEMORY": "32MiB", "GYRE_LOG_FORMAT": "json",
                **{f"GYRE_{name.upper()}": str(port) for name, port in ports.items()}}
    with started(node):
        assert node.status()["name"] == "from-env"
        with node.resp() as client:
            assert client.call("CONFIG", "GET", "maxmemory")[1] == str(32 << 20).encode()
        assert node.terminate() == 0
