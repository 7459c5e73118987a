/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which strategy a sample falls under: a list of rules, each of one kind of profile and of the processes that
 * it matches. The first that matches decides; a sample that none matches is taken as it is. Where a rule says so,
 * what it takes goes on to the next that matches, and weighs the product of their factors: each factor has the mean 1
 * whatever came before it, so the product has, too.
 *
 * What a process is matched by can change while it runs (its cgroup) or come late (the names of its pod). So it
 * is looked at once, kept, and looked at again after strategies_forget_processes().
 */
#pragma once

#include "bpf/wire.h"
#include "process/pod_names.h"
#include "process/process.h"
#include "profile/strategy_rule.h"

#define STRATEGIES_MAX 64

struct strategies;

/* `rules` are moved: what they hold is the strategies' after success. `seed` is of all chances. `now_ns` is
 * since when they count, ns since 1970. Returns 0, -ENOMEM, or -E2BIG for more than STRATEGIES_MAX. */
int strategies_new(struct strategy_rule *rules, size_t count, uint64_t seed, uint64_t now_ns,
		   struct strategies **ret);
struct strategies *strategies_free(struct strategies *strategies); /* accepts NULL, returns NULL */

/* They come in place of others, which are good for nothing but strategies_free() then; NULL: there were none. Rules that
 * are in both go on: what they decided of processes stays, and so does what they know of the load and have counted. */
void strategies_go_on(struct strategies *strategies, struct strategies *before);

/* The factor on a sample's weight, 1 or more; 0: it is not taken. `trace` is NULL where its thread was in no span;
 * `names` may be NULL. */
double strategies_offer(struct strategies *strategies, const struct record_sample *sample,
			const struct record_trace *trace, const struct process *process, struct pod_names *names);

/*
 * Processes that are left out whole. Where the first rules that a process falls under decide about it as a whole, and
 * one of them takes none of it, no sample of its CPU time need be made (collector_leave_out()): it is enough to count
 * them. Which rules they come to is told by a number, since what each of them is offered has to be counted.
 */

/* May there be such processes? */
bool strategies_leave_out(const struct strategies *strategies); /* accepts NULL */

/* Why the process of a sample is left out: a number below LEFT_OUT_REASONS; -1: it is not, or there are too many
 * reasons. `names` as above. */
int strategies_reason(struct strategies *strategies, const struct record_sample *sample,
		      const struct process *process, struct pod_names *names);

/* So many samples, of so much CPU time together, were left out for a reason. */
void strategies_count_left_out(struct strategies *strategies, int reason, uint64_t samples, uint64_t weight);

/*
 * Whose heap is looked at. What is held is known of a process that is looked at from one moment on, whole or not at all.
 * So a rule decides about a process once for its life, also over an exec, and what it takes is what statistics count, each
 * process once: a number kept is that of processes newly looked at. The factor is of all values of the process: sums over
 * processes have the mean they have without a rule.
 */

/* How many processes the heap of the process stands for: 1 or more; 0: it is not looked at. Ask it again and again: what it
 * falls under may change, and it is forgotten when 65,536 others were asked for meanwhile. `now_ns`: CLOCK_MONOTONIC. */
double strategies_offer_heap(struct strategies *strategies, const struct process *process, struct pod_names *names,
			     uint64_t now_ns);

/* As it was told last when it was not 0, if by strategies that were before; 1 if it never was. */
double strategies_heap_factor(struct strategies *strategies, const struct process *process);

/* Processes are matched anew. */
void strategies_forget_processes(struct strategies *strategies);

/* All statistics begin anew; `now_ns` as above. */
void strategies_reset(struct strategies *strategies, uint64_t now_ns);

struct strategy_report {
	const struct strategy_rule *rule; /* valid as long as the strategies */
	struct strategy_statistics statistics;
	size_t services;   /* told apart by an adaptive one */
	uint64_t since_ns; /* since 1970 */
};

/* NULL: there are none. */
size_t strategies_count(const struct strategies *strategies);
void strategies_get(const struct strategies *strategies, size_t index, struct strategy_report *ret);
