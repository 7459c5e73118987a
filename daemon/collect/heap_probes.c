/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel has links of sessions (Linux 6.13), one link holds all probes of a file, and the program says at
 * each call whether it wants to see the return. Elsewhere returns have a link of their own.
 *
 * Order. Return probes first: a call that is met must be seen returning. They go last, for the same reason.
 * Nothing is probed while unwind tables are still being made, since stacks would end before their time.
 */
#include "collect/heap_probes.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/uprobe_multi.h"

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
		      const struct binaries *binaries, uint64_t now_ns)
{
	*heap = (struct heap_probes){
		.programs = programs, .binaries = binaries, .begin_ns = now_ns};
}

void heap_probes_on_mapping(struct heap_probes *heap, uint32_t pid,
			    const struct process_mapping *mapping)
{
	struct heap_mapping added = {.inode = mapping->inode,
				     .device = mapping->device,
				     .pid = pid,
				     .calls = -1,
				     .returns = -1};
	for (size_t i = 0; i < heap->mappings.count; i++) {
		const struct heap_mapping *known = &heap->mappings.items[i];
		if (known->pid == pid && known->inode == added.inode &&
		    known->device == added.device)
			return;
	}
	if (mapping->inode && array_add(&heap->mappings, added) < 0)
		log_warning("a file that process %u maps is not looked into: out of memory", pid);
}

struct probe_points {
	uint64_t calls[ALLOCATOR_MAX_PROBES], cookies[ALLOCATOR_MAX_PROBES];
	uint64_t returns[ALLOCATOR_MAX_PROBES], return_cookies[ALLOCATOR_MAX_PROBES];
	uint32_t call_count, return_count;
	bool in_sessions; /* every call's return can be seen through the same point */
};

static void collect_points(const struct binary *binary, uint32_t process, struct probe_points *ret)
{
	ret->in_sessions = true;
	for (uint32_t i = 0; i < binary->probe_count; i++) {
		const struct allocator_probe *probe = &binary->probes[i];
		if (probe->role > ALLOCATOR_FREE)
			continue; /* the allocator's own sampler */
		ret->calls[ret->call_count] = probe->offset;
		ret->cookies[ret->call_count++] = heap_probe_cookie(probe, process);
		if (probe->role == ALLOCATOR_FREE)
			continue;
		bool can_return = probe->flags & PROBE_CAN_RETURN;
		ret->in_sessions &= can_return;
		ret->return_cookies[ret->return_count] = ret->cookies[ret->call_count - 1];
		ret->returns[ret->return_count++] = can_return ? probe->offset : probe->entry;
	}
}

static int set_session(struct heap_probes *heap, struct heap_mapping *m, const struct binary *binary,
		       const struct probe_points *points)
{
	const struct bolometer_bpf *s = heap->programs->skeleton;
	struct uprobe_multi_target target = {.file = binary->file,
					     .offsets = points->calls,
					     .cookies = points->cookies,
					     .count = points->call_count,
					     .pid = m->pid};
	int link = uprobe_multi_attach(bpf_program__fd(s->progs.on_allocator_session),
				       UPROBE_MULTI_SESSION, &target);
	m->calls = MAX_OF(link, -1);
	return MIN_OF(link, 0);
}

static int set_links(struct heap_probes *heap, struct heap_mapping *m, const struct binary *binary,
		     const struct probe_points *points)
{
	const struct bolometer_bpf *s = heap->programs->skeleton;
	if (points->in_sessions && heap->programs->has_sessions)
		return set_session(heap, m, binary, points);
	struct uprobe_multi_target target = {.file = binary->file,
					     .offsets = points->returns,
					     .cookies = points->return_cookies,
					     .count = points->return_count,
					     .pid = m->pid,
					     .returns = true};
	int link = uprobe_multi_attach(bpf_program__fd(s->progs.on_allocator_return), UPROBE_MULTI,
				       &target);
	if (link < 0)
		return link;
	m->returns = link;
	target.offsets = points->calls;
	target.cookies = points->cookies;
	target.count = points->call_count;
	target.returns = false;
	link = uprobe_multi_attach(bpf_program__fd(s->progs.on_allocator_call), UPROBE_MULTI,
				   &target);
	if (link < 0) {
		m->returns = close_fd(m->returns);
		return link;
	}
	m->calls = link;
	return 0;
}

/* The process's index in `heap_processes`; 0, which many share: none is free. */
static uint32_t process_index(struct heap_probes *heap, uint32_t pid)
{
	size_t free_at = SIZE_MAX;
	for (size_t i = 0; i < heap->pids.count; i++) {
		if (heap->pids.items[i] == pid)
			return (uint32_t)i + 1;
		if (!heap->pids.items[i])
			free_at = i;
	}
	if (free_at < heap->pids.count)
		heap->pids.items[free_at] = pid;
	else if (heap->pids.count + 1 >= heap->programs->heap_processes ||
		 array_add(&heap->pids, pid) < 0)
		return 0;
	else
		free_at = heap->pids.count - 1;
	struct heap_process none = {0};
	uint32_t index = (uint32_t)free_at + 1;
	bpf_map_update_elem(bpf_map__fd(heap->programs->skeleton->maps.heap_processes), &index, &none,
			    BPF_ANY);
	return index;
}

static void probe_mapping(struct heap_probes *heap, struct heap_mapping *m,
			  const struct binary *binary)
{
	struct probe_points points = {.call_count = 0};
	m->is_settled = true;
	collect_points(binary, process_index(heap, m->pid), &points);
	if (!points.return_count || binary->file < 0)
		return;
	int r = set_links(heap, m, binary, &points);
	if (r == -ESRCH)
		return; /* it has ended since it mapped the file */
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
	for (size_t i = 0; i < heap->mappings.count; i++) {
		struct heap_mapping *m = &heap->mappings.items[i];
		if (kill((pid_t)m->pid, 0) == 0 || errno != ESRCH)
			continue;
		close_fd(m->calls);
		close_fd(m->returns);
		for (size_t at = 0; at < heap->pids.count; at++)
			if (heap->pids.items[at] == m->pid)
				heap->pids.items[at] = 0;
		*m = heap->mappings.items[--heap->mappings.count];
		return;
	}
}

void heap_probes_detach(struct heap_probes *heap)
{
	for (size_t i = 0; i < heap->mappings.count; i++)
		close_fd(heap->mappings.items[i].calls);
	for (size_t i = 0; i < heap->mappings.count; i++)
		close_fd(heap->mappings.items[i].returns);
	array_free(&heap->mappings);
	array_free(&heap->pids);
}
