/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor on made-up hosts: files below a temporary root, and facts written by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "command/command.h"
#include "command/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_CAPABILITIES 0x1ffffffffffULL
#define BPF_AND_PERFMON (1ULL << 39 | 1ULL << 38)

static void write_below(const char *root, const char *path, const char *contents)
{
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	for (char *slash = full + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	assert_int_equal(write_file_atomically(full, contents, strlen(contents), 0644), 0);
}

static void remove_root(const char *root)
{
	_cleanup_free_ char *command = text_format("rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

static void reads_a_debian_host(void **state)
{
	char root[] = "/tmp/doctor-XXXXXX";
	assert_non_null(mkdtemp(root));
	write_below(root, "/proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
	write_below(root, "/proc/version",
		    "Linux version 6.1.0-9-amd64 (x@y) (gcc) #1 SMP Debian 6.1.27-1 (2023)\n");
	write_below(root, "/proc/self/status",
		    "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t000000c000000000\n"
		    "Seccomp:\t2\n");
	write_below(root, "/proc/sys/kernel/perf_event_paranoid", "3\n");
	write_below(root, "/proc/sys/kernel/kptr_restrict", "2\n");
	write_below(root, "/proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
	write_below(root, "/sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
	write_below(root, "/sys/kernel/btf/vmlinux", "x");
	write_below(root, "/boot/config-6.1.0-9-amd64", "A=y\nCONFIG_HARDENED_USERCOPY=y\n");
	write_below(root, "/proc/kallsyms", "0000000000000000 T a\n0000000000000000 T b\n");
	_cleanup_free_ char *link = text_format("%s/proc/self/ns", root);
	mkdir(link, 0755);
	_cleanup_free_ char *namespace = text_format("%s/pid", link);
	assert_int_equal(symlink("pid:[4026532999]", namespace), 0);
	_cleanup_free_ char *users = text_format("%s/user", link);
	assert_int_equal(symlink("user:[4026531837]", users), 0);

	struct doctor_facts facts;
	doctor_read_facts(root, &facts);
	assert_string_equal(facts.kernel.release, "6.1.0-9-amd64");
	assert_int_equal(facts.kernel.version.patch, 27);
	assert_int_equal(facts.capabilities, BPF_AND_PERFMON);
	assert_int_equal(facts.seccomp_mode, 2);
	assert_int_equal(facts.perf_event_paranoid, 3);
	assert_int_equal(facts.kptr_restrict, 2);
	assert_int_equal(facts.bpf_jit_enable, FACT_UNKNOWN);
	assert_int_equal(facts.cgroups, CGROUP_V2);
	assert_int_equal(facts.lockdown, LOCKDOWN_CONFIDENTIALITY);
	assert_true(facts.has_btf && facts.kernel.has_hardened_usercopy && facts.has_own_pid_namespace);
	assert_false(facts.has_tracefs || facts.has_kernel_addresses || facts.has_own_user_namespace);
	remove_root(root);
}

static void survives_an_empty_root(void **state)
{
	struct doctor_facts facts;
	doctor_read_facts("/nonexistent", &facts);
	assert_int_equal(facts.perf_event_paranoid, FACT_UNKNOWN);
	assert_int_equal(facts.cgroups, CGROUP_NONE);
	assert_int_equal(facts.kernel.version.major, 0);
}

static struct doctor_facts good_facts(void)
{
	return (struct doctor_facts){
		.kernel = {.release = "6.12.0", .version = {6, 12, 0}, .has_hardened_usercopy = true},
		.has_btf = true,
		.has_tracefs = true,
		.capabilities = ALL_CAPABILITIES,
		.perf_event_paranoid = 2,
		.bpf_jit_enable = 1,
		.perf_max_sample_rate = 100000,
		.cgroups = CGROUP_V2,
		.has_kernel_addresses = true,
		.memlock_bytes = 65536,
		.cache_directory = "/var/cache/bolometer",
	};
}

static const struct finding *find(const struct findings *findings, const char *name)
{
	for (size_t i = 0; i < findings->list.count; i++)
		if (strcmp(findings->list.items[i].name, name) == 0)
			return &findings->list.items[i];
	fail_msg("no finding '%s'", name);
	return NULL;
}

/* One change to a good host, and what must be said about it. */
static void check(const struct doctor_facts *facts, const struct doctor_trials *trials,
		  const char *name, enum finding_level level, const char *fix)
{
	struct findings findings = {0};
	assert_int_equal(doctor_judge(facts, trials, &findings), 0);
	const struct finding *f = find(&findings, name);
	assert_int_equal(f->level, level);
	if (level != FINDING_OK)
		assert_true(f->lost[0]);
	if (fix)
		assert_non_null(strstr(f->fix, fix));
	array_free(&findings.list);
}

static void good_host(void **state)
{
	struct doctor_facts facts = good_facts();
	struct findings findings = {0};
	assert_int_equal(doctor_judge(&facts, &(struct doctor_trials){0}, &findings), 0);
	for (size_t i = 0; i < findings.list.count; i++)
		assert_int_equal(findings.list.items[i].level, FINDING_OK);
	assert_int_equal(doctor_status(&findings), STATUS_OK);
	array_free(&findings.list);
}

static void each_lack_has_its_fix(void **state)
{
	const struct doctor_trials works = {0}, no_event = {.open_event = -EACCES};
	const struct doctor_trials no_bpf = {.load_program = -EPERM, .attach = TRIAL_SKIPPED};
	struct doctor_facts f = good_facts();
	f.has_btf = false;
	check(&f, &works, "BTF", FINDING_FAIL, "CONFIG_DEBUG_INFO_BTF");
	f = good_facts();
	f.kernel.version = (struct kernel_version){4, 19, 0};
	check(&f, &works, "kernel", FINDING_FAIL, "5.10");
	f = good_facts();
	f.kernel.version = (struct kernel_version){5, 10, 0};
	f.capabilities = BPF_AND_PERFMON;
	check(&f, &works, "memlock", FINDING_FAIL, "ulimit -l unlimited");
	f.perf_event_paranoid = 3;
	check(&f, &no_event, "perf_event_open()", FINDING_FAIL, "kernel.perf_event_paranoid=2");
	check(&f, &no_event, "perf_event_paranoid", FINDING_WARN, "kernel.perf_event_paranoid=2");
	check(&f, &works, "perf_event_paranoid", FINDING_OK, NULL);
	f.capabilities = 0;
	check(&f, &no_bpf, "bpf()", FINDING_FAIL, "sudo");
	check(&f, &no_bpf, "capability", FINDING_WARN, NULL);
	f = good_facts();
	f.seccomp_mode = 2;
	check(&f, &no_bpf, "bpf()", FINDING_FAIL, "seccomp");
	f.has_own_user_namespace = true;
	check(&f, &no_bpf, "bpf()", FINDING_FAIL, "outside of this user namespace");
	check(&f, &no_event, "perf_event_open()", FINDING_FAIL, "outside of this user namespace");
	f = good_facts();
	f.has_kernel_addresses = false;
	f.kptr_restrict = 2;
	check(&f, &works, "kernel symbols", FINDING_WARN, "kernel.kptr_restrict=1");
	f.kptr_restrict = 0;
	check(&f, &works, "kernel symbols", FINDING_WARN, "run with CAP_SYSLOG");
	f.has_own_user_namespace = true;
	check(&f, &works, "kernel symbols", FINDING_WARN, "outside of this user namespace");
	f = good_facts();
	f.has_own_pid_namespace = true;
	check(&f, &works, "pid namespace", FINDING_WARN, "--pid=host");
	f = good_facts();
	f.lockdown = LOCKDOWN_CONFIDENTIALITY;
	check(&f, &works, "lockdown", FINDING_FAIL, "lockdown=integrity");
	f = good_facts();
	f.cache_error = -EACCES;
	check(&f, &works, "cache", FINDING_WARN, "--no-cache");
}

static void known_bugs_by_version(void **state)
{
	static const struct {
		struct kernel_version version;
		bool bad;
	} cases[] = {
		{{5, 10, 223}, false}, {{5, 18, 19}, false}, {{5, 19, 0}, true}, {{6, 0, 19}, true},
		{{6, 1, 35}, true},    {{6, 1, 36}, false},  {{6, 2, 16}, true}, {{6, 3, 9}, true},
		{{6, 3, 10}, false},   {{6, 4, 0}, false},   {{7, 3, 0}, false},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct doctor_facts f = good_facts();
		f.kernel.version = cases[i].version;
		check(&f, &(struct doctor_trials){0}, "known bugs",
		      cases[i].bad ? FINDING_WARN : FINDING_OK,
		      cases[i].bad ? "--ignore-kernel-bugs" : NULL);
		f.kernel.is_realtime = true;
		check(&f, &(struct doctor_trials){0}, "known bugs",
		      cases[i].bad ? FINDING_FAIL : FINDING_OK, NULL);
		f.kernel.has_hardened_usercopy = false;
		check(&f, &(struct doctor_trials){0}, "known bugs", FINDING_OK, NULL);
	}
}

static void versions_behind_release_names(void **state)
{
	struct kernel_version v = {0};
	assert_int_equal(kernel_version_parse("5.15.0-91-generic",
					      "Linux version 5.15.0-91-generic",
					      "Ubuntu 5.15.0-91.101-generic 5.15.131\n", &v),
			 0);
	assert_int_equal(v.patch, 131);
	assert_int_equal(kernel_version_parse("6.6.30-1.fc40", NULL, NULL, &v), 0);
	assert_int_equal(v.minor * 100 + v.patch, 630);
	assert_int_equal(kernel_version_parse("7.0-rc1", NULL, NULL, &v), 0);
	assert_int_equal(v.patch, 0);
	assert_int_equal(kernel_version_parse("nonsense", NULL, NULL, &v), -1);
	assert_int_equal(kernel_version_parse(NULL, NULL, NULL, &v), -1);
}

static void text_and_json(void **state)
{
	struct doctor_facts facts = good_facts();
	facts.has_btf = false;
	struct findings findings = {0};
	struct text text = {0}, json = {0};
	assert_int_equal(doctor_judge(&facts, &(struct doctor_trials){0}, &findings), 0);
	assert_int_equal(doctor_status(&findings), STATUS_UNSUPPORTED);
	doctor_write_text(&findings, false, &text);
	assert_non_null(strstr(text.bytes, "\nfail  BTF "));
	assert_non_null(strstr(text.bytes, "cannot be profiled"));
	assert_null(strchr(text.bytes, '\033'));
	doctor_write_json(&facts, &findings, &json);
	assert_non_null(strstr(json.bytes, "\"possible\": false"));
	assert_non_null(strstr(json.bytes, "{\"level\": \"fail\", \"name\": \"BTF\""));
	text_free(&text);
	text_free(&json);
	array_free(&findings.list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_debian_host),
		cmocka_unit_test(survives_an_empty_root),
		cmocka_unit_test(good_host),
		cmocka_unit_test(each_lack_has_its_fix),
		cmocka_unit_test(known_bugs_by_version),
		cmocka_unit_test(versions_behind_release_names),
		cmocka_unit_test(text_and_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
