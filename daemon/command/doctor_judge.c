/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the verdicts: what each fact costs, and the line that mends it. Pure: facts in, findings
 * out. */
#include "command/doctor.h"

#include "command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>

struct judge {
	const struct doctor_facts *facts;
	const struct doctor_trials *trials;
	struct findings *findings;
	bool failed; /* out of memory */
};

static struct finding *add(struct judge *j, enum finding_level level, const char *name,
			   const char *format, ...) _printf_(4, 5);

static struct finding *add(struct judge *j, enum finding_level level, const char *name,
			   const char *format, ...)
{
	static struct finding nowhere; /* written, never read, when memory is out */
	struct finding finding = {.level = level, .name = name};
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(finding.text, sizeof(finding.text), format, arguments);
	va_end(arguments);
	if (array_add(&j->findings->list, finding) < 0) {
		j->failed = true;
		return &nowhere;
	}
	return &j->findings->list.items[j->findings->list.count - 1];
}

#define LOST(finding, ...) snprintf((finding)->lost, sizeof((finding)->lost), __VA_ARGS__)
#define FIX(finding, ...) snprintf((finding)->fix, sizeof((finding)->fix), __VA_ARGS__)

static bool has(const struct judge *j, int capability)
{
	return j->facts->capabilities >> capability & 1;
}

static void judge_kernel(struct judge *j)
{
	struct kernel_version v = j->facts->kernel.version;
	const struct kernel_version oldest = {5, 10, 0};
	bool old = v.major && kernel_version_compare(v, oldest) < 0;
	struct finding *f = add(j, old ? FINDING_FAIL : FINDING_OK, "kernel", "%s (%u.%u.%u)",
				j->facts->kernel.release, v.major, v.minor, v.patch);
	if (old) {
		LOST(f, "everything: the BPF programs need 5.10");
		FIX(f, "install a kernel of at least 5.10");
	}
}

static void judge_known_bugs(struct judge *j)
{
	const struct kernel_facts *kernel = &j->facts->kernel;
	int safe_mode = safe_mode_decide(kernel);
	if (safe_mode == 0) {
		add(j, FINDING_OK, "known bugs", "none in this kernel");
		return;
	}
	const struct kernel_version *fixed = kernel_bug_user_read(kernel->version);
	struct finding *f = add(j, safe_mode < 0 ? FINDING_FAIL : FINDING_WARN, "known bugs",
				"reading user memory in an interrupt can deadlock the host");
	if (safe_mode < 0)
		LOST(f, "record refuses to sample");
	else
		LOST(f, "safe mode: %s", safe_mode_meaning(SAFE_MODE_KERNEL_TICKS));
	FIX(f,
	    "upgrade to %u.%u.%u, or, if your kernel has the fix d319f344561d: "
	    "bolometer record --ignore-kernel-bugs",
	    fixed->major, fixed->minor, fixed->patch);
}

static void judge_btf(struct judge *j)
{
	if (j->facts->has_btf) {
		add(j, FINDING_OK, "BTF", "/sys/kernel/btf/vmlinux");
		return;
	}
	struct finding *f = add(j, FINDING_FAIL, "BTF", "/sys/kernel/btf/vmlinux is missing");
	LOST(f, "everything: the programs cannot be fitted to this kernel");
	FIX(f, "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every distribution's since 2021)");
}

#define FIX_USER_NAMESPACE                                                                                      \
	"run it outside of this user namespace (a rootless container, unshare -r): root of the host is needed, "  \
	"root in here is not"

static void judge_bpf(struct judge *j)
{
	int error = j->trials->load_program;
	if (error == 0) {
		add(j, FINDING_OK, "bpf()", "a program of type perf_event loads");
		return;
	}
	struct finding *f =
		add(j, FINDING_FAIL, "bpf()", "loading a program: %s", strerror(-error));
	LOST(f, "everything");
	if (error == -ENOSYS || error == -EINVAL)
		FIX(f, "use a kernel built with CONFIG_BPF_SYSCALL=y and CONFIG_BPF_EVENTS=y");
	else if (!has(j, CAP_SYS_ADMIN) && !(has(j, CAP_BPF) && has(j, CAP_PERFMON)))
		FIX(f, "run as root: sudo bolometer ...; or: "
		       "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_syslog+ep bolometer");
	else if (j->facts->has_own_user_namespace)
		FIX(f, FIX_USER_NAMESPACE);
	else if (j->facts->seccomp_mode > 0)
		FIX(f, "a seccomp filter refuses bpf(): allow it, or run the container with "
		       "--security-opt seccomp=unconfined");
	else
		FIX(f, "a security module refuses bpf(): see dmesg and the audit log");
}

