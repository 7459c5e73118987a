/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine says of itself in its files, in every quoting of os-release(5). */
#include "process/host.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/host-XXXXXX";

static void write_etc(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/etc/%s", root, name);
	assert_int_equal(write_file_atomically(path, text, strlen(text), 0600), 0);
}

static void add(void *userdata, const char *key, const char *text)
{
	char *all = userdata;
	size_t length = strlen(all);
	snprintf(all + length, 1024 - length, "%s=%s;", key, text);
}

static void test_files(void **state)
{
	struct host_facts facts;
	write_etc("machine-id", "0123456789abcdef0123456789abcdef\n");
	write_etc("os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\n"
				"VERSION_ID='12'\nID=debian\n");
	host_facts_read(root, &facts);
	assert_string_equal(facts.id, "0123456789abcdef0123456789abcdef");
	assert_string_equal(facts.os_name, "Debian GNU/Linux");
	assert_string_equal(facts.os_version, "12");
	write_etc("os-release", "VERSION_ID=3.19\nNAME=Alpine");
	host_facts_read(root, &facts);
	assert_string_equal(facts.os_name, "Alpine");
	assert_string_equal(facts.os_version, "3.19");
}

static void test_attributes(void **state)
{
	struct host_facts facts = {.name = "box", .os_name = "Debian"};
	char all[1024] = "";
	host_facts_visit(&facts, add, all);
	assert_non_null(strstr(all, "host.name=box;"));
	assert_non_null(strstr(all, "os.type=linux;os.name=Debian;"));
	assert_null(strstr(all, "host.id")); /* unknown is left out */
	assert_null(strstr(all, "os.version"));
}

static void test_node(void **state)
{
	struct host_facts facts;
	char all[1024] = "";
	setenv("NODE_NAME", "node-1", true);
	unsetenv("KUBERNETES_SERVICE_HOST");
	host_facts_read(root, &facts);
	assert_string_equal(facts.node, ""); /* the variable of somebody else */
	setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1", true);
	host_facts_read(root, &facts);
	host_facts_visit(&facts, add, all);
	assert_non_null(strstr(all, "k8s.node.name=node-1;host.name=node-1;"));
}

static void test_no_files(void **state)
{
	struct host_facts facts;
	host_facts_read("/nonexistent", &facts);
	assert_string_equal(facts.id, "");
	assert_string_equal(facts.os_name, "");
	assert_int_not_equal(facts.name[0], '\0');
}

static int make_root(void **state)
{
	char path[128];
	if (!mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/etc", root);
	return mkdir(path, 0700);
}

static int remove_root(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_no_files),
	};
	return cmocka_run_group_tests(tests, make_root, remove_root);
}
