/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is probed while unwind tables are still being made, since stacks would end before their time.
 */
#include "collect/heap_probes.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

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

void heap_probes_init(struct heap_probes *heap, struct programs *programs,
		      const struct binaries *binaries, struct heap_windows *windows, uint64_t now_ns)
{
	*heap = (struct heap_probes){.programs = programs,
				     .binaries = binaries,
				     .windows = windows,
				     .begin_ns = now_ns};
}

void heap_probes_on_mapping(struct heap_probes *heap, uint32_t pid,
			    const struct process_mapping *mapping)
{
	struct heap_mapping added = {.inode = mapping->inode,
				     .device = mapping->device,
				     .pid = pid};
	for (size_t i = 0; i < heap->mappings.count; i++) {
		const struct heap_mapping *known = &heap->mappings.items[i];
		if (known->pid == pid && known->inode == added.inode &&
		    known->device == added.device)
			return;
	}
	if (mapping->inode && array_add(&heap->mappings, added) < 0)
		log_warning("a file that process %u maps is not looked into: out of memory", pid);
}

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
		if (binary->probes[i].role < ALLOCATOR_FREE)
			add_point(&binary->probes[i], process, ret);
	for (uint32_t i = 0; i < binary->probe_count; i++)
		if (binary->probes[i].role == ALLOCATOR_FREE)
			add_point(&binary->probes[i], process, ret);
}

/* The process's index in `heap_processes`, given anew as late as possible: its last window may still be open. */
static uint32_t process_index(struct heap_probes *heap, uint32_t pid)
{
	for (size_t i = heap->pids.count; i-- > 0;)
		if (heap->pids.items[i] == pid)
			return (uint32_t)i + 1;
	if (heap->pids.count + 2 < heap->programs->heap_processes && array_add(&heap->pids, pid) == 0)
		return (uint32_t)heap->pids.count;
	if (!heap->pids.count)
		return 0;
	heap->pids.items[heap->next_index % heap->pids.count] = pid;
	return heap->next_index++ % (uint32_t)heap->pids.count + 1;
}

static void probe_mapping(struct heap_probes *heap, struct heap_mapping *m,
			  const struct binary *binary)
{
	struct heap_points points;
	m->is_settled = true;
	if (!binary->probe_count || binary->file < 0)
		return;
	uint32_t index = process_index(heap, m->pid);
	collect_points(binary, index, &points);
	if (!points.return_count)
		return;
	int r = index ? heap_windows_add(heap->windows, m->pid, index, binary->file, &points) : -ENOMEM;
	if (r < 0) {
		heap->failed++;
		log_warning("what process %u allocates by %s is not seen, its functions cannot be "
			    "probed: %s",
			    m->pid, binary->path ? binary->path : "?", strerror(-r));
		return;
	}
	heap->probes += points.call_count + points.return_count;
	log_debug("process %u: %u functions of %s are probed", m->pid, points.call_count,
		  binary->path ? binary->path : "?");
}

void heap_probes_attach(struct heap_probes *heap, uint64_t now_ns)
{
	if (heap->binaries->pending && now_ns - heap->begin_ns < TABLES_TIMEOUT_NS)
		return;
	for (size_t i = 0; i < heap->mappings.count; i++) {
		struct heap_mapping *m = &heap->mappings.items[i];
		if (m->is_settled)
			continue;
		const struct binary *binary =
			binaries_find_file(heap->binaries, m->device, m->inode);
		if (binary && !binary->awaits_table && !binary->opening)
			probe_mapping(heap, m, binary);
	}
}

void heap_probes_expire(struct heap_probes *heap)
{
	size_t kept = 0;
	for (size_t i = 0; i < heap->mappings.count; i++) {
		struct heap_mapping *m = &heap->mappings.items[i];
		if (kill((pid_t)m->pid, 0) < 0 && errno == ESRCH) {
			heap_windows_remove(heap->windows, m->pid);
			for (size_t at = 0; at < heap->pids.count; at++)
				if (heap->pids.items[at] == m->pid)
					heap->pids.items[at] = 0;
			continue;
		}
		heap->mappings.items[kept++] = *m;
	}
	heap->mappings.count = kept;
}

void heap_probes_end(struct heap_probes *heap)
{
	array_free(&heap->mappings);
	array_free(&heap->pids);
}
