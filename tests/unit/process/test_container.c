/* SPDX-License-Identifier: Apache-2.0 */
/* Every form of cgroup path that an engine, an orchestrator or systemd writes. */
#include "process/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "2c9b2c3e-0a5b-4f1e-9d5e-1f2a3b4c5d6e"
#define UID_ "2c9b2c3e_0a5b_4f1e_9d5e_1f2a3b4c5d6e"
#define STATIC "0123456789abcdef0123456789abcdef"

static const struct {
	const char *path, *id, *pod, *unit;
} cases[] = {
	{"/docker/" A, A, "", ""},
	{"/docker/buildkit/kx2pdw5q", "kx2pdw5q", "", ""},
	{"/system.slice/docker-" A ".scope", A, "", ""},
	{"/system.slice/docker-" A ".scope/init", A, "", ""},
	{"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" A ".scope", A, "", ""},
	{"/machine.slice/libpod-" A ".scope/container", A, "", ""},
	{"/machine.slice/libpod-" A ".scope", A, "", ""},
	{"/libpod_parent/libpod-" A, A, "", ""},
	{"/machine.slice/machine-libpod_pod_" B ".slice/libpod-" A ".scope", A, "", ""},
	{"/machine.slice/machine-libpod_pod_" B ".slice", "", "", ""},
	{"/machine.slice/libpod-conmon-" A ".scope", "", "", "libpod-conmon-" A ".scope"},
	{"/kubepods/burstable/pod" UID "/" A, A, UID, ""},
	{"/kubepods/besteffort/pod" UID "/" A, A, UID, ""},
	{"/kubepods/pod" UID "/" A, A, UID, ""},
	{"/kubepods/pod" STATIC "/" A, A, STATIC, ""},
	{"/kubepods/pod" UID "/crio-" A, A, UID, ""},
	{"/kubepods/burstable/pod" UID, "", UID, ""},
	{"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
	 ".slice/cri-containerd-" A ".scope", A, UID, ""},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" A ".scope/container", A, UID, ""},
	{"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" STATIC
	 ".slice/docker-" A ".scope", A, STATIC, ""},
	{"/kubepods.slice/kubepods-pod" UID_ ".slice/crio-conmon-" A ".scope", "", UID,
	 "crio-conmon-" A ".scope"},
	{"/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" A,
	 A, UID, ""},
	{"/docker/" B "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	 "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" A ".scope", A, UID, ""},
	{"/docker/" B "/system.slice/ssh.service", B, "", ""},
	{"/../../../docker/" A, A, "", ""},
	{"/../libpod-" A, A, "", ""},
	{"/ecs/0f1e2d3c/" STATIC "-1234567890", STATIC "-1234567890", "", ""},
	{"/ecs/0f1e2d3c-task/" A, A, "", ""},
	{"/lxc/web1", "web1", "", ""},
	{"/lxc.payload.web2/system.slice/cron.service", "web2", "", ""},
	{"/lxc.monitor.web2", "", "", ""},
	{"/k8s.io/my-ctr", "my-ctr", "", ""},
	{"/podruntime/kubelet", "", "", "kubelet"},
	{"/system.slice/foo.service", "", "", "foo.service"},
	{"/system.slice/system-getty.slice/getty@tty1.service", "", "", "getty@tty1.service"},
	{"/user.slice/user-1.slice/user@1.service/app.slice/app-foo.scope", "", "", "app-foo.scope"},
	{"/process_api/2600835c027b1b8df3a0c143d5418090", "", "", ""},
	{"/docker/" A "0", "", "", ""}, /* 65 digits */
	{"/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "", "", ""},
	{"/pod" UID "x/y", "", "", ""},
	{"/pod2c9b2c3e+0a5b-4f1e-9d5e-1f2a3b4c5d6e", "", "", ""},
	{"/", "", "", ""},
	{"", "", "", ""},
	{"////", "", "", ""},
};

static void test_every_form(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct container_identity identity;
		char id[128], unit[128];
		container_identify((struct slice){cases[i].path, strlen(cases[i].path)}, &identity);
		snprintf(id, sizeof(id), "%.*s", (int)identity.id.length, identity.id.bytes);
		snprintf(unit, sizeof(unit), "%.*s", (int)identity.unit.length,
			 identity.unit.bytes);
		if (strcmp(id, cases[i].id) || strcmp(unit, cases[i].unit) ||
		    strcmp(identity.pod_uid, cases[i].pod))
			fail_msg("%s: id '%s' pod '%s' unit '%s'", cases[i].path, id,
				 identity.pod_uid, unit);
	}
}

static void test_runtime(void **state)
{
	static const struct {
		const char *path, *runtime;
		bool id_is_name;
	} runtimes[] = {
		{"/docker/" A, "docker", false},
		{"/docker/buildkit/kx2pdw5q", "docker", true},
		{"/system.slice/docker-" A ".scope", "docker", false},
		{"/libpod_parent/libpod-" A, "podman", false},
		{"/kubepods/pod" UID "/crio-" A, "cri-o", false},
		{"/kubepods.slice/kubepods-pod" UID_ ".slice/cri-containerd-" A ".scope", "containerd",
		 false},
		{"/system.slice/containerd.service/kubepods-pod" UID_ ".slice:cri-containerd:" A,
		 "containerd", false},
		{"/docker/" B "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UID_
		 ".slice/cri-containerd-" A ".scope", "containerd", false},
		{"/kubepods/pod" UID "/" A, "", false}, /* could be any */
		{"/k8s.io/my-ctr", "containerd", true},
		{"/lxc/web1", "lxc", true},
		{"/lxc.payload.web2", "lxc", true},
		{"/system.slice/foo.service", "", false},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(runtimes); i++) {
		struct container_identity identity;
		const char *path = runtimes[i].path;
		container_identify((struct slice){path, strlen(path)}, &identity);
		assert_string_equal(identity.runtime ? identity.runtime : "", runtimes[i].runtime);
		assert_int_equal(identity.id_is_name, runtimes[i].id_is_name);
	}
}

static void test_unescape(void **state)
{
	const char *unit = "a\\x2db\\x00\\x2";
	char *text = unit_unescape((struct slice){unit, strlen(unit)});
	assert_string_equal(text, "a-b\\x00\\x2");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_form),
		cmocka_unit_test(test_runtime),
		cmocka_unit_test(test_unescape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
