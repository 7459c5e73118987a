#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attribution inside real containers: runc, podman and containerd run a program that uses the CPU for a
few milliseconds, in cgroups of every form that engines and orchestrators make, while the host is
recorded. Each container's samples must name it, and their stacks must be whole and have names.

Everything happens in a sandbox (sandbox.sh); engines are unpacked for it once (engines.sh).

Usage: test_containers.py BOLOMETER BRIEF ENGINES BUILD"""
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "truth")]
from profile_reader import Profile  # noqa: E402
from verdict import SKIPPED, Stopwatch, run_tests  # noqa: E402

BRIEF_MS = 5
FREQUENCY = 4801
IMAGES = 40  # containers of one
PODS = Path("/var/log/pods")  # of the sandbox
LOGS = Path("/var/log/containers")


class Unusable(Exception):
    """An engine does not work on this machine; the text says why."""


def run(*command, timeout=30):
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{command[0]}: {error}") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise Unusable(f"{command[0]}: {words[-1]}")
    return done.stdout


# ---- Containers: run below the recorder ------------------------------------------------------------


class Runner:
    """Runs containers and notes what the profile must say of each."""

    def __init__(self, brief, work, milliseconds=BRIEF_MS, layered=False):
        self.work, self.brief, self.milliseconds = Path(work), brief, milliseconds
        self.expected, self.skipped, self.layered = [], [], layered
        self.parent = f"/bolometer-test-{os.getpid()}"

    def root_file_system(self, name):
        """A directory with the one file; it is the same file in all."""
        directory = self.work / name
        directory.mkdir(parents=True)
        os.link(self.work / "brief", directory / "brief")
        if self.layered:
            self.mount_layers(name, directory)
        return directory

    def mount_layers(self, name, directory):
        """As engines do it; the mount goes with the sandbox."""
        layers = [self.work / f"{name}-{layer}" for layer in ("lower", "upper", "work")]
        directory.rename(layers[0])
        for new in (directory, *layers[1:]):
            new.mkdir()
        run("mount", "-t", "overlay", "-o", "lowerdir={},upperdir={},workdir={}".format(*layers), "overlay",
            directory)

    def warm_up(self):
        """The tables of the program are made before the containers start."""
        shutil.copy(self.brief, self.work / "brief")
        os.chmod(self.work / "brief", 0o755)
        for _ in range(4):
            subprocess.run([self.work / "brief", "150"], check=True)
            time.sleep(0.2)

    def expect(self, form, container_id, **labels):
        self.expected.append({"form": form, "id": container_id, "labels": labels})

    def attempt(self, what, function):
        """An engine that does not work here is said aloud, and the others go on."""
        try:
            function()
        except Unusable as why:
            self.skipped.append(f"{what}: {why}")

    # runc, with the cgroup that others would make

    def runc(self, form, path, container_id, **labels):
        bundle = self.work / f"runc-{len(self.expected)}"
        self.root_file_system(bundle / "rootfs")
        run("runc", "spec", "--bundle", bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"].update(terminal=False, args=["/brief", str(self.milliseconds)],
                               env=[f"{name}={value}" for name, value in
                                    labels.pop("environment", {}).items()])
        spec["linux"]["cgroupsPath"] = self.parent + path
        (bundle / "config.json").write_text(json.dumps(spec))
        run("runc", "--root", self.work / "runc-state", "run", "--bundle", bundle,
            f"test-{os.getpid()}-{len(self.expected)}")
        self.expect(form, container_id, **labels)

    def podman(self, form, *options):
        root = self.root_file_system(f"podman-{len(self.expected)}")
        state = self.work / "podman"
        id_file = self.work / f"podman-id-{len(self.expected)}"
        run("podman", "--root", state / "root", "--runroot", state / "run", "--tmpdir", state / "tmp",
            "--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc", "--events-backend=none",
            "run", "--network=none", "--ulimit=nofile=20000:20000", "--ulimit=nproc=20000:20000",
            "--pids-limit=0", "--log-driver=none", f"--cidfile={id_file}", *options, "--rootfs", root, "/brief",
            str(BRIEF_MS))
        self.expect(form, id_file.read_text().strip(), **{"container.runtime": "podman"})

    @contextlib.contextmanager
    def containerd(self):
        state = self.work / "containerd"
        state.mkdir()
        (state / "config.toml").write_text(
            f'version = 2\nroot = "{state}/root"\nstate = "{state}/state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{state}/socket"\n')
        with open(state / "log", "w") as log:
            daemon = subprocess.Popen(["containerd", "-c", state / "config.toml"], stdout=log,
                                      stderr=log)
        try:
            for _ in range(100):
                if (state / "socket").exists():
                    break
                time.sleep(0.1)
            yield lambda *words: run("ctr", "-a", state / "socket", "-n", "k8s.io", *words)
        finally:
            daemon.terminate()
            daemon.wait(10)

    def ctr(self):
        with self.containerd() as ctr:
            root = self.root_file_system("ctr")
            name = f"test-ctr-{os.getpid()}"
            ctr("run", "--rm", "--rootfs", root, name, "/brief", str(BRIEF_MS))
            self.expect("containerd", name, **{"service.name": name})

    def name_pod(self, uid, container_id):
        """What the kubelet writes on a node. Returns the labels that follow from it."""
        pod, namespace, container = f"cart-{len(self.expected)}", "shop", "web-1"
        (PODS / f"{namespace}_{pod}_{uid}" / container).mkdir(parents=True)
        LOGS.mkdir(parents=True, exist_ok=True)
        (LOGS / f"{pod}_{namespace}_{container}-{container_id}.log").symlink_to("/nowhere")
        return {"k8s.pod.name": pod, "k8s.namespace.name": namespace, "k8s.container.name": container}


def uid_of(token):
    digits = token[:32]
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def run_engines(runner):
    plain = secrets.token_hex(32)
    runner.attempt("runc", lambda: runner.runc("runc", f"/{plain}", plain))
    named = secrets.token_hex(32)
    runner.attempt("runc", lambda: runner.runc(
        "declared service", f"/docker-{named}.scope", named,
        environment={"OTEL_SERVICE_NAME": "checkout"}))
    runner.attempt("podman", lambda: runner.podman("podman, its cgroup namespace", "--cgroupns=private"))
    runner.attempt("podman", lambda: runner.podman("podman, the host's", "--cgroupns=host"))
    runner.attempt("containerd", runner.ctr)


def forms():
    """Of ecosystem and engines: what, path, id, uid of the pod."""
    def ids():
        token = secrets.token_hex(32)
        return token, uid_of(secrets.token_hex(16))
    i, u = ids()
    yield "docker, cgroupfs", f"/docker/{i}", i, None
    i, u = ids()
    yield "docker, systemd", f"/system.slice/docker-{i}.scope", i, None
    i, u = ids()
    yield "podman, systemd", f"/machine.slice/libpod-{i}.scope/container", i, None
    i, u = ids()
    yield "kubelet, cgroupfs", f"/kubepods/burstable/pod{u}/{i}", i, u
    i, u = ids()
    yield "kubelet, guaranteed", f"/kubepods/pod{u}/{i}", i, u
    i, u = ids()
    yield "cri-o, cgroupfs", f"/kubepods/besteffort/pod{u}/crio-{i}", i, u
    i, u = ids()
    slices = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"
    yield ("kubelet, systemd", f"{slices}{u.replace('-', '_')}.slice/cri-containerd-{i}.scope", i, u)
    i, u = ids()
    yield "cri-o, systemd", f"{slices}{u.replace('-', '_')}.slice/crio-{i}.scope/container", i, u
    i, u = ids()
    yield ("static pod", f"{slices}{u.replace('-', '')}.slice/cri-containerd-{i}.scope", i,
           u.replace("-", ""))
    i, u = ids()
    yield ("containerd below its own unit", "/system.slice/containerd.service/kubepods-burstable-pod"
           f"{u.replace('-', '_')}.slice:cri-containerd:{i}", i, u)
    i, u = ids()
    yield ("kind", f"/docker/{secrets.token_hex(32)}/kubelet.slice/kubelet-kubepods.slice/"
           f"kubelet-kubepods-pod{u.replace('-', '_')}.slice/cri-containerd-{i}.scope", i, u)
    i = f"{secrets.token_hex(16)}-1234567890"
    yield "ecs", f"/ecs/{secrets.token_hex(8)}/{i}", i, None
    i = f"web-{secrets.token_hex(4)}"
    yield "lxc", f"/lxc.payload.{i}", i, None


def run_forms(runner):
    for form, path, container_id, uid in forms():
        labels = runner.name_pod(uid, container_id) if uid else {}
        runner.attempt(form, lambda: runner.runc(form, path, container_id, **labels))


def remove_cgroups(parent):
    """What runc leaves: the directories above the container's own."""
    for mount in Path("/sys/fs/cgroup").glob("*"), [Path("/sys/fs/cgroup")]:
        for directory in mount:
            top = Path(str(directory) + parent)
            if top.is_dir():
                for below in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
                    with contextlib.suppress(OSError):
                        below.rmdir()
                with contextlib.suppress(OSError):
                    top.rmdir()
            # The engines' own parents, unless something else is in them.
            for name in ("libpod_parent/conmon", "libpod_parent", "k8s.io"):
                with contextlib.suppress(OSError):
                    (directory / name).rmdir()


