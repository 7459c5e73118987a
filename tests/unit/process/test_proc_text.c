/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of /proc with everything a program can put into them. */
#include "process/proc_text.h"

#include "process/cgroup_mounts.h"
#include "process/process_cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SLICE(text) ((struct slice){(text), strlen(text)})

static void assert_slice(struct slice slice, const char *text)
{
	assert_int_equal(slice.length, strlen(text));
	assert_memory_equal(slice.bytes, text, slice.length);
}

static void test_maps_line(void **state)
{
	struct maps_line m;
	assert_int_equal(maps_line_parse(SLICE("7f12a000-7f12b000 r-xp 0001a000 fd:1f 1835019"
					       "                    /usr/lib/a b.so (deleted)"),
					 &m),
			 0);
	assert_int_equal(m.start, 0x7f12a000);
	assert_int_equal(m.end, 0x7f12b000);
	assert_int_equal(m.offset, 0x1a000);
	assert_int_equal(m.device, 0xfd << 20 | 0x1f); /* hexadecimal, both */
	assert_int_equal(m.inode, 1835019);
	assert_true(m.executable);
	assert_slice(m.path, "/usr/lib/a b.so (deleted)");
	assert_int_equal(path_length_without_deleted(m.path.bytes, m.path.length), 15);

	assert_int_equal(maps_line_parse(SLICE("00400000-00401000 rw-p 00000000 00:00 0 "), &m), 0);
	assert_false(m.executable);
	assert_int_equal(m.path.length, 0);
	assert_int_equal(maps_line_parse(SLICE("ffffffffff600000-ffffffffff601000 --xp 00000000 "
					       "00:00 0                  [vsyscall]"), &m), 0);
	assert_int_equal(m.start, 0xffffffffff600000);
	assert_slice(m.path, "[vsyscall]");
}

static void test_maps_line_refuses(void **state)
{
	static const char *const lines[] = {
		"", "-", "x", "1000", "1000-", "1000-2000", "1000-2000 ", "1000-2000 r-x",
		"1000-2000 r-xp", "1000-2000 r-xp 0", "1000-2000 r-xp 0 8", "1000-2000 r-xp 0 8:",
		"1000-2000 r-xp 0 8:1", "1000-2000 r-xp 0 8:1 ", "2000-1000 r-xp 0 8:1 5",
		"1000-1000 r-xp 0 8:1 5", "10000000000000000-2 r-xp 0 8:1 5",
		"1000-2000 r-xp 0 8:1 18446744073709551616", "1000-2000 r-xp 0 8:1 x"};
	struct maps_line m;
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
		assert_int_not_equal(maps_line_parse(SLICE(lines[i]), &m), 0);
}

static void test_maps_unescape(void **state)
{
	char path[] = "/a\\012b\\040c\\01";
	size_t length = maps_path_unescape(path, strlen(path));
	assert_slice((struct slice){path, length}, "/a\nb\\040c\\01");
}

static void test_stat(void **state)
{
	struct proc_stat s;
	const char *rest = " S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3\n";
	char text[256];
	static const char *const names[] = {"cat", "a) R 1 (b", "((", "))", "a\nb) Z 9", "", "a b c"};
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		snprintf(text, sizeof(text), "77 (%s)%s", names[i], rest);
		assert_int_equal(proc_stat_parse(SLICE(text), &s), 0);
		assert_string_equal(s.comm, names[i]);
		assert_int_equal(s.pid, 77);
		assert_int_equal(s.parent_pid, 41);
		assert_int_equal(s.state, 'S');
		assert_int_equal(s.start_ticks, 987654);
		assert_false(s.kernel_task);
	}
	assert_int_equal(proc_stat_parse(SLICE("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 "
					       "20 0 1 0 3 0"), &s), 0);
	assert_true(s.kernel_task);
	/* Cut anywhere, it is refused and nothing behind the end is read. */
	snprintf(text, sizeof(text), "77 (cat)%s", rest);
	const char *start_field = strstr(text, "987654");
	for (size_t n = 0; n <= (size_t)(start_field - text); n++) {
		char *copy = malloc(n + 1);
		memcpy(copy, text, n);
		assert_int_not_equal(proc_stat_parse((struct slice){copy, n}, &s), 0);
		free(copy);
	}
}

