#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing, and only those: nothing is asked of the network when
# all are there. Mirrors and suites are the machine's own configuration.
#
# Usage: install-dependencies.sh [build] [package] [tests] [peers]
set -eu

# To build: compiler, Meson, the BPF toolchain, the libraries of meson.build.
build="gcc libc6-dev linux-libc-dev meson ninja-build pkg-config python3
 clang llvm bpftool
 libbpf-dev libelf-dev libdw-dev zlib1g-dev libdeflate-dev libzstd-dev liblzma-dev libiberty-dev
 libprotobuf-c-dev protobuf-c-compiler protobuf-compiler
 libcap-dev libseccomp-dev nettle-dev libcurl4-openssl-dev libyaml-dev
 libmicrohttpd-dev libncurses-dev"

# To make the Debian package.
package="debhelper dpkg-dev fakeroot"

# To test: workloads in several languages, independent readers of what we write, virtual machines.
tests="libcmocka-dev libclang-rt-dev shellcheck valgrind binutils elfutils
 make g++ rustc musl-tools libjemalloc2 libgoogle-perftools4 libtcmalloc-minimal4 libmimalloc2.0 golang-go nodejs python3-venv
 chromium python3-websocket
 openssl python3-grpcio python3-h2 python3-protobuf python3-zstandard python3-yaml
 prometheus
 qemu-system-x86 qemu-system-arm busybox-static cpio xz-utils zstd
 gcc-aarch64-linux-gnu libc6-dev-arm64-cross
 man-db mandoc zsh fish lintian mmdebstrap systemd systemd-container
 libcap2-bin util-linux procps tmux"

# To compare with in tests/bench: other profilers, and programs to profile. Nothing needs them.
peers="heaptrack bpfcc-tools libjemalloc2 sqlite3 redis-server redis-tools g++"

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A program that is there already, from wherever it came, spares its package.
is_provided() {
    case $1 in
    golang-go) command -v go >/dev/null || [ -x /usr/local/go/bin/go ] ;;
    rustc) command -v rustc >/dev/null ;;
    nodejs) command -v node >/dev/null ;;
    meson) command -v meson >/dev/null ;;
    *) false ;;
    esac
}

missing_of() {
    for package in $1; do
        is_installed "$package" || is_provided "$package" || echo "$package"
    done
}

wanted=
[ $# -gt 0 ] || set -- build
for list in "$@"; do
    case $list in
    build) wanted="$wanted $build" ;;
    package) wanted="$wanted $package" ;;
    tests) wanted="$wanted $package $tests" ;;
    peers) wanted="$wanted $peers" ;;
    *)
        echo "usage: $0 [build] [package] [tests] [peers]" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian system: install the equivalents of:$wanted" >&2
    exit 0
fi
missing=$(missing_of "$wanted" | tr '\n' ' ')
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages; as root, run: apt-get install $missing" >&2
    exit 1
fi
echo "installing: $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# One package that a suite lacks must not keep the others away: the tests that need it then skip.
# shellcheck disable=SC2086  # a list of words
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } \
    >"$log" 2>&1; then
    for package in $missing; do
        apt-get install -y -qq --no-install-recommends "$package" >>"$log" 2>&1 ||
            echo "could not install $package" >&2
    done
    for package in $(missing_of "$build"); do
        tail -n 20 "$log" >&2
        echo "cannot build without $package" >&2
        exit 1
    done
fi
