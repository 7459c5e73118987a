/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of all CPUs and their clocks are summed, those of a CPU that cannot be read left out; names are
 * sound. */
#include "collect/programs.h"

#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNTERS 77
#define TICKS 78
#define CPUS 5
#define UNREADABLE_CPU 3
#define READABLE 0x100010101 /* a byte for each CPU */

int __wrap_bpf_map__fd(const struct bpf_map *map);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value);

int __wrap_bpf_map__fd(const struct bpf_map *map)
{
	return (int)(intptr_t)map;
}

static void fill_clock(uint32_t cpu, struct cpu_clock *ret)
{
	*ret = (struct cpu_clock){
		.previous_tick = UINT64_MAX,
		.ticks = 101UL << (8 * cpu),
		.unselected = 102UL << (8 * cpu),
		.unselected_ns = 103UL << (8 * cpu),
		.idle = 104UL << (8 * cpu),
		.idle_ns = 105UL << (8 * cpu),
	};
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	uint32_t cpu = *(const uint32_t *)key;
	uint64_t *values = value;
	if (fd == TICKS) {
		assert_in_range(cpu, TICK_CPUS, TICK_CPUS + CPUS - 1);
		fill_clock(cpu - TICK_CPUS, value);
		return 0;
	}
	assert_int_equal(fd, COUNTERS);
	assert_true(cpu < CPUS);
	if (cpu == UNREADABLE_CPU) {
		errno = ENOENT;
		return -ENOENT;
	}
	for (size_t i = 0; i < COUNTER_MAX; i++)
		values[i] = (i + 1) << (8 * cpu);
	return 0;
}

static uint64_t counted_by_clocks(enum counter counter)
{
	switch (counter) {
	case COUNTER_TICKS:
		return 101;
	case COUNTER_UNSELECTED:
		return 102;
	case COUNTER_UNSELECTED_NS:
		return 103;
	case COUNTER_IDLE:
		return 104;
	case COUNTER_IDLE_NS:
		return 105;
	default:
		return 0;
	}
}

static void test_sums(void **state)
{
	struct bolometer_bpf skeleton = {.maps = {.counters = (void *)COUNTERS, .ticks = (void *)TICKS}};
	struct programs programs = {.skeleton = &skeleton, .cpu_count = CPUS, .walk_count = CPUS};
	uint64_t counters[COUNTER_MAX];
	memset(counters, 0xff, sizeof(counters));
	programs_read_counters(&programs, counters);
	for (uint64_t i = 0; i < COUNTER_MAX; i++)
		assert_int_equal(counters[i], (i + 1 + counted_by_clocks((enum counter)i)) * READABLE);
}

static void test_names(void **state)
{
#define NAME(id, name, what) name,
	static const char *const names[] = {BOLOMETER_COUNTERS(NAME)};
#undef NAME
#define END(id, text) text,
	static const char *const ends[] = {BOLOMETER_STACK_ENDS(END)};
#undef END
	assert_int_equal(ARRAY_LENGTH(names), COUNTER_MAX);
	assert_int_equal(ARRAY_LENGTH(ends), STACK_END_MAX);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		/* Fit to be part of a metric's name. */
		assert_int_equal(strspn(names[i], "abcdefghijklmnopqrstuvwxyz_"), strlen(names[i]));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(names[i], names[k]);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(ends[i], ends[k]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
