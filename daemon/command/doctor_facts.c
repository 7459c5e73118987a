/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the reading of /proc and /sys for the doctor. Nothing here judges. */
#include "command/doctor.h"

#include "base/file.h"
#include "binary/artifact_cache.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static bool exists_below(const char *root, const char *path)
{
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	return full && access(full, R_OK) == 0;
}

static int64_t read_number(const char *root, const char *path)
{
	_cleanup_free_ char *text = read_small_file(root, path);
	long long value;
	return text && sscanf(text, "%lld", &value) == 1 ? value : FACT_UNKNOWN;
}

static const char *line_after(const char *text, const char *key)
{
	const char *line = text ? strstr(text, key) : NULL;
	return line ? line + strlen(key) : NULL;
}

static void read_status(const char *root, struct doctor_facts *facts)
{
	_cleanup_free_ char *status = read_small_file(root, "/proc/self/status");
	const char *capabilities = line_after(status, "\nCapEff:");
	const char *seccomp = line_after(status, "\nSeccomp:");
	long long mode;
	if (capabilities)
		facts->capabilities = strtoull(capabilities, NULL, 16);
	facts->seccomp_mode = seccomp && sscanf(seccomp, "%lld", &mode) == 1 ? mode : FACT_UNKNOWN;
}

/* The host's namespaces have fixed inode numbers (PROC_PID_INIT_INO and PROC_USER_INIT_INO in the kernel's
 * linux/proc_ns.h); a container's own /proc shows nothing else that tells. */
#define HOST_PID_NAMESPACE "pid:[4026531836]"
#define HOST_USER_NAMESPACE "user:[4026531837]"

static bool is_in_other_namespace(const char *root, const char *kind, const char *host)
{
	char target[64];
	_cleanup_free_ char *path = text_format("%s/proc/self/ns/%s", root, kind);
	ssize_t length = path ? readlink(path, target, sizeof(target) - 1) : -1;
	if (length < 0)
		return false;
	target[length] = '\0';
	return strcmp(target, host) != 0;
}

/* The file shows all modes with brackets around the one in force. */
static enum lockdown read_lockdown(const char *root)
{
	_cleanup_free_ char *text = read_small_file(root, "/sys/kernel/security/lockdown");
	if (text && strstr(text, "[confidentiality]"))
		return LOCKDOWN_CONFIDENTIALITY;
	return text && strstr(text, "[integrity]") ? LOCKDOWN_INTEGRITY : LOCKDOWN_NONE;
}

static enum cgroup_layout read_cgroups(const char *root)
{
	_cleanup_free_ char *mounts = read_small_file(root, "/proc/self/mounts");
	if (!mounts)
		return CGROUP_NONE;
	bool v1 = strstr(mounts, " cgroup ") != NULL, v2 = strstr(mounts, " cgroup2 ") != NULL;
	if (v1 && v2)
		return CGROUP_HYBRID;
	return v2 ? CGROUP_V2 : v1 ? CGROUP_V1 : CGROUP_NONE;
}

/* Without CAP_SYSLOG, or with kptr_restrict = 2, every address reads as zeros. */
static bool read_kernel_addresses(const char *root)
{
	_cleanup_free_ char *path = text_format("%s/proc/kallsyms", root);
	FILE *file = path ? fopen(path, "re") : NULL;
	if (!file)
		return false;
	bool found = false;
	unsigned long long address;
	for (int i = 0; i < 64 && !found; i++)
		found = fscanf(file, "%llx%*[^\n]", &address) == 1 && address != 0;
	fclose(file);
	return found;
}

/* It also has to be ours alone. */
static int try_cache(const char *directory)
{
	struct artifact_cache *cache;
	struct artifact_cache_options options = {.directory = directory};
	int r = artifact_cache_open(&options, &cache);
	if (r == 0)
		artifact_cache_free(cache);
	return r;
}

/* The directory `record` keeps tables and symbols in, and whether it or its nearest existing parent
 * can be written. */
static void read_cache_directory(struct doctor_facts *facts)
{
	facts->cache_error = artifact_cache_default_directory(facts->cache_directory,
							      sizeof(facts->cache_directory));
	if (facts->cache_error < 0) {
		snprintf(facts->cache_directory, sizeof(facts->cache_directory),
			 "no $XDG_CACHE_HOME and no $HOME");
		return;
	}
	char path[sizeof(facts->cache_directory)];
	snprintf(path, sizeof(path), "%s", facts->cache_directory);
	while (access(path, F_OK) < 0 && errno == ENOENT) {
		char *slash = strrchr(path, '/');
		if (!slash || slash == path)
			break;
		*slash = '\0';
	}
	facts->cache_error = access(path, W_OK | X_OK) < 0 ? -errno : 0;
	if (facts->cache_error == 0 && strcmp(path, facts->cache_directory) == 0)
		facts->cache_error = try_cache(path);
}

static void read_memlock(struct doctor_facts *facts)
{
	struct rlimit limit;
	facts->memlock_bytes = UINT64_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		facts->memlock_bytes = limit.rlim_cur;
}

void doctor_read_facts(const char *root, struct doctor_facts *ret)
{
	*ret = (struct doctor_facts){0};
	kernel_facts_read(root, &ret->kernel);
	read_status(root, ret);
	ret->has_btf = exists_below(root, "/sys/kernel/btf/vmlinux");
	ret->has_tracefs = exists_below(root, "/sys/kernel/tracing/events") ||
			   exists_below(root, "/sys/kernel/debug/tracing/events");
	ret->perf_event_paranoid = read_number(root, "/proc/sys/kernel/perf_event_paranoid");
	ret->kptr_restrict = read_number(root, "/proc/sys/kernel/kptr_restrict");
	ret->unprivileged_bpf_disabled =
		read_number(root, "/proc/sys/kernel/unprivileged_bpf_disabled");
	ret->bpf_jit_enable = read_number(root, "/proc/sys/net/core/bpf_jit_enable");
	ret->perf_max_sample_rate =
		read_number(root, "/proc/sys/kernel/perf_event_max_sample_rate");
	ret->perf_cpu_time_max_percent =
		read_number(root, "/proc/sys/kernel/perf_cpu_time_max_percent");
	ret->has_own_pid_namespace = is_in_other_namespace(root, "pid", HOST_PID_NAMESPACE);
	ret->has_own_user_namespace = is_in_other_namespace(root, "user", HOST_USER_NAMESPACE);
	ret->lockdown = read_lockdown(root);
	ret->cgroups = read_cgroups(root);
	ret->has_kernel_addresses = read_kernel_addresses(root);
	read_memlock(ret);
	read_cache_directory(ret);
}
