/* SPDX-License-Identifier: Apache-2.0 */
/* The counters of all CPUs are summed, those of a CPU that cannot be read left out; names are sound. */
#include "collect/programs.h"

#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAP 77
#define CPUS 5
#define UNREADABLE_CPU 3

int __wrap_bpf_map__fd(const struct bpf_map *map);
int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value);

int __wrap_bpf_map__fd(const struct bpf_map *map)
{
	assert_ptr_equal(map, (void *)MAP);
	return MAP;
}

int __wrap_bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	uint32_t cpu = *(const uint32_t *)key;
	uint64_t *values = value;
	assert_int_equal(fd, MAP);
	assert_true(cpu < CPUS);
	if (cpu == UNREADABLE_CPU) {
		errno = ENOENT;
		return -ENOENT;
	}
	for (size_t i = 0; i < COUNTER_MAX; i++)
		values[i] = (i + 1) << (8 * cpu);
	return 0;
}

static void test_sums(void **state)
{
	struct bolometer_bpf skeleton = {.maps = {.counters = (void *)MAP}};
	struct programs programs = {.skeleton = &skeleton, .cpu_count = CPUS, .walk_count = CPUS};
	uint64_t counters[COUNTER_MAX];
	memset(counters, 0xff, sizeof(counters));
	programs_read_counters(&programs, counters);
	for (uint64_t i = 0; i < COUNTER_MAX; i++)
		assert_int_equal(counters[i], (i + 1) * 0x100010101);
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
