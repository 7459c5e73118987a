#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The DaemonSet on a real Kubernetes of one node: our image from its recipe, the manifests of
config/kubernetes with a kustomization as docs/kubernetes.md describes it, pods of every class of service
at work, a real OpenTelemetry Collector in a pod. What the Collector received must name each container as
the API does; what was found is printed.

The first time it builds Kubernetes and the Collector from Go modules and unpacks container engines, below
BOLOMETER_KUBERNETES_CACHE (~/.cache/bolometer-kubernetes): half an hour, 5 GB. After that it takes minutes.

Usage: one_node.py BUILD"""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "interop")]
import images  # noqa: E402
import otlp_rules  # noqa: E402
import otlp_schema  # noqa: E402
from cluster import NODE, Broken, Cluster  # noqa: E402
from verdict import SKIPPED  # noqa: E402
from workloads import STATIC, WORKLOADS, collector_pod, owners_of  # noqa: E402

CACHE = Path(os.environ.get("BOLOMETER_KUBERNETES_CACHE") or
             Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bolometer-kubernetes")
VERSION = "1.34.4"
PACKAGES = ["etcd-server", "containernetworking-plugins"]
DEADLINE = 120  # seconds for what takes a few on a host with nothing else to do

CONFIGURATION = """
sampling:
  frequency: 97
interval: 2s
resource:
  attributes:
    k8s.cluster.name: test-cluster
exporters:
  - type: otlp-grpc
    endpoint: http://{collector}:4317
    compression: zstd
"""


def apply_daemon_set(cluster, directory):
    """As a user does: a kustomization over ours, with an image and a configuration."""
    collector = cluster.kubectl("-n", "opentelemetry", "get", "pod", "collector", "-o",
                                "jsonpath={.status.podIP}")
    (directory / "my-configuration.yaml").write_text(json.dumps({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bolometer", "namespace": "bolometer"},
        "data": {"bolometer.yaml": CONFIGURATION.format(collector=collector)}}))
    (directory / "kustomization.yaml").write_text(json.dumps({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": [os.path.relpath(SOURCE / "config/kubernetes", directory.resolve())],
        "patches": [{"path": "my-configuration.yaml"}]}))
    cluster.kubectl("apply", "-f", SOURCE / "config/kubernetes/namespace.yaml")
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", directory)
    cluster.kubectl("apply", "-k", directory)
    cluster.kubectl("-n", "bolometer", "rollout", "status", "daemonset/bolometer", f"--timeout={DEADLINE}s",
                    timeout=DEADLINE + 10)


# ---- What the API and the Collector say ------------------------------------------------------------


def containers_of(pods, replica_sets):
    """Container id -> what profiles of it must say."""
    found = {}
    for pod in pods:
        annotations = pod["metadata"].get("annotations", {})
        uid = annotations.get("kubernetes.io/config.hash") or pod["metadata"]["uid"]
        for status in pod["status"].get("containerStatuses", []):
            if "containerID" in status:
                found[status["containerID"].removeprefix("containerd://")] = {
                    "k8s.namespace.name": pod["metadata"]["namespace"],
                    "k8s.pod.name": pod["metadata"]["name"], "k8s.pod.uid": uid,
                    "k8s.container.name": status["name"], "k8s.node.name": NODE,
                    "k8s.cluster.name": "test-cluster", **owners_of(pod, replica_sets)}
    return found


def received_messages(schema, file):
    data = file.read_bytes() if file.exists() else b""
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        if len(data) < 4 + size:
            return  # being written
        message = schema.ProfilesData()
        message.ParseFromString(data[4:4 + size])
        yield message
        data = data[4 + size:]


class Found:
    """Of one container, or of the host outside containers."""

    def __init__(self):
        self.resources = defaultdict(set)
        self.samples = self.whole = self.broken = 0

    def add_stacks(self, message, profile):
        """Of a worker. A program's first interval may be without tables and names: not counted as broken."""
        whole = sum(count(sample) for sample in profile.samples if is_whole(message, sample))
        if self.whole:
            self.broken += otlp_rules.events_of(profile) - whole
        self.whole += whole


def count(sample):
    return len(sample.timestamps_unix_nano) or sum(sample.values)


def is_whole(message, sample):
    dictionary = message.dictionary
    names = [dictionary.string_table[dictionary.function_table[line.function_index].name_strindex]
             for index in dictionary.stack_table[sample.stack_index].location_indices
             for line in dictionary.location_table[index].lines]
    return {"brief_outer", "main"} <= set(names)


def attributes_of_resource(message, resource):
    """The Collector moves keys and texts to the dictionary."""
    strings, found = message.dictionary.string_table, {}
    for pair in resource.resource.attributes:
        value = otlp_rules.any_value(pair.value)
        if pair.value.WhichOneof("value") == "string_value_strindex":
            value = strings[value]
        found[pair.key or strings[pair.key_strindex]] = value
    return found


