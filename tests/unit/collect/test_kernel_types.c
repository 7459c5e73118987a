/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's types cut down: against libbpf's own reading of all of them. */
#include "collect/kernel_types.h"

#include "base/attributes.h"
#include "base/file.h"

#include <bpf/btf.h>
#include <errno.h>
#include <linux/btf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"

static const char *const names[] = {"task_struct", "mm_struct", "cgroup", "kernfs_node", "pid_type"};

/* Types with these names, a flavour among them, and nothing in them. */
static struct btf *make_wanted(void)
{
	struct btf *wanted = btf__new_empty();
	for (size_t i = 0; i < ARRAY_LENGTH(names) - 1; i++) {
		char flavour[64];
		snprintf(flavour, sizeof(flavour), "%s%s", names[i], i == 1 ? "___old" : "");
		assert_true(btf__add_struct(wanted, flavour, 0) > 0);
	}
	assert_true(btf__add_enum(wanted, names[ARRAY_LENGTH(names) - 1], 4) > 0);
	return wanted;
}

static uint32_t plain(const struct btf *btf, uint32_t id)
{
	int resolved = btf__resolve_type(btf, id);
	assert_true(resolved >= 0);
	return (uint32_t)resolved;
}

/* The same members at the same places, and so all that is in them; `depth` ends what goes too far. */
static void expect_same(const struct btf *all, uint32_t a, const struct btf *few, uint32_t b, int depth)
{
	const struct btf_type *x = btf__type_by_id(all, a), *y = btf__type_by_id(few, b);
	assert_non_null(y);
	assert_int_equal(x->info, y->info);
	assert_string_equal(btf__name_by_offset(all, x->name_off), btf__name_by_offset(few, y->name_off));
	if (!depth || (BTF_INFO_KIND(x->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(x->info) != BTF_KIND_UNION))
		return;
	assert_int_equal(x->size, y->size);
	const struct btf_member *m = (const struct btf_member *)(x + 1);
	const struct btf_member *n = (const struct btf_member *)(y + 1);
	for (int i = 0; i < BTF_INFO_VLEN(x->info); i++) {
		assert_int_equal(m[i].offset, n[i].offset);
		assert_string_equal(btf__name_by_offset(all, m[i].name_off),
				    btf__name_by_offset(few, n[i].name_off));
		assert_int_equal(btf__resolve_size(all, m[i].type), btf__resolve_size(few, n[i].type));
		expect_same(all, plain(all, m[i].type), few, plain(few, n[i].type), depth - 1);
	}
}

static void keeps_what_is_wanted(void **state)
{
	(void)state;
	_cleanup_free_ char *kernel = NULL;
	_cleanup_free_ void *bytes = NULL;
	size_t size, reduced;
	if (read_whole_file(KERNEL_TYPES, SIZE_MAX / 2, &kernel, &size) < 0) {
		printf("no %s: skipped\n", KERNEL_TYPES);
		skip();
	}
	struct btf *wanted = make_wanted();
	assert_int_equal(kernel_types_reduce(kernel, size, wanted, &bytes, &reduced), 0);
	struct btf *all = btf__new(kernel, (uint32_t)size), *few = btf__new(bytes, (uint32_t)reduced);
	assert_non_null(all);
	assert_non_null(few);
	assert_true(reduced < size / 4);
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		int a = btf__find_by_name(all, names[i]), b = btf__find_by_name(few, names[i]);
		assert_true(a > 0 && b > 0);
		expect_same(all, (uint32_t)a, few, (uint32_t)b, 3);
	}
	assert_true(btf__find_by_name(few, "kvm_vcpu") < 0);
	btf__free(few);
	btf__free(all);
	btf__free(wanted);
}

static void finds_functions(void **state)
{
	(void)state;
	static const char *const functions[] = {"bpf_get_current_task", "schedule", "task_struct", "no_such_function"};
	_cleanup_free_ char *kernel = NULL;
	size_t size;
	if (read_whole_file(KERNEL_TYPES, SIZE_MAX / 2, &kernel, &size) < 0) {
		printf("no %s: skipped\n", KERNEL_TYPES);
		skip();
	}
	struct btf *all = btf__new(kernel, (uint32_t)size);
	assert_non_null(all);
	for (size_t i = 0; i < ARRAY_LENGTH(functions); i++) {
		int expected = btf__find_by_name_kind(all, functions[i], BTF_KIND_FUNC);
		assert_int_equal(kernel_types_find_function(kernel, size, functions[i]),
				 expected > 0 ? expected : 0);
	}
	assert_true(kernel_types_find_function(kernel, size, "schedule") > 0);
	assert_int_equal(kernel_types_find_function(kernel, size / 2, "schedule"), 0);
	btf__free(all);
}

/* Every prefix and every changed byte of a small one: an error or not, but nothing read outside. */
static void survives_damage(void **state)
{
	(void)state;
	struct btf *kernel = btf__new_empty(), *wanted = btf__new_empty();
	int integer = btf__add_int(kernel, "int", 4, BTF_INT_SIGNED);
	int array = btf__add_array(kernel, integer, integer, 3);
	int pointer = btf__add_ptr(kernel, array);
	assert_true(btf__add_struct(kernel, "task_struct", 24) > 0);
	assert_int_equal(btf__add_field(kernel, "a", array, 0, 0), 0);
	assert_int_equal(btf__add_field(kernel, "p", pointer, 128, 0), 0);
	assert_true(btf__add_enum(kernel, "pid_type", 4) > 0);
	assert_int_equal(btf__add_enum_value(kernel, "ONE", 1), 0);
	assert_true(btf__add_struct(wanted, "task_struct", 0) > 0);
	assert_true(btf__add_enum(wanted, "pid_type", 4) > 0);
	uint32_t size;
	const char *raw = btf__raw_data(kernel, &size);
	void *bytes;
	size_t reduced;
	for (uint32_t length = 0; length < size; length++) {
		char *copy = malloc(MAX_OF(length, 1u)); /* its end is watched by sanitizers */
		memcpy(copy, raw, length);
		assert_int_equal(kernel_types_reduce(copy, length, wanted, &bytes, &reduced), -EBADMSG);
		free(copy);
	}
	for (uint32_t at = 0; at < size * 8; at++) {
		char *copy = malloc(size);
		memcpy(copy, raw, size);
		copy[at / 8] ^= 1 << at % 8;
		if (kernel_types_reduce(copy, size, wanted, &bytes, &reduced) == 0)
			free(bytes);
		free(copy);
	}
	btf__free(kernel);
	btf__free(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_is_wanted),
		cmocka_unit_test(finds_functions),
		cmocka_unit_test(survives_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
