/* SPDX-License-Identifier: Apache-2.0 */
/* The process table fed with records and a made-up /proc. */
#include "process/process.h"
#include "process/process_open.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct fixture {
	char proc[64];
	struct process_table *table;
	char mapped[4096]; /* names of what on_mapping told */
	size_t mappings;
	uint32_t device;
};

static void on_mapping(void *userdata, struct process *process,
		       const struct process_mapping *mapping)
{
	struct fixture *f = userdata;
	f->mappings++;
	f->device = mapping->device;
	snprintf(f->mapped, sizeof(f->mapped), "%s", mapping->path);
}

static int setup_limited(void **state, struct process_limits limits)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->proc, sizeof(f->proc), "/tmp/bolometer-proc-XXXXXX");
	assert_non_null(mkdtemp(f->proc));
	assert_int_equal(process_table_new(f->proc, &limits, on_mapping, f, &f->table), 0);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_limited(state, (struct process_limits){0});
}

static int setup_small(void **state)
{
	return setup_limited(state, (struct process_limits){.processes = 8, .grace_ns = 100});
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	process_table_free(f->table);
	snprintf(command, sizeof(command), "rm -r %s", f->proc);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, uint32_t pid, const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%u", f->proc, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%u/%s", f->proc, pid, name);
	assert_int_equal(write_file_atomically(path, text, strlen(text), 0644), 0);
}

static void make_process(struct fixture *f, uint32_t pid, const char *comm, const char *exe,
			 uint64_t start_ticks)
{
	char text[256], path[160];
	snprintf(text, sizeof(text), "%u (%s) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %llu 0\n", pid,
		 comm, (unsigned long long)start_ticks);
	write_file(f, pid, "stat", text);
	snprintf(path, sizeof(path), "%s/%u/exe", f->proc, pid);
	unlink(path);
	if (exe)
		assert_int_equal(symlink(exe, path), 0);
}

static void apply(struct fixture *f, enum sideband_kind kind, uint32_t pid, uint64_t time,
		  const char *text, uint32_t parent)
{
	struct sideband_record r = {.kind = kind, .pid = pid, .tid = pid, .time = time};
	r.parent_pid = r.parent_tid = parent;
	r.start = 0x1000;
	r.length = 0x1000;
	r.inode = 5;
	r.path = text;
	if (text && kind != SIDEBAND_MMAP)
		snprintf(r.comm, sizeof(r.comm), "%s", text);
	process_table_apply(f->table, &r);
}

static struct process *find(struct fixture *f, uint32_t pid, uint64_t time, uint64_t start,
			    uint32_t exec_id)
{
	struct process *p = process_table_find(f->table, pid, time, start, exec_id, "sampled");
	assert_non_null(p);
	return p;
}

static void test_fork_exec_exit(void **state)
{
	struct fixture *f = *state;
	apply(f, SIDEBAND_FORK, 10, 100, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 110, "sh", 0);
	apply(f, SIDEBAND_MMAP, 10, 111, "/usr/bin/dash", 0);
	apply(f, SIDEBAND_MMAP, 10, 112, "/lib/ld.so", 0);
	apply(f, SIDEBAND_FORK, 11, 120, NULL, 10);
	struct process *child = find(f, 11, 125, 119, 1);
	assert_string_equal(child->executable_name, "dash"); /* at once */
	assert_string_equal(child->comm, "sh");
	assert_int_equal(child->parent_pid, 10);
	apply(f, SIDEBAND_EXEC, 11, 130, "ls", 0);
	assert_string_equal(find(f, 11, 135, 119, 2)->executable_name, "ls");
	apply(f, SIDEBAND_MMAP, 11, 131, "/usr/bin/ls (deleted)", 0);
	apply(f, SIDEBAND_EXIT, 11, 140, NULL, 10);
	assert_string_equal(find(f, 11, 135, 119, 2)->executable_path, "/usr/bin/ls");
	assert_ptr_equal(find(f, 11, 125, 119, 1), child); /* samples before keep the old name */
	assert_int_equal(child->end, 130);
	assert_int_equal(find(f, 11, 135, 119, 2)->life, child->life);
	assert_int_equal(child->life, child->number);
	struct process_statistics statistics;
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.unnamed, 0);
	assert_int_equal(f->mappings, 3);
}

