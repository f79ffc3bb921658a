"""The image of a container, made and run: by podman (runc) and by dockerd, with a read-only root, no rights and a limit of
memory; and the three nodes of compose.yaml as a ring.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest. No
registry is asked: the image is built on a Debian of mmdebstrap's.
"""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import tarfile
import time

import pytest
import yaml

import harness
from machine import run

FOLDER = harness.ROOT / "scripts" / "deploy" / "container"
PACKAGES = harness.ROOT / "build" / "packages"
IMAGE_BYTES_MAX = 25 << 20
SECONDS_MAX = 60 * harness.PATIENCE
USER = 10001
PORTS = ("port", "resp_port", "resp_cluster_port", "memcached_port", "http_port")


@pytest.fixture(scope="module")
def archive():
    """The docker-archive, made now."""
    run(harness.ROOT / "scripts" / "package", "image", env={**os.environ, "GYRE_BASE_IMAGE": "bootstrap"})
    return PACKAGES / "gyre-image.tar"


class Podman:
    name = "podman"

    def __init__(self, directory, archive):
        self.command = ["podman", "--root", directory / "root", "--runroot", directory / "run", "--storage-driver", "vfs",
                        "--runtime", "runc", "--cgroup-manager=cgroupfs"]
        self("load", "-i", archive)

    def __call__(self, *arguments, **more):
        return run(*self.command, *arguments, **more)

    # What its runtime wants on a machine whose limits are lower than it takes for granted.
    limits = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096")

    def health(self, container):
        done = subprocess.run([str(word) for word in (*self.command, "healthcheck", "run", container)],
                              capture_output=True, text=True)
        return "healthy" if done.returncode == 0 else done.stdout + done.stderr

    def close(self):
        pass


class Docker:
    name = "docker"
    limits = ()

    def __init__(self, directory, archive):
        socket = directory / "docker.sock"
        self.daemon = harness.Process("dockerd", [
            "dockerd", "--data-root", directory / "data", "--exec-root", directory / "exec", "-H", f"unix://{socket}",
            "-p", directory / "pid", "--iptables=false", "--bridge=none", "--storage-driver", "vfs"], directory / "log")
        self.daemon.spawn()
        self.directory = directory
        self.command = ["docker", "-H", f"unix://{socket}"]

        def answers():
            assert self.daemon.alive(), self.daemon.log()
            return subprocess.run([*self.command, "info"], capture_output=True).returncode == 0

        try:
            harness.wait_for(answers, "dockerd answers", SECONDS_MAX, interval=0.2)
            self("load", "-i", archive)
        except BaseException:
            print(self.daemon.log())
            self.close()
            raise

    def __call__(self, *arguments, **more):
        return run(*self.command, *arguments, **more)

    def health(self, container):
        return self("inspect", "-f", "{{.State.Health.Status}}", container).strip()

    def close(self):
        self.daemon.terminate()
        subprocess.run(["umount", self.directory / "exec" / "netns" / "default"], capture_output=True)


@pytest.fixture(scope="module", params=[Podman, Docker], ids=lambda runtime: runtime.name)
def runtime(request, archive, tmp_path_factory):
    runtime = request.param(tmp_path_factory.mktemp(request.param.name), archive)
    yield runtime
    runtime.close()


@contextlib.contextmanager
def container(runtime, image, directory, variables, options=(), memory="96m"):
    """A node in a container on the network of this machine: a harness.Node without a process of its own."""
    node = harness.Node(variables.get("GYRE_NAME", "n1"), directory)
    environment = {f"GYRE_{name.upper()}": str(getattr(node, name)) for name in PORTS}
    environment |= {"GYRE_HOST": "127.0.0.1", **variables}
    words = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    node.id = runtime("run", "-d", "--network", "host", "--memory", memory, "--read-only", "--cap-drop", "ALL",
                      "--security-opt", "no-new-privileges", *runtime.limits, *options, *words, image).split()[-1]
    node.alive = lambda: True
    try:
        began = time.monotonic()
        harness.wait_for(node.ready, "ready", SECONDS_MAX)
        node.seconds_to_ready = time.monotonic() - began
        yield node
    except BaseException:
        print(runtime("logs", node.id))
        raise
    finally:
        runtime("rm", "-f", node.id)


def image_of(runtime):
    return runtime("images", "--format", "{{.Repository}}:{{.Tag}}").split()[0]