def collect(schema, file):
    """Container id (None: outside) -> Found, and the end of the last profile in ns."""
    found, last = defaultdict(Found), 0
    for message in received_messages(schema, file):
        for _, resource, _, profile in otlp_rules.profiles_of(message):
            says = attributes_of_resource(message, resource)
            of = found[says.get("container.id")]
            for key, value in says.items():
                if key.startswith("k8s."):
                    of.resources[key].add(value)
            of.samples += otlp_rules.events_of(profile)
            if says.get("process.executable.name") == "brief":  # not the engine's own process before it
                of.add_stacks(message, profile)
            last = max(last, profile.time_unix_nano + profile.duration_nano)
    return found, last


# ---- The run ---------------------------------------------------------------------------------------


class Run:
    def __init__(self, cluster, schema, work):
        self.cluster, self.schema, self.work = cluster, schema, work
        self.collected = work / "collected"
        self.collected.mkdir()
        self.problems, self.begun = [], time.monotonic()

    def say(self, *words):
        print(f"[{time.monotonic() - self.begun:5.1f} s]", *words, flush=True)

    def expect(self, condition, what):
        if not condition:
            self.problems.append(what)

    def all(self):
        self.cluster.apply(*collector_pod(self.collected, self.cluster.certificate()))
        self.cluster.kubectl("-n", "opentelemetry", "wait", "pod/collector", "--for=condition=Ready",
                             f"--timeout={DEADLINE}s", timeout=DEADLINE + 10)
        self.say("the Collector's pod is ready")
        apply_daemon_set(self.cluster, self.work)
        self.say("the DaemonSet is rolled out: its pod is ready")
        Path("/etc/kubernetes/manifests/agent.json").write_text(json.dumps(STATIC))
        self.cluster.apply(*WORKLOADS)
        expected = self.wait_for_containers()
        print(self.cluster.kubectl("get", "pods", "--all-namespaces", "-o", "wide"), end="")
        self.exec_inside()
        self.fetch_metrics()
        found = self.wait_for_profiles(expected)
        self.compare(expected, found)
        self.remove_daemon_set()

    def wait_for_containers(self):
        """All pods at work, the job's ended."""
        def attempt():
            pods = self.cluster.pods()
            ready = Counter(pod["status"]["phase"] for pod in pods)
            if ready["Running"] < 6 or ready["Succeeded"] < 1:
                raise Broken(f"pods: {dict(ready)}")
            return containers_of(pods, self.cluster.replica_sets())
        expected = self.cluster.wait("kubelet", attempt, DEADLINE)
        self.say(f"{len(expected)} containers run, one has ended")
        return expected

    def exec_inside(self):
        for command in ("status", "doctor"):
            output = self.cluster.kubectl("-n", "bolometer", "exec", "daemonset/bolometer", "--", "bolometer",
                                          command)
            self.say(f"kubectl exec daemonset/bolometer -- bolometer {command}:")
            print("    " + output.rstrip().replace("\n", "\n    "))
        stacks = self.cluster.kubectl("-n", "bolometer", "exec", "daemonset/bolometer", "--", "bolometer", "dump",
                                      "--last", "1m", "-o", "-", "--format", "folded")
        self.expect("brief_outer" in stacks, "nothing of the workers in what bolometer dump wrote")
        self.say(f"kubectl exec daemonset/bolometer -- bolometer dump: {len(stacks.splitlines())} stacks")

    def fetch_metrics(self):
        address = self.cluster.kubectl("-n", "bolometer", "get", "pods", "-o",
                                       "jsonpath={.items[0].status.podIP}")
        with urllib.request.urlopen(f"http://{address}:7071/metrics", timeout=10) as response:
            metrics = response.read().decode()
        self.expect("bolometer_samples_total" in metrics, "no bolometer_samples_total in the pod's metrics")
        self.say(f"metrics at the pod's address: {len(metrics.splitlines())} lines")

    def wait_for_profiles(self, expected):
        """Until each worker has samples."""
        workers = {i for i, says in expected.items() if says["k8s.namespace.name"] == "shop"}

        def attempt():
            found, _ = collect(self.schema, self.collected / "profiles")
            if missing := [expected[i]["k8s.container.name"] for i in workers
                           if found[i].whole < 20 or not set(expected[i]) <= set(found[i].resources)]:
                raise Broken(f"no profiles, or not all attributes, of {missing}")
            return found
        return self.cluster.wait("kubelet", attempt, DEADLINE)

    def compare(self, expected, found):
        self.say("what the Collector received:")
        print(f"    {'NAMESPACE':14} {'POD':26} {'CONTAINER':12} {'OWNER':10} {'SAMPLES':>7} {'WHOLE':>6}  CONTAINER ID")
        for container_id, of in sorted(found.items(), key=lambda item: str(expected.get(item[0]))):
            if container_id not in expected:
                continue
            one = {key: "|".join(sorted(values)) for key, values in of.resources.items()}
            owner = next((one[f"k8s.{kind}.name"] for kind in ("deployment", "job", "daemonset")
                          if f"k8s.{kind}.name" in one), "-")
            print(f"    {one.get('k8s.namespace.name', '-'):14} {one.get('k8s.pod.name', '-'):26} "
                  f"{one.get('k8s.container.name', '-'):12} {owner:10} {of.samples:7} "
                  f"{of.whole:6}  {container_id[:12]}")
            self.expect(one == expected[container_id],
                        f"the Collector has {one} of a container that is {expected[container_id]}")
            if one.get("k8s.namespace.name") == "shop":
                self.expect(of.broken <= 0.05 * of.whole, f"{one['k8s.container.name']}: {of.broken} stacks do not"
                            f" reach from brief_outer to main, {of.whole} do")
        own = [says for i, says in expected.items() if says["k8s.namespace.name"] == "bolometer" and i in found]
        self.say(f"outside containers: {found[None].samples} samples, "
                 f"{sorted(found[None].resources)}; Bolometer itself is seen: {bool(own)}")
        self.expect(set(found[None].resources) <= {"k8s.node.name", "k8s.cluster.name"},
                    f"processes of the node have {dict(found[None].resources)}")

    def remove_daemon_set(self):
        """SIGTERM: what was sampled until then arrives."""
        removed = time.time()
        self.cluster.kubectl("-n", "bolometer", "delete", "daemonset", "bolometer", "--wait=true")
        self.cluster.kubectl("-n", "bolometer", "wait", "pods", "--all", "--for=delete", f"--timeout={DEADLINE}s",
                             timeout=DEADLINE + 10)
        _, last = collect(self.schema, self.collected / "profiles")
        self.say(f"removed: the last profile ends {last / 1e9 - removed:+.2f} s from the removal")
        self.expect(last / 1e9 > removed - 0.5, "the last interval did not arrive when the pod was removed")


