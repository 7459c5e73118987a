/* SPDX-License-Identifier: Apache-2.0 */
/* Which functions of a file are an allocator's: libraries made here in the shapes that real ones have, and
 * the real ones of this machine. */
#include "binary/allocator_find.h"
#include "made_file.h"

#include <errno.h>

/* A found table, as the daemon reads it from the artifact. */
struct found {
	struct text bytes;
	struct artifact artifact;
	struct allocator_table table;
};

static void found_free(struct found *found)
{
	text_free(&found->bytes);
}

static int open_sections(const struct allocator_sections *sections, struct found *ret)
{
	*ret = (struct found){0};
	artifact_begin(&ret->bytes, ARTIFACT_ALLOCATORS);
	allocator_sections_add(sections, &ret->bytes);
	assert_int_equal(artifact_finish(&ret->bytes), 0);
	assert_int_equal(artifact_check(ret->bytes.bytes, ret->bytes.length, ARTIFACT_ALLOCATORS,
					&ret->artifact),
			 0);
	return allocator_table_open(&ret->artifact, &ret->table);
}

static int find_in(const struct elf_file *elf, struct found *ret)
{
	_cleanup_(allocator_sections_free) struct allocator_sections sections = {0};
	*ret = (struct found){0};
	int r = allocator_find(elf, &sections);
	return r < 0 ? r : open_sections(&sections, ret);
}

static int find_in_made(const char *name, struct found *ret)
{
	struct elf_file elf;
	_cleanup_free_ char *bytes = open_made_elf(name, &elf);
	return find_in(&elf, ret);
}

static const struct allocator_probe *probe_called(const struct found *found, const char *name)
{
	for (size_t i = 0; i < found->table.probe_count; i++)
		if (!strcmp(allocator_table_name(&found->table, &found->table.probes[i]), name))
			return &found->table.probes[i];
	return NULL;
}

/* ---- Made libraries ---------------------------------------------------------------------------- */

static void compile(const char *name, const char *flags, const char *source)
{
	char file[64];
	snprintf(file, sizeof(file), "%s.c", name);
	write_made(file, source);
	assert_true(shell("gcc -O2 -fno-builtin -fno-inline -w %s -o %s %s.c", flags, name, name));
}

/* Aliases are one probe, a wrapper none; allocation functions that call malloc only at times nest. */
static void test_library_like_glibc(void **state)
{
	compile("glibc.so", "-shared -fPIC",
		"extern char buffer[]; char buffer[64]; extern int outside(void);\n"
		"void *__libc_malloc(unsigned long n) { return buffer + n; }\n"
		"void *malloc(unsigned long) __attribute__((alias(\"__libc_malloc\")));\n"
		"void *__libc_calloc(unsigned long n, unsigned long m) { return buffer + n * m; }\n"
		"void *calloc(unsigned long, unsigned long) __attribute__((weak, alias(\"__libc_calloc\")));\n"
		"void *realloc(void *p, unsigned long n) { return p ? p + n : __libc_malloc(n) + 1; }\n"
		"void *reallocarray(void *p, unsigned long n, unsigned long m) { return realloc(p, n * m); }\n"
		"void free(void *p) { buffer[1] = p != 0; }\n"
		"void cfree(void *p) __attribute__((alias(\"free\")));\n"
		"void *memalign(unsigned long a, unsigned long n) { return a < 16 ? malloc(n) : buffer + a; }\n"
		"int posix_memalign(void **p, unsigned long a, unsigned long n) { *p = buffer + n; return 0; }\n"
		"char *gnu_get_libc_version(void) { return \"2\"; }\n");
	_cleanup_(found_free) struct found found;
	assert_int_equal(find_in_made("glibc.so", &found), 0);
	assert_int_equal(found.table.facts_count, 1);
	assert_int_equal(found.table.facts[0].kind, ALLOCATOR_GLIBC);
	assert_int_equal(found.table.facts[0].probe_count, found.table.probe_count);
	assert_int_equal(found.table.probe_count, 6);
	assert_null(probe_called(&found, "__libc_malloc"));
	assert_null(probe_called(&found, "reallocarray"));
	assert_false(probe_called(&found, "malloc")->flags & PROBE_NESTS);
	assert_true(probe_called(&found, "realloc")->flags & PROBE_NESTS);
	assert_true(probe_called(&found, "memalign")->flags & PROBE_NESTS);
	assert_int_equal(probe_called(&found, "memalign")->role, ALLOCATOR_ALIGNED);
	assert_int_equal(probe_called(&found, "posix_memalign")->role, ALLOCATOR_POSIX_MEMALIGN);
	assert_non_null(probe_called(&found, "free"));
	assert_null(probe_called(&found, "cfree"));
}

