#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the parts of a one-node Kubernetes from Go modules: kube-apiserver, kube-controller-manager,
# kube-scheduler, kubelet and kubectl. Takes a quarter of an hour of two CPUs and the network once; does
# nothing for what is there already.
#
# Usage: build-kubernetes.sh DIRECTORY     the programs become DIRECTORY/kubelet and so on
set -eu

VERSION=1.34.4
programs="kube-apiserver kubelet kube-controller-manager kube-scheduler kubectl"
directory=$1/$VERSION
missing=
for program in $programs; do
    [ -x "$directory/$program" ] || missing="$missing $program"
done
[ -n "$missing" ] || exit 0
go=$("$(dirname "$0")/find-go.sh") || {
    echo "needs a Go toolchain" >&2
    exit 77
}
mkdir -p "$directory/source"
cd "$directory/source"
PATH=$(dirname "$go"):$PATH
export PATH CGO_ENABLED=0

# The module of Kubernetes takes its libraries from directories beside it; here they are the published ones
# of the same version.
if [ ! -e go.sum ]; then
    of_kubernetes=$(go mod download -json "k8s.io/kubernetes@v$VERSION" |
        sed -n 's/^[[:space:]]*"GoMod": "\(.*\)",*$/\1/p')
    {
        echo "module bolometer/kubernetes"
        grep '^go ' "$of_kubernetes"
        echo "require k8s.io/kubernetes v$VERSION"
        sed -n "s|^[[:space:]]*\(replace \)*\(k8s.io/[^ ]*\) => ./staging/.*|replace \2 => \2 v0.${VERSION#*.}|p" \
            "$of_kubernetes"
    } >go.mod
    {
        echo "package programs"
        for program in $programs; do
            echo "import _ \"k8s.io/kubernetes/cmd/$program\""
        done
    } >programs.go
    sed -i '1i //go:build programs' programs.go
    go mod tidy
fi
for program in $missing; do
    echo "building $program" >&2
    go build -mod=mod -trimpath -o "../$program.new" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$VERSION" \
        "k8s.io/kubernetes/cmd/$program"
    mv "../$program.new" "../$program"
done
