#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian package with dpkg's own tools, from a copy of the tree whose config/debian stands at
# debian/, as they want it. Prints the package's path. A package newer than every source is left as it is.
#
# Usage: make-deb.sh BUILD
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1/deb"
deb=$(cd "$1/deb" && pwd)
exec 9>"$deb/lock"
flock 9
cd "$here"
sources="meson.build meson_options.txt LICENSE bpf daemon proto systemd config docs"

# shellcheck disable=SC2086  # a list of words
stamp=$(find $sources scripts/make-deb.sh -type f ! -path '*/__pycache__/*' -exec sha256sum {} + | sort | sha256sum)
if [ "$(cat "$deb/stamp" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$deb/stamp" "$deb/bolometer" "$deb"/*.deb
    mkdir "$deb/bolometer"
    # shellcheck disable=SC2086
    cp -a $sources "$deb/bolometer"
    mv "$deb/bolometer/config/debian" "$deb/bolometer/debian"
    # -d: scripts/install-dependencies.sh looks after the tools, some of which may come from elsewhere.
    (cd "$deb/bolometer" && dpkg-buildpackage --build=binary --unsigned-changes -d) >"$deb/log" 2>&1 || {
        tail -n 40 "$deb/log" >&2
        exit 1
    }
    rm -rf "$deb/bolometer"
    echo "$stamp" >"$deb/stamp"
fi
ls "$deb"/bolometer_*.deb
