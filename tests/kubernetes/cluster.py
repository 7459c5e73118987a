# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes of one node, in the mount and network namespaces of the caller (tests/containers/sandbox.sh):
etcd, API server, controller manager, scheduler, kubelet, containerd, and pods with addresses of their own.
Processes and cgroups are the host's. No service proxy and no name server: pods meet at their addresses."""
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

NODE = "node-1"
NODE_ADDRESS = "10.77.0.1"
POD_SUBNET = "10.88.0.0/24"
API_PORT = 16443
# What the kubelet insists on; the host keeps its own values.
SYSCTLS = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
           "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000}

CONTAINERD = """version = 2
root = "{work}/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:1"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "/etc/cni/net.d"
"""
NETWORK = {"cniVersion": "0.4.0", "name": "pods", "type": "ptp",
           "ipam": {"type": "host-local", "subnet": POD_SUBNET, "dataDir": "/run/cni",
                    "routes": [{"dst": "0.0.0.0/0"}]}}
KUBELET = {
    "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "cgroupDriver": "cgroupfs", "failCgroupV1": False, "failSwapOn": False,
    "localStorageCapacityIsolation": False, "makeIPTablesUtilChains": False,
    "enforceNodeAllocatable": ["pods"], "evictionHard": {"memory.available": "50Mi"},
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "staticPodPath": "/etc/kubernetes/manifests", "registerNode": True,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"}}
KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "one",
    "clusters": [{"name": "one", "cluster": {"server": f"https://{NODE_ADDRESS}:{API_PORT}", "insecure-skip-tls-verify": True}}],
    "users": [{"name": "admin", "user": {"token": "token"}}],
    "contexts": [{"name": "one", "context": {"cluster": "one", "user": "admin"}}]}


class Broken(Exception):
    """The cluster does not come up; the text says which part and what its log ends with."""