static void fix_event(struct judge *j, struct finding *f)
{
	int64_t paranoid = j->facts->perf_event_paranoid;
	if (j->facts->has_own_user_namespace && has(j, CAP_PERFMON))
		FIX(f, FIX_USER_NAMESPACE);
	else if (j->facts->seccomp_mode > 0 && has(j, CAP_SYS_ADMIN))
		FIX(f, "a seccomp filter refuses perf_event_open(): allow it, or run the container "
		       "with --security-opt seccomp=unconfined");
	else if (paranoid >= 3 && has(j, CAP_PERFMON))
		FIX(f,
		    "sysctl kernel.perf_event_paranoid=2 (it is %" PRId64
		    ", where CAP_PERFMON does not suffice), or add CAP_SYS_ADMIN",
		    paranoid);
	else if (!has(j, CAP_SYS_ADMIN) && !has(j, CAP_PERFMON))
		FIX(f, "run as root: sudo bolometer ...; or with CAP_PERFMON%s",
		    paranoid >= 3 ? " and sysctl kernel.perf_event_paranoid=2" : "");
	else
		FIX(f, "a security module refuses perf_event_open(): see dmesg and the audit log");
}

static void judge_event(struct judge *j)
{
	int error = j->trials->open_event;
	if (error == 0) {
		add(j, FINDING_OK, "perf_event_open()", "a CPU clock for all processes opens");
		return;
	}
	struct finding *f = add(j, FINDING_FAIL, "perf_event_open()", "opening a CPU clock: %s",
				strerror(-error));
	LOST(f, "everything: no samples");
	if (error == -ENOSYS)
		FIX(f, "use a kernel built with CONFIG_PERF_EVENTS=y");
	else
		fix_event(j, f);
}

static void judge_attach(struct judge *j)
{
	if (j->trials->attach == TRIAL_SKIPPED)
		return;
	if (j->trials->attach == 0) {
		add(j, FINDING_OK, "attach", "the program attaches to the event");
		return;
	}
	struct finding *f = add(j, FINDING_FAIL, "attach", "attaching the program: %s",
				strerror(-j->trials->attach));
	LOST(f, "everything: no samples");
	FIX(f, "use a kernel built with CONFIG_BPF_EVENTS=y");
}

static void judge_paranoid(struct judge *j)
{
	int64_t value = j->facts->perf_event_paranoid;
	if (value == FACT_UNKNOWN) {
		add(j, FINDING_WARN, "perf_event_paranoid", "cannot be read");
		return;
	}
	/* Only some distributions' kernels know 3; to others it is 2. */
	bool is_open = j->trials->open_event == 0 && !has(j, CAP_SYS_ADMIN);
	bool matters = value >= 3 && !has(j, CAP_SYS_ADMIN) && !is_open;
	struct finding *f =
		add(j, matters ? FINDING_WARN : FINDING_OK, "perf_event_paranoid", "%" PRId64 "%s",
		    value, value < 3 ? "" : is_open ? ": on this kernel CAP_PERFMON suffices"
						    : ": perf_event_open() needs CAP_SYS_ADMIN");
	if (matters) {
		LOST(f, "CAP_BPF with CAP_PERFMON is not enough to sample");
		FIX(f, "sysctl kernel.perf_event_paranoid=2");
	}
}

static const struct {
	int number;
	const char *name, *cost;
	bool implied_by_admin; /* CAP_SYS_ADMIN stands in */
} wanted_capabilities[] = {
	{CAP_BPF, "CAP_BPF", "no BPF programs: no samples", true},
	{CAP_PERFMON, "CAP_PERFMON", "no tracing programs and no events: no samples", true},
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
	 "no mappings of other users' processes: their frames stay "
	 "unnamed and their stacks short",
	 false},
	{CAP_SYSLOG, "CAP_SYSLOG", "no kernel symbols", false},
	{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH",
	 "files that only their owner may read stay "
	 "without tables and names",
	 false},
	{CAP_SYS_ADMIN, "CAP_SYS_ADMIN",
	 "no sampling where perf_event_paranoid >= 3; the run time "
	 "of the BPF programs is not counted",
	 false},
};

