/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs of an allocator's probes where calls and returns have a probe each. A kernel with sessions needs them for
 * the few files alone whose functions can only be probed behind their first instructions, and the verifier takes as long
 * for them as for half of all else: a heap profile would pay that at its start for nothing. So they are a second object
 * with the maps of the first one, loaded when the first such file is probed.
 */
#pragma once

#include "base/attributes.h"

struct bolometer_bpf;

struct single_probes {
	struct bolometer_bpf *skeleton; /* owned, NULL: not needed yet. Published when loaded: any thread may read it */
	int error;			/* of loading, which is tried once */
};

/* Loads them with the maps of `first`, unless that was done. By one thread. Returns the skeleton or NULL, logged. */
const struct bolometer_bpf *single_probes_load(struct single_probes *probes, const struct bolometer_bpf *first);

/* NULL: not loaded. */
const struct bolometer_bpf *single_probes_get(const struct single_probes *probes);

/* Idempotent. */
void single_probes_close(struct single_probes *probes);
