/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is probed while unwind tables are still being made, since stacks would end before their time.
 *
 * A process keeps its probes when it becomes another program: the kernel sets them in what that maps.
 *
 * A process that is forked has its parent's files without mapping them: they are read from /proc. Until its own probes
 * are there it has copies of its parent's, which are not counted; they go with the parent's.
 *
 * A process whose main thread has ended cannot be probed: the kernel tells whose code is meant by that thread's memory,
 * which it has given up (uprobe_multi_link_filter()). Probes that are there go sooner or later, without a word.
 */
#include "collect/heap_probes.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "process/process_state.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#define JUDGE_INTERVAL_NS NS_PER_SECOND
#define REMOVE_INTERVAL_NS (20 * NS_PER_MS) /* after a look that found none */
#define MAX_FILES 4096 /* of a process */
#define LEADERLESS_JUDGEMENTS 2
#define TABLES_TIMEOUT_NS (5 * NS_PER_SECOND)
/* Between two judgements a process that waits for a place has run so long, and one that is idle no longer than: */
#define RUNS_NS (10 * NS_PER_MS)
#define IDLE_NS NS_PER_MS
#define IDLE_JUDGEMENTS 3
#define STAYING_IDLE_JUDGEMENTS 60 /* whose blocks are all known: with its place, that goes */

/* Which word of struct user_registers (bpf/kernel_types.bpf.h) holds the register with a DWARF number. */
static uint64_t register_word(uint8_t number)
{
#ifdef __x86_64__
	static const uint8_t words[] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0};
	return number < ARRAY_LENGTH(words) ? words[number] : HEAP_NO_REGISTER;
#else
	return number < PROBE_REGISTER_LIMIT ? number : HEAP_NO_REGISTER;
#endif
}

_Static_assert((int)ALLOCATION_MALLOC == (int)ALLOCATOR_MALLOC &&
		       (int)ALLOCATION_REALLOC == (int)ALLOCATOR_REALLOC &&
		       (int)ALLOCATION_FREE == (int)ALLOCATOR_FREE,
	       "roles");

uint64_t heap_probe_cookie(const struct allocator_probe *probe, uint32_t process)
{
	uint64_t flags = probe->flags & PROBE_NESTS ? HEAP_PROBE_NESTS : 0;
	return probe->role | flags << HEAP_COOKIE_FLAGS |
	       (uint64_t)process << HEAP_COOKIE_PROCESS | register_word(probe->size) << HEAP_COOKIE_SIZE |
	       register_word(probe->count) << HEAP_COOKIE_COUNT |
	       register_word(probe->pointer) << HEAP_COOKIE_POINTER;
}

/* ---- Processes ------------------------------------------------------------------------------- */

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

static void note_leaderless(struct heap_probes *heap, uint32_t pid)
{
	if (process_is_leaderless(pid) && !hash_get(&heap->leaderless, pid))
		hash_put(&heap->leaderless, pid, heap->judgement);
}

static void remove_process(struct heap_probes *heap, struct probed_process *p)
{
	heap->statistics.missed += was_missed(p);
	note_leaderless(heap, p->pid);
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

/* The process, if it is probed. One that has ended and left its number to this one is let go. */
static struct probed_process *find_process(struct heap_probes *heap, const struct process *process)
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

/* Adds it, if it is selected, old enough, not left out, and there is room. */
static struct probed_process *judge_process(struct heap_probes *heap, struct process *process)
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

static void add_file(struct probed_process *p, uint32_t device, uint64_t inode)
{
	struct probed_file added = {.inode = inode, .device = device};
	for (size_t i = 0; i < p->files.count; i++)
		if (p->files.items[i].inode == inode && p->files.items[i].device == device)
			return;
	if (p->files.count >= MAX_FILES || array_add(&p->files, added) < 0)
		log_warning("a file that process %u maps is not looked into: there is no room", p->pid);
}

bool heap_probes_on_mapping(struct heap_probes *heap, struct process *process,
			    const struct process_mapping *mapping)
{
	if (!heap->options.windows)
		return false;
	struct probed_process *p = find_process(heap, process);
	if (!p)
		p = judge_process(heap, process);
	if (p && mapping->inode)
		add_file(p, mapping->device, mapping->inode);
	return p != NULL;
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
	if (judge_process(heap, process) || heap->options.keep_places)
		return;
	const uint64_t *refused = hash_get(&heap->refused, process->pid);
	if (refused && *refused == heap->judgement && runs(heap, process->pid) && yield_place(heap))
		judge_process(heap, process);
}

static void on_alive(void *userdata, struct process *process)
{
	struct heap_probes *heap = userdata;
	const struct heap_probes_options *options = &heap->options;
	struct probed_process *p = find_process(heap, process);
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

static void judge_all(struct heap_probes *heap)
{
	heap->judgement++;
	process_table_each_alive(heap->options.table, on_alive, heap);
	while (remove_one_unseen(heap) || forget_one_refused(heap) || forget_one_leaderless(heap))
		;
	heap->statistics.brief += forget_unmet(&heap->young, heap->judgement);
	forget_unmet(&heap->ended, heap->judgement);
	tell_leaderless(heap);
}

/* What it mapped, or has from its parent, before it was selected. */
static void read_files(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));) {
		struct probed_process *p = (struct probed_process *)(uintptr_t)slot->value;
		if (p->maps_read)
			continue;
		p->maps_read = true;
		process_table_read_maps(heap->options.table, p->pid);
		if (!p->files.count)
			note_leaderless(heap, p->pid);
	}
}