static void test_special_mappings(void **state)
{
	struct fixture *f = *state;
	apply(f, SIDEBAND_FORK, 10, 100, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 110, "x", 0);
	apply(f, SIDEBAND_MMAP, 10, 111, "[stack]", 0);
	apply(f, SIDEBAND_MMAP, 10, 112, "//anon", 0);
	apply(f, SIDEBAND_MMAP, 10, 113, "/memfd:prog (deleted)", 0);
	apply(f, SIDEBAND_MMAP, 10, 114, "/tmp/jit-10.dump", 0);
	struct process *p = find(f, 10, 120, 99, 3);
	assert_string_equal(p->executable_name, "memfd:prog");
	assert_non_null(p->jit);
	assert_string_equal(f->mapped, "/memfd:prog (deleted)");
}

static void test_pid_reuse(void **state)
{
	struct fixture *f = *state;
	apply(f, SIDEBAND_FORK, 10, 100, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 101, "first", 0);
	apply(f, SIDEBAND_EXIT, 10, 200, NULL, 1);
	apply(f, SIDEBAND_FORK, 10, 300, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 301, "second", 0);
	assert_string_equal(find(f, 10, 150, 99, 1)->comm, "first");
	assert_string_equal(find(f, 10, 350, 299, 1)->comm, "second");
	/* The records of a third one were lost; /proc has it. */
	make_process(f, 10, "third", "/bin/third", 0);
	struct process *third = find(f, 10, 500, 400, 1);
	assert_string_equal(third->comm, "third");
	assert_string_equal(third->executable_path, "/bin/third");
	assert_int_not_equal(find(f, 10, 150, 99, 1)->life, find(f, 10, 350, 299, 1)->life);
	assert_int_equal(third->life, third->number);
	assert_string_equal(find(f, 10, 350, 299, 1)->comm, "second");
}

static void test_lost_exec(void **state)
{
	struct fixture *f = *state;
	apply(f, SIDEBAND_FORK, 10, 100, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 101, "one", 0);
	struct process *one = find(f, 10, 150, 99, 5);
	struct process *two = find(f, 10, 250, 99, 6); /* nothing in /proc either */
	assert_ptr_not_equal(one, two);
	assert_int_equal(one->life, two->life);
	assert_string_equal(two->executable_name, "sampled");
	assert_ptr_equal(find(f, 10, 260, 99, 6), two);
	assert_ptr_equal(find(f, 10, 260, 99, 5), one);
	struct process_statistics statistics;
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.unnamed, 1);
}

static void test_late_records(void **state)
{
	struct fixture *f = *state;
	apply(f, SIDEBAND_FORK, 10, 100, NULL, 1);
	apply(f, SIDEBAND_EXEC, 10, 300, "late", 0);
	apply(f, SIDEBAND_EXEC, 10, 200, "middle", 0);
	apply(f, SIDEBAND_MMAP, 10, 210, "/bin/middle", 0);
	apply(f, SIDEBAND_MMAP, 10, 310, "/bin/late", 0);
	struct process *middle = find(f, 10, 250, 99, 8);
	assert_string_equal(middle->executable_path, "/bin/middle");
	assert_int_equal(middle->end, 300);
	assert_string_equal(find(f, 10, 350, 99, 9)->executable_path, "/bin/late");
}

