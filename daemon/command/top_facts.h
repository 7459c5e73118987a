/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts above the table: how much was taken in an interval, what was lost, what it cost. All of it
 * stands in the profile itself; its comments are counts since the recording's start ("missed=3"), so an
 * interval's share is the difference to the profile before.
 */
#pragma once

#include "profile/profile.h"

/* Since the recording's start. */
struct top_counters {
	bool known; /* false: there was no profile yet */
	uint64_t samples, lost, missed, sideband_lost;
	uint64_t stacks, truncated; /* ended for any reason, and for a bad one */
	uint64_t own_cpu_ns, bpf_ns;
};

struct top_facts {
	int64_t time_ns, duration_ns; /* start, CLOCK_REALTIME; length */
	int64_t cpu_ns;	  /* taken; 0 when the values are no nanoseconds */
	int64_t total;	  /* of the values, in `unit` */
	const char *unit; /* of the profile, whose string it is */
	uint64_t processes, stacks;
	bool has_costs;	      /* the rest is of this interval; false: unknown */
	struct top_counters of_interval;
	uint64_t memory_bytes; /* now; 0: unknown */
};

/* `before`: of the profile before, or of zeros with `known` when there was none and the recording began with
 * this one. It is replaced by this profile's. */
void top_facts_read(const struct profile *profile, struct top_counters *before,
		    struct top_facts *ret);