static void judge_capabilities(struct judge *j)
{
	unsigned missing = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(wanted_capabilities); i++) {
		bool admin = wanted_capabilities[i].implied_by_admin && has(j, CAP_SYS_ADMIN);
		if (has(j, wanted_capabilities[i].number) || admin)
			continue;
		missing++;
		struct finding *f = add(j, FINDING_WARN, "capability", "%s is missing",
					wanted_capabilities[i].name);
		LOST(f, "%s", wanted_capabilities[i].cost);
	}
	if (!missing)
		add(j, FINDING_OK, "capabilities", "all that are used%s",
		    j->facts->has_own_user_namespace ? ", in a user namespace where they count for nothing" : "");
}

static void judge_kernel_symbols(struct judge *j)
{
	int64_t restricted = j->facts->kptr_restrict;
	if (j->facts->has_kernel_addresses) {
		add(j, FINDING_OK, "kernel symbols", "/proc/kallsyms has addresses");
		return;
	}
	struct finding *f = add(j, FINDING_WARN, "kernel symbols",
				"/proc/kallsyms shows no addresses "
				"(kptr_restrict = %" PRId64 ")",
				restricted == FACT_UNKNOWN ? -1 : restricted);
	LOST(f, "kernel frames stay without names");
	if (j->facts->has_own_user_namespace && has(j, CAP_SYSLOG))
		FIX(f, FIX_USER_NAMESPACE);
	else
		FIX(f, "%s",
		    restricted == 2 ? "sysctl kernel.kptr_restrict=1" : "run with CAP_SYSLOG, or as root");
}

static void judge_lockdown(struct judge *j)
{
	static const char *const names[] = {"none", "integrity", "confidentiality"};
	bool bad = j->facts->lockdown == LOCKDOWN_CONFIDENTIALITY;
	struct finding *f = add(j, bad ? FINDING_FAIL : FINDING_OK, "lockdown", "%s",
				names[j->facts->lockdown]);
	if (bad) {
		LOST(f, "BPF programs may not read kernel memory: everything");
		FIX(f, "boot with lockdown=integrity on the kernel's command line");
	}
}

static void judge_memlock(struct judge *j)
{
	const struct kernel_version charged_to_memcg = {5, 11, 0};
	char size[32] = "unlimited";
	if (j->facts->memlock_bytes != UINT64_MAX)
		text_size(size, sizeof(size), j->facts->memlock_bytes);
	struct kernel_version v = j->facts->kernel.version;
	if (!v.major || kernel_version_compare(v, charged_to_memcg) >= 0) {
		add(j, FINDING_OK, "memlock", "%s; not used: BPF maps count as cgroup memory",
		    size);
		return;
	}
	bool can = j->facts->memlock_bytes == UINT64_MAX || has(j, CAP_SYS_RESOURCE);
	struct finding *f =
		add(j, can ? FINDING_OK : FINDING_FAIL, "memlock", "%s%s", size,
		    can && j->facts->memlock_bytes != UINT64_MAX ? "; record raises it" : "");
	if (!can) {
		LOST(f, "BPF maps do not fit: before 5.11 they count as locked memory");
		FIX(f, "ulimit -l unlimited, or add CAP_SYS_RESOURCE");
	}
}

static void judge_pid_namespace(struct judge *j)
{
	if (!j->facts->has_own_pid_namespace) {
		add(j, FINDING_OK, "pid namespace", "the host's");
		return;
	}
	struct finding *f = add(j, FINDING_WARN, "pid namespace", "a container's own");
	LOST(f, "processes outside this container have samples without names and tables");
	FIX(f, "share the host's: docker run --pid=host, or hostPID: true in Kubernetes");
}

