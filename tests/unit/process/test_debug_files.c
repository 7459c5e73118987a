/* SPDX-License-Identifier: Apache-2.0 */
/* Debug files looked for in the root of a process that is made of directories. */
#include "base/file.h"
#include "process/debug_files.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/bolometer-test-XXXXXX";

static const struct binary_facts facts = {
	.build_id_size = 3,
	.build_id = {0xab, 0xcd, 0x01},
	.debuglink = "prog.debug",
};

static void make(const char *path)
{
	char command[512];
	snprintf(command, sizeof(command), "cd %s/7/root && mkdir -p $(dirname ./%s) && echo %s > ./%s",
		 root, path, path, path);
	assert_int_equal(system(command), 0);
}

static void clear(void)
{
	char command[256];
	snprintf(command, sizeof(command), "rm -rf %s/7 && mkdir -p %s/7/root", root, root);
	assert_int_equal(system(command), 0);
}

static struct debug_search search(void)
{
	return (struct debug_search){
		.proc_path = root, .pid = 7, .path = "/opt/app/prog", .facts = &facts};
}

/* The file must hold its own path, as make() wrote it. */
static void check_next(struct debug_search *s, const char *path)
{
	char text[256] = "";
	_cleanup_fd_ int fd = debug_search_next(s);
	assert_true(fd >= 0);
	assert_true(s->found_in_process);
	assert_string_equal(s->found, path);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, path);
}

static void test_all_places_in_order(void **state)
{
	struct debug_search s = search();
	clear();
	make("/usr/lib/debug/opt/app/prog.debug");
	make("/opt/app/.debug/prog.debug");
	make("/opt/app/prog.debug");
	make("/usr/lib/debug/.build-id/ab/cd01.debug");
	check_next(&s, "/usr/lib/debug/.build-id/ab/cd01.debug");
	check_next(&s, "/opt/app/prog.debug");
	check_next(&s, "/opt/app/.debug/prog.debug");
	check_next(&s, "/usr/lib/debug/opt/app/prog.debug");
	assert_int_equal(debug_search_next(&s), -ENOENT);
	assert_int_equal(debug_search_next(&s), -ENOENT);
}

static void test_links_cannot_leave_the_root(void **state)
{
	char command[512];
	struct debug_search s = search();
	clear();
	make("/usr/lib/debug/.build-id/ab/x");
	snprintf(command, sizeof(command),
		 "echo secret > %s/outside && cd %s/7/root/usr/lib/debug/.build-id/ab && "
		 "ln -s ../../../../../../../outside cd01.debug && mkdir -p %s/7/root/opt/app && "
		 "mkfifo %s/7/root/opt/app/prog.debug",
		 root, root, root, root);
	assert_int_equal(system(command), 0);
	/* The link leads nowhere inside, and a fifo is no file. */
	assert_int_equal(debug_search_next(&s), -ENOENT);
}

static void test_nothing_known(void **state)
{
	struct binary_facts unknown = {0};
	struct debug_search s = {.proc_path = root, .pid = 7, .facts = &unknown};
	clear();
	make("/usr/lib/debug/.build-id/ab/cd01.debug");
	assert_int_equal(debug_search_next(&s), -ENOENT);
}

static void test_supplementary(void **state)
{
	struct debug_search s = search();
	static const uint8_t id[] = {0xff, 0x10};
	clear();
	make("/usr/lib/debug/.build-id/ab/cd01.debug");
	check_next(&s, "/usr/lib/debug/.build-id/ab/cd01.debug");
	assert_int_equal(debug_search_supplementary(&s, id, 2, "../../.dwz/all"), -ENOENT);
	make("/usr/lib/debug/.dwz/all");
	_cleanup_fd_ int relative = debug_search_supplementary(&s, id, 2, "../../.dwz/all");
	assert_true(relative >= 0);
	_cleanup_fd_ int absolute = debug_search_supplementary(&s, id, 2, "/usr/lib/debug/.dwz/all");
	assert_true(absolute >= 0);
	make("/usr/lib/debug/.build-id/ff/10.debug");
	_cleanup_fd_ int by_id = debug_search_supplementary(&s, id, 2, "nowhere");
	assert_true(by_id >= 0);
}

/* The kernel gives up such a path when somebody renames anything meanwhile. */
static void test_beside_renames(void **state)
{
	static const uint8_t id[] = {0xff, 0x10};
	struct debug_search s = search();
	char first[64], second[64];
	unsigned found = 0;
	clear();
	make("/usr/lib/debug/.build-id/ab/cd01.debug");
	make("/usr/lib/debug/.dwz/all");
	check_next(&s, "/usr/lib/debug/.build-id/ab/cd01.debug");
	snprintf(first, sizeof(first), "%s/first", root);
	snprintf(second, sizeof(second), "%s/second", root);
	pid_t child = fork();
	if (child == 0) {
		mkdir(first, 0700);
		for (;;) {
			rename(first, second);
			rename(second, first);
		}
	}
	assert_true(child > 0);
	for (int i = 0; i < 20000; i++) {
		_cleanup_fd_ int fd = debug_search_supplementary(&s, id, 2, "../../.dwz/all");
		found += fd >= 0;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_int_equal(found, 20000);
}

static int begin(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
	char command[256];
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_places_in_order),
		cmocka_unit_test(test_links_cannot_leave_the_root),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_supplementary),
		cmocka_unit_test(test_beside_renames),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
