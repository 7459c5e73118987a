#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds an OpenTelemetry Collector that receives profiles over OTLP, can add what Kubernetes knows of a pod,
# and writes what it received to a file, from Go modules with the Collector's own builder. Takes minutes of two
# CPUs and the network once; does nothing when it is there.
#
# Usage: build-collector.sh DIRECTORY     the program becomes DIRECTORY/otelcol
set -eu

VERSION=v0.159.0
STABLE_VERSION=v1.65.0
directory=$1
[ ! -x "$directory/otelcol" ] || exit 0
go=$("$(dirname "$0")/find-go.sh") || {
    echo "needs a Go toolchain" >&2
    exit 77
}
mkdir -p "$directory"
cd "$directory"
PATH=$(dirname "$go"):$PATH
export PATH
GOBIN=$(pwd) go install "go.opentelemetry.io/collector/cmd/builder@$VERSION"
cat >builder.yaml <<END
dist: {name: otelcol, output_path: ./source}
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver $VERSION
exporters:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter $VERSION
processors:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/processor/k8sattributesprocessor $VERSION
providers:
  - gomod: go.opentelemetry.io/collector/confmap/provider/envprovider $STABLE_VERSION
  - gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider $STABLE_VERSION
END
./builder --config=builder.yaml --skip-compilation
cd source
go build -trimpath -ldflags='-s -w' -o ../otelcol.new .
mv ../otelcol.new ../otelcol