static const char mimalloc[] =
	"extern char buffer[]; char buffer[64];\n"
	"void *mi_malloc(unsigned long n) { return buffer + n; }\n"
	"void *malloc(unsigned long) __attribute__((alias(\"mi_malloc\")));\n"
	"void mi_free(void *p) { buffer[1] = p != 0; }\n"
	"void free(void *p) __attribute__((alias(\"mi_free\")));\n"
	"void _ZdlPv(void *p) __attribute__((alias(\"mi_free\")));\n"
	"void *_Znwm(unsigned long n) { return buffer + 2 * n; }\n"
	"void *_Znam(unsigned long n) { return malloc(n); }\n"
	"int mi_version(void) { return 1; }\n";

static void test_operators_of_an_allocator(void **state)
{
	_cleanup_(found_free) struct found found;
	compile("mimalloc.so", "-shared -fPIC", mimalloc);
	assert_int_equal(find_in_made("mimalloc.so", &found), 0);
	assert_int_equal(found.table.facts[0].kind, ALLOCATOR_MIMALLOC);
	assert_int_equal(found.table.probe_count, 3);
	assert_int_equal(probe_called(&found, "_Znwm")->role, ALLOCATOR_MALLOC);
	assert_int_equal(probe_called(&found, "free")->role, ALLOCATOR_FREE);
	assert_null(probe_called(&found, "_Znam")); /* through its stub to malloc */
}

/* Rust's allocator under its prefix beside the C library's own; both in .symtab only. */
static void test_two_allocators(void **state)
{
	compile("two", "-nostdlib -static",
		"extern char buffer[]; char buffer[64];\n"
		"void *_rjem_malloc(unsigned long n) { return buffer + n; }\n"
		"void *_rjem_mallocx(unsigned long n, int f) { return buffer + n + f; }\n"
		"void _rjem_sdallocx(void *p, unsigned long n, int f) { buffer[2] = n; }\n"
		"void _rjem_free(void *p) { buffer[0] = 1; }\n"
		"void *malloc(unsigned long n) { return buffer - n; }\n"
		"void free(void *p) { buffer[1] = 1; }\n"
		"void *calloc(unsigned long n, unsigned long m) { return malloc(n * m); }\n"
		"void *__libc_malloc_impl(unsigned long n) { return buffer; }\n"
		"void *_Znwm(unsigned long n) { return malloc(n); }\n"
		"void _start(void) { for (;;); }\n");
	_cleanup_(found_free) struct found found;
	assert_int_equal(find_in_made("two", &found), 0);
	assert_int_equal(found.table.facts_count, 2);
	assert_int_equal(found.table.facts[0].kind, ALLOCATOR_MUSL);
	assert_int_equal(found.table.facts[0].probe_count, 2);
	assert_int_equal(found.table.facts[1].kind, ALLOCATOR_JEMALLOC);
	assert_int_equal(found.table.facts[1].probe_count, 4);
	assert_int_equal(found.table.facts[1].first_probe, 2);
	assert_int_equal(probe_called(&found, "_rjem_sdallocx")->role, ALLOCATOR_FREE);
}

