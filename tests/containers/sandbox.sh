#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a command where the engines of engines.sh seem installed, in mount and network namespaces of its
# own: what it writes outside /tmp and the build is in memory, mounts and addresses go with it. Processes
# and cgroups are the host's; with SANDBOX_NETWORK=host the network is too.
#
# Usage: sandbox.sh ENGINES BUILD SOURCE COMMAND...
set -eu
if [ -z "${IN_SANDBOX-}" ]; then
    network=--net
    [ "${SANDBOX_NETWORK-}" != host ] || network=
    IN_SANDBOX=1 exec unshare --mount $network --propagation private "$0" "$@"
fi
engines=$1 build=$2 source=$3
shift 3
work=$engines/sandbox
mkdir -p "$work"
mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
# A second layer cannot lie below the first one: links stand for it.
[ ! -d "$engines/root" ] || cp -a -s -n "$engines/root/." "$work/root/"
for place in proc sys dev tmp; do
    mount --rbind "/$place" "$work/root/$place"
done
for place in "$build" "$source"; do
    mkdir -p "$work/root/$place"
    mount --rbind "$place" "$work/root/$place"
done
mount -t tmpfs -o mode=755 tmpfs "$work/root/run"
mkdir -p "$work/root/run/lock" "$work/root/mnt/old"
cd "$work/root"
pivot_root . mnt/old
umount -l /mnt/old
cd /
exec "$@"
