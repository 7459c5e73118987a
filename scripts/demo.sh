#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds, profiles this host for ten seconds and shows what came out.
#
# Usage: demo.sh BUILD-DIRECTORY
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}

[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null
ninja -C "$build" --quiet
bolometer=$build/bolometer

"$bolometer" doctor || {
    echo "this host cannot be profiled: see above" >&2
    exit 1
}
echo
echo "Recording this host for 10 s ..."
"$bolometer" record -d 10s -o bolometer-demo.pb.gz -o bolometer-demo.html
echo
"$bolometer" report -n 20 bolometer-demo.pb.gz
