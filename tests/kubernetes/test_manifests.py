#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manifests against Kubernetes' own schemas, and what these do not find: quantities, names that
refer to nothing, rights that crept in, a configuration the daemon would refuse.

Usage: test_manifests.py BOLOMETER MANIFESTS SCHEMA_DIRECTORY"""
import copy
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from manifest_schema import VERSIONS, Unavailable, validator

try:
    import yaml
except ImportError:
    print("no module yaml (package python3-yaml)")
    sys.exit(77)

CAPABILITIES = {"BPF", "PERFMON", "SYS_PTRACE", "SYSLOG", "DAC_READ_SEARCH"}
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")
problems = []


def expect(condition, what):
    if not condition:
        problems.append(what)


def load(directory):
    """Every resource of the kustomization, by kind."""
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text())
    found = {}
    for name in kustomization["resources"]:
        resource = yaml.safe_load((directory / name).read_text())
        found[resource["kind"]] = resource
    return kustomization, found


def check_schema(program, directory, kustomization):
    files = [directory / name for name in kustomization["resources"]]
    for version in VERSIONS:
        result = subprocess.run([program, "--strict", "-k", version, *files], capture_output=True,
                                text=True)
        expect(result.returncode == 0, f"Kubernetes {version}: {result.stdout}{result.stderr}")


def check_schema_finds(program, directory, found):
    """The validator itself: a misspelt field must not pass."""
    broken = copy.deepcopy(found["DaemonSet"])
    broken["spec"]["template"]["spec"]["hostPid"] = True
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(broken, file)
        file.flush()
        result = subprocess.run([program, "--strict", "-k", VERSIONS[0], file.name],
                                capture_output=True, text=True)
    expect(result.returncode != 0, "the validator lets a misspelt field pass")


def check_references(kustomization, found):
    daemon_set, pod = found["DaemonSet"], found["DaemonSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    names = {resource["metadata"]["name"] for resource in found.values()}
    namespaces = {resource["metadata"].get("namespace", "bolometer") for resource in found.values()}
    expect(names == {"bolometer"} and namespaces == {kustomization["namespace"]},
           f"names {names} in namespaces {namespaces}")
    expect(pod["serviceAccountName"] == found["ServiceAccount"]["metadata"]["name"],
           "no such service account")
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    selector = daemon_set["spec"]["selector"]["matchLabels"]
    expect(selector.items() <= labels.items(), "the selector does not find its own pods")
    volumes = [volume["name"] for volume in pod["volumes"]]
    mounts = [mount["name"] for mount in container["volumeMounts"]]
    expect(sorted(volumes) == sorted(mounts), f"volumes {volumes}, but mounts {mounts}")
    for volume in pod["volumes"]:
        if "configMap" in volume:
            expect(volume["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"],
                   "no such config map")
    images = [image["name"] for image in kustomization["images"]]
    expect(container["image"] in images, f"image {container['image']} is not set by {images}")
    for argument in container["args"]:
        for name in re.findall(r"\$\((\w+)\)", argument):
            expect(any(variable["name"] == name for variable in container["env"]),
                   f"{argument} uses a variable that is not there")


def check_health(found):
    template = found["DaemonSet"]["spec"]["template"]
    container = template["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    address = [a for a in container["args"] if a.startswith("--set=http.health_address=")]
    expect(len(address) == 1 and address[0].endswith(f":{ports['health']}"),
           f"the health listener of {address} is not on {ports}")
    expect(template["metadata"]["annotations"]["prometheus.io/port"] == str(ports["health"]),
           "Prometheus is sent to another port")
    paths = {probe: container[probe]["httpGet"]["path"]
             for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    expect(paths == {"startupProbe": "/readyz", "livenessProbe": "/healthz",
                     "readinessProbe": "/readyz"}, f"probes {paths}")
    for probe in paths:
        expect(container[probe]["httpGet"]["port"] in ports, f"{probe} of no port")


def check_rights(found):
    pod = found["DaemonSet"]["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    expect(set(context["capabilities"]["add"]) == CAPABILITIES, "other capabilities than wanted")
    expect(context["capabilities"]["drop"] == ["ALL"], "not all capabilities are dropped")
    expect(context["runAsUser"] == 0, "capabilities are of uid 0 only")
    expect("privileged" not in context and context["readOnlyRootFilesystem"] and
           not context["allowPrivilegeEscalation"], "more rights than needed")
    expect(context["seccompProfile"]["type"] == "RuntimeDefault", "seccomp")
    expect(pod["hostPID"] and "hostNetwork" not in pod and "hostIPC" not in pod, "host namespaces")
    writable = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]
                if not mount.get("readOnly")}
    expect(writable == {"/var/lib/bolometer", "/var/cache/bolometer", "/run/bolometer"},
           f"writable: {writable}")
    node = [v for v in pod["containers"][0]["env"] if v["name"] == "NODE_NAME"]
    expect(node and node[0]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName", "NODE_NAME")
    for kind in pod["containers"][0]["resources"].values():
        for name, quantity in kind.items():
            expect(QUANTITY.match(str(quantity)), f"{name}: {quantity} is no quantity")


def check_configuration(bolometer, found):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(found["ConfigMap"]["data"]["bolometer.yaml"])
        file.flush()
        result = subprocess.run([bolometer, "check-config", file.name], capture_output=True,
                                text=True)
    expect(result.returncode == 0, f"check-config: {result.stdout}{result.stderr}")


def check_component(directory, found):
    """The patch must hit: one more capability at the end of the list."""
    component = yaml.safe_load((directory / "strict-nodes/kustomization.yaml").read_text())
    patch = yaml.safe_load(component["patches"][0]["patch"])
    expect(component["patches"][0]["target"] == {"kind": "DaemonSet", "name": "bolometer"},
           "the patch is of something else")
    at = found["DaemonSet"]
    for word in patch[0]["path"].strip("/").split("/")[:-1]:
        at = at[int(word)] if word.isdigit() else at.get(word, {})
    expect(isinstance(at, list) and patch[0]["value"] == "SYS_ADMIN", "the patch hits no list")


def main():
    bolometer, directory, schemas = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    kustomization, found = load(directory)
    check_references(kustomization, found)
    check_health(found)
    check_rights(found)
    check_configuration(bolometer, found)
    check_component(directory, found)
    unavailable = None
    try:
        program = validator(schemas)
        check_schema(program, directory, kustomization)
        check_schema_finds(program, directory, found)
    except Unavailable as why:
        unavailable = why
    for problem in problems:
        print(f"FAIL {problem}")
    if problems:
        sys.exit(1)
    if unavailable:
        print(f"own checks hold, schemas not tried: {unavailable}")
        sys.exit(77)
    print(f"{len(found)} manifests, Kubernetes {' and '.join(VERSIONS)}")


if __name__ == "__main__":
    main()
