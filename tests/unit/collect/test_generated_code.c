/* SPDX-License-Identifier: Apache-2.0 */
/* Code that the kernel generates: what lay at an address at which time, and that the list is bounded. */
#include "collect/generated_code.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define START 0xffffffffc0001000
#define SECOND NS_PER_SECOND

static const char *name_at(const struct generated_code *code, uint64_t address, uint64_t time_ns)
{
	const struct generated_function *f = generated_code_find(code, address, time_ns);
	return f ? f->name : "";
}

static void test_by_time(void **state)
{
	struct generated_code code = {0};
	assert_string_equal(name_at(&code, START, SECOND), "");
	assert_int_equal(generated_code_add(&code, START, 64, "bpf_prog_1", 2 * SECOND), 0);
	assert_false(code.is_reused);
	assert_string_equal(name_at(&code, START, 2 * SECOND), "bpf_prog_1");
	assert_string_equal(name_at(&code, START + 63, 200 * SECOND), "bpf_prog_1");
	assert_string_equal(name_at(&code, START + 64, 3 * SECOND), "");
	assert_string_equal(name_at(&code, START - 1, 3 * SECOND), "");
	assert_string_equal(name_at(&code, START, SECOND), ""); /* not yet */
	assert_int_equal(generated_code_remove(&code, START, 64, "bpf_prog_1", 4 * SECOND), 0);
	assert_int_equal(code.gone, 1);
	assert_string_equal(name_at(&code, START, 4 * SECOND + 1000), "bpf_prog_1"); /* just leaving it */
	assert_string_equal(name_at(&code, START, 9 * SECOND), "");
	assert_true(generated_code_covers(&code, START + 8));
	assert_false(generated_code_covers(&code, START + 64));

	assert_int_equal(generated_code_add(&code, START + 16, 64, "bpf_prog_2", 4 * SECOND + 10), 1);
	assert_true(code.is_reused);
	assert_string_equal(name_at(&code, START + 16, 4 * SECOND + 9), "bpf_prog_1");
	assert_string_equal(name_at(&code, START + 16, 4 * SECOND + 10), "bpf_prog_2");
	assert_string_equal(name_at(&code, START + 16, 90 * SECOND), "bpf_prog_2");
	generated_code_free(&code);
}

/* The same program again, as container runtimes load theirs, means nothing new. */
static void test_the_same_again(void **state)
{
	struct generated_code code = {0};
	for (uint64_t i = 1; i < 10; i++) {
		assert_int_equal(generated_code_add(&code, START, 64, "bpf_prog_1", i * SECOND), 0);
		assert_string_equal(name_at(&code, START, i * SECOND + 5), "bpf_prog_1");
	}
	assert_false(code.is_reused);
	assert_int_equal(code.gone, 8); /* whose end was not told */
	generated_code_free(&code);
}

/* What was there before anything was told is known from its end. */
static void test_end_of_the_unknown(void **state)
{
	struct generated_code code = {0};
	assert_int_equal(generated_code_remove(&code, START, 64, "bpf_prog_1", 4 * SECOND), 0);
	assert_string_equal(name_at(&code, START, 1), "bpf_prog_1");
	assert_string_equal(name_at(&code, START, 5 * SECOND), "");
	assert_true(generated_code_knows(&code, START, "bpf_prog_1", 3 * SECOND));
	assert_false(generated_code_knows(&code, START, "bpf_prog_1", 5 * SECOND));
	assert_false(generated_code_knows(&code, START, "bpf_prog_2", 3 * SECOND));
	generated_code_free(&code);
}

