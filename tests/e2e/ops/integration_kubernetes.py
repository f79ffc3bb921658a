"""The manifests and the chart of scripts/deploy/kubernetes: what the tools say of them, and a real control plane that runs a
ring of real nodes by them, updates it, makes it larger and smaller under a load that may not notice.

Run by scripts/test --integrations, which installs what this needs; the name keeps it out of a plain run of pytest.
"""

import json
import os
import re

import pytest
import yaml

import client_load
import control_plane
import harness
import hosts
import kubelet
from load import fill, missing

DEPLOY = harness.ROOT / "scripts" / "deploy" / "kubernetes"
VERSIONS = ("v31", "v35")
RECORDS = 20000
ROLL_SECONDS_MAX = 300 * harness.PATIENCE

VARIANTS = {
    "defaults": [],
    "zones": ["zones={a,b,c}", "replicas=2"],
    "monitored": ["serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus"],
    "autoscaled": ["autoscaling.enabled=true"],
    "plain": ["dataDirSnapshot=false", "preStopSeconds=0", "networkPolicy.enabled=false", "podDisruptionBudget.enabled=false",
              "antiAffinity=preferred", "gossipKey.existingSecret=mine", "memory=1GiB", "host=::",
              "extraArgs={--evict-after=10m}", "storage.className=fast", "priorityClassName=high",
              "nodeSelector.disk=ssd", "podLabels.team=x", "podAnnotations.a=b"],
}
REFUSED = {
    "replcias=4": "replcias",
    "writeAcks=3": "writeAcks: 3 is more than copies: 2",
    "terminationGracePeriodSeconds=30": "36 or more",
    "copies=9": "copies",
    "antiAffinity=no": "antiAffinity",
    "autoscaling.enabled=true,zones={a}": "leave one of the two out",
    "autoscaling.enabled=true,replicas=10": "autoscaling.maxReplicas",
}


def helm_template(*settings, version="v31"):
    words = [word for setting in settings for word in ("--set", setting)]
    return control_plane.run(control_plane.tool("helm", version), "template", "gyre", DEPLOY / "chart", *words)


def kustomize(folder=DEPLOY / "base", version="v31"):
    done = control_plane.run(control_plane.tool("kubectl", version), "kustomize", folder)
    assert done.status == 0, done
    return done.out


def objects(manifest):
    return [each for each in yaml.safe_load_all(manifest) if each]


def only(manifest, kind):
    found = [each for each in objects(manifest) if each["kind"] == kind]
    assert len(found) == 1, [each["kind"] for each in objects(manifest)]
    return found[0]


# ---- Without a server


@pytest.mark.parametrize("version", VERSIONS)
def test_helm_finds_nothing_wrong(version):
    done = control_plane.run(control_plane.tool("helm", version), "lint", "--strict", DEPLOY / "chart")
    assert done.status == 0 and "WARNING" not in done.out, done
    for name, settings in VARIANTS.items():
        done = helm_template(*settings, version=version)
        assert done.status == 0 and not done.err, (name, done)
    for setting, wanted in REFUSED.items():
        done = helm_template(setting, version=version)
        assert done.status != 0 and wanted in done.err, (setting, done)


def test_both_helms_make_the_same():
    key = "gossipKey.value=AAAA"
    for name, settings in VARIANTS.items():
        made = [objects(helm_template(key, *settings, version=version).out) for version in VERSIONS]
        assert made[0] == made[1], name


