# SPDX-License-Identifier: Apache-2.0
# The front door. Meson does the building; every target sets up what it needs.
BUILD ?= build
DESTDIR ?=

all: build

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	scripts/install-dependencies.sh build
	meson setup $(BUILD)

# Installs what is missing, builds, profiles this host for 10 s, shows where the time went.
demo:
	scripts/install-dependencies.sh build
	scripts/demo.sh $(BUILD)

# Every test on this machine, in under 30 minutes. The last line counts them.
check:
	scripts/install-dependencies.sh build tests
	scripts/check.py $(ARGS)

# The figures of the README and docs, each against something measured in the same run.
bench: build
	meson test -C $(BUILD) --benchmark --verbose --num-processes 1 $(ARGS)

# The daemon for SOAK_MINUTES (60) under a load that forks all the time, its memory each minute; then twenty
# runs of a rate that changes, and the truth tests over and over, as long: leaks, drift and rare failures show here.
soak: build
	SOAK_MINUTES=$(or $(SOAK_MINUTES),60) /usr/bin/python3 tests/faults/soak_daemon.py $(BUILD)/bolometer
	BOLOMETER_HEAP_TIMES=1000 python3 tests/truth/test_heap.py $(BUILD)/bolometer $(BUILD)/tests/truth/workloads
	BOLOMETER_TEST_SECONDS=1200 python3 tests/truth/test_rate_changes.py $(BUILD)/bolometer $(BUILD)/tests/truth/workloads 20
	BOLOMETER_TEST_SECONDS=1200 BOLOMETER_HEAP_RUNS=12 scripts/soak.py $(BUILD) $(SOAK_MINUTES)

# The first of these alone, in a virtual machine (QEMU, emulated) with a Debian kernel: for a host that others use.
# SOAK_PAUSE=0.5: seconds between two rounds of its forks.
soak-in-guest: build
	scripts/soak_in_guest.py $(BUILD) $(or $(SOAK_MINUTES),65)

# Every fuzzer for FUZZ_SECONDS (60) with libFuzzer, sanitizers on.
fuzz:
	scripts/install-dependencies.sh build tests
	scripts/fuzz.sh build-fuzz $(FUZZ_SECONDS)

# What a real OpenTelemetry Collector and Pyroscope's own handler receive is what was sent. Builds both first:
# about 4 minutes, from the network. After that it is part of every check.
collector-test: build
	scripts/build-collector.sh $(BUILD)/collector
	scripts/build-pyroscope-receiver.sh $(BUILD)/pyroscope
	meson test -C $(BUILD) 'export collector' 'export pyroscope server'

# The DaemonSet on a real Kubernetes of one node, built from Go modules the first time: about half an hour,
# from the network, kept in ~/.cache. After that some minutes. Needs root.
kubernetes-test: build
	scripts/install-dependencies.sh build tests
	tests/kubernetes/one_node.py $(BUILD)

install: build
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

# The Debian package; its path is the last line.
deb:
	scripts/install-dependencies.sh build package
	scripts/make-deb.sh $(BUILD)

clean:
	rm -rf $(BUILD) build-asan build-fuzz

.PHONY: all build demo check bench soak soak-in-guest fuzz collector-test kubernetes-test install deb clean
