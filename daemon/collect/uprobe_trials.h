/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What uprobes are like on this host, tried on functions of this very process: which kinds of links the
 * kernel has, what a hit costs, and whether it has the faults that damage the
 * stack of probed functions or end filtered programs.
 */
#pragma once

#include "base/attributes.h"
#include "collect/uprobe_multi.h"

#define UPROBE_TRIAL_UNKNOWN INT32_MIN

struct uprobe_trials {
	int perf;    /* a uprobe as a perf event: 0 or -errno */
	int multi;   /* UPROBE_MULTI: 0 or -errno */
	int session; /* UPROBE_MULTI_SESSION: 0 or -errno */
	/* Does a uprobe on a five-byte nop overwrite what the function keeps below its stack pointer? 0, 1 or
	 * UPROBE_TRIAL_UNKNOWN (not allowed, or not x86-64). Probes are never set on one inside a function,
	 * whatever the answer. */
	int damages_red_zone;
	int ends_filtered; /* as uprobe_trials_return_under_filter() */
	/* Of one hit, in ns; 0: unknown. */
	uint64_t emulated_ns; /* on an instruction that the kernel emulates */
	uint64_t stepped_ns;  /* on one that it steps through out of line */
};

/* Sets a link of that kind on a function of this process, calls it and looks whether it was hit. Some ten
 * milliseconds. Returns 0 or -errno. */
int uprobe_trials_link(enum uprobe_multi_kind kind);

/* Does a probe on a function's return end a program whose system-call filter does not know of it? Tried on a child
 * of this process, in some 50 ms. 0, 1 or UPROBE_TRIAL_UNKNOWN (no probe could be set). */
int uprobe_trials_return_under_filter(void);

/* What a hit of the program costs a child of this process, made for that, in ns of its CPU time. `cookie` is the
 * probe's; the function has its argument in the first register, and returns it. `stepped`: on an instruction that
 * the kernel steps through. Returns 0 or -errno. */
int uprobe_trials_price(int program, enum uprobe_multi_kind kind, uint64_t cookie, bool stepped, double *ret_ns);

/* CPU time that the children of all trials so far used, ns. */
uint64_t uprobe_trials_children_cpu_ns(void);

/* Takes about a second: taking a perf uprobe away does. */
void uprobe_trials_run(struct uprobe_trials *ret);
