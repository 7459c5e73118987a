/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting by uprobes costs what is to be found out. The first window is so short that it cannot hurt; each
 * further one is opened only when the one before saw so few calls that a longer one costs little.
 */
#include "command/doctor_memory.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/uprobe_multi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Calls in a window after which no longer one is tried: at 6 us each (stepped) the 50 ms window is then of
 * at most 25 times 20 calls, 3 ms, and the last one of 20 times 100, 12 ms of a second. */
static const struct {
	uint64_t ns;
	uint64_t enough;
} windows[] = {{2 * NS_PER_MS, 20}, {50 * NS_PER_MS, 100}, {NS_PER_SECOND, 0}};

static int attach_file(const struct doctor_memory *memory, const struct memory_file *file,
		       const struct uprobe_counter *counter)
{
	uint64_t offsets[ALLOCATOR_MAX_PROBES], cookies[ALLOCATOR_MAX_PROBES];
	for (size_t i = 0; i < file->table.probe_count; i++) {
		offsets[i] = file->table.probes[i].offset;
		cookies[i] = file->first_count + i;
	}
	struct uprobe_multi_target target = {.file = file->file,
					     .offsets = offsets,
					     .cookies = cookies,
					     .count = (uint32_t)file->table.probe_count,
					     .pid = memory->pid};
	return target.count ? uprobe_multi_attach(counter->program, UPROBE_MULTI, &target) : -1;
}

static uint64_t sum(const uint64_t *counts, uint32_t count)
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < count; i++)
		total += counts[i];
	return total;
}

/* One window. Returns 0 or -errno. */
static int count_once(struct doctor_memory *memory, uint64_t ns)
{
	struct uprobe_counter counter;
	_cleanup_free_ int *links = calloc(MAX_OF(memory->files.count, (size_t)1), sizeof(*links));
	_cleanup_free_ uint64_t *before = calloc(MAX_OF(memory->probe_count, 1U), sizeof(*before));
	if (!links || !before)
		return -ENOMEM;
	int r = uprobe_counter_open(memory->probe_count, UPROBE_MULTI, &counter);
	size_t attached = 0;
	for (; r == 0 && attached < memory->files.count; attached++) {
		links[attached] = attach_file(memory, &memory->files.items[attached], &counter);
		r = links[attached] < -1 ? links[attached] : 0;
	}
	uint64_t begin = clock_ns(CLOCK_MONOTONIC), cpu = process_cpu_ns((pid_t)memory->pid);
	if (r == 0)
		r = uprobe_counter_read(&counter, before);
	if (r == 0)
		usleep((useconds_t)(ns / 1000));
	if (r == 0)
		r = uprobe_counter_read(&counter, memory->counts);
	memory->counted_ns = clock_ns(CLOCK_MONOTONIC) - begin;
	memory->cpus = (double)(process_cpu_ns((pid_t)memory->pid) - cpu) / (double)memory->counted_ns;
	for (size_t i = 0; i < attached; i++)
		close_fd(links[i]);
	uprobe_counter_close(&counter);
	for (uint32_t i = 0; i < memory->probe_count; i++)
		memory->counts[i] -= before[i];
	return r;
}

void doctor_memory_count(struct doctor_memory *memory)
{
	memory->count_error = memory->trials.multi;
	memory->counts = calloc(MAX_OF(memory->probe_count, 1U), sizeof(*memory->counts));
	if (!memory->counts)
		memory->count_error = -ENOMEM;
	for (size_t i = 0; memory->count_error == 0 && i < ARRAY_LENGTH(windows); i++) {
		memory->count_error = count_once(memory, windows[i].ns);
		if (sum(memory->counts, memory->probe_count) > windows[i].enough)
			break;
	}
}

/* ---- Judging ----------------------------------------------------------------------------------- */

static double hit_ns(const struct doctor_memory *memory, const struct allocator_probe *probe)
{
	bool emulated = probe->flags & PROBE_EMULATED;
	return (double)(emulated ? memory->trials.emulated_ns : memory->trials.stepped_ns);
}

/* What the counted calls cost, in ns. */
static double probe_ns(const struct doctor_memory *memory)
{
	double total = 0;
	for (size_t i = 0; i < memory->files.count; i++) {
		const struct memory_file *file = &memory->files.items[i];
		for (size_t k = 0; k < file->table.probe_count; k++)
			total += (double)memory->counts[file->first_count + k] *
				 hit_ns(memory, &file->table.probes[k]);
	}
	return total;
}

static bool has_sampler(const struct doctor_memory *memory)
{
	for (size_t i = 0; i < memory->files.count; i++)
		for (size_t k = 0; k < memory->files.items[i].table.facts_count; k++)
			if (memory->files.items[i].table.facts[k].sampling != SAMPLING_NONE)
				return true;
	return false;
}

/* The process's CPU time in the window has the probes' in it; what is left did the calls. */
static double share_of_own(const struct doctor_memory *memory)
{
	double probes = probe_ns(memory);
	double all = memory->cpus * (double)memory->counted_ns;
	double own = MAX_OF(all - probes, all / 100);
	return own > 0 ? probes / own : 0;
}

void doctor_memory_judge(struct doctor_memory *memory)
{
	bool counted = memory->count_error == 0 && memory->trials.emulated_ns &&
		       memory->trials.stepped_ns;
	memory->cost_share = counted && memory->probe_count ? share_of_own(memory) : -1;
	if (memory->probe_count == 0)
		memory->tier = TIER_GROWTH;
	else if (has_sampler(memory) && memory->trials.perf == 0)
		memory->tier = TIER_SAMPLER;
	else if (memory->cost_share >= 0 && memory->cost_share <= memory->budget / 2)
		memory->tier = TIER_ALWAYS;
	else
		memory->tier = memory->trials.multi == 0 ? TIER_WINDOWS : TIER_GROWTH;
}
