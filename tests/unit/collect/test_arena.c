/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena over memory files in the place of BPF maps: tables come and go at random, and each must lie
 * where the kernel side looks for it, whole, with no byte of another's.
 */
#include "collect/arena.h"

#include "base/hash.h"
#include "bpf/wire.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define OUTER_MAP 1000 /* no descriptor: only the stand-ins below see it */
#define SEGMENTS 8
#define LIMIT ((uint64_t)SEGMENTS * ARENA_SEGMENT_SIZE)
#define TABLES 64
#define STEPS 3000

static int segments[ARENA_MAX_SEGMENTS];
static unsigned segment_count;
static bool refuse_maps, refuse_writing;

int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size,
			  __u32 value_size, __u32 entries, const struct bpf_map_create_opts *options);
int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags);

int __wrap_bpf_map_create(enum bpf_map_type type, const char *name, __u32 key_size,
			  __u32 value_size, __u32 entries, const struct bpf_map_create_opts *options)
{
	assert_int_equal(type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(value_size, ARENA_CHUNK_SIZE);
	assert_int_equal(entries, ARENA_SEGMENT_CHUNKS);
	assert_int_equal(options->map_flags, BPF_F_MMAPABLE);
	if (refuse_maps) {
		errno = EPERM;
		return -EPERM;
	}
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, ARENA_SEGMENT_SIZE), 0);
	if (refuse_writing)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	return fd;
}

int __wrap_bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	assert_int_equal(fd, OUTER_MAP);
	assert_int_equal(*(const u32 *)key, segment_count);
	segments[segment_count++] = *(const int *)value;
	return 0;
}

/* Reads an address as the kernel side does. */
static uint8_t byte_at(uint64_t address)
{
	uint8_t byte;
	assert_true(address / ARENA_SEGMENT_SIZE < segment_count);
	assert_int_equal(pread(segments[address / ARENA_SEGMENT_SIZE], &byte, 1,
			       (off_t)(address % ARENA_SEGMENT_SIZE)),
			 1);
	return byte;
}

struct table {
	uint32_t unit;
	size_t size; /* 0: none */
	uint8_t mark;
};

static uint64_t draw(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return hash_mix(*state);
}

static uint64_t first_of(const struct table *t)
{
	return (uint64_t)t->unit * ARENA_UNIT;
}

static uint64_t end_of(const struct table *t)
{
	return first_of(t) + (t->size + ARENA_UNIT - 1) / ARENA_UNIT * ARENA_UNIT;
}

static void check_place(const struct table *tables, const struct table *t)
{
	assert_true(end_of(t) <= (uint64_t)segment_count * ARENA_SEGMENT_SIZE);
	if (t->size > ARENA_CHUNK_SIZE)
		assert_int_equal(first_of(t) % ARENA_CHUNK_SIZE, 0);
	else
		assert_int_equal(first_of(t) / ARENA_CHUNK_SIZE,
				 (end_of(t) - 1) / ARENA_CHUNK_SIZE);
	for (const struct table *other = tables; other < tables + TABLES; other++)
		if (other != t && other->size)
			assert_true(end_of(other) <= first_of(t) || end_of(t) <= first_of(other));
}

static void check_bytes(const struct table *t)
{
	for (size_t i = 0; i < t->size; i += 1 + t->size / 5)
		assert_int_equal(byte_at(first_of(t) + i), t->mark);
	if (t->size)
		assert_int_equal(byte_at(first_of(t) + t->size - 1), t->mark);
}

static size_t draw_size(uint64_t *random)
{
	switch (draw(random) % 4) {
	case 0:
		return 1 + draw(random) % 100;
	case 1:
		return ARENA_CHUNK_SIZE - 20 + draw(random) % 40;
	case 2:
		return 1 + draw(random) % (3 * ARENA_SEGMENT_SIZE);
	default:
		return 1 + draw(random) % 20000;
	}
}

static bool add(struct arena *arena, struct table *tables, struct table *t, uint64_t *random)
{
	t->size = draw_size(random);
	t->mark = (uint8_t)(1 + draw(random) % 255);
	char *bytes = malloc(t->size);
	memset(bytes, t->mark, t->size);
	int r = arena_add(arena, bytes, t->size, &t->unit);
	free(bytes);
	if (r < 0) {
		assert_int_equal(r, -ENOSPC);
		t->size = 0;
		return false;
	}
	check_place(tables, t);
	return true;
}