/* ---- Probes ---------------------------------------------------------------------------------- */

static void add_point(const struct allocator_probe *probe, uint32_t process, struct heap_points *points)
{
	bool can_return = probe->flags & PROBE_CAN_RETURN;
	uint64_t cookie = heap_probe_cookie(probe, process);
	points->calls[points->call_count] = probe->offset;
	points->cookies[points->call_count++] = cookie;
	points->is_stepped |= !(probe->flags & PROBE_EMULATED);
	if (probe->role == ALLOCATOR_FREE)
		return;
	points->in_sessions &= can_return;
	points->return_cookies[points->return_count] = cookie;
	points->returns[points->return_count++] = can_return ? probe->offset : probe->entry;
}

/* Not those of the allocator's own sampler. */
static void collect_points(const struct binary *binary, uint32_t process, struct heap_points *ret)
{
	*ret = (struct heap_points){.in_sessions = true};
	for (uint32_t i = 0; i < binary->probe_count; i++)
		if (binary->probes[i].role == ALLOCATOR_FREE)
			add_point(&binary->probes[i], process, ret);
	for (uint32_t i = 0; i < binary->probe_count; i++)
		if (binary->probes[i].role < ALLOCATOR_FREE)
			add_point(&binary->probes[i], process, ret);
}

static void probe_file(struct heap_probes *heap, struct probed_process *p, struct probed_file *file,
		       const struct binary *binary)
{
	struct heap_points points;
	file->is_settled = true;
	if (!binary->probe_count || binary->file < 0)
		return;
	collect_points(binary, p->index, &points);
	if (!points.return_count)
		return;
	int r = p->index ? heap_windows_add(heap->options.windows, p->pid, p->index, binary->file, &points) : -ENOMEM;
	if (r < 0) {
		heap->statistics.failed++;
		log_warning("what process %u allocates by %s is not seen, its functions cannot be "
			    "probed: %s",
			    p->pid, binary->path ? binary->path : "?", strerror(-r));
		return;
	}
	p->is_added = true;
	heap_windows_weigh(heap->options.windows, p->pid, p->factor);
	heap->statistics.probes += points.call_count + points.return_count;
	log_debug("process %u: %u functions of %s are probed", p->pid, points.call_count,
		  binary->path ? binary->path : "?");
}

static void probe_process(struct heap_probes *heap, struct probed_process *p)
{
	for (size_t i = 0; i < p->files.count; i++) {
		struct probed_file *file = &p->files.items[i];
		if (file->is_settled)
			continue;
		const struct binary *binary =
			binaries_find_file(heap->options.binaries, file->device, file->inode);
		if (binary && !binary->awaits_table && !binary->opening)
			probe_file(heap, p, file, binary);
	}
}

void heap_probes_update(struct heap_probes *heap, uint64_t now_ns)
{
	struct hash_slot *slot;
	if (!heap->options.windows)
		return;
	if (now_ns - heap->judged_ns >= JUDGE_INTERVAL_NS) {
		heap->judged_ns = now_ns;
		judge_all(heap);
	}
	read_files(heap);
	if (heap->options.binaries->pending && now_ns - heap->begin_ns < TABLES_TIMEOUT_NS)
		return;
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));)
		probe_process(heap, (struct probed_process *)(uintptr_t)slot->value);
	heap->statistics.processes = heap->by_pid.count;
}

void heap_probes_begin(struct heap_probes *heap, const struct heap_probes_options *options, uint64_t now_ns)
{
	*heap = (struct heap_probes){.options = *options, .begin_ns = now_ns, .judgement = 1};
	if (!heap->options.processes)
		heap->options.processes = HEAP_DEFAULT_PROCESSES;
}

void heap_probes_end(struct heap_probes *heap)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&heap->by_pid, &i));) {
		struct probed_process *p = (struct probed_process *)(uintptr_t)slot->value;
		array_free(&p->files);
		free(p);
	}
	hash_free(&heap->by_pid);
	hash_free(&heap->refused);
	hash_free(&heap->refused_cpu);
	hash_free(&heap->young);
	hash_free(&heap->ended);
	hash_free(&heap->leaderless);
	hash_free(&heap->indices);
	heap->options.windows = NULL;
}