static void judge_sample_rate(struct judge *j)
{
	int64_t rate = j->facts->perf_max_sample_rate,
		percent = j->facts->perf_cpu_time_max_percent;
	if (rate == FACT_UNKNOWN)
		return;
	bool low = rate < 1000;
	struct finding *f = add(j, low ? FINDING_WARN : FINDING_OK, "perf_event_max_sample_rate",
				"%" PRId64 " a second and CPU", rate);
	if (low) {
		LOST(f, "frequencies above it are refused");
		FIX(f, "sysctl kernel.perf_event_max_sample_rate=100000");
	}
	if (percent != FACT_UNKNOWN)
		add(j, FINDING_OK, "perf_cpu_time_max_percent", "%" PRId64 "%s", percent,
		    percent ? ": the kernel lowers the rate when samples take more CPU time" : "");
}

static void judge_jit(struct judge *j)
{
	int64_t value = j->facts->bpf_jit_enable;
	if (value == FACT_UNKNOWN)
		return; /* unreadable without CAP_SYS_ADMIN; the default is on */
	struct finding *f =
		add(j, value ? FINDING_OK : FINDING_WARN, "BPF JIT", "%s", value ? "on" : "off");
	if (!value) {
		LOST(f, "a sample costs about ten times as much");
		FIX(f, "sysctl net.core.bpf_jit_enable=1");
	}
}

static void judge_cgroups(struct judge *j)
{
	static const char *const names[] = {"none mounted", "v1", "v1 and v2 (hybrid)", "v2"};
	bool none = j->facts->cgroups == CGROUP_NONE;
	struct finding *f =
		add(j, none ? FINDING_WARN : FINDING_OK, "cgroups", "%s", names[j->facts->cgroups]);
	if (none) {
		LOST(f, "--cgroup and the container.id label");
		FIX(f, "mount -t cgroup2 cgroup2 /sys/fs/cgroup");
	}
}

static void judge_tracefs(struct judge *j)
{
	if (j->facts->has_tracefs) {
		add(j, FINDING_OK, "tracefs", "readable");
		return;
	}
	struct finding *f = add(j, FINDING_WARN, "tracefs", "not readable");
	LOST(f, "nothing for CPU profiles; tracepoints by name would need it");
	if (has(j, CAP_SYS_ADMIN)) /* others may just not look into it */
		FIX(f, "mount -t tracefs tracefs /sys/kernel/tracing");
}

static void judge_unprivileged_bpf(struct judge *j)
{
	int64_t value = j->facts->unprivileged_bpf_disabled;
	if (value != FACT_UNKNOWN)
		add(j, FINDING_OK, "unprivileged_bpf_disabled",
		    "%" PRId64 "; irrelevant: the programs need rights anyway", value);
}

static void judge_seccomp(struct judge *j)
{
	static const char *const names[] = {"none", "strict", "a filter is active"};
	int64_t mode = j->facts->seccomp_mode;
	if (mode >= 0 && mode < (int64_t)ARRAY_LENGTH(names))
		add(j, FINDING_OK, "seccomp", "%s", names[mode]);
}

static void judge_cache(struct judge *j)
{
	const char *path = j->facts->cache_directory;
	if (j->facts->cache_error == 0) {
		add(j, FINDING_OK, "cache", "%s", path);
		return;
	}
	struct finding *f =
		add(j, FINDING_WARN, "cache", "%s: %s", path, strerror(-j->facts->cache_error));
	LOST(f, "every binary is parsed anew in each recording");
	FIX(f, "make it writable, or say --no-cache");
}

int doctor_judge(const struct doctor_facts *facts, const struct doctor_trials *trials,
		 struct findings *ret)
{
	static void (*const judges[])(struct judge *) = {
		judge_kernel,	judge_known_bugs,	judge_btf,	     judge_bpf,
		judge_event,	judge_attach,		judge_capabilities,  judge_paranoid,
		judge_lockdown, judge_seccomp,		judge_memlock,	     judge_kernel_symbols,
		judge_jit,	judge_sample_rate,	judge_pid_namespace, judge_cgroups,
		judge_tracefs,	judge_unprivileged_bpf, judge_cache,
	};
	struct judge j = {facts, trials, ret, false};
	for (size_t i = 0; i < ARRAY_LENGTH(judges); i++)
		judges[i](&j);
	return j.failed ? -ENOMEM : 0;
}

int doctor_status(const struct findings *findings)
{
	for (size_t i = 0; i < findings->list.count; i++)
		if (findings->list.items[i].level == FINDING_FAIL)
			return STATUS_UNSUPPORTED;
	return STATUS_OK;
}
