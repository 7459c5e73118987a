/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bolometer doctor`: can this host be profiled by this process, what is lost, and the line that
 * mends it. Three steps that do not know each other's insides: read facts (through a root path, so
 * that tests feed fixtures), try the real system calls, and judge both.
 */
#pragma once

#include "base/array.h"
#include "base/text.h"
#include "collect/safe_mode.h"

#define FACT_UNKNOWN INT64_MIN

enum lockdown { LOCKDOWN_NONE, LOCKDOWN_INTEGRITY, LOCKDOWN_CONFIDENTIALITY };
enum cgroup_layout { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

/* What the files of /proc and /sys say. Numbers are FACT_UNKNOWN when a file can't be read. */
struct doctor_facts {
	struct kernel_facts kernel;
	bool has_btf;
	bool has_tracefs;
	uint64_t capabilities; /* effective */
	int64_t perf_event_paranoid, kptr_restrict, unprivileged_bpf_disabled;
	int64_t bpf_jit_enable, perf_max_sample_rate, perf_cpu_time_max_percent;
	int64_t seccomp_mode;	    /* 0 none, 1 strict, 2 filter */
	bool has_own_pid_namespace; /* a container's, not the host's */
	bool has_own_user_namespace; /* what root and capabilities in it may do, they may not do to the host */
	enum lockdown lockdown;
	enum cgroup_layout cgroups;
	bool has_kernel_addresses;  /* /proc/kallsyms shows addresses to this process */
	uint64_t memlock_bytes;	    /* RLIMIT_MEMLOCK; UINT64_MAX: unlimited */
	char cache_directory[256];
	int cache_error; /* 0: writable, otherwise -errno */
};

#define TRIAL_SKIPPED INT32_MIN

/* Results of real system calls: 0, -errno, or TRIAL_SKIPPED. */
struct doctor_trials {
	int open_event;	  /* a CPU clock on CPU 0 for all processes */
	int load_program; /* a BPF program that does nothing */
	int attach;	  /* that program on that event */
};

enum finding_level { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct finding {
	enum finding_level level;
	const char *name;
	char text[256];
	char lost[256]; /* what is lost; empty when nothing */
	char fix[256];	/* the line that mends it; may be empty */
};

struct findings {
	ARRAY(struct finding) list;
};

/* Reads below `root` ("" for the host). What is not there stays unknown. */
void doctor_read_facts(const char *root, struct doctor_facts *ret);

void doctor_run_trials(struct doctor_trials *ret);

/* Returns 0 or -ENOMEM. */
int doctor_judge(const struct doctor_facts *facts, const struct doctor_trials *trials,
		 struct findings *ret);

/* Exit status for the findings: 0 when profiling is possible, else STATUS_UNSUPPORTED. */
int doctor_status(const struct findings *findings);

void doctor_write_text(const struct findings *findings, bool colour, struct text *out);
void doctor_write_json(const struct doctor_facts *facts, const struct findings *findings,
		       struct text *out);
