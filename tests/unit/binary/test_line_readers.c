/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our lines and inlined calls beside those of independent readers of DWARF: binutils' addr2line,
 * elfutils' eu-addr2line and LLVM's. They do not always agree with each other; we must say nothing that
 * none of them says.
 */
#include "binary/demangle.h"
#include "binary/line_answers.h"
#include "binary/line_build.h"
#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"
#include "made_file.h"

#include <inttypes.h>

#define MAX_ADDRESSES 4000
#define MAX_FRAMES 16

static const char source[] =
	"#include <algorithm>\n#include <string>\n#include <vector>\n#include <cstdio>\n"
	"namespace shapes {\n"
	"template <typename T> struct box {\n"
	"	std::vector<T> items;\n"
	"	inline void add(T item) { items.push_back(item); }\n"
	"	inline T sum() const { T s = 0; for (auto i : items) s += i; return s; }\n"
	"};\n"
	"static inline int twice(int x) { int y = x; { int z = y; y += z; } return y; }\n"
	"static inline int four_times(int x) { return twice(twice(x)) + (x & 1); }\n"
	"}\n"
	"__attribute__((noinline)) int sorted(std::vector<int> &v) {\n"
	"	std::sort(v.begin(), v.end(), [](int a, int b) { return shapes::twice(a) < b; });\n"
	"	return v[0];\n"
	"}\n"
	"__attribute__((noinline)) double boxed(int n) {\n"
	"	shapes::box<double> b;\n"
	"	for (int i = 0; i < n; i++)\n"
	"		b.add(shapes::four_times(i) * 0.5);\n"
	"	return b.sum();\n"
	"}\n"
	"int main(int argc, char **argv) {\n"
	"	std::vector<int> v{3, argc, 2};\n"
	"	std::string s(argv[0]);\n"
	"	printf(\"%d %f %zu\\n\", sorted(v), boxed(argc), s.size());\n"
	"}\n";

/* The third one reads clang's DWARF 5 whole, which the others of Debian 12 do not. */
static const char *const readers[] = {"addr2line", "eu-addr2line", "llvm-addr2line"};
#define READER_COUNT ARRAY_LENGTH(readers)

static bool is_there(const char *tool)
{
	return shell("command -v %s >/dev/null", tool);
}

struct frame {
	char function[512], file[256];
	uint32_t line;
};

struct stack {
	struct frame frames[MAX_FRAMES];
	size_t count;
};

/* One reader's stacks, one for each address. */
struct reading {
	struct stack stacks[MAX_ADDRESSES];
};

