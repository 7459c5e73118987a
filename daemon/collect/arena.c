/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First fit over a sorted list of free ranges. Free space of neighbouring segments is one range: the
 * addresses are linear and a table may run from one segment into the next.
 */
#include "collect/arena.h"

#include "base/file.h"
#include "bpf/wire.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENT_UNITS (ARENA_SEGMENT_SIZE / ARENA_UNIT)

void arena_init(struct arena *arena, int map_fd, uint64_t limit)
{
	*arena = (struct arena){.map_fd = map_fd, .limit = limit};
}

void arena_deinit(struct arena *arena)
{
	for (size_t i = 0; i < arena->segments.count; i++)
		close_fd(arena->segments.items[i]);
	array_free(&arena->segments);
	array_free(&arena->free_ranges);
}

static uint32_t units_of(size_t size)
{
	return (uint32_t)((size + ARENA_UNIT - 1) / ARENA_UNIT);
}

static uint32_t round_to_chunk(uint32_t unit)
{
	return (unit + ARENA_CHUNK_UNITS - 1) / ARENA_CHUNK_UNITS * ARENA_CHUNK_UNITS;
}

/* Where in the range `units` may start, or UINT32_MAX. */
static uint32_t fit(const struct arena_range *range, uint32_t units)
{
	uint32_t start = range->first;
	if (units > ARENA_CHUNK_UNITS ||
	    start / ARENA_CHUNK_UNITS != (start + units - 1) / ARENA_CHUNK_UNITS)
		start = round_to_chunk(start);
	return start - range->first + (uint64_t)units <= range->count ? start : UINT32_MAX;
}

static int insert_range(struct arena *arena, size_t at, struct arena_range range)
{
	if (range.count == 0)
		return 0;
	int r = array_add(&arena->free_ranges, range);
	if (r < 0)
		return r;
	struct arena_range *items = arena->free_ranges.items;
	memmove(&items[at + 1], &items[at], (arena->free_ranges.count - 1 - at) * sizeof(*items));
	items[at] = range;
	return 0;
}

static void remove_range(struct arena *arena, size_t at)
{
	struct arena_range *range = &arena->free_ranges.items[at];
	memmove(range, range + 1, (arena->free_ranges.count - 1 - at) * sizeof(*range));
	arena->free_ranges.count--;
}

/* Takes [start, start + units) out of free range `at`. */
static int take_range(struct arena *arena, size_t at, uint32_t start, uint32_t units)
{
	struct arena_range *range = &arena->free_ranges.items[at];
	struct arena_range after = {start + units, range->first + range->count - start - units};
	if (start > range->first) {
		range->count = start - range->first;
		return insert_range(arena, at + 1, after);
	}
	if (after.count)
		*range = after;
	else
		remove_range(arena, at);
	return 0;
}

static void give_range(struct arena *arena, struct arena_range given)
{
	size_t at = 0;
	while (at < arena->free_ranges.count && arena->free_ranges.items[at].first < given.first)
		at++;
	struct arena_range *before = at ? &arena->free_ranges.items[at - 1] : NULL;
	if (before && before->first + before->count == given.first)
		before->count += given.count;
	else if (insert_range(arena, at++, given) < 0)
		return; /* lost until the end, which only costs space */
	before = &arena->free_ranges.items[at - 1];
	if (at < arena->free_ranges.count) {
		struct arena_range *after = &arena->free_ranges.items[at];
		if (before->first + before->count == after->first) {
			before->count += after->count;
			remove_range(arena, at);
		}
	}
}

static int add_segment(struct arena *arena)
{
	uint32_t index = (uint32_t)arena->segments.count;
	if (index >= ARENA_MAX_SEGMENTS || (index + 1) * (uint64_t)ARENA_SEGMENT_SIZE > arena->limit)
		return -ENOSPC;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	_cleanup_fd_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "arena_segment", sizeof(u32),
					     ARENA_CHUNK_SIZE, ARENA_SEGMENT_CHUNKS, &options);
	if (fd < 0)
		return fd == -1 ? -errno : fd;
	int r = bpf_map_update_elem(arena->map_fd, &index, &fd, BPF_ANY);
	if (r < 0)
		return r == -1 ? -errno : r;
	r = array_add(&arena->segments, fd);
	if (r < 0)
		return r;
	fd = -1;
	give_range(arena, (struct arena_range){index * SEGMENT_UNITS, SEGMENT_UNITS});
	return 0;
}

static int write_segment(struct arena *arena, uint32_t segment, size_t offset, const char *bytes,
			 size_t size)
{
	/* Only the pages of the table: the kernel sets up and takes down each page that is mapped. */
	size_t page = (size_t)sysconf(_SC_PAGESIZE), first = offset / page * page;
	size_t length = offset + size - first;
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED,
			    arena->segments.items[segment], (off_t)first);
	if (memory == MAP_FAILED)
		return -errno;
	memcpy((char *)memory + (offset - first), bytes, size);
	munmap(memory, length);
	return 0;
}

static int write_units(struct arena *arena, uint32_t unit, const char *bytes, size_t size)
{
	uint64_t address = (uint64_t)unit * ARENA_UNIT;
	while (size) {
		size_t offset = address % ARENA_SEGMENT_SIZE;
		size_t part = MIN_OF(size, ARENA_SEGMENT_SIZE - offset);
		int r = write_segment(arena, (uint32_t)(address / ARENA_SEGMENT_SIZE), offset, bytes,
				      part);
		if (r < 0)
			return r;
		address += part;
		bytes += part;
		size -= part;
	}
	return 0;
}

int arena_add(struct arena *arena, const void *bytes, size_t size, uint32_t *ret_unit)
{
	uint32_t units = units_of(size), start = UINT32_MAX;
	size_t at;
	if (size == 0 || size > arena->limit)
		return -ENOSPC;
	for (;;) {
		for (at = 0; at < arena->free_ranges.count && start == UINT32_MAX; at++)
			start = fit(&arena->free_ranges.items[at], units);
		if (start != UINT32_MAX)
			break;
		int r = add_segment(arena);
		if (r < 0)
			return r;
	}
	int r = take_range(arena, at - 1, start, units);
	if (r < 0)
		return r;
	r = write_units(arena, start, bytes, size);
	if (r < 0) {
		give_range(arena, (struct arena_range){start, units});
		return r;
	}
	arena->used += (uint64_t)units * ARENA_UNIT;
	*ret_unit = start;
	return 0;
}

void arena_remove(struct arena *arena, uint32_t unit, size_t size)
{
	uint32_t units = units_of(size);
	arena->used -= (uint64_t)units * ARENA_UNIT;
	give_range(arena, (struct arena_range){unit, units});
}