/* One whose end was guessed too far is cut where the next begins. */
static void test_guessed_end(void **state)
{
	struct generated_code code = {0};
	assert_int_equal(generated_code_add(&code, START, 4096, "ftrace_trampoline", 0), 0);
	assert_int_equal(generated_code_add(&code, START + 128, 64, "bpf_prog_1", SECOND), 1);
	assert_string_equal(name_at(&code, START + 127, 9 * SECOND), "ftrace_trampoline");
	assert_string_equal(name_at(&code, START + 128, 9 * SECOND), "bpf_prog_1");
	assert_string_equal(name_at(&code, START + 192, 9 * SECOND), ""); /* behind that one */
	assert_string_equal(generated_code_module(generated_code_find(&code, START, SECOND)), "__builtin__ftrace");
	generated_code_free(&code);
}

/* While nothing is told, what was there may be there or not: whoever is asked about it says so. */
static void test_doubt(void **state)
{
	struct generated_code code = {0};
	assert_int_equal(generated_code_add(&code, START, 64, "bpf_prog_1", SECOND), 0);
	assert_int_equal(generated_code_add(&code, START + 64, 64, "bpf_prog_2", SECOND), 0);
	generated_code_doubt(&code, 5 * SECOND);
	assert_int_equal(code.doubts, 1);
	assert_false(generated_code_covers(&code, START));
	assert_string_equal(name_at(&code, START, 4 * SECOND), "bpf_prog_1");
	assert_string_equal(name_at(&code, START, 6 * SECOND), "");
	assert_int_equal(generated_code_add(&code, START, 64, "bpf_prog_1", 0), 0); /* it is */
	assert_true(generated_code_covers(&code, START));
	assert_string_equal(name_at(&code, START, 6 * SECOND), "bpf_prog_1");
	assert_int_equal(generated_code_add(&code, START + 64, 64, "bpf_prog_3", 0), 1); /* it is not */
	assert_string_equal(name_at(&code, START + 64, 4 * SECOND), "bpf_prog_2");
	assert_string_equal(name_at(&code, START + 64, 6 * SECOND), "bpf_prog_3");
	assert_int_equal(code.functions.count, 3);
	assert_int_equal(code.gone, 1);
	generated_code_free(&code);
}

static void test_nonsense(void **state)
{
	struct generated_code code = {0};
	assert_int_equal(generated_code_add(&code, 0, 64, "hidden", 1), -EINVAL);
	assert_int_equal(generated_code_add(&code, START, 0, "empty", 1), -EINVAL);
	assert_int_equal(generated_code_add(&code, START, 1UL << 40, "large", 1), -EINVAL);
	assert_int_equal(generated_code_add(&code, UINT64_MAX - 8, 64, "wraps", 1), -EINVAL);
	assert_int_equal(generated_code_remove(&code, START, 64, "", 1), -EINVAL);
	assert_int_equal(code.functions.count, 0);
	generated_code_free(&code);
}

static void test_bound(void **state)
{
	struct generated_code code = {0};
	char name[32];
	for (uint64_t i = 0; i < 3 * GENERATED_CODE_MAX_GONE; i++) {
		snprintf(name, sizeof(name), "bpf_prog_%u", (unsigned)i);
		generated_code_add(&code, START + 64 * i, 64, name, (i + 1) * SECOND);
		generated_code_remove(&code, START + 64 * i, 64, name, (i + 2) * SECOND);
		assert_true(code.gone <= GENERATED_CODE_MAX_GONE);
		assert_string_equal(name_at(&code, START + 64 * i, (i + 1) * SECOND), name);
	}
	assert_int_equal(code.forgotten + code.functions.count, 3 * GENERATED_CODE_MAX_GONE);
	assert_true(code.forgotten > 0);
	/* Those that are there stay, and past the limit none is taken. */
	for (uint64_t i = 0; i < GENERATED_CODE_MAX + 9; i++)
		assert_int_equal(generated_code_add(&code, 2 * (START >> 1) + (i << 20), 64, "bpf_prog_x", 9), 0);
	assert_true(code.functions.count <= GENERATED_CODE_MAX);
	generated_code_free(&code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time),
		cmocka_unit_test(test_the_same_again),
		cmocka_unit_test(test_end_of_the_unknown),
		cmocka_unit_test(test_guessed_end),
		cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
