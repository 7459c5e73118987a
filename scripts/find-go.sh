#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a Go toolchain: that of PATH, or of the places where Go's own archive and Debian's
# packages put it. Status 1 when there is none.
for go in "$(command -v go)" /usr/local/go/bin/go /usr/lib/go/bin/go /usr/lib/go-*/bin/go; do
	if [ -n "$go" ] && "$go" version >/dev/null 2>&1; then
		echo "$go"
		exit 0
	fi
done
exit 1