static void test_status(void **state)
{
	struct proc_status s;
	proc_status_parse(SLICE("Name:\tNSpid:\t5\nUid:\t1\t1002\t3\t4\nNSpid:\t19866\t12\t1\n"), &s);
	assert_int_equal(s.inner_pid, 1);
	assert_true(s.has_user_id);
	assert_int_equal(s.user_id, 1002);
	proc_status_parse(SLICE("Uid:\nNSpid:"), &s);
	assert_false(s.has_user_id);
	assert_int_equal(s.inner_pid, 0);
}

static void test_cgroup_line(void **state)
{
	struct cgroup_line c;
	assert_int_equal(cgroup_line_parse(SLICE("0::/a:b/c (deleted)"), &c), 0);
	assert_true(c.unified);
	assert_slice(c.path, "/a:b/c");
	assert_int_equal(cgroup_line_parse(SLICE("9:name=systemd:/x"), &c), 0);
	assert_false(c.unified);
	assert_true(controllers_contain(c.controllers, "name=systemd"));
	assert_int_equal(cgroup_line_parse(SLICE("4:cpu,cpuacct:/"), &c), 0);
	assert_true(controllers_contain(c.controllers, "cpuacct"));
	assert_false(controllers_contain(c.controllers, "cpua"));
	static const char *const bad[] = {"", "0", "0:", "0::", "0::x", ":a:/", "1:cpu"};
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
		assert_int_not_equal(cgroup_line_parse(SLICE(bad[i]), &c), 0);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_cgroup_choice(void **state)
{
	static const struct {
		const char *text, *path;
	} cases[] = {
		{"0::/system.slice/x.service\n", "/system.slice/x.service"},
		{"0::/\n", "/"},
		{"9:name=systemd:/\n0::/\n", "/"},
		{"1:cpu:/docker/" ID "\n0::/\n", "/docker/" ID},
		{"1:cpu:/docker/" ID "\n0::/system.slice/docker-" ID ".scope\n",
		 "/system.slice/docker-" ID ".scope"},
		{"4:memory:/m/" ID "\n2:pids:/p/" ID "\n", "/p/" ID},
		{"4:memory:/user.slice\n1:name=systemd:/init.scope\n", "/init.scope"},
		{"0::/../libpod-" ID "\n", "/../libpod-" ID},
		{"", ""},
		{"garbage\n\n:::\n", ""},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct slice path = {0}, unified;
		cgroup_choose(SLICE(cases[i].text), &path, &unified);
		assert_slice(path, cases[i].path);
	}
}

static void test_mountinfo(void **state)
{
	struct cgroup_mounts mounts;
	assert_int_equal(
		cgroup_mounts_parse(
			SLICE("30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
			      "31 30 0:27 /a /my\\040cg rw shared:4 master:1 - cgroup2 none rw\n"
			      "32 30 0:28 / /v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
			      "33 30 0:29 / /v1/sd rw - cgroup x rw,xattr,release_agent=/l,name=systemd\n"
			      "34 30 0:29 / -\n\nshort"),
			&mounts),
		0);
	assert_int_equal(mounts.list.count, 3);
	assert_true(mounts.list.items[0].unified);
	assert_string_equal(mounts.list.items[0].directory, "/my cg");
	assert_string_equal(mounts.list.items[0].root, "/a");
	assert_string_equal(mounts.list.items[1].controllers, "cpu,cpuacct");
	assert_string_equal(mounts.list.items[2].controllers, "name=systemd");
	cgroup_mounts_free(&mounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps_line),    cmocka_unit_test(test_maps_line_refuses),
		cmocka_unit_test(test_maps_unescape), cmocka_unit_test(test_stat),
		cmocka_unit_test(test_status),	     cmocka_unit_test(test_cgroup_line),
		cmocka_unit_test(test_cgroup_choice), cmocka_unit_test(test_mountinfo),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