static int setup(void **state)
{
	segment_count = 0;
	refuse_maps = false;
	return 0;
}

static void test_random(void **state)
{
	static struct table tables[TABLES];
	struct arena arena;
	uint64_t random = 3, used = 0;
	unsigned added = 0, refused = 0;
	memset(tables, 0, sizeof(tables));
	arena_init(&arena, OUTER_MAP, LIMIT + 12345);
	for (unsigned step = 0; step < STEPS; step++) {
		struct table *t = &tables[draw(&random) % TABLES];
		if (t->size) {
			check_bytes(t);
			used -= end_of(t) - first_of(t);
			arena_remove(&arena, t->unit, t->size);
			t->size = 0;
		} else if (add(&arena, tables, t, &random)) {
			used += end_of(t) - first_of(t);
			added++;
		} else {
			refused++;
		}
		assert_int_equal(arena.used, used);
	}
	assert_true(added > 500 && refused > 0);
	assert_int_equal(segment_count, SEGMENTS);
	for (struct table *t = tables; t < tables + TABLES; t++) {
		check_bytes(t);
		if (t->size)
			arena_remove(&arena, t->unit, t->size);
	}
	/* All space is one range again. */
	assert_int_equal(arena.used, 0);
	assert_int_equal(arena.free_ranges.count, 1);
	assert_int_equal(arena.free_ranges.items[0].first, 0);
	assert_int_equal(arena.free_ranges.items[0].count, LIMIT / ARENA_UNIT);
	arena_deinit(&arena);
}

static void test_limits(void **state)
{
	struct arena arena;
	uint32_t unit;
	char *bytes = calloc(1, 3 * ARENA_SEGMENT_SIZE);
	arena_init(&arena, OUTER_MAP, 2 * ARENA_SEGMENT_SIZE);
	assert_int_equal(arena_add(&arena, bytes, 0, &unit), -ENOSPC);
	assert_int_equal(arena_add(&arena, bytes, 3 * ARENA_SEGMENT_SIZE, &unit), -ENOSPC);
	assert_int_equal(segment_count, 0);
	/* Over two segments. */
	assert_int_equal(arena_add(&arena, bytes, 2 * ARENA_SEGMENT_SIZE, &unit), 0);
	assert_int_equal(unit, 0);
	assert_int_equal(segment_count, 2);
	assert_int_equal(arena_add(&arena, bytes, 1, &unit), -ENOSPC);
	arena_remove(&arena, 0, 2 * ARENA_SEGMENT_SIZE);
	assert_int_equal(arena_add(&arena, bytes, 1, &unit), 0);
	assert_int_equal(segment_count, 2);
	arena_deinit(&arena);
	free(bytes);
}

static void test_refused_map(void **state)
{
	struct arena arena;
	uint32_t unit;
	arena_init(&arena, OUTER_MAP, LIMIT);
	refuse_maps = true;
	assert_int_equal(arena_add(&arena, "x", 1, &unit), -EPERM);
	assert_int_equal(arena.used, 0);
	refuse_maps = false;
	assert_int_equal(arena_add(&arena, "x", 1, &unit), 0);
	arena_deinit(&arena);
}

/* The room of a table that could not be written is free again: the second try needs no other segment. */
static void test_refused_writing(void **state)
{
	struct arena arena;
	uint32_t unit;
	_cleanup_free_ char *table = calloc(1, ARENA_SEGMENT_SIZE);
	arena_init(&arena, OUTER_MAP, LIMIT);
	refuse_writing = true;
	for (int i = 0; i < 2; i++)
		assert_int_equal(arena_add(&arena, table, ARENA_SEGMENT_SIZE, &unit), -EPERM);
	refuse_writing = false;
	assert_int_equal(segment_count, 1);
	assert_int_equal(arena.used, 0);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_random, setup),
		cmocka_unit_test_setup(test_limits, setup),
		cmocka_unit_test_setup(test_refused_map, setup),
		cmocka_unit_test_setup(test_refused_writing, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
