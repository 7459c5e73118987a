# SPDX-License-Identifier: Apache-2.0
"""Images of containers without a registry: small ones from files of this host, as OCI archives; and our
own, built by podman from config/kubernetes/Containerfile over a Debian that mmdebstrap made."""
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
SANDBOX = HERE.parent / "containers/sandbox.sh"
sys.path.insert(0, str(HERE.parent / "kernels"))
import fetch  # noqa: E402

OWN_IMAGE = "docker.io/library/bolometer:0.1.0"
BASE_IMAGE = "docker.io/library/debian:12-slim"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]

# $1 cache, $2 source, $3 archive to write. Podman's state stays in the cache, for the layers of packages. Two
# limits are set because podman's own need CAP_SYS_RESOURCE.
BUILD = f"""set -eu
podman() {{
    command podman --root "$cache/podman" --runroot /run/podman --tmpdir /run/podman-tmp \\
        --cgroup-manager=cgroupfs --runtime=runc --events-backend=none "$@"
}}
cache=$1
podman image exists {BASE_IMAGE} || podman import --quiet "$cache/debian.tar" {BASE_IMAGE}
podman build --quiet --pull=never --network=host --ulimit=nofile=20000:20000 --ulimit=nproc=20000:20000 \\
    -f "$2/config/kubernetes/Containerfile" -t {OWN_IMAGE} "$2"
rm -f "$3"
podman save --quiet --format=oci-archive -o "$3" {OWN_IMAGE}
podman image prune --force >/dev/null
"""


def loaded_later(listed):
    """What ldd says of the libraries, and their paths, that a program like ours does not link with and may load."""
    places = {Path(word).parent for word in listed.split() if "/libprotobuf-c.so" in word}
    paths = [str(place / name) for place in places for name in ("libcurl.so.4", "libmicrohttpd.so.12")
             if (place / name).exists()]
    return " ".join(paths + [subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
                             for path in paths])


def with_libraries(program, inside):
    """Files of an image in which a program of this host runs: path inside -> path here."""
    files = {inside: program}
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    listed += loaded_later(listed)
    for word in listed.split():
        if word.startswith("/"):
            files[word] = os.path.realpath(word)
    return files


def write_image(path, name, files, command):
    """Writes an OCI archive with one layer: files as of with_libraries, and an empty /tmp."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        directory = tarfile.TarInfo("tmp")
        directory.type, directory.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(directory)
        for inside, here in files.items():
            tar.add(here, inside.lstrip("/"), filter=as_program)
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(data)}

    of_layer = blob(layer.getvalue(), "layer.v1.tar")
    configuration = {"architecture": ARCHITECTURE, "os": "linux", "config": {"Entrypoint": command},
                     "rootfs": {"type": "layers", "diff_ids": [of_layer["digest"]]}}
    of_configuration = blob(json.dumps(configuration).encode(), "config.v1+json")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": of_configuration, "layers": [of_layer]}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": name}
    with tarfile.open(path, "w") as tar:
        for file, data in [("oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode()),
                           ("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()),
                           *((f"blobs/sha256/{digest}", data) for digest, data in blobs.items())]:
            member = tarfile.TarInfo(file)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def as_program(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755
    return member


def build_own_image(cache, engines):
    """Path of our image's archive. The first time it downloads and unpacks what a build needs."""
    base = cache / "debian.tar"
    if not base.exists():
        if not shutil.which("mmdebstrap"):
            raise FileNotFoundError("mmdebstrap is not installed")
        partial = cache / "partial.tar"
        mirror, _ = fetch.mirrors()
        fetch.run(["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", "bookworm",
                   partial, mirror])
        partial.rename(base)
    archive = cache / "bolometer.tar"
    subprocess.run([SANDBOX, engines, cache, SOURCE, "sh", "-c", BUILD, "sh", cache, SOURCE, archive], check=True,
                   env=dict(os.environ, SANDBOX_NETWORK="host"), stdin=subprocess.DEVNULL)
    return archive