def main_runner(kind, brief, work):
    runner = Runner(brief, work)
    runner.warm_up()
    try:
        (run_engines if kind == "engines" else run_forms)(runner)
    finally:
        remove_cgroups(runner.parent)
    time.sleep(0.3)  # the kubelet's files are looked for again
    (runner.work / "expected.json").write_text(
        json.dumps({"expected": runner.expected, "skipped": runner.skipped}))


# ---- Recording and comparing -----------------------------------------------------------------------


class Check:
    def __init__(self):
        self.problems, self.notes, self.containers = [], [], 0

    def expect(self, condition, what):
        if not condition:
            self.problems.append(what)

    def compare(self, view, profile, expected, whole=True):
        samples = [s for s in profile.samples if s.labels.get("process.executable.name") == "brief"]
        for container in expected:
            own = [s for s in samples if s.labels.get("container.id") == container["id"]]
            what = f"{view}: {container['form']}"
            self.containers += 1
            self.expect(own, f"{what}: no sample names {container['id']}")
            for name, value in container["labels"].items():
                if name == "container.runtime":
                    continue
                seen = {s.labels.get(name) for s in own}
                self.expect(seen <= {value}, f"{what}: {name} is {seen}, not {value}")
            if whole:
                self.compare_stacks(what, own)
        # The program also ran outside containers, to warm up: one process each time.
        outside = {s.labels["process.pid"] for s in samples if "container.id" not in s.labels}
        self.expect(len(outside) <= 4, f"{view}: {len(outside) - 4} containers have samples without a name")

    def compare_stacks(self, what, samples):
        working = [s for s in samples if "brief_inner" in s.names]
        whole = [s for s in working if {"brief_outer", "main"} <= set(s.names)
                 and not any(name.startswith("[") for name in s.names)]
        self.expect(working, f"{what}: nobody is seen at work")
        self.expect(len(whole) == len(working),
                    f"{what}: {len(working) - len(whole)} of {len(working)} stacks are not whole: "
                    f"{[s.names for s in working if s not in whole][:1]}")


