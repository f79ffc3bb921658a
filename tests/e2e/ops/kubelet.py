"""Stands for the kubelets of a cluster, its container runtime, its volumes and its DNS: a loop that starts a real process for
each container that the scheduler has placed, as the pod's specification says.

A pod is a network namespace with an address that no pod had before, and a mount namespace with a root of its own: as in our
image /usr/bin/gyred, /usr/bin/gyre, libraries and nothing else, the variables of its Containerfile, the volumes. What is read from the specification, and nothing else decides: command,
arguments, environment (values, fields and resources of the downward API, the variables of services unless
enableServiceLinks is false), secrets and claims as volumes with fsGroup, user, capabilities, read-only root, the three
probes, preStop, the grace period. Not there: registries, and limits of CPU and memory, which nothing enforces.

Names are answered as CoreDNS does it: from the Endpoints, and for DNS_KEEP_SECONDS from memory, also that a name is not there.
"""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import queue
import re
import shlex
import shutil
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

import control_plane
import harness
import hosts

DNS_KEEP_SECONDS = 30  # `cache 30`, as kubeadm configures it
POLL_SECONDS = 0.3
ZONE = "topology.kubernetes.io/zone"
TOOLS = "/tools"  # programs of this machine in a container, with which these kubelets enter it; on no PATH
CONTAINERFILE = harness.ROOT / "scripts" / "deploy" / "container" / "Containerfile"


def now_text():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Machines:
    """`count` machines, m1, m2, ..., in the zones a, b, c by turns. With `zone_labels` pods get the zone's label when they are
    placed, as Kubernetes does it from 1.35 on."""

    def __init__(self, plane, count, zone_labels=True):
        self.plane = plane
        self.names = {f"m{number + 1}": "abc"[number % 3] for number in range(count)}
        self.zone_labels = zone_labels
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="kubelet-e2e-"))
        self.hosts = hosts.Hosts(0)
        self.address = self.hosts.machine_address
        self.hosts_lock = threading.Lock()
        self.pods = {}  # uid -> Pod
        self.ended = []  # Pods that are gone
        self.closing = threading.Event()
        self.problems = []
        self.dns = Dns(self)
        self.executions = ExecServer(self)
        self.thread = threading.Thread(target=self.loop, daemon=True)

    def __enter__(self):
        for name, zone in self.names.items():
            self.add_machine(name, zone)
        self.plane.call("POST", "/apis/storage.k8s.io/v1/storageclasses", {
            "metadata": {"name": "tests", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "tests/directory", "reclaimPolicy": "Retain"})
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.print_logs()
        self.closing.set()
        self.thread.join()
        for pod in list(self.pods.values()):
            pod.abandon()
        self.dns.close()
        self.executions.close()
        self.hosts.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def print_logs(self):
        for pod in [*self.ended[-6:], *self.pods.values()]:
            print(f"\n---- {pod.name} {pod.address} {pod.words}\n{pod.log(40)}")

    def add_machine(self, name, zone):
        body = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, ZONE: zone}}}
        self.plane.call("POST", "/api/v1/nodes", body)
        self.beat(name)

    def beat(self, name):
        conditions = [{"type": kind, "status": status, "reason": "tests", "message": "", "lastHeartbeatTime": now_text(),
                       "lastTransitionTime": now_text()}
                      for kind, status in (("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"),
                                           ("PIDPressure", "False"))]
        room = {"cpu": "4", "memory": "8Gi", "pods": "20"}
        self.plane.merge(f"/api/v1/nodes/{name}/status", {"status": {
            "conditions": conditions, "capacity": room, "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": self.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.executions.port}}}})

    # ---- The loop

    def loop(self):
        beat_at = time.monotonic() + 10
        while not self.closing.wait(POLL_SECONDS):
            try:
                if time.monotonic() > beat_at:
                    beat_at += 10
                    for name in self.names:
                        self.beat(name)
                self.bind_claims()
                self.follow_pods()
                self.dns.refresh()
            except (OSError, control_plane.ApiError, http.client.HTTPException) as error:
                self.problems.append(repr(error))

    def bind_claims(self):
        for claim in self.plane.call("GET", "/api/v1/persistentvolumeclaims")["items"]:
            meta = claim["metadata"]
            name = f"pv-{meta['uid']}"
            if claim["status"].get("phase") != "Pending" or self.plane.find(f"/api/v1/persistentvolumes/{name}"):
                continue
            path = self.directory / name
            path.mkdir()
            self.plane.call("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": {
                "capacity": claim["spec"]["resources"]["requests"], "accessModes": claim["spec"]["accessModes"],
                "storageClassName": claim["spec"].get("storageClassName", ""), "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(path)}, "claimRef": {"namespace": meta["namespace"], "name": meta["name"],
                                                              "uid": meta["uid"], "kind": "PersistentVolumeClaim",
                                                              "apiVersion": "v1"}}})

    def follow_pods(self):
        there = {}
        for item in self.plane.call("GET", "/api/v1/pods")["items"]:
            if item["spec"].get("nodeName"):
                there[item["metadata"]["uid"]] = item
        for uid, item in there.items():
            if uid not in self.pods:
                if any(pod.item["metadata"]["uid"] == uid for pod in self.ended):
                    continue
                self.pods[uid] = Pod(self, item)
                self.pods[uid].thread.start()
            elif item["metadata"].get("deletionTimestamp"):
                self.pods[uid].delete(item["metadata"].get("deletionGracePeriodSeconds", 30))
        for uid, pod in list(self.pods.items()):
            if pod.gone.is_set():
                self.ended.append(self.pods.pop(uid))
            elif uid not in there:
                pod.delete(0)

    # ---- For tests

    def pod(self, name):
        """The one that runs and was not deleted, or None."""
        return next((pod for pod in self.pods.values() if pod.name == name and not pod.deleted.is_set()), None)

    def is_gone(self, name):
        return all(pod.gone.is_set() for pod in self.all_pods() if pod.name == name)

    def all_pods(self):
        return [*self.ended, *self.pods.values()]