class Cluster:
    def __init__(self, programs, work):
        self.programs, self.work = Path(programs), Path(work)
        self.parts = []
        self.host = os.open("/sys/fs/cgroup", os.O_RDONLY | os.O_DIRECTORY)  # the same in all sandboxes; locked while we run

    def __enter__(self):
        self.claim_host()
        try:
            self.prepare()
            self.start_parts()
        except BaseException:
            self.__exit__()
            raise
        return self

    # ---- Coming up ---------------------------------------------------------------------------------

    def claim_host(self):
        """A kubelet ends what is in the cgroups of pods and not its own: there must be no second one. Where this
        raises, nothing was touched."""
        try:
            fcntl.flock(self.host, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise Broken("another cluster of this test is up on this host") from held
        for tree in (*Path("/sys/fs/cgroup").glob("*/kubepods*"), *Path("/sys/fs/cgroup").glob("kubepods*")):
            raise Broken(f"{tree}: this host is a node of a Kubernetes already, or was not cleaned up")

    def prepare(self):
        for name in ("etcd", "certificates", "kubelet", "containerd", "sysctls"):
            (self.work / name).mkdir(parents=True)
        for name in ("/etc/cni/net.d", "/etc/kubernetes/manifests", "/run/containerd"):
            Path(name).mkdir(parents=True, exist_ok=True)
        for name, value in SYSCTLS.items():
            file = self.work / "sysctls" / name.replace("/", ".")
            file.write_text(f"{value}\n")
            run("mount", "--bind", file, f"/proc/sys/{name}")
        for words in ("link set lo up", "link add node type veth peer name outside", "link set node up",
                      "link set outside up", f"addr add {NODE_ADDRESS}/24 dev node", "route add default dev node"):
            run("ip", *words.split())
        (self.work / "containerd.toml").write_text(CONTAINERD.format(work=self.work))
        Path("/etc/cni/net.d/10-pods.conf").write_text(json.dumps(NETWORK))
        for name, content in (("kubelet.yaml", KUBELET), ("kubeconfig", KUBECONFIG)):
            (self.work / name).write_text(json.dumps(content))
        (self.work / "tokens").write_text('token,admin,admin,"system:masters"\n')
        run("openssl", "genrsa", "-out", self.work / "accounts.key", "2048")

    def start_parts(self):
        work, config = self.work, f"--kubeconfig={self.work}/kubeconfig"
        self.start("containerd", "containerd", "-c", work / "containerd.toml")
        self.start("etcd", "etcd", "--data-dir", work / "etcd", "--unsafe-no-fsync",
                   "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379")
        key = work / "accounts.key"
        self.start("kube-apiserver", self.programs / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
                   f"--secure-port={API_PORT}", "--bind-address=0.0.0.0", f"--advertise-address={NODE_ADDRESS}",
                   f"--cert-dir={work}/certificates", f"--service-account-key-file={key}",
                   f"--service-account-signing-key-file={key}",
                   "--service-account-issuer=https://kubernetes.default.svc", f"--token-auth-file={work}/tokens",
                   "--allow-privileged=true", "--authorization-mode=Node,RBAC",
                   "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.96.0.0/16",
                   "--endpoint-reconciler-type=none", "--kubelet-preferred-address-types=InternalIP")
        self.wait("kube-apiserver", lambda: self.kubectl("get", "--raw", "/readyz"))
        self.start("kube-controller-manager", self.programs / "kube-controller-manager", config,
                   "--leader-elect=false")
        self.start("kube-scheduler", self.programs / "kube-scheduler", config, "--leader-elect=false")
        self.start("kubelet", self.programs / "kubelet", config, f"--config={work}/kubelet.yaml",
                   f"--root-dir={work}/kubelet", f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}")
        self.wait("kubelet", self.node_is_ready)

    def node_is_ready(self):
        status = json.loads(self.kubectl("get", "node", NODE, "-o", "json"))["status"]
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]):
            raise Broken(f"the node is not ready: {[c['message'] for c in status['conditions']]}")

    def start(self, name, *command):
        log = open(self.work / f"{name}.log", "wb")
        self.parts.append((name, subprocess.Popen([*map(str, command)], stdout=log, stderr=log,
                                                  stdin=subprocess.DEVNULL)))
        log.close()

    def wait(self, name, attempt, seconds=120):
        """Until attempt() no longer raises Broken."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return attempt()
            except Broken as why:
                dead = [part for part, process in self.parts if process.poll() is not None]
                if dead or time.monotonic() > deadline:
                    raise Broken(f"{(dead or [name])[0]}: {why}\n{self.end_of_log((dead or [name])[0])}") from why
            time.sleep(0.5)

    def end_of_log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")[-3000:]

    # ---- Using it ----------------------------------------------------------------------------------

    def kubectl(self, *words, stdin=None, timeout=120):
        return run(self.programs / "kubectl", f"--kubeconfig={self.work}/kubeconfig", *words, stdin=stdin,
                   timeout=timeout)

    def apply(self, *resources):
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List",
                                                           "items": resources}))

    def pods(self):
        return json.loads(self.kubectl("get", "pods", "--all-namespaces", "-o", "json"))["items"]

    def replica_sets(self):
        """Name -> the Deployment that made it."""
        items = json.loads(self.kubectl("get", "replicasets", "--all-namespaces", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["metadata"]["ownerReferences"][0]["name"] for item in items}

    def certificate(self):
        """Of the API server, by itself."""
        return (self.work / "certificates/apiserver.crt").read_text()

    def import_image(self, archive):
        self.wait("containerd", lambda: run("ctr", "-n", "k8s.io", "images", "import", archive))

    # ---- Going down --------------------------------------------------------------------------------

    def __exit__(self, *_):
        for name, process in reversed(self.parts):
            if name == "containerd":
                self.end_containers()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for top in (*Path("/sys/fs/cgroup").glob("*/kubepods"), *Path("/sys/fs/cgroup").glob("kubepods")):
            for directory in sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True):
                remove_directory(directory)
            remove_directory(top)
        os.close(self.host)

    def end_containers(self):
        """What runs in the cgroups of pods, and the shims of containerd, outlive their parents."""
        for file in Path("/sys/fs/cgroup").glob("**/kubepods/**/cgroup.procs"):
            for pid in read_lines(file):
                end(int(pid))
        for shim in subprocess.run(["pgrep", "-f", "containerd-shim-runc-v2.* -address /run/containerd/"],
                                   capture_output=True, text=True, check=False).stdout.split():
            if is_here(shim):
                end(int(shim))


def is_here(pid):
    """A process in our own mount namespace: none of another containerd's."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    except OSError:
        return False


def read_lines(file):
    try:
        return file.read_text().split()
    except OSError:
        return []


def end(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def remove_directory(path):
    for _ in range(20):  # until the killed have gone
        try:
            path.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)


def run(*command, stdin=None, timeout=60):
    """The command's output; raises Broken."""
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=timeout, input=stdin or "",
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Broken(f"{command[0]}: {error}") from error
    if done.returncode:
        raise Broken(f"{' '.join(map(str, command[:4]))}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout
