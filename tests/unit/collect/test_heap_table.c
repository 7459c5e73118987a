/* SPDX-License-Identifier: Apache-2.0 */
/* A number of processes comes again: what one left is told apart from what another one with it does, and becomes final
 * alone. The kernel's tables are made up. */
#include "collect/heap_table.h"

#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SITES ((struct bpf_map *)1)
#define BLOCKS ((struct bpf_map *)2)
#define CALLS ((struct bpf_map *)3)
#define MAPS 4
#define ROOM 16
#define PID 300

/* By the maps' descriptors, which are their numbers. */
static struct {
	size_t key_size, value_size, count;
	char keys[ROOM][64], values[ROOM][128];
	bool is_unreadable;
} maps[MAPS];

int __wrap_bpf_map__fd(const struct bpf_map *map);
uint32_t __wrap_bpf_map__key_size(const struct bpf_map *map);
uint32_t __wrap_bpf_map__value_size(const struct bpf_map *map);
uint32_t __wrap_bpf_map__max_entries(const struct bpf_map *map);
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, uint32_t *count,
				const struct bpf_map_batch_opts *options);
int __wrap_bpf_map_delete_elem(int fd, const void *key);

int __wrap_bpf_map__fd(const struct bpf_map *map)
{
	return (int)(intptr_t)map;
}

uint32_t __wrap_bpf_map__key_size(const struct bpf_map *map)
{
	return (uint32_t)maps[(intptr_t)map].key_size;
}

uint32_t __wrap_bpf_map__value_size(const struct bpf_map *map)
{
	return (uint32_t)maps[(intptr_t)map].value_size;
}

uint32_t __wrap_bpf_map__max_entries(const struct bpf_map *map)
{
	return ROOM;
}

/* All at once: the last batch. */
int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, uint32_t *count,
				const struct bpf_map_batch_opts *options)
{
	if (maps[fd].is_unreadable) {
		errno = EIO;
		return -1;
	}
	assert_true(*count >= maps[fd].count);
	for (size_t i = 0; i < maps[fd].count; i++) {
		memcpy((char *)keys + i * maps[fd].key_size, maps[fd].keys[i], maps[fd].key_size);
		memcpy((char *)values + i * maps[fd].value_size, maps[fd].values[i], maps[fd].value_size);
	}
	*count = (uint32_t)maps[fd].count;
	errno = ENOENT;
	return -1;
}

int __wrap_bpf_map_delete_elem(int fd, const void *key)
{
	for (size_t i = 0; i < maps[fd].count; i++) {
		if (memcmp(maps[fd].keys[i], key, maps[fd].key_size))
			continue;
		maps[fd].count--;
		memcpy(maps[fd].keys[i], maps[fd].keys[maps[fd].count], sizeof(maps[fd].keys[i]));
		memcpy(maps[fd].values[i], maps[fd].values[maps[fd].count], sizeof(maps[fd].values[i]));
		return 0;
	}
	errno = ENOENT;
	return -1;
}

static void put(const struct bpf_map *map, const void *key, const void *value)
{
	size_t at = (size_t)map, count = maps[at].count++;
	assert_true(count < ROOM);
	memcpy(maps[at].keys[count], key, maps[at].key_size);
	memcpy(maps[at].values[count], value, maps[at].value_size);
}

static struct bolometer_bpf__data data;
static struct bolometer_bpf__bss bss;
static struct bolometer_bpf skeleton;
static struct programs programs = {.skeleton = &skeleton};

/* A place of that process where 10 objects of 100 bytes were allocated, one of which is alive, the others lived some
 * milliseconds. */
static void add_place(uint64_t process_start, uint32_t exec_id)
{
	struct heap_site_key key = {.stack_id = 5, .pid = PID, .process_start = process_start, .exec_id = exec_id};
	struct heap_site site = {.objects = 10 * HEAP_WEIGHT_ONE, .bytes = 1000, .samples = 10, .watched = 7};
	site.freed[1] = (struct heap_sum){9 * HEAP_WEIGHT_ONE, 900};
	struct heap_block_key at = {.address = 0x1000, .host_pid = PID, .program = (uint32_t)process_start};
	struct heap_block block = {.site = key, .size = 100, .interval = HEAP_EXACT_INTERVAL};
	put(SITES, &key, &site);
	put(BLOCKS, &at, &block);
	bss.heap_live_count++;
}

static int set_up(void **state)
{
	static struct heap_table table;
	memset(maps, 0, sizeof(maps));
	maps[1].key_size = sizeof(struct heap_site_key);
	maps[1].value_size = sizeof(struct heap_site);
	maps[2].key_size = sizeof(struct heap_block_key);
	maps[2].value_size = sizeof(struct heap_block);
	maps[3].key_size = sizeof(uint32_t);
	maps[3].value_size = sizeof(struct heap_call);
	skeleton.maps.heap_sites = SITES;
	skeleton.maps.heap_live = BLOCKS;
	skeleton.maps.heap_pending = CALLS;
	skeleton.data = &data;
	skeleton.bss = &bss;
	data.heap_interval = HEAP_EXACT_INTERVAL;
	bss.heap_live_count = 0;
	heap_table_init(&table, &programs);
	*state = &table;
	return 0;
}

static int tear_down(void **state)
{
	heap_table_deinit(*state);
	return 0;
}

static const struct heap_total *find(const struct heap_totals *totals, uint64_t process_start)
{
	for (size_t i = 0; i < totals->list.count; i++)
		if (totals->list.items[i].key.process_start == process_start)
			return &totals->list.items[i];
	return NULL;
}

static void expect_place(struct heap_table *table, uint64_t process_start, double bytes, double held, bool is_final)
{
	struct heap_totals totals;
	assert_int_equal(heap_table_read(table, &totals), 0);
	const struct heap_total *total = find(&totals, process_start);
	assert_non_null(total);
	assert_float_equal(total->bytes, bytes, 0);
	assert_float_equal(total->held_bytes, held, 0);
	assert_int_equal(total->is_final, is_final);
	assert_float_equal(total->freed.objects[1], bytes / 1000 * 9, 0);
	assert_float_equal(total->current.freed.bytes[1], is_final ? 0 : 900, 0);
	array_free(&totals.list);
}

/* The one that is meant has become final, what the other one holds is known as before. */
static void test_fold(void **state)
{
	struct heap_table *table = *state;
	add_place(1000, 1);
	add_place(2000, 1);
	struct heap_totals totals;
	heap_table_fold(table, PID, 1000, &totals);
	assert_int_equal(totals.list.count, 1);
	assert_int_equal(totals.list.items[0].key.process_start, 1000);
	assert_int_equal(totals.list.items[0].outliving.watched, 7);
	array_free(&totals.list);
	expect_place(table, 1000, 1000, 0, true);
	expect_place(table, 2000, 1000, 100, false);
	assert_int_equal(bss.heap_live_count, 1);
	heap_table_fold(table, 0, 0, NULL);
	expect_place(table, 2000, 1000, 0, true);
	assert_int_equal(maps[1].count + maps[2].count, 0);
}

/* What could not be read has not become final, and is counted. */
static void test_unread(void **state)
{
	struct heap_table *table = *state;
	add_place(1000, 1);
	for (int map = 1; map <= 2; map++) {
		struct heap_totals totals;
		maps[map].is_unreadable = true;
		heap_table_fold(table, PID, 1000, &totals);
		assert_int_equal(table->unsettled, map);
		assert_int_equal(totals.list.count, map == 1 ? 0 : 1);
		array_free(&totals.list);
		maps[map].is_unreadable = false;
	}
	heap_table_fold(table, PID, 1000, NULL);
	assert_int_equal(table->unsettled, 2);
	assert_int_equal(maps[1].count + maps[2].count, 0);
}

static bool runs(void *userdata, uint32_t pid, uint64_t process_start)
{
	return pid == PID && process_start == *(uint64_t *)userdata;
}

/* Also while nothing is known of the one that has the number now. */
static void test_ended(void **state)
{
	struct heap_table *table = *state;
	uint64_t running = 2000;
	table->runs = runs;
	table->runs_userdata = &running;
	add_place(1000, 1);
	heap_table_expire(table, 0);
	expect_place(table, 1000, 1000, 100, true);
	assert_int_equal(maps[2].count, 0);
	add_place(2000, 1);
	heap_table_expire(table, 0);
	expect_place(table, 2000, 1000, 100, false);
	heap_table_forget_ended(table);
	assert_int_equal(table->ended.list.count, 0);
	assert_int_equal(table->ended.lost, 0);
}

/* A program that another one followed in the same process has ended, too. */
static void test_exec(void **state)
{
	struct heap_table *table = *state;
	uint64_t running = 1000;
	table->runs = runs;
	table->runs_userdata = &running;
	add_place(1000, 1);
	heap_table_expire(table, 0);
	assert_int_equal(maps[1].count, 1);
	add_place(1000, 2);
	heap_table_expire(table, 0);
	assert_int_equal(maps[1].count, 1);
	assert_int_equal(table->ended.list.count, 1);
	assert_int_equal(table->ended.list.items[0].key.exec_id, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fold, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unread, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_exec, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
