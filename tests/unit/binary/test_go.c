/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go's own table read by us against what the Go runtime and go tool nm say, for every Go toolchain of
 * this machine and every way to link and strip a program.
 */
#include "binary/line_answers.h"
#include "binary/line_build.h"
#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"
#include "made_file.h"

#include <inttypes.h>

#define MAX_STATEMENTS 20000

struct statement {
	bool chain; /* a frame of the call stack at the address, innermost first */
	uint64_t address;
	char function[256], file[256];
	uint32_t line;
};

/* What the program says of itself. */
struct probe {
	struct statement statements[MAX_STATEMENTS];
	size_t count;
	uint64_t main;
};

static const char *source;

static void run_probe(struct probe *p)
{
	char line[1024], command[256];
	*p = (struct probe){0};
	snprintf(command, sizeof(command), "%s/probe", made_directory);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe) && p->count < MAX_STATEMENTS) {
		struct statement *s = &p->statements[p->count];
		char kind[8];
		*s = (struct statement){0};
		if (sscanf(line, "main %" SCNx64, &p->main) == 1)
			continue;
		if (sscanf(line, "%7s %" SCNx64 " %255s %255s %" SCNu32, kind, &s->address,
			   s->function, s->file, &s->line) < 5)
			continue;
		s->chain = !strcmp(kind, "chain");
		p->count++;
	}
	assert_int_equal(pclose(pipe), 0);
	assert_true(p->count > 1000 && p->main);
}

struct names {
	struct text symbols, lines;
	struct symbol_index index;
	struct line_answers answers;
};

static void names_free(struct names *names)
{
	text_free(&names->symbols);
	text_free(&names->lines);
}

static void build_symbols(struct names *names)
{
	struct elf_file elf;
	struct artifact artifact;
	_cleanup_free_ char *bytes = open_made_elf("probe", &elf);
	assert_int_equal(symbol_build(&elf, NULL, &names->symbols), 0);
	assert_int_equal(artifact_check(names->symbols.bytes, names->symbols.length,
					ARTIFACT_SYMBOLS, &artifact),
			 0);
	assert_int_equal(symbol_index_open(&artifact, &names->index), 0);
}

static uint64_t address_of(const struct names *names, const char *name)
{
	const struct symbol_record *records = names->index.symbols;
	for (size_t i = 0; i < names->index.symbol_count; i++)
		if (!strcmp(names->index.names + records[i].name, name))
			return records[i].address;
	fail_msg("%s has no name", name);
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void build_lines(const struct probe *p, uint64_t slide, struct names *names)
{
	uint64_t addresses[MAX_STATEMENTS];
	struct artifact artifact;
	_cleanup_fd_ int fd = open_made("probe");
	for (size_t i = 0; i < p->count; i++)
		addresses[i] = p->statements[i].address - slide;
	qsort(addresses, p->count, sizeof(*addresses), compare_addresses);
	assert_int_equal(line_build(fd, -1, addresses, p->count, true, &names->lines), 0);
	assert_int_equal(artifact_check(names->lines.bytes, names->lines.length, ARTIFACT_LINES,
					&artifact),
			 0);
	assert_int_equal(line_answers_open(&artifact, &names->answers), 0);
}

/* Type arguments are written as "[...]" by the runtime, and in the tables of old Go. An assembly
 * function's ".abi0" is only in the symbol table. */
static bool same_name(const char *a, const char *b)
{
	const char *a_open = strchr(a, '['), *b_open = strchr(b, '[');
	if (a_open && b_open && (strstr(a, "[...]") || strstr(b, "[...]")))
		return a_open - a == b_open - b && !strncmp(a, b, (size_t)(a_open - a));
	const char *suffix = strstr(b, ".abi0");
	size_t length = suffix && !suffix[5] ? (size_t)(suffix - b) : strlen(b);
	return strlen(a) == length && !strncmp(a, b, length);
}

/* Is `found` what the runtime says? */
static bool agrees(const struct statement *s, const struct line_frame *found)
{
	return same_name(found->function, s->function) && !strcmp(found->file, s->file) &&
	       found->line == s->line;
}

static size_t check_statements(const struct probe *p, uint64_t slide, const struct names *names)
{
	size_t wrong = 0, depth = 0, inlined = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct statement *s = &p->statements[i];
		struct line_frame frames[LINE_MAX_INLINE_DEPTH];
		size_t count = line_answers_find(&names->answers, s->address - slide, frames,
						 LINE_MAX_INLINE_DEPTH);
		size_t at = s->chain ? depth++ : 0;
		if (s->chain && at >= count)
			continue; /* the caller of the function with machine code */
		inlined += !s->chain && count > 1;
		if (count > at && agrees(s, &frames[at]))
			continue;
		if (wrong++ < 3)
			fprintf(stderr, "%" PRIx64 ": %s %s:%u, we say %s %s:%u\n", s->address,
				s->function, s->file, s->line, count ? frames[at].function : "none",
				count ? frames[at].file : "", count ? frames[at].line : 0);
	}
	assert_true(inlined > 100);
	return wrong;
}

