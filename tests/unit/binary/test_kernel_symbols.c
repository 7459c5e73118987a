/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/kernel_symbols_cache.h"
#include "binary/stored_symbols.h"
#include "made_file.h"

#include <errno.h>

static const char kallsyms[] =
	"0000000000000000 A fixed_percpu_data\n"
	"ffffffff81000000 T _stext\n"
	"ffffffff81000000 T _text\n"
	"ffffffff81001000 t quiet_vmstat\n"
	"ffffffff81002000 D some_data\n"
	"ffffffff81003000 W weak_one\n"
	"ffffffffc0400000 t ext4_read\t[ext4]\n"
	"ffffffffc0401000 t ext4_write\t[ext4]\n"
	"ffffffffc0500000 t xfs_read\t[xfs]\n"
	"ffffffffc0600000 t bpf_prog_6deef7357e7b4530_sd_fw_ingress\t[bpf]\n"
	"ffffffffc0601000 t bpf_trampoline_6442499843\t[bpf]\n"
	"ffffffffc0602000 t ftrace_trampoline\t[__builtin__ftrace]\n"
	"nonsense\n"
	"ffffffff81004000\n"
	"ffffffff81005000 t";

static int load(const char *contents, struct kernel_symbols *ret)
{
	char path[256];
	write_made("kallsyms", contents);
	snprintf(path, sizeof(path), "%s/kallsyms", made_directory);
	return kernel_symbols_load(path, ret);
}

static void check(struct kernel_symbols *s, uint64_t address, const char *name,
		  const char *module, uint64_t start)
{
	const char *found_name, *found_module;
	uint64_t found_start;
	assert_true(kernel_symbols_find(s, address, &found_name, &found_module, &found_start));
	assert_string_equal(found_name, name);
	assert_string_equal(found_module, module);
	assert_int_equal(found_start, start);
}

static void test_kernel_modules_and_bpf(void **state)
{
	struct kernel_symbols s;
	assert_int_equal(load(kallsyms, &s), 0);
	check(&s, 0xffffffff81000010, "_stext", "", 0xffffffff81000000);
	check(&s, 0xffffffff81002fff, "quiet_vmstat", "", 0xffffffff81001000);
	check(&s, 0xffffffff81003000, "weak_one", "", 0xffffffff81003000);
	check(&s, 0xffffffffc0400000, "ext4_read", "ext4", 0xffffffffc0400000);
	check(&s, 0xffffffffc0401008, "ext4_write", "ext4", 0xffffffffc0401000);
	check(&s, 0xffffffffc0500008, "xfs_read", "xfs", 0xffffffffc0500000);
	check(&s, 0xffffffffc0600008, "bpf_prog_6deef7357e7b4530_sd_fw_ingress", "bpf",
	      0xffffffffc0600000);
	check(&s, 0xffffffffc0601008, "bpf_trampoline_6442499843", "bpf", 0xffffffffc0601000);
	check(&s, 0xffffffffc0602008, "ftrace_trampoline", "__builtin__ftrace",
	      0xffffffffc0602000);
	kernel_symbols_free(&s);
}

struct generated {
	char text[256];
};

static void note_generated(void *userdata, uint64_t start, uint64_t size, const char *name)
{
	struct generated *generated = userdata;
	size_t length = strlen(generated->text);
	snprintf(generated->text + length, sizeof(generated->text) - length, "%s %llx+%llx;", name,
		 (unsigned long long)start, (unsigned long long)size);
}

/* Generated code is taken out of the list, and where it was nothing is certain. */
static void test_generated(void **state)
{
	struct kernel_symbols s;
	struct generated generated = {""};
	assert_int_equal(load(kallsyms, &s), 0);
	kernel_symbols_take_generated(&s, note_generated, &generated);
	assert_string_equal(generated.text, "bpf_prog_6deef7357e7b4530_sd_fw_ingress ffffffffc0600000+1000;"
					    "bpf_trampoline_6442499843 ffffffffc0601000+1000;"
					    "ftrace_trampoline ffffffffc0602000+1000;");
	assert_false(kernel_symbols_are_certain(&s, 0xffffffffc0601008));
	assert_true(kernel_symbols_are_certain(&s, 0xffffffffc0401008));
	check(&s, 0xffffffffc0500008, "xfs_read", "xfs", 0xffffffffc0500000);
	kernel_symbols_free(&s);
}

