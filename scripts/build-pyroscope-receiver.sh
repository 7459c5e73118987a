#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds a receiver of Pyroscope's PusherService from Pyroscope's own Go module: its schema, its handler.
# Half a minute and the network once; does nothing when it is there.
#
# Usage: build-pyroscope-receiver.sh DIRECTORY     the program becomes DIRECTORY/receiver
set -eu

source=$(cd "$(dirname "$0")/../tests/export/pyroscope_receiver" && pwd)
directory=$1
[ ! -x "$directory/receiver" ] || exit 0
go=$("$(dirname "$0")/find-go.sh") || {
    echo "needs a Go toolchain" >&2
    exit 77
}
mkdir -p "$directory/source"
cp "$source"/receiver.go "$source"/go.mod "$directory/source"
cd "$directory/source"
"$go" mod tidy
"$go" build -trimpath -ldflags='-s -w' -o ../receiver.new .
mv ../receiver.new ../receiver
