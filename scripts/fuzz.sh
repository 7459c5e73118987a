#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every libFuzzer target for some seconds, starting from its corpus. A crash ends the run with
# the input's path.
#
# Usage: fuzz.sh BUILD-DIRECTORY [SECONDS]
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-fuzz}
seconds=${2:-60}

[ -f "$build/build.ninja" ] || CC=clang meson setup "$build" -Dfuzzers=true >/dev/null
ninja -C "$build" --quiet
found=0
for target in "$build"/tests/fuzz/fuzz_*; do
    # Replayers and object directories stand beside the targets.
    case $target in *_replay | *.p) continue ;; esac
    [ -x "$target" ] || continue
    found=$((found + 1))
    name=$(basename "$target")
    corpus=$build/corpus/$name
    mkdir -p "$corpus"
    seeds=tests/fuzz/corpus/${name#fuzz_}
    [ -d "$seeds" ] || seeds=
    echo "$name for $seconds s"
    # shellcheck disable=SC2086  # no seeds: no argument
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$corpus/" "$corpus" $seeds
done
[ "$found" -gt 0 ] || {
    echo "no fuzzers were built" >&2
    exit 1
}