def work_directory(view):
    """Another one for each attempt."""
    return Path(tempfile.mkdtemp(dir="/run", prefix=f"containers-{view.replace(' ', '-')}-"))


def record(check, view, kind, arguments, before=()):
    bolometer, brief = arguments
    work = work_directory(view)
    script = [sys.executable, __file__, "--runner", kind, brief, str(work)]
    done = subprocess.run([*before, bolometer, "record", "--exe=*/brief", f"--frequency={FREQUENCY}",
                           "-o", work / "profile.pb.gz", "--", *script],
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    if done.returncode:
        check.problems.append(f"{view}: status {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        return
    result = json.loads((work / "expected.json").read_text())
    check.notes += [f"{view}: not tried: {why}" for why in result["skipped"]]
    check.compare(view, Profile.read(work / "profile.pb.gz"), result["expected"])


def record_earlier(check, view, arguments, before=()):
    """A container that nobody announced."""
    bolometer, brief = arguments
    work = work_directory("earlier")
    runner, container_id = Runner(brief, work, milliseconds=4000, layered=True), secrets.token_hex(32)
    runner.warm_up()
    recorder = subprocess.Popen(
        ["sh", "-c", "sleep 1; exec \"$@\"", "sh", *before, bolometer, "record", "--exe=*/brief",
         f"--frequency={FREQUENCY}", "--duration=2s", "-o", work / "profile.pb.gz"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        runner.attempt(view, lambda: runner.runc("runc", f"/{container_id}", container_id))
        output, _ = recorder.communicate(timeout=60)
    finally:
        remove_cgroups(runner.parent)
    check.notes += [f"{view}: not tried: {why}" for why in runner.skipped]
    if recorder.returncode:
        check.problems.append(f"{view}: status {recorder.returncode}: {output[-600:]}")
    elif not runner.skipped:
        # The tables of the program may still be on their way at first.
        profile = Profile.read(work / "profile.pb.gz")
        check.compare(view, profile, runner.expected, whole=False)
        check.expect(any({"brief_inner", "brief_outer", "main"} <= set(s.names) for s in profile.samples),
                     f"{view}: no stack is whole: {Counter(tuple(s.names) for s in profile.samples).most_common(2)}")


def tracked_binaries(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        for line in response.read().decode().splitlines():
            if line.startswith("bolometer_tracked_binaries "):
                return int(line.split()[1])
    raise RuntimeError("no bolometer_tracked_binaries")


def share_a_layer(check, view, arguments):
    """Many containers of one image: the program is one binary, though each sees it on a device of its own."""
    bolometer, brief = arguments
    work = work_directory("layers")
    (work / "lower").mkdir()
    shutil.copy(brief, work / "lower/brief")
    roots = [work / f"root-{number}" for number in range(IMAGES)]
    for root in roots:
        layers = [work / f"{root.name}-upper", work / f"{root.name}-work"]
        for directory in (root, *layers):
            directory.mkdir()
        run("mount", "-t", "overlay", "-o", f"lowerdir={work}/lower,upperdir={layers[0]},workdir={layers[1]}",
            "overlay", root)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (work / "configuration.yaml").write_text(
        f"http: {{socket: {work}/socket, health_address: '127.0.0.1:{port}'}}\ncache: {{directory: ''}}\n"
        f"exporters: [{{type: pprof-directory, directory: {work}/profiles}}]\n")
    daemon = subprocess.Popen([bolometer, "daemon", f"--config={work}/configuration.yaml"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: tracked_binaries(port) > 0)
        time.sleep(1)
        before = tracked_binaries(port)
        programs = [subprocess.Popen(["chroot", root, "/brief", "30"]) for root in roots]
        for program in programs:
            program.wait(60)
        time.sleep(1)
        added = tracked_binaries(port) - before
    finally:
        daemon.terminate()
        daemon.wait(30)
        for root in roots:
            run("umount", "--lazy", root)
    check.containers += IMAGES
    check.expect(added < IMAGES / 2, f"{view}: {added} more binaries are known after {IMAGES} containers of one image")


def wait_for(attempt, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        try:
            if attempt():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("the daemon does not answer")
        time.sleep(0.1)


# Only the unified hierarchy, as on hosts without v1; then seen from a cgroup namespace of one's own.
UNIFIED = ["unshare", "--mount", "sh", "-c", 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh"]
# What the DaemonSet and the unit have: the kernel then opens no mapping's file by /proc/PID/map_files.
FEW_RIGHTS = ["setpriv", "--bounding-set=-all,+bpf,+perfmon,+sys_ptrace,+syslog,+dac_read_search"]
# A container is then 0::/../... .
PRIVATE = ["unshare", "--mount", "--cgroup", "sh", "-c",
           'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"', "sh"]


def judged(counted, view, compare, *arguments):
    """A test of one view. What lives 5 ms may be missed, or met before its tables, on a busy host."""
    def run():
        check, watch = Check(), Stopwatch()
        compare(check, view, *arguments)
        for note in check.notes:
            print(note)
        watch.expect(not check.problems, "\n".join(check.problems))
        counted.append(check.containers)
        return f"{check.containers} containers" if check.containers else "SKIPPED: no engine works here"
    return view, run


def main_inside(arguments):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    counted = []
    status = run_tests([
        judged(counted, "as the host is", record, "engines", arguments),
        judged(counted, "only v2", record, "forms", arguments, UNIFIED),
        judged(counted, "from a private cgroup namespace", record, "forms", arguments, PRIVATE),
        judged(counted, "from a private cgroup namespace, begun before", record_earlier, arguments, PRIVATE),
        judged(counted, "with the rights of the DaemonSet", record_earlier, arguments, FEW_RIGHTS),
        judged(counted, "of one image", share_a_layer, arguments)])
    if status == 0 and not sum(counted):
        print("no engine works here")
        sys.exit(SKIPPED)
    print(f"{sum(counted)} containers, most of {BRIEF_MS} ms, have their names and whole stacks")
    sys.exit(status)


def main():
    bolometer, brief, engines, build = map(os.path.abspath, sys.argv[1:5])
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(SKIPPED)
    Path(engines).mkdir(parents=True, exist_ok=True)
    done = subprocess.run([HERE / "engines.sh", engines], capture_output=True, text=True)
    if done.returncode:
        print((done.stdout + done.stderr).strip())
        sys.exit(done.returncode)
    source = HERE.parent.parent
    os.execv(HERE / "sandbox.sh", ["sandbox.sh", engines, build, str(source), sys.executable, __file__,
                                   "--inside", bolometer, brief])


if __name__ == "__main__":
    if sys.argv[1] == "--runner":
        main_runner(*sys.argv[2:5])
    elif sys.argv[1] == "--inside":
        main_inside(sys.argv[2:4])
    else:
        main()