def test_the_schemas_of_newer_apis_accept_all_objects(tmp_path):
    """apps/v1, policy/v1, autoscaling/v2, networking.k8s.io/v1; the server of the tests is older than some."""
    texts = [kustomize(), (DEPLOY / "examples" / "hpa.yaml").read_text()]
    texts += [helm_template(*settings, "gossipKey.value=AAAA").out for settings in VARIANTS.values()]
    every = [each for text in texts for each in objects(text.replace("policy/v1beta1", "policy/v1"))
             if "monitoring.coreos.com" not in each["apiVersion"]]
    broken = json.loads(json.dumps(next(each for each in every if each["kind"] == "StatefulSet")))
    broken["spec"]["replicas"] = "three"
    (tmp_path / "objects.json").write_text(json.dumps({"good": every, "broken": broken}))
    (tmp_path / "check.mjs").write_text("""
import fs from 'fs';
const [, , schemas, file] = process.argv;
const all = JSON.parse(fs.readFileSync(file));
async function problem(object) {
  const Kind = (await import(`${schemas}/kubernetes-models/${object.apiVersion}/index.js`))[object.kind];
  try { new Kind(object).validate(); } catch (error) { return error.message; }
}
const found = [];
for (const object of all.good) {
  const text = await problem(object);
  if (text) found.push(`${object.kind} ${object.metadata.name}: ${text}`);
}
console.log(JSON.stringify({found, broken: await problem(all.broken) ?? ''}));
""")
    done = control_plane.run("node", tmp_path / "check.mjs", control_plane.tools() / "schemas" / "node_modules",
                             tmp_path / "objects.json")
    assert done.status == 0, done
    assert done.json()["found"] == []
    assert "replicas" in done.json()["broken"], "a wrong type is refused"


def test_the_chart_and_the_manifests_say_the_same():
    """One is not corrected without the other: the pods differ in nothing but what the chart has for its release."""
    def pod(manifest):
        spec = only(manifest, "StatefulSet")["spec"]["template"]["spec"]
        text = json.dumps(spec, sort_keys=True)
        text = text.replace('"app.kubernetes.io/instance": "gyre", ', "").replace(', "imagePullPolicy": "IfNotPresent"', "")
        for flag in ("--cluster-name=gyre", "--consistency=available", "--partitions=1024"):
            text = text.replace(f'"{flag}", ', "")
        return json.loads(text)

    assert pod(helm_template().out) == pod(kustomize())