static void test_nothing_near(void **state)
{
	struct kernel_symbols s;
	const char *name, *module;
	uint64_t start;
	assert_int_equal(load(kallsyms, &s), 0);
	assert_false(kernel_symbols_find(&s, 0xffffffff80ffffff, &name, &module, &start));
	assert_false(kernel_symbols_find(&s, 0xffffffffb0000000, &name, &module, &start));
	kernel_symbols_free(&s);
	s = (struct kernel_symbols){0};
	assert_false(kernel_symbols_find(&s, 0xffffffff81000000, &name, &module, &start));
}

static void test_hidden_addresses(void **state)
{
	struct kernel_symbols s;
	assert_int_equal(load("0000000000000000 T _stext\n0000000000000000 t f\n", &s), -EACCES);
	assert_int_equal(kernel_symbols_load("/nowhere/kallsyms", &s), -ENOENT);
}

/* Every code symbol of this kernel is found at its own address, modules and BPF programs included. */
static void test_this_kernel(void **state)
{
	struct kernel_symbols s;
	int r = kernel_symbols_load("/proc/kallsyms", &s);
	if (r == -EACCES) {
		fprintf(stderr, "skipped: this kernel hides its addresses\n");
		skip();
	}
	assert_int_equal(r, 0);
	char line[1024], type, name[512], module[256];
	size_t checked = 0, wrong = 0;
	unsigned long long address;
	FILE *file = fopen("/proc/kallsyms", "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		const char *found, *found_module;
		uint64_t start;
		module[0] = '\0';
		if (sscanf(line, "%llx %c %511s [%255[^]]", &address, &type, name, module) < 3 ||
		    !strchr("tTwW", type))
			continue;
		checked++;
		wrong += !kernel_symbols_find(&s, address, &found, &found_module, &start) ||
			 start != address || strcmp(found_module, module) != 0;
	}
	fclose(file);
	/* BPF programs come and go between the two readings. */
	assert_true(checked > 1000);
	assert_true(wrong <= checked / 1000);
	kernel_symbols_free(&s);
}

static int begin(void **state)
{
	made_files_begin();
	return 0;
}

/* ---- On disk --------------------------------------------------------------------------------- */

struct cached {
	char kallsyms[256], modules[256], boot_id[256], directory[256];
	struct artifact_cache *cache;
};

static void open_cached(struct cached *c)
{
	struct artifact_cache_options options = {.directory = c->directory};
	snprintf(c->kallsyms, sizeof(c->kallsyms), "%s/kallsyms", made_directory);
	snprintf(c->modules, sizeof(c->modules), "%s/modules", made_directory);
	snprintf(c->boot_id, sizeof(c->boot_id), "%s/boot_id", made_directory);
	snprintf(c->directory, sizeof(c->directory), "%s/cache", made_directory);
	write_made("kallsyms", kallsyms);
	write_made("modules", "ext4 69632 3 jbd2, Live 0xffffffffc0400000\n");
	write_made("boot_id", "1-2-3\n");
	assert_int_equal(artifact_cache_open(&options, &c->cache), 0);
}

static void ignore(void *userdata, uint64_t start, uint64_t size, const char *name)
{
}

/* True: from the cache. */
static bool get(struct cached *c, struct kernel_symbols *ret)
{
	struct kernel_files files = {c->kallsyms, c->modules, c->boot_id, "/nowhere"};
	struct kernel_symbols read = {0};
	struct text packed = {0};
	if (kernel_symbols_open(c->cache, &files, ret) == 0)
		return true;
	assert_int_equal(kernel_symbols_load(c->kallsyms, &read), 0);
	kernel_symbols_take_generated(&read, ignore, NULL);
	assert_int_equal(kernel_symbols_pack(&read, &packed), 0);
	assert_int_equal(kernel_symbols_store(c->cache, &files, &packed, ret), 0);
	text_free(&packed);
	kernel_symbols_free(&read);
	assert_non_null(ret->stored);
	return false;
}

static bool is_cached(struct cached *c)
{
	struct kernel_symbols s;
	bool cached = get(c, &s);
	kernel_symbols_free(&s);
	return cached;
}