static void test_scan(void **state)
{
	struct fixture *f = *state;
	make_process(f, 20, "odd) name", "/opt/odd (deleted)", 77);
	write_file(f, 20, "maps",
		   "1000-2000 r-xp 00000000 fd:10 9    /opt/a\\012b\n"
		   "2000-3000 rw-p 00000000 fd:10 9    /opt/data\n"
		   "broken\n"
		   "3000-4000 r-xp 00000000 00:00 0    [vdso]\n"
		   "4000-5000 r-xp 00000000 00:00 0 \n");
	write_file(f, 20, "cgroup", "1:cpu:/docker/" ID "\n0::/\n");
	write_file(f, 20, "status", "NSpid:\t20\t1\n");
	write_file(f, 21, "cgroup", "");
	assert_int_equal(process_table_scan(f->table, true), 0);
	struct process_statistics statistics;
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.alive, 1);
	assert_int_equal(statistics.bad_lines, 1);
	assert_int_equal(f->mappings, 1);
	assert_string_equal(f->mapped, "/opt/a\nb");
	assert_int_equal(f->device, 0xfd << 20 | 0x10);
	struct process *p = find(f, 20, 5, 770 * NS_PER_MS + 1, 2);
	assert_string_equal(p->comm, "odd) name");
	assert_string_equal(p->executable_path, "/opt/odd");
	assert_int_equal(p->inner_pid, 1);
	process_table_resolve_cgroup(f->table, p, 0);
	assert_string_equal(p->cgroup_path, "/docker/" ID);
	assert_string_equal(p->container_id, ID);
	/* Its children are in the same container before anybody looks. */
	apply(f, SIDEBAND_FORK, 30, 50, NULL, 20);
	assert_string_equal(find(f, 30, 60, 49, 2)->container_id, ID);
	/* In a cgroup that was announced and is gone, as the process is. */
	process_table_note_cgroup(f->table, UINT64_MAX - 7, "/libpod-" ID ".scope");
	apply(f, SIDEBAND_FORK, 31, 50, NULL, 20);
	struct process *brief = find(f, 31, 60, 49, 2);
	apply(f, SIDEBAND_EXIT, 31, 61, NULL, 20);
	process_table_resolve_cgroup(f->table, brief, UINT64_MAX - 7);
	assert_string_equal(brief->cgroup_path, "/libpod-" ID ".scope");
	assert_string_equal(brief->container_id, ID);
	/* Gone when scanned again. */
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s/20", f->proc);
	assert_int_equal(system(command), 0);
	assert_int_equal(process_table_scan(f->table, true), 0);
	assert_int_not_equal(p->end, 0);
}

static void write_environment(struct fixture *f, uint32_t pid, const char *bytes, size_t size)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%u/environ", f->proc, pid);
	assert_int_equal(write_file_atomically(path, bytes, size, 0600), 0);
}

static void test_environment(void **state)
{
	static const char environment[] = "SECRET=1\0OTEL_SERVICE_NAME=shop\0";
	struct fixture *f = *state;
	make_process(f, 20, "shop", "/shop", 77);
	write_environment(f, 20, environment, sizeof(environment) - 1);
	assert_int_equal(process_table_scan(f->table, false), 0);
	struct process *p = find(f, 20, 5, 770 * NS_PER_MS + 1, 2);
	assert_null(p->declared);
	process_table_resolve_environment(f->table, p);
	assert_memory_equal(p->declared, "service.name\0shop\0", 19);
	/* Children are the same, also those whose environment can no longer be read. */
	apply(f, SIDEBAND_FORK, 30, 50, NULL, 20);
	apply(f, SIDEBAND_EXEC, 30, 60, "sh", 0);
	struct process *child = find(f, 30, 70, 49, 3);
	process_table_resolve_environment(f->table, child);
	assert_string_equal(child->declared + 13, "shop");
	/* An exec can change it; what was not read to its end is not used. */
	apply(f, SIDEBAND_EXEC, 20, 80, "other", 0);
	p = find(f, 20, 90, 770 * NS_PER_MS + 1, 3);
	write_environment(f, 20, "OTEL_SERVICE_NAME=b\0OTEL_RESOURCE_ATTRIBUTES=a=cut", 50);
	process_table_resolve_environment(f->table, p);
	assert_memory_equal(p->declared, "service.name\0b\0", 16);
}

static void test_huge_maps(void **state)
{
	struct fixture *f = *state;
	struct text maps = {0};
	text_add_string(&maps, "1000-2000 r-xp 0 8:1 9 /");
	for (int i = 0; i < 200000; i++)
		text_add_char(&maps, 'x');
	text_add_char(&maps, '\n');
	for (int i = 0; i < 100100; i++)
		text_add(&maps, "%x000-%x000 r-xp 00000000 08:01 7 /lib/x\n", i + 1, i + 2);
	make_process(f, 20, "many", "/many", 77);
	write_file(f, 20, "maps", maps.bytes);
	text_free(&maps);
	assert_int_equal(process_table_scan(f->table, true), 0);
	assert_int_equal(f->mappings, 99999); /* the first line was too long */
	struct process_statistics statistics;
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.bad_lines, 2);
}