def test_the_component_for_monitoring_fits_and_the_figures_of_the_examples_are_there(tmp_path, node):
    # Kustomize takes no folder by a path from the root.
    up = os.path.relpath(DEPLOY, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(f"resources: [{up}/base]\ncomponents: [{up}/monitoring]\n")
    made = kustomize(tmp_path)
    monitor = only(made, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    services = [each for each in objects(made) if each["kind"] == "Service"]
    chosen = [each for each in services if wanted <= each["metadata"]["labels"].items()]
    assert [each["metadata"]["name"] for each in chosen] == ["gyre-nodes"]
    assert monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in chosen[0]["spec"]["ports"]]
    names = {name.split("{")[0] for name in harness.parse_metrics(node.http("/metrics")[1])}
    for trigger in only((DEPLOY / "examples" / "scaledobject.yaml").read_text(), "ScaledObject")["spec"]["triggers"]:
        assert re.search(r"gyre_\w+", trigger["metadata"]["query"])[0] in names


def test_the_values_are_all_explained():
    values = yaml.safe_load((DEPLOY / "chart" / "values.yaml").read_text())
    page = (DEPLOY / "chart" / "README.md").read_text()
    for name, value in values.items():
        inner = value if isinstance(value, dict) and name not in ("resources", "updateStrategy", "nodeSelector") else {}
        for path in [f"{name}.{key}" for key in inner] or [name]:
            assert f"`{path}`" in page, f"{path} has no row"


# ---- With a control plane


@pytest.fixture(scope="module")
def plane():
    reason = hosts.unavailable()
    assert reason is None, reason
    with control_plane.ControlPlane() as plane:
        yield plane


@pytest.fixture
def machines(plane, request):
    with kubelet.Machines(plane, 5, **getattr(request, "param", {})) as machines:
        yield machines
        if getattr(request.node, "failed_in_call", False):
            machines.print_logs()
        clean(plane)


def clean(plane):
    """What a test has made, in an order in which nothing waits."""
    plane.kubectl("delete", "horizontalpodautoscaler,statefulset", "--all", "--wait=true", seconds=ROLL_SECONDS_MAX)
    for kind in ("pods", "persistentvolumeclaims", "services", "serviceaccounts", "secrets"):
        found = plane.call("GET", f"/api/v1/namespaces/default/{kind}?labelSelector=app.kubernetes.io%2Fname%3Dgyre")
        for item in found["items"]:
            plane.request("DELETE", f"/api/v1/namespaces/default/{kind}/{item['metadata']['name']}")
    plane.kubectl("delete", "poddisruptionbudget,networkpolicy", "--all")
    for kind in ("pods", "persistentvolumeclaims"):
        harness.wait_for(lambda: not plane.call("GET", f"/api/v1/{kind}")["items"], f"no {kind} are left", 120)
    for kind in ("persistentvolumes", "nodes"):
        plane.request("DELETE", f"/api/v1/{kind}")
    plane.request("DELETE", "/apis/storage.k8s.io/v1/storageclasses/tests")


def make_secret(plane, name="gyre-gossip"):
    key = harness.gyred("--gen-gossip-key").out
    path = plane.directory / "gossip.key"
    path.write_text(key)
    done = plane.kubectl("create", "secret", "generic", name, f"--from-file=key={path}")
    assert done.status == 0, done
    plane.kubectl("label", "secret", name, "app.kubernetes.io/name=gyre")


def apply_base(plane):
    make_secret(plane)
    done = plane.kubectl("apply", "-f", "-", stdin=control_plane.for_this_server(kustomize()))
    assert done.status == 0, done


def ready_pods(machines, name, count):
    pods = [machines.pod(f"{name}-{ordinal}") for ordinal in range(count)]
    for pod in pods:
        assert pod is None or pod.restarts < 3, f"{pod.name} does not stay\n{pod.log()}"
    return pods if all(pod is not None and pod.ready for pod in pods) else None


def wait_ready(machines, count, name="gyre"):
    def lacking():
        return "\n".join(f"{pod.name}: {'ready' if pod.ready else pod.log(3)}" for pod in machines.pods.values())
    try:
        return harness.wait_for(lambda: ready_pods(machines, name, count), f"{count} pods are ready", ROLL_SECONDS_MAX, 0.2)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{lacking()}\n{machines.problems[-5:]}") from None


def status(pod):
    done = pod.execute(["/usr/bin/gyre", "-o", "json", "status"])
    return json.loads(done.stdout)


def wait_settled(pod, count):
    def settled():
        seen = status(pod)
        ring = seen["ring"]
        alive = [node for node in seen["nodes"] if node["state"] == "alive"]
        return seen if len(alive) == count and not ring["unowned"] and not ring["under_replicated"] \
            and not seen["rebalance"]["partitions_left"] else None
    return harness.wait_for(settled, f"a ring of {count} at rest", ROLL_SECONDS_MAX, 0.5)


def ids(pod):
    return {node["name"]: node["id"] for node in status(pod)["nodes"]}


class Address:
    """A pod as load.fill and load.missing want a node."""

    def __init__(self, pod):
        self.pod = pod

    def resp(self, timeout=30.0):
        return harness.Resp(6379, timeout, self.pod.address)


def scale(plane, replicas, name="gyre", seconds=ROLL_SECONDS_MAX):
    return control_plane.run(DEPLOY / "scale", "--kubectl", control_plane.tool("kubectl"), name, replicas, seconds=seconds,
                             env=plane.env())


def check_load(load, machines):
    """No client saw an error. Where this machine gave a node no time, and the node says so, what it answers then is right."""
    if load.problems and sum(pod.pauses + (0 if pod.gone.is_set() else pod.count_pauses()) for pod in machines.all_pods()):
        load.forgive_pauses()
    assert load.problems[:5] == [], f"{len(load.problems)} of {load.requests}"


def check_nobody_was_hurt(machines):
    assert machines.problems == []
    for pod in machines.all_pods():
        assert pod.restarts == 0 and not pod.killed, f"{pod.name}\n{pod.log()}"
        assert pod.stopped_status in (0, None), f"{pod.name} ended with {pod.stopped_status}\n{pod.log()}"
        assert "LOST" not in pod.log(100000)


def test_an_update_more_nodes_and_fewer_are_not_noticed(plane, machines):
    apply_base(plane)
    pods = wait_ready(machines, 3)
    records = {f"live:{number}": b"%d" % number * 3 for number in range(RECORDS)}
    wait_settled(pods[0], 3)
    fill(Address(pods[0]), records)
    zones = {node["name"]: node["zone"] for node in status(pods[0])["nodes"]}
    assert sorted(zones.values()) == ["a", "b", "c"], zones
    before = ids(pods[0])
    addresses = {pod.name: pod.address for pod in pods}
    with kubelet.Service(plane, "gyre", 6379) as service, client_load.Load(service.connect, records) as load:
        # An update: each pod is made anew, with a new address and the old volume.
        assert plane.kubectl("rollout", "restart", "statefulset/gyre").status == 0
        done = plane.kubectl("rollout", "status", "statefulset/gyre", "--timeout=300s", seconds=ROLL_SECONDS_MAX)
        assert done.status == 0, done
        pods = wait_ready(machines, 3)
        assert not {pod.address for pod in pods} & set(addresses.values())
        assert ids(pods[0]) == before
        load.progress()
        check_load(load, machines)
        # More.
        done = scale(plane, 5)
        assert done.status == 0, done
        pods = wait_ready(machines, 5)
        wait_settled(pods[0], 5)
        fourth = ids(pods[0])["gyre-3"]
        load.progress()
        check_load(load, machines)
        # Fewer, by two, which stop at the same time.
        done = scale(plane, 3)
        assert done.status == 0, done
        assert "draining gyre-4\ndraining gyre-3\n" in done.out
        for name in ("gyre-3", "gyre-4"):
            gone = next(pod for pod in machines.all_pods() if pod.name == name)
            assert gone.deleted.is_set() and gone.stopped_status == 0 and gone.stop_seconds < 60
        wait_settled(pods[0], 3)
        load.progress()
        # Nothing is left that says something is wrong, and the node comes back as itself, whoever starts it.
        assert status(pods[0])["verdict"] == "OK"
        assert plane.kubectl("scale", "statefulset/gyre", "--replicas=4").status == 0
        pods = wait_ready(machines, 4)
        wait_settled(pods[0], 4)
        assert ids(pods[0])["gyre-3"] == fourth
        load.progress()
        check_load(load, machines)
    load.check()
    assert load.requests > 2000, "it was a load"
    assert missing(Address(pods[1]), records) == []
    check_nobody_was_hurt(machines)


def test_a_node_that_was_drained_by_hand_is_undrained_by_scale(plane, machines):
    apply_base(plane)
    pods = wait_ready(machines, 3)
    wait_settled(pods[0], 3)
    assert pods[0].execute(["/usr/bin/gyre", "drain", "gyre-2"]).returncode == 0
    assert plane.kubectl("scale", "statefulset/gyre", "--replicas=2").status == 0
    harness.wait_for(lambda: machines.pod("gyre-2") is None and machines.is_gone("gyre-2"), "it stops", ROLL_SECONDS_MAX)
    done = scale(plane, 3)
    assert done.status == 0 and "undraining gyre-2" in done.out, done
    wait_settled(wait_ready(machines, 3)[0], 3)
    # What would leave too few, or what an autoscaler would undo, is refused before anything is drained.
    done = scale(plane, 1)
    assert done.status == 1 and "1 nodes would stay for 2 copies" in done.err, done
    hpa = control_plane.for_this_server((DEPLOY / "examples" / "hpa.yaml").read_text())
    assert plane.kubectl("apply", "-f", "-", stdin=hpa).status == 0
    done = scale(plane, 2)
    assert done.status == 1 and "minReplicas" in done.err, done
    assert all(node["state"] == "alive" for node in status(machines.pod("gyre-0"))["nodes"])
    check_nobody_was_hurt(machines)


def test_a_killed_node_costs_what_was_in_flight_and_a_stopped_ring_comes_back(plane, machines):
    apply_base(plane)
    pods = wait_ready(machines, 3)
    wait_settled(pods[0], 3)
    records = {f"live:{number}": b"%d" % number * 3 for number in range(RECORDS)}
    fill(Address(pods[0]), records)
    with kubelet.Service(plane, "gyre", 6379) as service, client_load.Load(service.connect, records) as load:
        pods[1].process.kill()
        harness.wait_for(lambda: pods[1].restarts == 1, "the kubelet sees it", 10)
        wait_ready(machines, 3)
        load.progress()
        in_flight = list(load.problems)
        load.problems.clear()
        load.progress()
        # New connections go to the dead until the endpoints say that it is not ready: kube-proxy tries no other.
        others = [problem for problem in in_flight if "ConnectionRefusedError" not in problem]
        assert len(others) <= client_load.CLIENTS + 1, others
    load.check()
    assert missing(Address(pods[0]), records) == []
    # One at a time is what a PodDisruptionBudget lets machines' drains take.
    def evict(name):
        return plane.request("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", {
            "apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}})[0]
    harness.wait_for(lambda: evict("gyre-0") == 201, "the budget allows it", 30, 1)
    assert evict("gyre-1") == 429
    harness.wait_for(lambda: ready_pods(machines, "gyre", 3), "it comes back", ROLL_SECONDS_MAX, 0.5)
    wait_settled(machines.pod("gyre-0"), 3)
    # All at once: the snapshots of the volumes bring the records back, under addresses that nobody remembers.
    assert plane.kubectl("scale", "statefulset/gyre", "--replicas=0").status == 0
    harness.wait_for(lambda: not machines.pods, "all are gone", ROLL_SECONDS_MAX)
    assert plane.kubectl("scale", "statefulset/gyre", "--replicas=3").status == 0
    pods = wait_ready(machines, 3)
    wait_settled(pods[0], 3)
    assert missing(Address(pods[2]), records) == []
    assert not [pod for pod in machines.all_pods() if pod.killed]


def test_the_server_refuses_what_is_misspelt_and_accepts_what_is_shipped(plane):
    every = {"base": kustomize(), "hpa": (DEPLOY / "examples" / "hpa.yaml").read_text()}
    every |= {name: helm_template(*settings).out for name, settings in VARIANTS.items() if name != "monitored"}
    for version in VERSIONS:
        for name, manifest in every.items():
            done = plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", version=version,
                                 stdin=control_plane.for_this_server(manifest))
            assert done.status == 0, (version, name, done)
        broken = every["base"].replace("readOnlyRootFilesystem", "readonlyRootFilesystem")
        done = plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", version=version,
                             stdin=control_plane.for_this_server(broken))
        assert done.status != 0 and "readonlyRootFilesystem" in done.err, done


@pytest.mark.parametrize("machines", [{"zone_labels": False}], indirect=True)
def test_the_chart_installs_upgrades_and_keeps_key_and_size(plane, machines):
    def helm(*words, version):
        done = plane.helm("upgrade", "--install", "gyre", str(DEPLOY / "chart"), *words, version=version)
        assert done.status == 0, done

    def key():
        return plane.call("GET", "/api/v1/namespaces/default/secrets/gyre-gossip")["data"]["key"]

    helm("--set", "resources.requests.cpu=500m", version="v31")
    pods = wait_ready(machines, 3)
    first, identities = key(), ids(pods[0])
    wait_settled(pods[0], 3)
    assert {node["zone"] for node in status(pods[0])["nodes"]} == {""}
    assert scale(plane, 4).status == 0
    # Another Helm, another value: the pods are replaced one by one, and none is stopped for the number in the values.
    helm("--set", "resources.requests.cpu=500m", "--set", "extraArgs={--evict-after=10m}", version="v35")
    done = plane.kubectl("rollout", "status", "statefulset/gyre", "--timeout=300s", seconds=ROLL_SECONDS_MAX)
    assert done.status == 0, done
    pods = wait_ready(machines, 4)
    wait_settled(pods[0], 4)
    assert key() == first
    assert identities.items() <= ids(pods[0]).items()
    assert all("--evict-after=10m" in pod.words for pod in pods)
    check_nobody_was_hurt(machines)
    assert plane.helm("uninstall", "gyre", "--wait", version="v35", seconds=ROLL_SECONDS_MAX).status == 0
    assert key() == first, "the volumes need it"


@pytest.mark.parametrize("machines", [{"zone_labels": False}], indirect=True)
def test_the_chart_makes_a_set_for_each_zone(plane, machines):
    done = plane.helm("install", "gyre", str(DEPLOY / "chart"), "--set", "zones={a,b,c},replicas=1",
                      "--set", "resources.requests.cpu=500m")
    assert done.status == 0, done
    pods = [wait_ready(machines, 1, f"gyre-{zone}")[0] for zone in "abc"]
    seen = wait_settled(pods[0], 3)
    assert {node["name"]: node["zone"] for node in seen["nodes"]} == {f"gyre-{zone}-0": zone for zone in "abc"}
    assert {machines.names[pod.spec["nodeName"]] for pod in pods} == set("abc")
    assert plane.helm("uninstall", "gyre", "--wait", seconds=ROLL_SECONDS_MAX).status == 0