/* Neither a program that has its own operator new, nor one with names that only look alike. */
static void test_no_allocator(void **state)
{
	_cleanup_(found_free) struct found found;
	compile("none", "",
		"extern void *malloc(unsigned long);\n"
		"void *_Znwm(unsigned long n) { return malloc(n); }\n"
		"void mi_free(void *p) { }\n"
		"void *tc_new(unsigned long n) { return 0; }\n"
		"int main(void) { return 0; }\n");
	assert_int_equal(find_in_made("none", &found), -ENODATA);
	assert_true(shell("strip -o stripped none"));
	assert_int_equal(find_in_made("stripped", &found), -ENODATA);
}

/* ---- Real libraries ---------------------------------------------------------------------------- */

static bool find_in_file(const char *path, struct found *ret)
{
	struct elf_file elf;
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "skipped: no %s\n", path);
		return false;
	}
	assert_int_equal(read_whole_fd(fd, 1 << 28, &bytes, &size), 0);
	assert_int_equal(elf_file_open(bytes, size, &elf), 0);
	assert_int_equal(find_in(&elf, ret), 0);
	return true;
}

#ifdef __x86_64__
#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"

static void check_library(const char *path, enum allocator_kind kind, bool own_new)
{
	_cleanup_(found_free) struct found found;
	if (!find_in_file(path, &found))
		return;
	assert_int_equal(found.table.facts_count, 1);
	assert_int_equal(found.table.facts[0].kind, kind);
	const struct allocator_probe *probe = probe_called(&found, "malloc");
	assert_int_equal(probe->role, ALLOCATOR_MALLOC);
	assert_int_equal(probe_called(&found, "free")->role, ALLOCATOR_FREE);
	/* mimalloc's realloc hands on to a function that takes the heap too. */
	probe = probe_called(&found, kind == ALLOCATOR_MIMALLOC ? "mi_heap_realloc" : "realloc");
	assert_int_equal(probe->role, ALLOCATOR_REALLOC);
	assert_true(!probe_called(&found, "_Znwm") == !own_new);
	assert_true(!probe_called(&found, "calloc") == (kind == ALLOCATOR_MUSL));
}

static void check_sampler(const char *path, enum allocator_sampling sampling)
{
	_cleanup_(found_free) struct found found;
	if (!find_in_file(path, &found))
		return;
	assert_int_equal(found.table.facts[0].sampling, sampling);
	const struct allocator_probe *last = &found.table.probes[found.table.probe_count - 1];
	assert_true((last->role == ALLOCATOR_SAMPLED) == (sampling == SAMPLING_TICK));
}

/* The small library has the sampler's function too, but nothing in it calls it: a uprobe on it counted 61
 * hits in 1008 MB of allocations with the one, and none with the other. */
static void test_gperftools_sampler(void **state)
{
	check_sampler(LIBRARIES "libtcmalloc.so.4", SAMPLING_TICK);
	check_sampler(LIBRARIES "libtcmalloc_minimal.so.4", SAMPLING_NONE);
}

static void test_real_libraries(void **state)
{
	check_library("/lib/x86_64-linux-gnu/libc.so.6", ALLOCATOR_GLIBC, false);
	check_library("/lib/ld-musl-x86_64.so.1", ALLOCATOR_MUSL, false);
	check_library(LIBRARIES "libjemalloc.so.2", ALLOCATOR_JEMALLOC, true);
	check_library(LIBRARIES "libtcmalloc_minimal.so.4", ALLOCATOR_GPERFTOOLS, true);
	check_library(LIBRARIES "libtcmalloc.so.4", ALLOCATOR_GPERFTOOLS, true);
	check_library(LIBRARIES "libmimalloc.so.2.0", ALLOCATOR_MIMALLOC, true);
}
#else
static void test_real_libraries(void **state)
{
	fprintf(stderr, "skipped: the paths of x86-64's libraries\n");
}

static void test_gperftools_sampler(void **state)
{
}
#endif

static void build_go(const char *name, const char *body)
{
	char file[64];
	snprintf(file, sizeof(file), "%s.go", name);
	write_made(file, body);
	assert_true(shell("HOME=${HOME:-$PWD} GOFLAGS=-mod=mod go build -ldflags='-s -w' -o %s %s.go", name, name));
}