struct subject {
	char path[512];
	uint64_t addresses[MAX_ADDRESSES];
	size_t count;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* "dir/file.c:12:3 (discriminator 4)"; line 0 for "?". */
static void parse_place(char *text, struct frame *f)
{
	text[strcspn(text, "\n ")] = '\0';
	const char *name = base_name(text);
	const char *colon = strchr(name, ':');
	if (!colon)
		return;
	f->line = (uint32_t)strtoul(colon + 1, NULL, 10);
	if (f->line)
		snprintf(f->file, sizeof(f->file), "%.*s", (int)MIN_OF(colon - name, 250), name);
}

/* "function" or "function inlined at FILE:LINE in CALLER"; "" for "??". */
static void parse_function(char *text, struct frame *f)
{
	char *inlined = strstr(text, " inlined at ");
	if (inlined)
		*inlined = '\0';
	text[strcspn(text, "\n")] = '\0';
	snprintf(f->function, sizeof(f->function), "%.500s", strcmp(text, "??") ? text : "");
}

static void read_with(const char *tool, const struct subject *s, struct reading *ret)
{
	char command[1024], line[4096];
	memset(ret, 0, sizeof(*ret));
	snprintf(command, sizeof(command), "%s/addresses", made_directory);
	FILE *list = fopen(command, "we");
	assert_non_null(list);
	for (size_t i = 0; i < s->count; i++)
		fprintf(list, "0x%" PRIx64 "\n", s->addresses[i]);
	fclose(list);
	snprintf(command, sizeof(command), "%s -a -i -f -e %s < %s/addresses", tool, s->path,
		 made_directory);
	FILE *pipe = popen(command, "re");
	assert_non_null(pipe);
	size_t next = 0;
	struct stack *stack = NULL;
	while (fgets(line, sizeof(line), pipe)) {
		if (!strncmp(line, "0x", 2)) {
			assert_true(next < s->count);
			assert_int_equal(strtoull(line, NULL, 16), s->addresses[next]);
			stack = &ret->stacks[next++];
			continue;
		}
		assert_non_null(stack);
		struct frame frame = {0};
		parse_function(line, &frame);
		assert_non_null(fgets(line, sizeof(line), pipe));
		parse_place(line, &frame);
		if (stack->count < MAX_FRAMES)
			stack->frames[stack->count++] = frame;
	}
	pclose(pipe);
	assert_int_equal(next, s->count);
}

static void read_ourselves(const struct subject *s, struct reading *ret)
{
	struct text t = {0};
	struct artifact artifact;
	struct line_answers answers;
	_cleanup_fd_ int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	memset(ret, 0, sizeof(*ret));
	assert_int_equal(line_build(fd, -1, s->addresses, s->count, true, &t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &answers), 0);
	for (size_t i = 0; i < s->count; i++) {
		struct line_frame frames[MAX_FRAMES];
		struct stack *stack = &ret->stacks[i];
		stack->count = line_answers_find(&answers, s->addresses[i], frames, MAX_FRAMES);
		for (size_t k = 0; k < stack->count; k++) {
			struct frame *f = &stack->frames[k];
			snprintf(f->function, sizeof(f->function), "%.500s", frames[k].function);
			f->line = frames[k].line;
			if (f->line)
				snprintf(f->file, sizeof(f->file), "%s", base_name(frames[k].file));
		}
	}
	text_free(&t);
}

/* Addresses spread evenly over the functions of the file. */
static void choose_addresses(struct subject *s)
{
	char *bytes;
	size_t size;
	struct elf_file elf;
	struct text t = {0};
	struct artifact artifact;
	struct symbol_index index;
	assert_int_equal(read_whole_file(s->path, 1 << 28, &bytes, &size), 0);
	assert_int_equal(elf_file_open(bytes, size, &elf), 0);
	assert_int_equal(symbol_build(&elf, NULL, &t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), 0);
	const struct symbol_record *records = index.symbols;
	uint64_t total = 0, step;
	for (size_t i = 0; i < index.symbol_count; i++)
		total += records[i].size;
	step = total / (MAX_ADDRESSES - 200) + 1;
	for (size_t i = 0; i < index.symbol_count; i++)
		for (uint64_t at = step / 2; at < records[i].size && s->count < MAX_ADDRESSES;
		     at += step)
			if (s->count == 0 ||
			    s->addresses[s->count - 1] < records[i].address + at)
				s->addresses[s->count++] = records[i].address + at;
	text_free(&t);
	free(bytes);
}

static bool same_place(const struct frame *a, const struct frame *b)
{
	return a->line == b->line && !strcmp(a->file, b->file);
}

/* Is the beginning of a name, up to `end`, in the linkage name? Arguments of templates and lambdas are written otherwise
 * there. */
static bool is_in_linkage_name(const char *linkage, const char *name, const char *end)
{
	struct text readable = {0};
	char beginning[512];
	snprintf(beginning, sizeof(beginning), "%.*s", (int)MIN_OF(strcspn(name, "<{"), (size_t)(end - name)), name);
	demangle(linkage, &readable);
	bool found = beginning[0] && readable.bytes && strstr(readable.bytes, beginning);
	text_free(&readable);
	return found;
}

/* Others may give the linkage name of the symbol table, where DWARF has a plain one only. */
static bool same_function(const char *ours, const char *theirs)
{
	return !strcmp(ours, theirs) || (!strncmp(theirs, "_Z", 2) && strncmp(ours, "_Z", 2) &&
					 is_in_linkage_name(theirs, ours, ours + strlen(ours)));
}

/* Where the name that we give with its scopes, "app::run::{lambda:12}::operator()", has its last part, if that is what a
 * reader says who leaves scopes out; or NULL. */
static const char *behind_scopes(const char *ours, const char *theirs)
{
	size_t length = strlen(ours), last = strlen(theirs);
	if (!last || length <= last + 2)
		return NULL;
	const char *at = ours + length - last;
	return !strcmp(at, theirs) && !strncmp(at - 2, "::", 2) ? at : NULL;
}

/* One reader has the name without its scopes, and none has a linkage name that these are not in: of the outermost
 * function, whose name addr2line gives to what was inlined into it too. */
static bool is_scoped(const char *ours, const struct stack *const *others, size_t count, size_t frame)
{
	const char *last = NULL;
	for (size_t r = 0; r < READER_COUNT; r++)
		if (others[r]->count == count && !last)
			last = behind_scopes(ours, others[r]->frames[frame].function);
	for (size_t r = 0; r < READER_COUNT && last && frame + 1 == count; r++) {
		const char *theirs = others[r]->frames[frame].function;
		if (others[r]->count == count && !strncmp(theirs, "_Z", 2) && !is_in_linkage_name(theirs, ours, last))
			return false;
	}
	return last;
}

/* Is each frame's place, and each frame's function, what one of the readers says that see as many
 * frames? eu-addr2line sees others where ranges overlap, and other lines of calls there. */
static bool is_confirmed(const struct stack *s, const struct stack *const *others)
{
	for (size_t i = 0; i < s->count; i++) {
		bool place = false, function = false;
		for (size_t r = 0; r < READER_COUNT; r++) {
			if (others[r]->count != s->count)
				continue;
			const struct frame *theirs = &others[r]->frames[i];
			place |= same_place(&s->frames[i], theirs);
			function |= same_function(s->frames[i].function, theirs->function);
		}
		function |= is_scoped(s->frames[i].function, others, s->count, i);
		if (!place || !function)
			return false;
	}
	return s->count > 0;
}

static void print_stack(const char *reader, const struct stack *s)
{
	fprintf(stderr, "  %s:", reader);
	for (size_t i = 0; i < s->count; i++)
		fprintf(stderr, " %s %s:%u;", s->frames[i].function, s->frames[i].file,
			s->frames[i].line);
	fputc('\n', stderr);
}

/* Code without DWARF has no answer from us; the others then name the symbol. */
static bool is_unknown(const struct stack *s)
{
	return s->count == 0 || (s->count == 1 && s->frames[0].line == 0);
}

static bool all_unknown(const struct stack *const *stacks)
{
	for (size_t r = 0; r < READER_COUNT; r++)
		if (!is_unknown(stacks[r]))
			return false;
	return true;
}

static void check(struct subject *s)
{
	static struct reading ours, theirs[READER_COUNT];
	size_t known = 0, inlined = 0, alone = 0;
	choose_addresses(s);
	read_ourselves(s, &ours);
	for (size_t r = 0; r < READER_COUNT; r++)
		if (is_there(readers[r]))
			read_with(readers[r], s, &theirs[r]);
	for (size_t i = 0; i < s->count; i++) {
		const struct stack *own = &ours.stacks[i], *others[READER_COUNT];
		for (size_t r = 0; r < READER_COUNT; r++)
			others[r] = &theirs[r].stacks[i];
		if (is_unknown(own) && all_unknown(others))
			continue;
		known++;
		inlined += own->count > 1;
		if (is_confirmed(own, others))
			continue;
		if (alone++ >= 3)
			continue;
		fprintf(stderr, "%s 0x%" PRIx64 "\n", s->path, s->addresses[i]);
		print_stack("we", own);
		for (size_t r = 0; r < READER_COUNT; r++)
			print_stack(readers[r], others[r]);
	}
	fprintf(stderr, "%s: %zu addresses, %zu in inlined code; no reader confirms %zu\n",
		base_name(s->path), known, inlined, alone);
	assert_true(known > 100 && inlined > 10);
	assert_int_equal(alone, 0);
}

static void check_built(const char *compiler, const char *flags)
{
	struct subject s = {0};
	if (!is_there(compiler) || (!strcmp(compiler, "clang") && !is_there("llvm-addr2line"))) {
		fprintf(stderr, "skipped: no %s or no llvm-addr2line\n", compiler);
		skip();
	}
	fprintf(stderr, "%s %s\n", compiler, flags);
	assert_true(shell("%s -O2 %s -o program program.cc -lstdc++", compiler, flags));
	snprintf(s.path, sizeof(s.path), "%s/program", made_directory);
	check(&s);
}

static void test_gcc_dwarf_5(void **state)
{
	check_built("gcc", "-gdwarf-5");
}

static void test_gcc_dwarf_4(void **state)
{
	check_built("gcc", "-gdwarf-4 -ffunction-sections");
}

static void test_clang_dwarf_5(void **state)
{
	check_built("clang", "-gdwarf-5");
}

static void test_clang_dwarf_4(void **state)
{
	check_built("clang", "-gdwarf-4");
}

static const char *given;

static void test_given_program(void **state)
{
	struct subject s = {0};
	if (!given)
		skip();
	snprintf(s.path, sizeof(s.path), "%s", given);
	check(&s);
}

static int begin(void **state)
{
	made_files_begin();
	need_tools("addr2line eu-addr2line gcc");
	write_made("program.cc", source);
	return 0;
}

int main(int argc, char **argv)
{
	given = argc > 1 ? argv[1] : NULL;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcc_dwarf_5),
		cmocka_unit_test(test_gcc_dwarf_4),
		cmocka_unit_test(test_clang_dwarf_5),
		cmocka_unit_test(test_clang_dwarf_4),
		cmocka_unit_test(test_given_program),
	};
	return cmocka_run_group_tests(tests, begin, made_files_end);
}
