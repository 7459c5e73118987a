/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is: what it declares, the kubelet's file names, the names of units, and what wins. */
#include "process/process_origin.h"

#include "base/clock.h"
#include "base/text.h"
#include "process/container.h"
#include "process/declared_attributes.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "2c9b2c3e-0a5b-4f1e-9d5e-1f2a3b4c5d6e"

/* "key=value;" of all that an environment of NUL-separated variables declares. */
static char *declared_of(const char *environment, size_t size)
{
	struct text declared = {0}, all = {0};
	declared_attributes_parse((struct slice){environment, size}, &declared);
	const char *at = declared.bytes, *key, *value;
	while (declared_attributes_next(&at, &key, &value))
		text_add(&all, "%s=%s;", key, value);
	text_add_string(&all, "");
	text_free(&declared);
	return text_take(&all);
}

#define assert_declares(environment, expected)                                    \
	do {                                                                      \
		char *_all = declared_of(environment, sizeof(environment) - 1);   \
		assert_string_equal(_all ? _all : "", expected);                  \
		free(_all);                                                       \
	} while (0)

static void test_declared(void **state)
{
	assert_declares("", "");
	assert_declares("A=1\0OTEL_SERVICE_NAME=shop\0B=2\0", "service.name=shop;");
	assert_declares("OTEL_SERVICE_NAME= shop ", "service.name=shop;"); /* no NUL at the end */
	assert_declares("OTEL_SERVICE_NAME=a\0OTEL_SERVICE_NAME=b\0", "service.name=a;");
	assert_declares("OTEL_SERVICE_NAME=\0", "");
	assert_declares("XOTEL_SERVICE_NAME=a\0OTEL_SERVICE_NAMES=b\0", "");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=service.name=cart, team = a%2Cb ,,\0",
			"service.name=cart;team=a,b;");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=service.name=x,team=t\0OTEL_SERVICE_NAME=y\0",
			"service.name=y;team=t;");
	/* A list that does not decode is discarded as a whole. */
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=team=t,broken\0OTEL_SERVICE_NAME=y\0",
			"service.name=y;");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=a=b%2\0", "");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=a=b%zz\0", "");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=a=b%00\0", "");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES==b\0", "");
	/* What is known better here. */
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=process.pid=1,host.name=x,os.type=y,container.id=z,"
			"telemetry.sdk.name=q,k8s.deployment.name=d\0",
			"k8s.deployment.name=d;");
	assert_declares("OTEL_RESOURCE_ATTRIBUTES=a b=c,d=\xff!\0", "d=\xef\xbf\xbd!;");
}

static void test_declared_limits(void **state)
{
	struct text environment = {0};
	text_add_string(&environment, "OTEL_RESOURCE_ATTRIBUTES=");
	for (int i = 0; i < 100; i++)
		text_add(&environment, "k%d=v,", i);
	char *all = declared_of(environment.bytes, environment.length);
	assert_non_null(strstr(all, "k31=v;"));
	assert_null(strstr(all, "k32=v;"));
	free(all);
	environment.length = 0;
	text_add_string(&environment, "OTEL_RESOURCE_ATTRIBUTES=long=");
	for (int i = 0; i < DECLARED_MAX_BYTES; i++)
		text_add_char(&environment, 'x');
	text_add_string(&environment, ",short=y");
	all = declared_of(environment.bytes, environment.length);
	assert_string_equal(all, "short=y;");
	free(all);
	text_free(&environment);
}

static char *slice_text(struct slice s)
{
	return strndup(s.bytes, s.length);
}

static void test_log_names(void **state)
{
	static const struct {
		const char *name, *expected; /* NULL: none */
	} pods[] = {{"shop_cart-0_" UID, "shop cart-0 " UID},
		    {"kube-system_etcd-n1_" "0123456789abcdef0123456789abcdef",
		     "kube-system etcd-n1 0123456789abcdef0123456789abcdef"},
		    {"shop_cart-0", NULL}, {"_a_b", NULL}, {"a__b", NULL}, {"a_b_", NULL},
		    {"a_b_c_d", NULL}, {"a_B_c", NULL}, {"__", NULL}, {"", NULL}},
	  containers[] = {{"cart-0_shop_web-1-" A ".log", "cart-0 shop web-1 " A},
			  {"cart-0_shop_-" A ".log", NULL},
			  {"cart-0_shop_" A ".log", NULL},
			  {"cart-0_shop_web-" A, NULL},
			  {"-" A ".log", NULL}, {".log", NULL}, {"", NULL}};
	struct slice s[4];
	for (size_t i = 0; i < ARRAY_LENGTH(pods); i++) {
		struct slice name = {pods[i].name, strlen(pods[i].name)};
		assert_int_equal(pod_log_directory_parse(name, &s[0], &s[1], &s[2]),
				 pods[i].expected != NULL);
		if (!pods[i].expected)
			continue;
		char *a = slice_text(s[0]), *b = slice_text(s[1]), *c = slice_text(s[2]);
		char *all = text_format("%s %s %s", a, b, c);
		assert_string_equal(all, pods[i].expected);
		free(a), free(b), free(c), free(all);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(containers); i++) {
		struct slice name = {containers[i].name, strlen(containers[i].name)};
		assert_int_equal(container_log_parse(name, &s[0], &s[1], &s[2], &s[3]),
				 containers[i].expected != NULL);
		if (!containers[i].expected)
			continue;
		char *a = slice_text(s[0]), *b = slice_text(s[1]), *c = slice_text(s[2]),
		     *d = slice_text(s[3]);
		char *all = text_format("%s %s %s %s", a, b, c, d);
		assert_string_equal(all, containers[i].expected);
		free(a), free(b), free(c), free(d), free(all);
	}
}

