/* SPDX-License-Identifier: Apache-2.0 */
/* Names of BPF programs' code against /proc/kallsyms, with programs that are loaded meanwhile. */
#include "collect/bpf_symbols.h"

#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SKIPPED 77
#define TAG_END 25 /* of "bpf_prog_" and 16 digits */

struct known {
	uint64_t start;
	char name[256];
};

/* A program of `count` instructions. Returns its file, or negative. */
static int load(const char *name, unsigned count)
{
	struct bpf_insn instructions[64];
	for (unsigned i = 0; i < count; i++)
		instructions[i] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (int)i};
	instructions[count - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, name, "GPL", instructions, count, NULL);
}

/* The line of kallsyms whose symbol ends in `name`. */
static bool find_in_kernel(const char *name, struct known *ret)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], type;
	unsigned long long start;
	bool found = false;
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, "[bpf]") && strstr(line, name) &&
			sscanf(line, "%llx %c %255s", &start, &type, ret->name) == 3;
	if (file)
		fclose(file);
	ret->start = found ? start : 0;
	return ret->start;
}

static void assert_found(const struct generated_code *code, const struct known *known)
{
	for (int i = 0; i < 8; i += 4) {
		const struct generated_function *f = generated_code_find(code, known->start + (uint64_t)i, 1);
		assert_non_null(f);
		assert_string_equal(f->name, known->name);
		assert_string_equal(generated_code_module(f), "bpf");
	}
}

static void names_programs_that_come(void **state)
{
	struct generated_code code = {0};
	struct known first, second;
	uint32_t last_id = 0;
	(void)state;
	int one = load("first_of_test", 40);
	assert_true(find_in_kernel("_first_of_test", &first));
	bpf_symbols_read(&code, &last_id);
	assert_found(&code, &first);
	assert_null(generated_code_find(&code, 0x1000, 1));
	uint32_t id = last_id;
	size_t count = code.functions.count;
	int two = load("second_of_test", 50);
	assert_true(find_in_kernel("_second_of_test", &second));
	bpf_symbols_read(&code, &last_id);
	assert_found(&code, &second);
	assert_true(code.functions.count > count);
	assert_true(last_id > id);
	assert_found(&code, &first);
	close(one);
	close(two);
	generated_code_free(&code);
}

/* Compares each program's code that the kernel has a name for. Returns how many differ. */
static unsigned compare(unsigned *compared)
{
	struct generated_code code = {0};
	uint32_t last_id = 0;
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], name[256], type;
	unsigned long long start;
	unsigned different = 0;
	bpf_symbols_read(&code, &last_id);
	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, " bpf_prog_") || sscanf(line, "%llx %c %255s", &start, &type, name) != 3)
			continue;
		const struct generated_function *found = generated_code_find(&code, start, 1);
		if (!found)
			continue;
		different += strcmp(found->name + TAG_END, name + TAG_END) != 0;
		(*compared)++;
	}
	if (file)
		fclose(file);
	generated_code_free(&code);
	return different;
}

/* Functions of programs with BTF too, if there are any. Kernels differ in the tag. Others may come and go at any
 * time, also while they are compared: then the next time will be without. */
static void names_are_those_of_the_kernel(void **state)
{
	unsigned compared = 0, different = 1;
	int program = load("third_of_test", 30);
	(void)state;
	for (unsigned i = 0; i < 10 && different; i++)
		different = compare(&compared);
	close(program);
	printf("%u names compared\n", compared);
	assert_int_equal(different, 0);
	assert_true(compared > 0);
}

int main(void)
{
	struct known known;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_programs_that_come),
		cmocka_unit_test(names_are_those_of_the_kernel),
	};
	int program = load("probe_of_test", 10);
	if (program < 0 || !find_in_kernel("_probe_of_test", &known)) {
		printf("BPF programs cannot be loaded, are not compiled, or their addresses are hidden: skipped\n");
		return SKIPPED;
	}
	close(program);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
