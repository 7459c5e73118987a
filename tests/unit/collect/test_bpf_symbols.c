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

static void assert_found(struct bpf_symbols *symbols, const struct known *known)
{
	const char *name = NULL;
	assert_true(bpf_symbols_find(symbols, known->start, &name));
	assert_string_equal(name, known->name);
	assert_true(bpf_symbols_find(symbols, known->start + 4, &name));
	assert_string_equal(name, known->name);
}

static void names_programs_that_come(void **state)
{
	struct bpf_symbols symbols = {0};
	struct known first, second;
	const char *name;
	(void)state;
	int one = load("first_of_test", 40);
	assert_true(find_in_kernel("_first_of_test", &first));
	assert_found(&symbols, &first);
	assert_false(bpf_symbols_find(&symbols, 0x1000, &name));
	size_t count = symbols.items.count;
	int two = load("second_of_test", 50);
	assert_true(find_in_kernel("_second_of_test", &second));
	assert_found(&symbols, &second);
	assert_true(symbols.items.count > count);
	assert_found(&symbols, &first);
	close(one);
	close(two);
	bpf_symbols_free(&symbols);
}

/* Compares each program's code that the kernel has a name for. Returns how many differ. */
static unsigned compare(unsigned *compared)
{
	struct bpf_symbols symbols = {0};
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], name[256], type;
	unsigned long long start;
	unsigned different = 0;
	while (file && fgets(line, sizeof(line), file)) {
		const char *found;
		if (!strstr(line, " bpf_prog_") || sscanf(line, "%llx %c %255s", &start, &type, name) != 3 ||
		    !bpf_symbols_find(&symbols, start, &found))
			continue;
		different += strcmp(found + TAG_END, name + TAG_END) != 0;
		(*compared)++;
	}
	if (file)
		fclose(file);
	bpf_symbols_free(&symbols);
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
