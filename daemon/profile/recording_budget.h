/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording kept under a share of the host's CPU time: reads what it costs twice a second, asks the
 * controller (collect/budget.h), and moves the levers. What it costs is all of it: our own processes, the
 * programs in the kernel, and the interrupts of busy CPUs, whose price is measured at the start.
 */
#pragma once

#include "base/loop.h"
#include "collect/budget.h"
#include "collect/opener.h"
#include "profile/recording.h"

struct recording_budget;

/* The levers, and what they act on: the recording's. Each moves at once. */
struct recording_levers {
	void (*set_rate)(struct recording *recording, uint32_t frequency);
	void (*set_lever)(struct recording *recording, enum budget_lever lever, bool used);
	/* Binaries may be read with so much more CPU time, ns; see parser_grant(). */
	void (*grant_reading)(struct recording *recording, uint64_t cpu_ns);
	/* Allocators may be looked at for so much CPU time, ns a second; see collector_allow_heap(). */
	void (*allow_heap)(struct recording *recording, double cpu_ns);
	/* Ticks on or off; a sample from now on weighs so many times its time. */
	void (*set_sampling)(struct recording *recording, bool on, double weight);
	bool (*is_paused)(const struct recording *recording);
};

/* Measures the price of an interrupt (a second's worth of the budget, 8 to 40 ms). What our processes have cost beyond
 * `own_cpu_ns` is the first step's. Returns 0 or -errno. */
int recording_budget_new(struct loop *loop, struct recording *recording,
			 const struct recording_levers *levers, const struct budget_options *options,
			 struct opener *opener, uint64_t own_cpu_ns, struct recording_budget **ret);

/* Accepts NULL, returns NULL. */
struct recording_budget *recording_budget_free(struct recording_budget *budget);

/* Closes what still looks at the price of an interrupt: the kernel is left alone from now on. Accepts NULL. */
void recording_budget_detach(struct recording_budget *budget);

/* See budget_change(). */
void recording_budget_change(struct recording_budget *budget, double share, uint32_t highest_hz);

/* Takes what was spent since the last step: nothing is sampled any more. */
void recording_budget_end(struct recording_budget *budget);

/* See budget_begin_interval(). Accepts NULL. */
void recording_budget_begin_interval(struct recording_budget *budget);

/* What it measured, allowed and chose last. */
void recording_budget_report(const struct recording_budget *budget, struct budget_report *ret);