static void test_units(void **state)
{
	static const struct {
		const char *unit, *service;
	} cases[] = {{"nginx.service", "nginx"},
		     {"postgresql@15-main.service", "postgresql@15-main"},
		     {"a\\x2db.service", "a-b"},
		     {"app-gnome-org.x\\x2dy-4711.scope", "gnome-org.x-y"},
		     {"app-dash.service", "dash"},
		     {"session-3.scope", NULL}, {"init.scope", NULL}, {"user@1000.service", NULL},
		     {"kubelet", NULL}, {".service", NULL}, {"app-.scope", NULL}, {"", NULL}};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *service = service_of_unit((struct slice){cases[i].unit, strlen(cases[i].unit)});
		if (cases[i].service)
			assert_string_equal(service ? service : "", cases[i].service);
		else
			assert_null(service);
		free(service);
	}
}

/* ---- All together ---------------------------------------------------------------------------- */

struct fixture {
	char root[64];
	struct pod_names *names;
};

static void make_file(const struct fixture *f, const char *path)
{
	char *whole = text_format("%s/var/log/%s", f->root, path);
	int fd = open(whole, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	free(whole);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char command[256];
	snprintf(f->root, sizeof(f->root), "/tmp/bolometer-origin-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	snprintf(command, sizeof(command), "mkdir -p %s/var/log/pods/shop_cart-0_%s "
		 "%s/var/log/containers", f->root, UID, f->root);
	assert_int_equal(system(command), 0);
	make_file(f, "containers/cart-0_shop_web-" A ".log");
	assert_int_equal(pod_names_new(f->root, &f->names), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	pod_names_free(f->names);
	snprintf(command, sizeof(command), "rm -r %s", f->root);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void add(void *userdata, const struct origin_attribute *a)
{
	text_add(userdata, "%s=%s%s;", a->key, a->value, a->is_guess ? "?" : "");
}

static void assert_origin(struct fixture *f, const char *path, const char *id, const char *declared,
			  const char *expected)
{
	struct process process = {.cgroup_path = (char *)path, .container_id = (char *)id,
				  .declared = (char *)declared};
	struct text all = {0};
	process_origin_visit(&process, f->names, NS_PER_SECOND, add, &all);
	assert_string_equal(all.bytes ? all.bytes : "", expected);
	text_free(&all);
}

static void test_origins(void **state)
{
	struct fixture *f = *state;
	assert_origin(f, NULL, NULL, NULL, "");
	assert_origin(f, "/", NULL, NULL, "");
	assert_origin(f, "/system.slice/nginx.service", NULL, NULL, "service.name=nginx?;");
	assert_origin(f, "/system.slice/nginx.service", NULL, "service.name\0shop\0",
		      "service.name=shop;");
	assert_origin(f, "/machine.slice/libpod-" B ".scope", B, NULL,
		      "container.id=" B ";container.runtime.name=podman;");
	assert_origin(f, "/k8s.io/my-ctr", "my-ctr", NULL,
		      "container.id=my-ctr;container.name=my-ctr;container.runtime.name=containerd;"
		      "service.name=my-ctr?;");
	/* A pod's container, and its pause container, which has no log. */
	assert_origin(f, "/kubepods/burstable/pod" UID "/" A, A, NULL,
		      "container.id=" A ";k8s.pod.uid=" UID ";k8s.namespace.name=shop;"
		      "k8s.pod.name=cart-0;k8s.container.name=web;service.name=web?;"
		      "service.namespace=shop?;service.instance.id=shop.cart-0.web?;");
	assert_origin(f, "/kubepods/burstable/pod" UID "/" B, B, NULL,
		      "container.id=" B ";k8s.pod.uid=" UID ";k8s.namespace.name=shop;"
		      "k8s.pod.name=cart-0;service.namespace=shop?;");
	/* Our own pod in a private cgroup namespace shows nothing but the id. */
	assert_origin(f, "/../" A, A, "service.name\0x\0k8s.deployment.name\0d\0",
		      "container.id=" A ";service.name=x;k8s.deployment.name=d;"
		      "k8s.namespace.name=shop;k8s.pod.name=cart-0;k8s.container.name=web;"
		      "service.namespace=shop?;service.instance.id=shop.cart-0.web?;");
}

static void test_names_stay(void **state)
{
	struct fixture *f = *state;
	struct pod_name name;
	char command[128];
	assert_false(pod_names_find(f->names, B, "", NS_PER_SECOND, &name));
	make_file(f, "containers/late-0_shop_web-" B ".log");
	/* The directories are not read for every question. */
	assert_false(pod_names_find(f->names, B, "", NS_PER_SECOND + 5, &name));
	assert_true(pod_names_find(f->names, B, "", 3 * NS_PER_SECOND, &name));
	assert_string_equal(name.pod, "late-0");
	snprintf(command, sizeof(command), "rm -r %s/var/log/containers", f->root);
	assert_int_equal(system(command), 0);
	assert_false(pod_names_find(f->names, "nobody", "", 5 * NS_PER_SECOND, &name));
	assert_true(pod_names_find(f->names, B, "", 7 * NS_PER_SECOND, &name));
	assert_true(pod_names_find(f->names, "", UID, 7 * NS_PER_SECOND, &name));
	assert_null(name.container);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_declared),
		cmocka_unit_test(test_declared_limits),
		cmocka_unit_test(test_log_names),
		cmocka_unit_test(test_units),
		cmocka_unit_test_setup_teardown(test_origins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_stay, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