class Pod:
    def __init__(self, machines, item):
        self.machines, self.plane, self.item = machines, machines.plane, item
        self.name, self.namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.spec = item["spec"]
        assert len(self.spec["containers"]) == 1, "one container is all that these kubelets know"
        self.container = self.spec["containers"][0]
        self.index, self.address, self.process = None, None, None
        self.words, self.restarts, self.killed, self.stopped_status = [], 0, False, None
        self.started_text = now_text()
        self.deleted, self.gone = threading.Event(), threading.Event()
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.ready = False
        self.stop_seconds = None
        self.pauses = 0  # before it was stopped
        self.directory = machines.directory / f"{self.name}-{item['metadata']['uid'][:8]}"
        self.directory.mkdir()
        self.thread = threading.Thread(target=self.live, daemon=True)

    def log(self, lines=60):
        path = self.directory / "log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def delete(self, grace):
        self.grace = grace
        self.deleted.set()

    def abandon(self):
        """At the end of a test."""
        self.delete(0)
        if self.process is not None:
            self.process.kill()
        self.thread.join(20)

    def live(self):
        try:
            self.begin()
            while not self.deleted.is_set():
                self.run_container()
            if self.process is not None and self.process.alive():
                self.stop()
        except Exception as error:  # noqa: BLE001: shown by the test
            self.machines.problems.append(f"{self.name}: {error!r}")
            self.deleted.wait()
        finally:
            self.end()

    def begin(self):
        if self.machines.zone_labels:
            zone = self.machines.names[self.spec["nodeName"]]
            self.item = self.plane.merge(self.path, {"metadata": {"labels": {ZONE: zone}}})
        with self.machines.hosts_lock:
            self.index = self.machines.hosts.attach()
        self.address = self.machines.hosts.address(self.index)
        self.say(False)

    def end(self):
        if self.index is not None:
            with self.machines.hosts_lock:
                self.machines.hosts.detach(self.index)
        if not self.machines.closing.is_set():
            try:
                self.plane.call("DELETE", self.path, {"gracePeriodSeconds": 0, "preconditions": {
                    "uid": self.item["metadata"]["uid"]}})
            except (control_plane.ApiError, OSError):
                pass  # gone already
        self.gone.set()

    def say(self, ready):
        """The pod's status."""
        self.ready = ready
        running = self.process is not None and self.process.alive()
        state = {"running": {"startedAt": self.started_text}} if running else {"waiting": {"reason": "ContainerCreating"}}
        conditions = [{"type": kind, "status": "True" if value else "False", "lastTransitionTime": now_text()}
                      for kind, value in (("Initialized", True), ("Ready", ready), ("ContainersReady", ready),
                                          ("PodScheduled", True))]
        try:
            self.plane.merge(self.path + "/status", {"status": {
                "phase": "Running" if running else "Pending", "podIP": self.address, "podIPs": [{"ip": self.address}],
                "hostIP": self.machines.address, "startTime": self.started_text, "conditions": conditions,
                "containerStatuses": [{"name": self.container["name"], "ready": ready, "started": running,
                                       "restartCount": self.restarts, "image": self.container["image"], "imageID": "",
                                       "state": state}]}})
        except control_plane.ApiError as error:
            if error.status != 404:
                raise

    # ---- A container's life

    def run_container(self):
        self.process = harness.Process(self.name, self.command(), self.directory / "log").spawn()
        self.started_text = now_text()
        self.say(False)
        probes = Probes(self)
        while not self.deleted.wait(0.05):
            if not self.process.alive():
                self.restarts += 1
                self.say(False)
                self.deleted.wait(min(2.0 ** self.restarts, 60))
                return
            ready = probes.step()
            if probes.failed:
                self.stop()
                return
            if ready != self.ready:
                self.say(ready)

    def stop(self):
        begun = time.monotonic()
        hook = self.container.get("lifecycle", {}).get("preStop", {}).get("exec")
        if hook and self.grace > 0:
            try:
                done = self.execute(hook["command"], self.grace)
                if done.returncode != 0:
                    self.machines.problems.append(f"{self.name}: preStop: {done.stdout}{done.stderr}")
            except subprocess.TimeoutExpired:
                self.machines.problems.append(f"{self.name}: preStop takes the whole grace period")
        self.pauses = self.count_pauses()
        self.process.signal(signal.SIGTERM)
        try:
            self.stopped_status = self.process.popen.wait(max(2.0, begun + self.grace - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.killed = True
            self.process.kill()
        self.stop_seconds = time.monotonic() - begun

    def count_pauses(self):
        """How often the node noticed that this machine gave it no time."""
        link = http.client.HTTPConnection(self.address, 7780, timeout=10)
        try:
            link.request("GET", "/metrics")
            return harness.parse_metrics(link.getresponse().read().decode())["gyre_process_pauses_total"]
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            link.close()

    def security(self, name):
        own, pods = self.container.get("securityContext", {}), self.spec.get("securityContext", {})
        return own.get(name, pods.get(name))

    def as_user(self):
        """The words before a command that take from it what the specification takes."""
        user, group = self.security("runAsUser"), self.security("runAsGroup")
        if self.security("runAsNonRoot"):
            assert user, "runAsNonRoot without a user: the container would not be created"
        words = [f"{TOOLS}/setpriv", f"--reuid={user or 0}", f"--regid={group or 0}",
                 f"--groups={self.spec.get('securityContext', {}).get('fsGroup', group or 0)}"]
        if self.security("allowPrivilegeEscalation") is False:
            words.append("--no-new-privs")
        if "ALL" in (self.security("capabilities") or {}).get("drop", []):
            words += ["--inh-caps=-all", "--bounding-set=-all"]
        return words

    def command(self):
        variables = self.environment()
        resolv = (f"nameserver {self.machines.address}\nsearch {self.namespace}.svc.cluster.local svc.cluster.local "
                  "cluster.local\noptions ndots:5\n")
        (self.directory / "resolv.conf").write_text(resolv)
        (self.directory / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (self.directory / "passwd").write_text("root:x:0:0::/:/\n")
        (self.directory / "nsswitch.conf").write_text("hosts: files dns\n")
        root = self.directory / "root"
        root.mkdir(exist_ok=True)
        script = ["set -e", f"cd {root}", f"mount -t tmpfs -o mode=755 tmpfs {root}", f"cd {root}",
                  "mkdir -p usr/bin usr/lib usr/lib64 etc proc dev tools", "ln -s usr/lib lib; ln -s usr/lib64 lib64",
                  "mount --rbind /proc proc", "cp /etc/ld.so.cache etc/"]
        for source, target in (("/usr/lib", "usr/lib"), ("/usr/lib64", "usr/lib64"), ("/usr/bin", "tools")):
            script.append(f"mount --bind {source} {target}; mount -o remount,bind,ro {target}")
        for name in ("gyred", "gyre"):
            script.append(f"touch usr/bin/{name}; mount --bind {harness.binary(name)} usr/bin/{name}")
        for name in ("resolv.conf", "hosts", "passwd", "nsswitch.conf"):
            script.append(f"cp {self.directory / name} etc/")
        for device in ("null", "zero", "random", "urandom"):
            script.append(f"touch dev/{device}; mount --bind /dev/{device} dev/{device}")
        for mount in self.container.get("volumeMounts", []):
            source, target = self.volume(mount["name"]), mount["mountPath"].lstrip("/")
            script.append(f"mkdir -p {target}; mount --bind {source} {target}")
            if mount.get("readOnly"):
                script.append(f"mount -o remount,bind,ro {target}")
        if self.security("readOnlyRootFilesystem"):
            script.append(f"mount -o remount,bind,ro {root}")
        self.words = [expand(word, variables) for word in [*self.container["command"], *self.container.get("args", [])]]
        inside = ["/usr/sbin/chroot", root, *self.as_user(), "--pdeathsig", "KILL", "--", *self.words]
        script.append("exec env -i " + " ".join(shlex.quote(str(word)) for word in
                                                [*(f"{key}={value}" for key, value in variables.items()), *inside]))
        return [*self.machines.hosts.within(self.index), "unshare", "-m", "--propagation", "private", "bash", "-c",
                "\n".join(script)]

    def environment(self):
        image = re.search(r"^ENV (.*)$", CONTAINERFILE.read_text(), re.M)[1]
        variables = {"HOSTNAME": self.name, **dict(each.split("=") for each in image.split())}
        if self.spec.get("enableServiceLinks", True):
            for service in self.plane.call("GET", f"/api/v1/namespaces/{self.namespace}/services")["items"]:
                self.link(service, variables)
        for entry in self.container.get("env", []):
            variables[entry["name"]] = expand(self.value(entry), variables)
        return variables

    @staticmethod
    def link(service, variables):
        address = service["spec"].get("clusterIP", "None")
        if address == "None":
            return
        name = service["metadata"]["name"].upper().replace("-", "_")
        port = service["spec"]["ports"][0]
        variables[f"{name}_SERVICE_HOST"] = address
        variables[f"{name}_SERVICE_PORT"] = str(port["port"])
        variables[f"{name}_PORT"] = f"{port.get('protocol', 'TCP').lower()}://{address}:{port['port']}"

    def value(self, entry):
        if "valueFrom" not in entry:
            return entry.get("value", "")
        source = entry["valueFrom"]
        if "fieldRef" in source:
            return self.field(source["fieldRef"]["fieldPath"])
        if "resourceFieldRef" in source:
            kind, name = source["resourceFieldRef"]["resource"].split(".")
            amount = quantity(self.container["resources"][kind][name])
            return str(int(-(-amount // quantity(source["resourceFieldRef"].get("divisor") or "1"))))
        raise AssertionError(f"these kubelets know no {source}")

    def field(self, path):
        meta = self.item["metadata"]
        label = re.fullmatch(r"metadata\.labels\['(.+)'\]", path)
        if label:
            return meta.get("labels", {}).get(label[1], "")
        return {"metadata.name": self.name, "metadata.namespace": self.namespace, "metadata.uid": meta["uid"],
                "spec.nodeName": self.spec["nodeName"], "status.podIP": self.address}[path]

    def volume(self, name):
        """The folder that a volume is."""
        volume = next(each for each in self.spec["volumes"] if each["name"] == name)
        group = self.spec.get("securityContext", {}).get("fsGroup", 0)
        if "persistentVolumeClaim" in volume:
            claim = volume["persistentVolumeClaim"]["claimName"]
            bound = self.plane.call("GET", f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{claim}")
            path = self.machines.directory / bound["spec"]["volumeName"]
            os.chown(path, -1, group)
            path.chmod(0o2775)
            return path
        secret = volume["secret"]
        path = self.directory / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        found = harness.wait_for(lambda: self.plane.find(
            f"/api/v1/namespaces/{self.namespace}/secrets/{secret['secretName']}") or self.deleted.is_set(),
            f"the secret {secret['secretName']}", control_plane.SECONDS_MAX)
        for key, text in ({} if found is True else found["data"]).items():
            (path / key).unlink(missing_ok=True)
            (path / key).write_bytes(base64.b64decode(text))
            os.chown(path / key, 0, group)
            (path / key).chmod(secret.get("defaultMode", 0o644))
        return path

    def execute(self, words, seconds=60):
        """Runs a command in the container."""
        variables = [f"{key}={value}" for key, value in self.environment().items()]
        return subprocess.run(
            ["nsenter", f"--target={self.process.pid}", "--net", "--mount", "--root", "--wd", "--", f"{TOOLS}/env", "-i",
             *variables, *self.as_user(), "--", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)


def expand(text, variables):
    """$(NAME) in commands, arguments and values."""
    return re.sub(r"\$\(([A-Za-z0-9_]+)\)", lambda match: variables.get(match[1], match[0]), text)


def quantity(text):
    """A resource quantity as a number."""
    match = re.fullmatch(r"([0-9.]+)(m|k|M|G|Ki|Mi|Gi)?", str(text))
    scale = {None: 1, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return float(match[1]) * scale[match[2]]


class Probes:
    """The three probes of one container. `failed`: it must be started again."""

    def __init__(self, pod):
        self.pod = pod
        self.failed = False
        self.started = "startupProbe" not in pod.container
        self.ready = "readinessProbe" not in pod.container
        self.due = {}
        self.failures, self.successes = {}, {}

    def step(self):
        """Whether it is ready."""
        if not self.started:
            if self.verdict("startupProbe") is True:
                self.started = True
            elif self.verdict_failed("startupProbe"):
                self.failed = True
            return False
        if "livenessProbe" in self.pod.container:
            self.verdict("livenessProbe")
            self.failed = self.failed or self.verdict_failed("livenessProbe")
        if "readinessProbe" in self.pod.container:
            verdict = self.verdict("readinessProbe")
            if verdict is True and self.successes["readinessProbe"] >= self.of("readinessProbe", "successThreshold", 1):
                self.ready = True
            elif self.verdict_failed("readinessProbe"):
                self.ready = False
        return self.ready

    def of(self, probe, name, default):
        return self.pod.container[probe].get(name) or default

    def verdict_failed(self, probe):
        return self.failures.get(probe, 0) >= self.of(probe, "failureThreshold", 3)

    def verdict(self, probe):
        """True, False, or None: it is not due."""
        if time.monotonic() < self.due.get(probe, 0):
            return None
        self.due[probe] = time.monotonic() + self.of(probe, "periodSeconds", 10)
        good = self.ask(self.pod.container[probe]["httpGet"], self.of(probe, "timeoutSeconds", 1))
        self.failures[probe] = 0 if good else self.failures.get(probe, 0) + 1
        self.successes[probe] = self.successes.get(probe, 0) + 1 if good else 0
        return good

    def ask(self, get, seconds):
        port = get["port"]
        if isinstance(port, str):
            port = next(each["containerPort"] for each in self.pod.container["ports"] if each["name"] == port)
        link = http.client.HTTPConnection(self.pod.address, port, timeout=seconds)
        try:
            link.request("GET", get["path"])
            return 200 <= link.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            link.close()


class Dns:
    """Answers A for the names of headless services and of their pods."""

    def __init__(self, machines):
        self.machines = machines
        self.names, self.kept = {}, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.5)
        self.socket.bind((machines.address, 53))
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.closing.set()
        self.thread.join()
        self.socket.close()

    def refresh(self):
        names = {}
        for item in self.machines.plane.call("GET", "/api/v1/endpoints")["items"]:
            meta = item["metadata"]
            service = f"{meta['name']}.{meta['namespace']}.svc.cluster.local"
            for subset in item.get("subsets") or []:
                for address in subset.get("addresses", []):
                    names.setdefault(service, []).append(address["ip"])
                    if address.get("hostname"):
                        names.setdefault(f"{address['hostname']}.{service}", []).append(address["ip"])
        self.names = {name: sorted(set(addresses)) for name, addresses in names.items()}

    def lookup(self, name):
        until, addresses = self.kept.get(name, (0, None))
        if time.monotonic() > until:
            addresses = self.names.get(name)
            self.kept[name] = (time.monotonic() + DNS_KEEP_SECONDS, addresses)
        return addresses

    def serve(self):
        while not self.closing.is_set():
            try:
                question, asker = self.socket.recvfrom(512)
            except TimeoutError:
                continue
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            (kind,) = struct.unpack(">H", question[at + 1:at + 3])
            addresses = self.lookup(".".join(labels).lower())
            found = addresses if kind == 1 and addresses else []
            flags = 0x8180 if addresses else 0x8183  # NXDOMAIN
            answer = question[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0) + question[12:at + 5]
            for address in found:
                answer += struct.pack(">HHHIH", 0xC00C, 1, 1, DNS_KEEP_SECONDS, 4) + socket.inet_aton(address)
            try:
                self.socket.sendto(answer, asker)
            except OSError:
                pass


class ExecServer:
    """What the API server asks for `kubectl exec`: a WebSocket of the protocol v5.channel.k8s.io."""

    def __init__(self, machines):
        key, certificate = machines.directory / "kubelet.key", machines.directory / "kubelet.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=kubelet", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        class Handler(socketserver.StreamRequestHandler):
            def setup(self):
                self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def handle(self):
                serve_exec(machines, self.rfile, self.wfile)

        self.server = socketserver.ThreadingTCPServer((machines.address, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def serve_exec(machines, read, write):
    path = read.readline().split()[1].decode()
    headers = http.client.parse_headers(read)
    url = urllib.parse.urlsplit(path)
    _, action, namespace, name, *_ = url.path.split("/")
    pod = machines.pod(name)
    if action != "exec" or headers.get("Upgrade", "").lower() != "websocket" or pod is None or pod.namespace != namespace:
        write.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return
    accept = base64.b64encode(hashlib.sha1((headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
                              .digest()).decode()
    protocol = headers["Sec-WebSocket-Protocol"].split(",")[0].strip()
    write.write((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n").encode())

    def send(channel, data):
        payload = bytes([channel]) + data
        size = len(payload)
        head = bytes([0x82, size]) if size < 126 else bytes([0x82, 126]) + struct.pack(">H", size)
        write.write(head + payload)
        write.flush()

    done = pod.execute(urllib.parse.parse_qs(url.query)["command"], 600)
    for channel, text in ((1, done.stdout.encode()), (2, done.stderr.encode())):
        for at in range(0, len(text), 32000):
            send(channel, text[at:at + 32000])
    status = {"metadata": {}, "status": "Success"}
    if done.returncode != 0:
        status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                  "message": f"command terminated with exit code {done.returncode}",
                  "details": {"causes": [{"reason": "ExitCode", "message": str(done.returncode)}]}}
    send(3, json.dumps(status).encode())
    write.write(bytes([0x88, 2]) + struct.pack(">H", 1000))
    write.flush()
    # The other side closes first; what it still says is of no interest.
    drained = queue.Queue()
    threading.Thread(target=lambda: drained.put(read.read()), daemon=True).start()
    try:
        drained.get(timeout=5)
    except queue.Empty:
        pass


class Service:
    """The addresses behind a service, as a machine's kube-proxy knows them: some time after the API server."""

    def __init__(self, plane, name, port, namespace="default"):
        self.path = f"/api/v1/namespaces/{namespace}/endpoints/{name}"
        self.plane, self.port = plane, port
        self.addresses, self.turn = [], 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)

    def __enter__(self):
        self.thread.start()
        harness.wait_for(lambda: self.addresses, "the service has addresses", control_plane.SECONDS_MAX)
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def follow(self):
        while not self.ended.wait(1.0):
            try:
                item = self.plane.find(self.path) or {}
            except (OSError, control_plane.ApiError, http.client.HTTPException):
                continue
            self.addresses = [address["ip"] for subset in item.get("subsets") or []
                              for address in subset.get("addresses", [])]

    def connect(self):
        self.turn += 1
        addresses = self.addresses
        return harness.Resp(self.port, timeout=10, host=addresses[self.turn % len(addresses)])