/* A Go program samples its heap only when something in it can read the profile. */
static void test_go_sampler(void **state)
{
	_cleanup_(found_free) struct found with = {0}, without = {0};
	build_go("with", "package main\nimport (\"os\"; \"runtime/pprof\")\n"
			 "func main() { pprof.WriteHeapProfile(os.Stdout) }\n");
	build_go("without", "package main\nfunc main() { println(1) }\n");
	assert_int_equal(find_in_made("with", &with), 0);
	assert_int_equal(find_in_made("without", &without), 0);
	assert_int_equal(with.table.facts[0].kind, ALLOCATOR_GO);
	assert_int_equal(with.table.facts[0].sampling, SAMPLING_POISSON);
	assert_int_equal(with.table.facts[0].interval, 512 << 10);
	assert_int_equal(probe_called(&with, "runtime.profilealloc")->role, ALLOCATOR_SAMPLED);
	assert_int_equal(probe_called(&with, "runtime.mProf_Free")->role, ALLOCATOR_SAMPLED_FREE);
	assert_int_equal(without.table.facts[0].kind, ALLOCATOR_GO);
	assert_int_equal(without.table.facts[0].sampling, SAMPLING_NONE);
	assert_int_equal(without.table.probe_count, 0);
}

/* ---- Damage ------------------------------------------------------------------------------------ */

static struct allocator_probe sound_probe(void)
{
	return (struct allocator_probe){.offset = 0x10, .entry = 0x10, .name = 0,
					.role = ALLOCATOR_MALLOC, .kind = ALLOCATOR_GLIBC,
					.flags = PROBE_CAN_RETURN, .size = 5, .count = PROBE_NO_REGISTER,
					.pointer = PROBE_NO_REGISTER};
}

static int open_probe(const struct allocator_probe *probe, const struct allocator_facts *facts)
{
	struct allocator_sections sections = {0};
	_cleanup_(found_free) struct found found;
	text_add_bytes(&sections.facts, facts, sizeof(*facts));
	text_add_bytes(&sections.probes, probe, sizeof(*probe));
	text_add_bytes(&sections.names, "malloc", 7);
	int r = open_sections(&sections, &found);
	allocator_sections_free(&sections);
	return r;
}

static void test_damage(void **state)
{
	struct allocator_facts facts = {.kind = ALLOCATOR_GLIBC, .probe_count = 1};
	struct allocator_probe probe = sound_probe();
	assert_int_equal(open_probe(&probe, &facts), 0);
	probe.name = 7;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	probe.role = ALLOCATOR_ROLE_MAX;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	probe.size = PROBE_NO_REGISTER;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	probe.count = PROBE_REGISTER_LIMIT;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	probe.offset = 0xf;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	probe.flags = PROBE_EMULATED;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	probe = sound_probe();
	facts.probe_count = 2;
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
	facts = (struct allocator_facts){.kind = ALLOCATOR_KIND_MAX, .probe_count = 1};
	assert_int_equal(open_probe(&probe, &facts), -EBADMSG);
}

/* With an argument: the part that builds Go programs, which takes a while the first time. */
int main(int argc, char **argv)
{
	const struct CMUnitTest go_tests[] = {cmocka_unit_test(test_go_sampler)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library_like_glibc),
		cmocka_unit_test(test_operators_of_an_allocator),
		cmocka_unit_test(test_two_allocators),
		cmocka_unit_test(test_no_allocator),
		cmocka_unit_test(test_real_libraries),
		cmocka_unit_test(test_gperftools_sampler),
		cmocka_unit_test(test_damage),
	};
	made_files_begin();
	if (argc > 1) {
		need_tools("go");
		return cmocka_run_group_tests(go_tests, NULL, made_files_end);
	}
	need_tools("gcc strip");
	return cmocka_run_group_tests(tests, NULL, made_files_end);
}