static void test_limits_and_expiry(void **state)
{
	struct fixture *f = *state;
	struct process_statistics statistics;
	for (uint32_t pid = 1; pid <= 8; pid++)
		apply(f, SIDEBAND_FORK, pid, pid, NULL, 100);
	apply(f, SIDEBAND_EXIT, 5, 20, NULL, 100);
	apply(f, SIDEBAND_FORK, 9, 21, NULL, 100); /* takes the place of 5 */
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.remembered, 8);
	assert_int_equal(statistics.evicted, 1);
	apply(f, SIDEBAND_EXIT, 1, 30, NULL, 100);
	struct process *held = process_reference(find(f, 1, 25, 1, 1));
	process_table_expire(f->table, 130);
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.remembered, 8);
	process_table_expire(f->table, 131);
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.remembered, 7);
	assert_int_equal(held->pid, 1);
	process_unreference(held);
	for (uint64_t i = 0; i < 1000; i++) /* execs in a loop */
		apply(f, SIDEBAND_EXEC, 2, 200 + i, "again", 0);
	process_table_get_statistics(f->table, &statistics);
	assert_true(statistics.remembered <= 8);
}

static void test_main_thread_exits_first(void **state)
{
	struct fixture *f = *state;
	make_process(f, 3, "threads", "/t", 1);
	apply(f, SIDEBAND_FORK, 3, 10, NULL, 1);
	apply(f, SIDEBAND_FORK, 3, 11, NULL, 3); /* a thread */
	apply(f, SIDEBAND_EXIT, 3, 20, NULL, 1);
	process_table_expire(f->table, 1000);
	struct process_statistics statistics;
	process_table_get_statistics(f->table, &statistics);
	assert_int_equal(statistics.alive, 1);
}

static void test_open_mapping(void **state)
{
	struct fixture *f = *state;
	char path[160], bytes[8];
	snprintf(path, sizeof(path), "%s/40", f->proc);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/40/root", f->proc);
	mkdir(path, 0755);
	write_file(f, 40, "root/lib", "inside");
	snprintf(path, sizeof(path), "%s/40/root/link", f->proc);
	assert_int_equal(symlink("/lib", path), 0); /* absolute: inside that root */
	snprintf(path, sizeof(path), "%s/40/root/fifo", f->proc);
	assert_int_equal(mkfifo(path, 0644), 0);
	static const char *const names[] = {"/lib", "/lib (deleted)", "/link", "/../../lib"};
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		_cleanup_fd_ int fd = process_open_mapping(f->proc, 40, 0x1000, 0x2000, names[i]);
		assert_true(fd >= 0);
		assert_int_equal(read(fd, bytes, sizeof(bytes)), 6);
	}
	static const char *const refused[] = {"/fifo", "/", "/none", "lib", "", "/proc/self/exe"};
	for (size_t i = 0; i < ARRAY_LENGTH(refused); i++)
		assert_true(process_open_mapping(f->proc, 40, 1, 2, refused[i]) < 0);
	assert_true(process_open_mapping(f->proc, 40, 1, 2, NULL) < 0);
	write_file(f, 40, "maps",
		   "1000-2000 r--p 00000000 00:1f 7 /none\n"
		   "2000-3000 r-xp 00001000 00:1f 7 /lib\n3000-4000 rw-p 00000000 00:00 0 \n");
	_cleanup_fd_ int named = process_open_mapping(f->proc, 40, 0x2000, 0x3000, NULL);
	assert_true(named >= 0);
	assert_int_equal(read(named, bytes, sizeof(bytes)), 6);
	assert_true(process_open_mapping(f->proc, 40, 0x1000, 0x2000, NULL) < 0);
	assert_true(process_open_mapping(f->proc, 40, 0x3000, 0x4000, NULL) < 0);
	assert_true(process_open_mapping(f->proc, 40, 0x4000, 0x5000, NULL) < 0);
	_cleanup_fd_ int own = process_open_mapping(f->proc, 41, 1, 2, "/proc/self/exe");
	assert_true(own >= 0); /* the process is gone: the plain path */
}

#define TABLE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define SMALL_TEST(test) cmocka_unit_test_setup_teardown(test, setup_small, teardown)

struct lookup {
	uint32_t pid;
	struct process *found;
};

