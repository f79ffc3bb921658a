"""The tools and cluster clients that Redis users have, unmodified, against a ring of three."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest
import redis as redis_py

import harness


def run(*command, stdin=""):
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True,
                          timeout=120 * harness.PATIENCE)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class TestRedisCli:
    def test_plain_port(self, ring):
        port = ring.nodes[1].resp_port
        assert run("redis-cli", "-p", port, "set", "a", "1") == "OK\n"
        assert run("redis-cli", "-p", port, "incr", "a") == "2\n"
        assert run("redis-cli", "-p", port, "-3", "get", "none") == "\n"
        assert "redis_version" in run("redis-cli", "-p", port, "info", "server")

    def test_follows_the_ring(self, ring):
        commands = [f"set follow:{n} {n}" for n in range(100)] + [f"get follow:{n}" for n in range(100)]
        out = run("redis-cli", "-c", "-p", ring.nodes[0].cluster_port, stdin="\n".join(commands) + "\n")
        lines = [line for line in out.splitlines() if line and not line.startswith("-> Redirected")]
        assert lines == ["OK"] * 100 + [str(n) for n in range(100)]

    def test_pipe_mode(self, ring):
        data = b"".join(harness.Resp.encode("SET", f"pipe:{n}", n) for n in range(2000))
        done = subprocess.run(["redis-cli", "-p", str(ring.nodes[0].resp_port), "--pipe"], input=data,
                              capture_output=True, timeout=60 * harness.PATIENCE)
        assert done.returncode == 0 and b"errors: 0, replies: 2000" in done.stdout, done

    def test_scan(self, ring):
        with ring.nodes[0].resp() as client:
            client.pipeline([("SET", f"s{n}", n) for n in range(500)])
        found = run("redis-cli", "-p", ring.nodes[2].resp_port, "--scan", "--pattern", "s*").split()
        assert sorted(set(found)) == sorted(f"s{n}" for n in range(500))


@pytest.mark.parametrize("port", ["resp_port", "cluster_port"])
def test_redis_benchmark(ring, port):
    options = ["--cluster"] if port == "cluster_port" else []
    out = run("redis-benchmark", *options, "-p", getattr(ring.nodes[0], port), "-t", "set,get", "-P", 16,
              "-n", 100_000, "-r", 10_000, "-c", 20, "--csv")
    assert "error" not in out.lower(), out
    rows = [line.split(",")[0].strip('"') for line in out.splitlines() if line.startswith('"')]
    assert "SET" in rows and "GET" in rows, out


class TestPythonRedisCluster:
    @pytest.fixture
    def client(self, ring):
        connection = redis_py.RedisCluster(host="127.0.0.1", port=ring.nodes[0].cluster_port)
        yield connection
        connection.close()

    def test_reads_its_writes_on_every_node(self, client):
        for number in range(300):
            assert client.set(f"cluster:{number}", number)
        assert [client.get(f"cluster:{n}") for n in range(300)] == [str(n).encode() for n in range(300)]
        assert len(client.get_primaries()) == 3

    def test_keys_with_a_tag_go_together(self, client):
        client.mset({"{user:1}name": "Ada", "{user:1}born": "1815"})
        assert client.mget("{user:1}name", "{user:1}born") == [b"Ada", b"1815"]
        client.mset_nonatomic({f"free:{n}": n for n in range(50)})
        assert client.mget_nonatomic([f"free:{n}" for n in range(50)]) == [str(n).encode() for n in range(50)]

    def test_pipeline(self, client):
        pipe = client.pipeline()
        for number in range(200):
            pipe.set(f"pipe:{number}", number)
        assert pipe.execute() == [True] * 200
        for number in range(200):
            pipe.get(f"pipe:{number}")
        assert pipe.execute() == [str(n).encode() for n in range(200)]


IOREDIS = """
const { Cluster } = require("ioredis");
const cluster = new Cluster([{ host: "127.0.0.1", port: Number(process.argv[2]) }]);
(async () => {
  const names = Array.from({ length: 300 }, (_, n) => `node:${n}`);
  await Promise.all(names.map((name, n) => cluster.set(name, `value ${n}`)));
  const values = await Promise.all(names.map((name) => cluster.get(name)));
  await cluster.set("expiring", "v", "EX", 100);
  console.log(JSON.stringify({
    right: values.filter((value, n) => value === `value ${n}`).length,
    masters: cluster.nodes("master").length,
    counter: [await cluster.incr("counter"), await cluster.incr("counter")],
    ttl: await cluster.ttl("expiring"),
    missing: await cluster.get("missing"),
    tagged: await cluster.mset("{t}a", 1, "{t}b", 2).then(() => cluster.mget("{t}a", "{t}b")),
  }));
  cluster.disconnect();
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def ioredis():
    """The folder that node runs in: build/e2e-npm, with ioredis in it."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed, and Debian could not install them")
    folder = harness.ROOT / "build" / "e2e-npm"
    if not (folder / "node_modules" / "ioredis").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "ioredis@5"],
                              cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install ioredis: {done.stderr.strip()[-300:]}")
    return folder


def test_ioredis_cluster(ring, ioredis):
    script = pathlib.Path(ioredis) / "cluster.js"
    script.write_text(IOREDIS)
    done = subprocess.run(["node", str(script), str(ring.nodes[0].cluster_port)], capture_output=True, text=True,
                          cwd=ioredis, timeout=60 * harness.PATIENCE, env=dict(os.environ, NODE_NO_WARNINGS="1"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "right": 300, "masters": 3, "counter": [1, 2], "ttl": 100, "missing": None, "tagged": ["1", "2"]}
