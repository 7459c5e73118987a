/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growth is kept for longer than time on the CPU: what brings a process to its end by memory often took
 * hours to come, and its samples are few.
 */
#include "profile/history.h"

#include "base/clock.h"

#include <errno.h>

static const struct {
	uint64_t age_ns;
	size_t entries;
} limits[PROFILE_KIND_COUNT] = {
	[PROFILE_KIND_CPU] = {60 * NS_PER_SECOND, 8192},
	[PROFILE_KIND_GROWTH] = {3600 * NS_PER_SECOND, 16384},
};

static struct aggregate_window *open_window(struct history *history, int kind)
{
	struct aggregate_window *window = calloc(1, sizeof(*window));
	if (!window)
		return NULL;
	*window = (struct aggregate_window){.kind = (enum profile_kind)kind,
					    .no_times = true,
					    .max_entries = limits[kind].entries};
	aggregate_open(history->aggregate, window);
	return window;
}

static void close_window(struct history *history, struct aggregate_window *window)
{
	if (window)
		aggregate_close(history->aggregate, window);
	free(window);
}

int history_begin(struct history *history, struct aggregate *aggregate, unsigned kinds, uint64_t now_ns)
{
	*history = (struct history){.aggregate = aggregate};
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		struct history_kind *k = &history->kinds[kind];
		if (!(kinds & PROFILE_KIND_BIT(kind)))
			continue;
		k->newer = open_window(history, kind);
		k->begin_ns = k->newer_ns = now_ns;
		if (!k->newer) {
			history_end(history);
			return -ENOMEM;
		}
	}
	return 0;
}

void history_end(struct history *history)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT && history->aggregate; kind++) {
		close_window(history, history->kinds[kind].older);
		close_window(history, history->kinds[kind].newer);
	}
	*history = (struct history){0};
}

void history_turn(struct history *history, uint64_t now_ns)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		struct history_kind *k = &history->kinds[kind];
		if (!k->newer || (now_ns - k->newer_ns < limits[kind].age_ns && !k->newer->dropped))
			continue;
		struct aggregate_window *window = open_window(history, kind);
		if (!window)
			continue; /* tried again next time */
		/* The new one gets what comes from now on, the older ones no more. */
		k->newer->is_complete = true;
		close_window(history, k->older);
		k->older = k->newer;
		k->newer = window;
		k->begin_ns = k->newer_ns;
		k->newer_ns = now_ns;
	}
}

struct process *history_find_process(const struct history *history, uint32_t pid, uint64_t start_time)
{
	struct process *found = NULL;
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		const struct aggregate_window *windows[] = {history->kinds[kind].older,
							    history->kinds[kind].newer};
		for (size_t w = 0; w < ARRAY_LENGTH(windows); w++) {
			for (size_t i = 0; windows[w] && i < windows[w]->entries.count; i++) {
				struct process *process = windows[w]->entries.items[i].process;
				bool matches = start_time ? process->start_time == start_time
							  : process->pid == pid;
				if (matches && (!found || process->begin > found->begin))
					found = process;
			}
		}
	}
	return found;
}
