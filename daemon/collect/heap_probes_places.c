/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns which processes are probed: who is judged worth it, who has a place, and who yields it. No probe is set here.
 *
 * A process whose main thread has ended cannot be probed: the kernel tells whose code is meant by that thread's memory,
 * which it has given up (uprobe_multi_link_filter()). Probes that are there go sooner or later, without a word.
 */
#include "collect/heap_probes_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/process_state.h"

#include <errno.h>
#include <signal.h>

#define REMOVE_INTERVAL_NS (20 * NS_PER_MS) /* after a look that found none */
#define LEADERLESS_JUDGEMENTS 2
/* Between two judgements a process that waits for a place has run so long, and one that is idle no longer than: */
#define RUNS_NS (10 * NS_PER_MS)
#define IDLE_NS NS_PER_MS
#define IDLE_JUDGEMENTS 3
#define STAYING_IDLE_JUDGEMENTS 60 /* whose blocks are all known: with its place, that goes */

/* ---- Who is probed ---------------------------------------------------------------------------- */

/* An index in `heap_processes`, given anew as late as possible: its last window may still be open. 0: none. */
static uint32_t take_index(struct heap_probes *heap)
{
	uint32_t count = heap->options.programs->heap_processes;
	for (uint32_t tried = 1; tried < count; tried++) {
		heap->last_index = heap->last_index % (count - 1) + 1;
		if (!hash_get(&heap->indices, heap->last_index))
			return hash_put(&heap->indices, heap->last_index, 1) < 0 ? 0 : heap->last_index;
	}
	return 0;
}

/* Has it ended before it was known whether it has an allocator? */
static bool was_missed(const struct probed_process *p)
{
	bool is_settled = p->files.count > 0;
	for (size_t i = 0; i < p->files.count; i++)
		is_settled &= p->files.items[i].is_settled;
	return !p->is_added && !is_settled && process_has_ended(p->pid);
}

void heap_probes_note_leaderless(struct heap_probes *heap, uint32_t pid)
{
	if (process_is_leaderless(pid) && !hash_get(&heap->leaderless, pid))
		hash_put(&heap->leaderless, pid, heap->judgement);
}

static void remove_process(struct heap_probes *heap, struct probed_process *p)
{
	heap->statistics.missed += was_missed(p);
	heap_probes_note_leaderless(heap, p->pid);
	heap_windows_remove(heap->options.windows, p->pid);
	hash_remove(&heap->by_pid, p->pid, NULL);
	hash_remove(&heap->indices, p->index, NULL);
	array_free(&p->files);
	free(p);
}

/* And is not waited for by its parent. */
static bool is_gone(uint32_t pid)
{
	return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Short processes would else take the places of others until the next judgement. Not for each that is refused where all
 * live, as all are asked, and without a look into /proc, which takes twenty times as long: one that has ended and is
 * not waited for keeps its place until it is judged. */
static void remove_ended(struct heap_probes *heap)
{
	struct hash_slot *slot;
	uint64_t now = monotonic_ns();
	if (now - heap->vain_ns < REMOVE_INTERVAL_NS)
		return;
	ARRAY(struct probed_process *) ended = {0};
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));) {
		struct probed_process *p = (struct probed_process *)(uintptr_t)slot->value;
		if (is_gone(p->pid) && array_add(&ended, p) < 0)
			break;
	}
	if (!ended.count)
		heap->vain_ns = now;
	for (size_t i = 0; i < ended.count; i++)
		remove_process(heap, ended.items[i]);
	array_free(&ended);
}

static void note_program(struct probed_process *p, const struct process *process)
{
	p->life = process->life;
	p->program = process->number;
	p->has_threads = process->has_threads;
}

struct probed_process *heap_probes_find(struct heap_probes *heap, const struct process *process)
{
	const uint64_t *value = hash_get(&heap->by_pid, process->pid);
	struct probed_process *p = value ? (struct probed_process *)(uintptr_t)*value : NULL;
	if (!p || process->number < p->program) /* a record of what it was */
		return p;
	if (process->life != p->life) {
		remove_process(heap, p);
		return NULL;
	}
	/* The kernel's links are tied to the main thread, and a thread that calls exec takes its place. */
	if (process->number != p->program && p->has_threads)
		heap_windows_renew(heap->options.windows, p->pid);
	note_program(p, process);
	return p;
}

static void refuse_process(struct heap_probes *heap, uint32_t pid)
{
	if (is_gone(pid)) /* it has made room itself */
		return;
	if (!hash_get(&heap->refused, pid))
		heap->statistics.processes_refused++;
	hash_put(&heap->refused, pid, heap->judgement);
}

static bool is_young(const struct heap_probes *heap, const struct process *process)
{
	return monotonic_ns() < process->begin + heap->options.least_age_ns;
}

/* Is it too young, or was it until its end? That can be long past where ends are not told (see
 * collector_set_following()). One that was there before anybody looked has no beginning, and is old. */
static bool is_brief(struct heap_probes *heap, const struct process *process)
{
	if (!heap->options.least_age_ns || !process->begin)
		return false;
	if (is_young(heap, process)) {
		hash_put(&heap->young, process->number, heap->judgement);
		return true;
	}
	bool was_young = hash_remove(&heap->young, process->number, NULL);
	bool has_ended = hash_get(&heap->ended, process->number) || (was_young && process_has_ended(process->pid));
	if (has_ended)
		hash_put(&heap->ended, process->number, heap->judgement);
	heap->statistics.brief += has_ended && was_young;
	return has_ended;
}

