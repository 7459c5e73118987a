/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Losses of one cause while the daemon runs. Who looks at the log is told of heavy ones when they begin, not when the
 * daemon ends, and again each minute while they last. Owns what is not told yet.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What became of samples in a time. */
struct loss {
	uint64_t kept, lost; /* samples */
	uint64_t duration_ns;
};

/* Of all 0: nothing yet. */
struct loss_watch {
	struct loss untold;
	uint64_t told_ns; /* CLOCK_MONOTONIC; 0: never */
};

/* Adds an interval, which ended at `now_ns` (CLOCK_MONOTONIC). Returns whether to tell now: *ret is then what was lost
 * since the last time, or in this interval where the ones before lost little. */
bool loss_watch_add(struct loss_watch *watch, const struct loss *interval, uint64_t now_ns, struct loss *ret);