static void test_stored_symbols(void **state)
{
	struct cached c;
	struct kernel_symbols s;
	open_cached(&c);
	assert_false(get(&c, &s));
	check(&s, 0xffffffffc0401008, "ext4_write", "ext4", 0xffffffffc0401000);
	kernel_symbols_free(&s);
	assert_true(get(&c, &s));
	check(&s, 0xffffffff81002fff, "quiet_vmstat", "", 0xffffffff81001000);
	check(&s, 0xffffffffc0401008, "ext4_write", "ext4", 0xffffffffc0401000);
	assert_true(kernel_symbols_are_certain(&s, 0xffffffff81002fff));
	assert_true(kernel_symbols_are_certain(&s, 0xffffffffc0401008));
	/* Between ext4 and xfs, and where BPF programs are. */
	assert_false(kernel_symbols_are_certain(&s, 0xffffffffc0402008));
	assert_false(kernel_symbols_are_certain(&s, 0xffffffffc0600008));
	assert_false(kernel_symbols_are_certain(&s, 0xffffffff80000000));
	kernel_symbols_free(&s);
	artifact_cache_free(c.cache);
}

/* Every symbol of some hundred blocks is found as it is in memory, and so is every place between them; a file that
 * ends early or says something else gives no name or another one. */
static void test_stored_as_in_memory(void **state)
{
	struct cached c;
	struct kernel_symbols loaded, stored;
	struct text text = {0};
	uint64_t address = 0xffffffff81000000;
	for (unsigned int i = 0; i < 7000; i++, address += i % 5 * 16)
		text_add(&text, "%016llx t function_%0*u%s\n", (unsigned long long)address,
			  i % 997 == 0 ? 400 : 1, i, i > 5000 ? "\t[module]" : "");
	open_cached(&c);
	assert_false(text.failed);
	write_made("kallsyms", text.bytes);
	assert_int_equal(kernel_symbols_load(c.kallsyms, &loaded), 0);
	assert_false(get(&c, &stored));
	for (uint64_t at = 0xffffffff80ffff00; at < address + 4096; at += 8) {
		const char *name, *module, *stored_name, *stored_module;
		uint64_t start, stored_start;
		bool found = kernel_symbols_find(&loaded, at, &name, &module, &start);
		assert_int_equal(kernel_symbols_find(&stored, at, &stored_name, &stored_module, &stored_start),
				 found);
		if (!found)
			continue;
		assert_string_equal(stored_name, name);
		assert_string_equal(stored_module, module);
		assert_int_equal(stored_start, start);
	}
	assert_true(stored_symbols_size(stored.stored) < 16384);
	kernel_symbols_free(&loaded);
	assert_true(shell("truncate -s 4096 cache/*"));
	const char *name, *module;
	uint64_t start;
	assert_false(kernel_symbols_find(&stored, address, &name, &module, &start));
	assert_true(shell("truncate -s 10M cache/*")); /* zeros: what was sorted is not any more */
	kernel_symbols_find(&stored, address, &name, &module, &start);
	kernel_symbols_free(&stored);
	text_free(&text);
	artifact_cache_free(c.cache);
}

static void test_what_an_entry_is_bound_to(void **state)
{
	struct cached c;
	open_cached(&c);
	is_cached(&c);
	assert_true(is_cached(&c));
	write_made("modules", "ext4 69632 7 jbd2,x, Live 0xffffffffc0400000\n");
	assert_true(is_cached(&c)); /* more users: the same module */
	write_made("modules", "ext4 69632 3 jbd2, Live 0xffffffffc0700000\n");
	assert_false(is_cached(&c));
	assert_true(is_cached(&c));
	write_made("boot_id", "4-5-6\n");
	assert_false(is_cached(&c));
	assert_true(is_cached(&c));
	write_made("kallsyms", "ffffffff82000000 T _stext\n");
	assert_false(is_cached(&c));
	artifact_cache_free(c.cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_modules_and_bpf),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_nothing_near),
		cmocka_unit_test(test_hidden_addresses),
		cmocka_unit_test(test_this_kernel),
		cmocka_unit_test(test_stored_symbols),
		cmocka_unit_test(test_stored_as_in_memory),
		cmocka_unit_test(test_what_an_entry_is_bound_to),
	};
	return cmocka_run_group_tests(tests, begin, made_files_end);
}
