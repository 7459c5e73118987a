/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sampled lately, beside the intervals: for the question what a process did before its end. Two
 * windows of each kind, an older and a newer one: when the newer is old or full it becomes the older. So
 * there is always one age at least, and never more than a bounded number of entries.
 */
#pragma once

#include "profile/aggregate.h"

struct history_kind {
	struct aggregate_window *older, *newer; /* NULL: not there yet, or the kind is not looked at */
	uint64_t begin_ns, newer_ns; /* since when samples are in it, and in the newer one; CLOCK_MONOTONIC */
};

struct history {
	struct aggregate *aggregate; /* NULL: not begun */
	struct history_kind kinds[PROFILE_KIND_COUNT];
};

/* `kinds`: PROFILE_KIND_BIT of those that are kept. The aggregate must outlive it. Returns 0 or -ENOMEM. */
int history_begin(struct history *history, struct aggregate *aggregate, unsigned kinds, uint64_t now_ns);

/* Accepts one that was not begun. */
void history_end(struct history *history);

/* Turns the windows that are due; call it now and then. */
void history_turn(struct history *history, uint64_t now_ns);

/* The process with a sample in it that began then (CLOCK_MONOTONIC, as samples tell it) or, where
 * `start_time` is 0, the youngest of this number. NULL: none. */
struct process *history_find_process(const struct history *history, uint32_t pid, uint64_t start_time);