struct probed_process *heap_probes_judge(struct heap_probes *heap, struct process *process)
{
	const struct heap_probes_options *options = &heap->options;
	if (process->kernel_task || !options->is_selected(options->userdata, process))
		return NULL;
	if (is_brief(heap, process))
		return NULL;
	double factor = options->weigh(options->userdata, process);
	if (factor == 0)
		return NULL;
	if (heap->by_pid.count >= options->processes)
		remove_ended(heap);
	if (heap->by_pid.count >= options->processes) {
		refuse_process(heap, process->pid);
		return NULL;
	}
	struct probed_process *p = calloc(1, sizeof(*p));
	if (!p || hash_put(&heap->by_pid, process->pid, (uintptr_t)p) < 0) {
		free(p);
		return NULL;
	}
	p->pid = process->pid;
	p->factor = factor;
	note_program(p, process);
	p->index = take_index(heap);
	p->seen = p->ran = heap->judgement;
	p->cpu_ns = process_cpu_ns((pid_t)p->pid);
	return p;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static void note_run(const struct heap_probes *heap, struct probed_process *p)
{
	uint64_t cpu = process_cpu_ns((pid_t)p->pid);
	if (cpu > p->cpu_ns + IDLE_NS)
		p->ran = heap->judgement;
	p->cpu_ns = cpu;
}

/* Has one that found no place run since the last judgement? */
static bool runs(struct heap_probes *heap, uint32_t pid)
{
	const uint64_t *known = hash_get(&heap->refused_cpu, pid);
	uint64_t cpu = process_cpu_ns((pid_t)pid), before = known ? *known : cpu;
	hash_put(&heap->refused_cpu, pid, cpu); /* without: it waits a judgement longer */
	return cpu >= before + RUNS_NS;
}

static bool is_idle(const struct heap_probes *heap, const struct probed_process *p)
{
	uint64_t least = heap_windows_stays(heap->options.windows, p->pid) ? STAYING_IDLE_JUDGEMENTS : IDLE_JUDGEMENTS;
	return heap->judgement >= p->ran + least;
}

/* The one that has been idle for longest loses its place. Returns whether there is one. */
static bool yield_place(struct heap_probes *heap)
{
	struct hash_slot *slot;
	struct probed_process *idlest = NULL;
	if (heap->all_run == heap->judgement)
		return false;
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));) {
		struct probed_process *p = (struct probed_process *)(uintptr_t)slot->value;
		if ((!idlest || p->ran < idlest->ran) && is_idle(heap, p))
			idlest = p;
	}
	if (!idlest) {
		heap->all_run = heap->judgement;
		return false;
	}
	log_debug("process %u does not run, and is not probed any more", idlest->pid);
	remove_process(heap, idlest);
	heap->statistics.processes_yielded++;
	return true;
}

static void judge_again(struct heap_probes *heap, struct process *process)
{
	if (heap_probes_judge(heap, process) || heap->options.keep_places)
		return;
	const uint64_t *refused = hash_get(&heap->refused, process->pid);
	if (refused && *refused == heap->judgement && runs(heap, process->pid) && yield_place(heap))
		heap_probes_judge(heap, process);
}

static void on_alive(void *userdata, struct process *process)
{
	struct heap_probes *heap = userdata;
	const struct heap_probes_options *options = &heap->options;
	struct probed_process *p = heap_probes_find(heap, process);
	if (!p) {
		judge_again(heap, process);
		return;
	}
	note_run(heap, p);
	double factor = options->is_selected(options->userdata, process) ? options->weigh(options->userdata, process) : 0;
	if (factor == 0)
		return;
	p->seen = heap->judgement;
	p->factor = factor;
	heap_windows_weigh(options->windows, p->pid, factor);
}

/* Those that have ended, or are not selected any more. One at a time: the table moves. */
static bool remove_one_unseen(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));) {
		struct probed_process *p = (struct probed_process *)(uintptr_t)slot->value;
		if (p->seen == heap->judgement)
			continue;
		remove_process(heap, p);
		return true;
	}
	return false;
}

static bool forget_one_leaderless(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->leaderless, &i));)
		if (process_has_ended((uint32_t)slot->key))
			return hash_remove(&heap->leaderless, slot->key, NULL);
	return false;
}

/* Not at once: of a process that ends the main thread may be the first that is gone. */
static void tell_leaderless(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->leaderless, &i));) {
		if (!slot->value || heap->judgement - slot->value < LEADERLESS_JUDGEMENTS)
			continue;
		slot->value = 0;
		heap->statistics.leaderless++;
		log_warning("what process %llu allocates is not seen any more: its main thread has ended, and the "
			    "kernel sets no probes in such a process", (unsigned long long)slot->key);
	}
}

static bool forget_one_refused(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->refused, &i));)
		if (slot->value != heap->judgement) {
			hash_remove(&heap->refused_cpu, slot->key, NULL);
			return hash_remove(&heap->refused, slot->key, NULL);
		}
	return false;
}

/* Takes away what this judgement has not met. Returns how many. */
static size_t forget_unmet(struct hash *programs, uint64_t judgement)
{
	struct hash_slot *slot;
	ARRAY(uint64_t) gone = {0};
	for (size_t i = 0; (slot = hash_next(programs, &i));)
		if (slot->value != judgement && array_add(&gone, slot->key) < 0)
			break;
	for (size_t i = 0; i < gone.count; i++)
		hash_remove(programs, gone.items[i], NULL);
	size_t count = gone.count;
	array_free(&gone);
	return count;
}

void heap_probes_judge_all(struct heap_probes *heap)
{
	heap->judgement++;
	process_table_each_alive(heap->options.table, on_alive, heap);
	while (remove_one_unseen(heap) || forget_one_refused(heap) || forget_one_leaderless(heap))
		;
	heap->statistics.brief += forget_unmet(&heap->young, heap->judgement);
	forget_unmet(&heap->ended, heap->judgement);
	tell_leaderless(heap);
}
