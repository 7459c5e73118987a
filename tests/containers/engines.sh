#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks container engines into DIRECTORY/root, without installing anything: their packages with all that
# this system lacks of what they need. Done once; later calls find it done.
#
# Usage: engines.sh DIRECTORY [PACKAGE...]     more packages to unpack
set -eu
directory=$1
shift
packages="runc podman conmon containerd golang-github-containers-common $*"

mkdir -p "$directory/archives/partial"
exec 9>"$directory/lock"
flock 9
[ ! -e "$directory/complete" ] || exit 0
rm -rf "$directory/root"
if ! command -v apt-get >/dev/null; then
    echo "no apt-get, so no packages of container engines"
    exit 77
fi
# shellcheck disable=SC2086  # a list of words
if ! apt-get install --yes --download-only --no-install-recommends --reinstall \
    -o Dir::Cache::archives="$directory/archives" -o Debug::NoLocking=1 $packages \
    >"$directory/log" 2>&1; then
    echo "the packages of container engines cannot be had: $(tail -n 1 "$directory/log")"
    exit 77
fi
mkdir "$directory/root"
for package in "$directory"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$directory/root" --no-same-owner -xf - ./usr ./etc \
        2>/dev/null || true
done
rm -rf "$directory/archives"
touch "$directory/complete"