static void look_for(void *userdata, struct process *process)
{
	struct lookup *lookup = userdata;
	if (process->pid == lookup->pid)
		lookup->found = process;
}

/* The program that runs in it now. */
static struct process *running_in(struct fixture *f, uint32_t pid)
{
	struct lookup lookup = {.pid = pid};
	process_table_each_alive(f->table, look_for, &lookup);
	assert_non_null(lookup.found);
	return lookup.found;
}

/* A look at /proc sees a program before the record of its exec is read: it is in the process that was forked. */
static void test_scan_before_exec_is_read(void **state)
{
	struct fixture *f = *state;
	uint64_t now = monotonic_ns(), ticks = clock_ns(CLOCK_BOOTTIME) / (NS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK));
	make_process(f, 9, "parent", "/bin/parent", 5);
	assert_int_equal(process_table_scan(f->table, false), 0);
	apply(f, SIDEBAND_FORK, 10, now, NULL, 9);
	uint64_t life = running_in(f, 10)->life;
	make_process(f, 10, "child", "/bin/child", ticks);
	assert_int_equal(process_table_scan(f->table, false), 0);
	struct process *seen = running_in(f, 10);
	assert_string_equal(seen->executable_path, "/bin/child");
	assert_int_equal(seen->life, life);
	/* Another one that has the number by now is none of that life. */
	make_process(f, 10, "other", "/bin/other", ticks + 1000);
	assert_int_equal(process_table_scan(f->table, false), 0);
	assert_int_not_equal(running_in(f, 10)->life, life);
}

/* The record of an exec was lost, and that of the fork is long forgotten. */
static void test_scan_after_fork_is_forgotten(void **state)
{
	struct fixture *f = *state;
	uint64_t then = monotonic_ns() - 30 * NS_PER_SECOND, hertz = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t ticks = clock_ns(CLOCK_BOOTTIME) / (NS_PER_SECOND / hertz) - 30 * hertz;
	apply(f, SIDEBAND_FORK, 10, then, NULL, 9);
	apply(f, SIDEBAND_EXEC, 10, then + 5 * NS_PER_SECOND, "first", 0);
	apply(f, SIDEBAND_MMAP, 10, then + 5 * NS_PER_SECOND, "/bin/first", 0);
	process_table_expire(f->table, then + 29 * NS_PER_SECOND);
	assert_null(running_in(f, 10)->next);
	uint64_t life = running_in(f, 10)->life;
	make_process(f, 10, "second", "/bin/second", ticks);
	assert_int_equal(process_table_scan(f->table, false), 0);
	assert_string_equal(running_in(f, 10)->executable_path, "/bin/second");
	assert_int_equal(running_in(f, 10)->life, life);
}

/* The number is another process's by now, which started later. */
static void test_scan_after_exit_was_lost(void **state)
{
	struct fixture *f = *state;
	uint64_t now = monotonic_ns(), hertz = (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t ticks = clock_ns(CLOCK_BOOTTIME) / (NS_PER_SECOND / hertz);
	apply(f, SIDEBAND_FORK, 10, now, NULL, 9);
	apply(f, SIDEBAND_EXEC, 10, now, "first", 0);
	apply(f, SIDEBAND_MMAP, 10, now, "/bin/first", 0);
	uint64_t life = running_in(f, 10)->life;
	make_process(f, 10, "second", "/bin/second", ticks + 10 * hertz);
	assert_int_equal(process_table_scan(f->table, false), 0);
	assert_string_equal(running_in(f, 10)->executable_path, "/bin/second");
	assert_int_not_equal(running_in(f, 10)->life, life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(test_fork_exec_exit), TABLE_TEST(test_special_mappings),
		TABLE_TEST(test_pid_reuse),	 TABLE_TEST(test_lost_exec),
		TABLE_TEST(test_late_records),	 TABLE_TEST(test_scan),
		TABLE_TEST(test_scan_before_exec_is_read), TABLE_TEST(test_scan_after_fork_is_forgotten),
		TABLE_TEST(test_scan_after_exit_was_lost),
		TABLE_TEST(test_environment),
		TABLE_TEST(test_huge_maps),	 SMALL_TEST(test_limits_and_expiry),
		SMALL_TEST(test_main_thread_exits_first), TABLE_TEST(test_open_mapping),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
