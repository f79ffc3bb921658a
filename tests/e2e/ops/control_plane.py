"""A real control plane of Kubernetes (etcd, API server, controllers, scheduler) on loopback, and the tools for it.

The version is that of Debian's source package, 1.20: it knows policy/v1beta1 and autoscaling/v2beta2 only (`for_this_server`).
"""

import functools
import http.client
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading

import harness

CACHE = pathlib.Path(os.environ.get("GYRE_KUBERNETES_CACHE", pathlib.Path.home() / ".cache" / "gyre" / "kubernetes"))
BIN = CACHE / "bin"
SECONDS_MAX = 60 * harness.PATIENCE
TOKEN = "tests"


@functools.cache
def tools(part="clients"):
    """The folder of kubernetes-tools, with that part in it: the first time takes minutes."""
    done = subprocess.run([pathlib.Path(__file__).parent / "kubernetes-tools", CACHE, part], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 0, f"kubernetes-tools: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return CACHE


def tool(name, version="v31"):
    """kubectl or helm: v31 is kubectl 1.31 and Helm 3.17, v35 is kubectl 1.35 and Helm 4.1."""
    return str(tools() / version / name / name)


def for_this_server(manifest):
    """The text of a manifest, with the API versions that 1.20 knows of the same objects."""
    return (manifest.replace("apiVersion: policy/v1\n", "apiVersion: policy/v1beta1\n")
            .replace("apiVersion: autoscaling/v2\n", "apiVersion: autoscaling/v2beta2\n"))


def run(*words, stdin=None, seconds=SECONDS_MAX, env=None):
    return harness.ToolResult(subprocess.run([str(word) for word in words], input=stdin or "", capture_output=True, text=True,
                                             timeout=seconds, env=env))


class ApiError(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class ControlPlane:
    def __init__(self):
        tools("control-plane")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kubernetes-e2e-"))
        self.port, self.etcd_port = harness.free_port(), harness.free_port()
        self.kubeconfig = self.directory / "kubeconfig"
        self.processes = []
        self.local = threading.local()

    def __enter__(self):
        try:
            self.write_files()
            self.start_all()
        except BaseException:
            self.print_logs()
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.print_logs()
        self.close()

    def close(self):
        for process in reversed(self.processes):
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def print_logs(self):
        for process in self.processes:
            print(f"\n---- {process.name}, {'runs' if process.alive() else 'ended'}\n{process.log(15)}")

    def write_files(self):
        subprocess.run(["openssl", "genrsa", "-out", self.directory / "sa.key", "2048"], check=True, capture_output=True)
        (self.directory / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": f"https://127.0.0.1:{self.port}",
                                                       "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin", "namespace": "default"}}]}))

    def start(self, name, *words):
        process = harness.Process(name, words, self.directory / f"{name}.log").spawn()
        self.processes.append(process)
        return process

    def start_all(self):
        clients, peers = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{harness.free_port()}"
        key, kubeconfig = self.directory / "sa.key", f"--kubeconfig={self.kubeconfig}"
        self.start("etcd", "etcd", "--data-dir", self.directory / "etcd", "--listen-client-urls", clients,
                   "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                   "--initial-cluster", f"default={peers}", "--unsafe-no-fsync")
        self.start("kube-apiserver", BIN / "kube-apiserver", f"--etcd-servers={clients}", "--bind-address=127.0.0.1",
                   f"--secure-port={self.port}", f"--cert-dir={self.directory / 'certs'}",
                   f"--token-auth-file={self.directory / 'tokens.csv'}", "--authorization-mode=RBAC",
                   "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
                   f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/24",
                   "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--allow-privileged=true")
        harness.wait_for(self.answers, "the API server is ready", SECONDS_MAX)
        self.start("kube-controller-manager", BIN / "kube-controller-manager", kubeconfig,
                   f"--service-account-private-key-file={key}", "--leader-elect=false", "--bind-address=127.0.0.1",
                   f"--secure-port={harness.free_port()}", "--port=0", f"--cert-dir={self.directory / 'certs2'}",
                   "--horizontal-pod-autoscaler-sync-period=2s")
        self.start("kube-scheduler", BIN / "kube-scheduler", kubeconfig, "--leader-elect=false",
                   "--bind-address=127.0.0.1", f"--secure-port={harness.free_port()}", "--port=0",
                   f"--cert-dir={self.directory / 'certs3'}")
        harness.wait_for(lambda: self.find("/api/v1/namespaces/default/serviceaccounts/default"),
                         "the controllers work", SECONDS_MAX)

    def answers(self):
        assert self.processes[-1].alive(), self.processes[-1].log()
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    # ---- The API

    def request(self, method, path, body=None, kind="application/json"):
        """(status, text)"""
        for attempt in range(2):
            link = getattr(self.local, "link", None)
            fresh = link is None
            if fresh:
                context = ssl._create_unverified_context()
                link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)
                self.local.link = link
            try:
                link.request(method, path, None if body is None else json.dumps(body),
                             {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})
                answer = link.getresponse()
                return answer.status, answer.read().decode()
            except (OSError, http.client.HTTPException):
                link.close()
                self.local.link = None
                if fresh or attempt == 1:  # a kept connection may have ended
                    raise
        raise AssertionError("not reached")

    def call(self, method, path, body=None, kind="application/json"):
        status, text = self.request(method, path, body, kind)
        if status >= 300:
            raise ApiError(status, text[:500])
        return json.loads(text)

    def find(self, path):
        """The object, or None where there is none."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def merge(self, path, body):
        return self.call("PATCH", path, body, "application/merge-patch+json")

    # ---- The tools

    def env(self):
        home = str(self.directory)
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": home}

    def kubectl(self, *words, stdin=None, version="v31", seconds=SECONDS_MAX):
        return run(tool("kubectl", version), *words, stdin=stdin, seconds=seconds, env=self.env())

    def helm(self, *words, version="v31", seconds=SECONDS_MAX):
        return run(tool("helm", version), *words, seconds=seconds, env=self.env())
