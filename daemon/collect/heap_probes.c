/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of those that are probed, and when; heap_probes_places.c says who that is.
 *
 * Nothing is probed while unwind tables are still being made, since stacks would end before their time.
 *
 * A process keeps its probes when it becomes another program: the kernel sets them in what that maps.
 *
 * A process that is forked has its parent's files without mapping them: they are read from /proc. Until its own probes
 * are there it has copies of its parent's, which are not counted; they go with the parent's.
 */
#include "collect/heap_probes_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

#define JUDGE_INTERVAL_NS NS_PER_SECOND
#define MAX_FILES 4096 /* of a process */
#define TABLES_TIMEOUT_NS (5 * NS_PER_SECOND)

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
	struct probed_process *p = heap_probes_find(heap, process);
	if (!p)
		p = heap_probes_judge(heap, process);
	if (p && mapping->inode)
		add_file(p, mapping->device, mapping->inode);
	return p != NULL;
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
			heap_probes_note_leaderless(heap, p->pid);
	}
}

/* ---- Probes ---------------------------------------------------------------------------------- */

static void add_point(const struct allocator_probe *probe, uint32_t process, struct heap_points *points)
{
	points->offsets[points->count] = probe->offset;
	points->cookies[points->count++] = heap_probe_cookie(probe, process);
	points->free_count += probe->role == ALLOCATOR_FREE;
	points->is_stepped |= !(probe->flags & PROBE_EMULATED);
}

/* Not those of the allocator's own sampler. */
static void collect_points(const struct binary *binary, uint32_t process, struct heap_points *ret)
{
	*ret = (struct heap_points){0};
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
	if (points.count == points.free_count)
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
	heap->statistics.probes += points.count;
	log_debug("process %u: %u functions of %s are probed", p->pid, points.count,
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
		heap_probes_judge_all(heap);
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