def import_images(cluster, build, cache, work):
    own = [("pause:1", {"/busybox": os.path.realpath(shutil.which("busybox"))}, ["/busybox", "sleep", "1000000"]),
           ("brief:1", {"/brief": build / "tests/containers/brief"}, ["/brief"]),
           ("collector:1", images.with_libraries(cache / "collector/otelcol", "/otelcol"), ["/otelcol"])]
    for name, files, command in own:
        archive = work / f"{name.split(':', maxsplit=1)[0]}.tar"
        images.write_image(archive, f"docker.io/library/{name}", files, command)
        cluster.import_image(archive)
    cluster.import_image(cache / "bolometer.tar")


def main_inside(build, work):
    schema = otlp_schema.load(CACHE / "otlp-schema")
    try:
        begun = time.monotonic()
        with Cluster(CACHE / VERSION, work) as cluster:
            version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
            import_images(cluster, build, CACHE, work)
            print(f"Kubernetes {version}, {NODE} ready after {time.monotonic() - begun:.0f} s")
            run = Run(cluster, schema, work)
            try:
                run.all()
            except Broken as why:
                run.problems.append(str(why))
                for command in (["get", "pods,events", "--all-namespaces"],
                                ["-n", "bolometer", "logs", "daemonset/bolometer"]):
                    with contextlib.suppress(Broken):
                        print(cluster.kubectl(*command))
    except Broken as why:
        print(f"no Kubernetes here: {why}")
        return SKIPPED
    for problem in run.problems:
        print(f"FAILED: {problem}")
    print("the Collector names every container as the API does" if not run.problems else
          f"{len(run.problems)} problems")
    return 1 if run.problems else 0


def main():
    build = Path(sys.argv[1]).resolve()
    if os.geteuid() != 0:
        print("needs root")
        return SKIPPED
    for program, package in (("busybox", "busybox-static"), ("ip", "iproute2"), ("openssl", "openssl")):
        if not shutil.which(program):
            print(f"needs {package}")
            return SKIPPED
    CACHE.mkdir(parents=True, exist_ok=True)
    engines = CACHE / "engines"
    for command in ([SOURCE / "scripts/build-kubernetes.sh", CACHE],
                    [SOURCE / "scripts/build-collector.sh", CACHE / "collector"],
                    [HERE.parent / "containers/engines.sh", engines, *PACKAGES]):
        done = subprocess.run(command, check=False)
        if done.returncode:
            return done.returncode
    begun = time.monotonic()
    otlp_schema.load(CACHE / "otlp-schema")
    images.build_own_image(CACHE, engines)
    print(f"image built from config/kubernetes/Containerfile in {time.monotonic() - begun:.0f} s", flush=True)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
    try:
        return subprocess.run([images.SANDBOX, engines, CACHE, SOURCE, sys.executable, HERE / "one_node.py",
                               "--inside", build, work], check=False).returncode
    finally:  # here, since its mounts have gone with the sandbox
        shutil.rmtree(work)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        sys.exit(main_inside(*map(Path, sys.argv[2:4])))
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(main())