def test_the_image_is_small_and_has_nothing_but_the_node(archive):
    print("image", archive.stat().st_size, "bytes")
    assert archive.stat().st_size < IMAGE_BYTES_MAX
    names = set()
    with tarfile.open(archive) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]
        config = json.load(outer.extractfile(manifest["Config"]))["config"]
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                names |= {member.name.lstrip("./") for member in inner if not member.isdir()}
    programs = {name for name in names if re.search(r"(^|/)s?bin/", name)}
    assert programs == {"usr/bin/gyred", "usr/bin/gyre"}, "no shell, no package manager"
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/usr/bin/gyred"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/bin/gyred", "--healthcheck"]


def test_a_node_runs_without_rights_within_its_limit(runtime, tmp_path):
    with container(runtime, image_of(runtime), tmp_path, {}) as node:
        print(f"{runtime.name}: ready {node.seconds_to_ready:.2f} s after run")
        logs = runtime("logs", node.id)
        assert "a limit of 96 MiB: memory_mib=57 client_memory_mib=14" in logs, logs
        with node.resp() as client:
            assert client.call("CONFIG", "GET", "maxmemory")[1] == str((96 - 24 << 20) - (96 - 24 << 20) // 5).encode()
            # More than fits: it evicts and lives.
            client.pipeline([("SET", f"k{n}", os.urandom(5000)) for n in range(30000)])
            assert client.call("PING") == b"PONG"
        pid = runtime("inspect", "-f", "{{.State.Pid}}", node.id).strip()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert re.search(rf"^Uid:\t{USER}\t", status, flags=re.M)
        assert re.search(r"^CapEff:\t0+$", status, flags=re.M) and re.search(r"^NoNewPrivs:\t1$", status, flags=re.M)
        harness.wait_for(lambda: runtime.health(node.id) == "healthy", "the healthcheck is content", SECONDS_MAX)
        # The tool is there, and speaks to the node.
        assert "PONG" in runtime("exec", node.id, "/usr/bin/gyre", "--connect", f"127.0.0.1:{node.port}", "ping")
        runtime("stop", node.id)
        assert runtime("inspect", "-f", "{{.State.ExitCode}}", node.id).strip() == "0"
        assert "stopped" in runtime("logs", node.id)


def test_identity_is_kept_in_the_volume(runtime, tmp_path):
    volume = ("-v", f"{runtime.name}-data:/data")
    ids = set()
    for _ in range(2):
        with container(runtime, image_of(runtime), tmp_path, {}, volume) as node:
            ids.add(node.status()["id"])
            runtime("stop", node.id)
    assert len(ids) == 1


def test_a_node_that_others_reach_says_what_it_lacks(runtime):
    """As the image is, without a word of where it is and whom it trusts."""
    done = subprocess.run([str(word) for word in (*runtime.command, "run", "--rm", "--network", "host", *runtime.limits,
                                                  image_of(runtime))], capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode == 2
    assert "say which reaches this node with --advertise" in done.stderr, done.stderr


def test_the_three_nodes_of_the_compose_file_are_a_ring(runtime, tmp_path):
    """Each with the file's variables, on addresses of this machine in place of a network of containers."""
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    assert len(services) == 3
    key = tmp_path / "gossip.key"
    key.write_text(harness.gyred("--gen-gossip-key").out)
    key.chmod(0o400)
    os.chown(key, USER, USER)
    with contextlib.ExitStack() as stack:
        nodes = []
        for name, service in services.items():
            variables = dict(service["environment"])
            assert service["read_only"] and service["cap_drop"] == ["ALL"]
            assert variables["GYRE_ADVERTISE"] == service["hostname"] == name
            variables["GYRE_ADVERTISE"] = "127.0.0.1"
            if variables["GYRE_JOIN"]:
                variables["GYRE_JOIN"] = ",".join(node.address for node in nodes)
            mount = ("-v", f"{key}:{variables['GYRE_GOSSIP_KEY']}:ro")
            nodes.append(stack.enter_context(
                container(runtime, image_of(runtime), tmp_path, variables, mount, service["mem_limit"])))
        harness.wait_for(lambda: all(len([m for m in node.status()["members"] if m["state"] == "alive"]) == 3
                                     for node in nodes), "a ring of three", SECONDS_MAX)
        with nodes[0].resp() as first, nodes[2].resp() as last:
            for n in range(100):
                assert first.call("SET", f"k{n}", n) == b"OK"
                assert last.call("GET", f"k{n}") == str(n).encode()