static void check_chain(const struct probe *p, uint64_t slide, const struct names *names)
{
	struct line_frame frames[LINE_MAX_INLINE_DEPTH];
	assert_true(p->statements[0].chain);
	size_t count = line_answers_find(&names->answers, p->statements[0].address - slide, frames,
					 LINE_MAX_INLINE_DEPTH);
	assert_int_equal(count, 3);
	assert_string_equal(frames[0].function, "main.innermost");
	assert_string_equal(frames[1].function, "main.middle");
	assert_string_equal(frames[2].function, "main.outermost");
	struct symbol symbol;
	assert_true(symbol_index_find(&names->index, p->statements[0].address - slide, &symbol));
	assert_string_equal(symbol.name, "main.outermost");
}

static void check_program(const char *go, const char *flags, bool strip)
{
	static struct probe probe;
	_cleanup_(names_free) struct names names = {0};
	fprintf(stderr, "%s build %s%s\n", go, flags, strip ? ", strip" : "");
	assert_true(shell("GOTOOLCHAIN=local GO111MODULE=off %s build %s -o probe %s", go, flags,
			  source));
	if (strip)
		assert_true(shell("strip probe"));
	run_probe(&probe);
	build_symbols(&names);
	uint64_t slide = probe.main - address_of(&names, "main.main");
	assert_int_equal(slide % 4096, 0);
	build_lines(&probe, slide, &names);
	check_chain(&probe, slide, &names);
	assert_int_equal(check_statements(&probe, slide, &names), 0);
}

static void check_against_nm(const char *go)
{
	_cleanup_(names_free) struct names names = {0};
	char command[512], line[2048];
	size_t checked = 0, wrong = 0;
	assert_true(shell("GOTOOLCHAIN=local GO111MODULE=off %s build -o full %s", go, source));
	assert_true(shell("strip -o probe full"));
	build_symbols(&names);
	snprintf(command, sizeof(command), "cd %s && %s tool nm -size full", made_directory, go);
	FILE *nm = popen(command, "r");
	assert_non_null(nm);
	while (fgets(line, sizeof(line), nm)) {
		uint64_t address, size;
		char type, name[1024];
		struct symbol symbol;
		if (sscanf(line, "%" SCNx64 " %" SCNu64 " %c %1023[^\n]", &address, &size, &type,
			   name) != 4 ||
		    (type != 'T' && type != 't') || size == 0)
			continue;
		checked++;
		if (symbol_index_find(&names.index, address, &symbol) &&
		    symbol.address == address && same_name(symbol.name, name))
			continue;
		if (wrong++ < 5)
			fprintf(stderr, "%s\n", name);
	}
	assert_int_equal(pclose(nm), 0);
	fprintf(stderr, "%zu functions of go tool nm, %zu not found as named\n", checked, wrong);
	assert_true(checked > 1000);
	assert_true(wrong <= checked / 500);
}

static void check_toolchain(const char *go)
{
	check_program(go, "", false);
	check_program(go, "", true);
	check_program(go, "-ldflags='-s -w'", false);
	check_program(go, "-buildmode=pie", true);
	check_program(go, "-ldflags='-linkmode=external'", true);
	check_program(go, "-buildmode=pie -ldflags='-linkmode=external'", true);
	check_against_nm(go);
}

static void test_default_toolchain(void **state)
{
	check_toolchain("go");
}

/* Debian's packages of other versions, side by side. */
static void test_other_toolchains(void **state)
{
	char line[256];
	size_t count = 0;
	FILE *list = popen("ls -d /usr/lib/go-*/bin/go 2>/dev/null", "r");
	assert_non_null(list);
	for (; fgets(line, sizeof(line), list); count++) {
		line[strcspn(line, "\n")] = '\0';
		check_toolchain(line);
	}
	pclose(list);
	if (count)
		return;
	fprintf(stderr, "skipped: no /usr/lib/go-*\n");
	skip();
}

static int begin(void **state)
{
	made_files_begin();
	need_tools("go cc strip");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	source = argv[1];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_toolchain),
		cmocka_unit_test(test_other_toolchains),
	};
	return cmocka_run_group_tests(tests, begin, made_files_end);
}
