/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts above the table: how much was taken in an interval, what was lost, what it cost. All of it
 * stands in the profile itself, whose comments count what happened during it ("missed=3").
 */
#pragma once

#include "profile/profile.h"

struct top_counters {
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
	bool has_costs;	      /* the rest is known: the profile has comments of ours */
	struct top_counters of_interval;
	uint64_t memory_bytes; /* now; 0: unknown */
};

void top_facts_read(const struct profile *profile, struct top_facts *ret);
