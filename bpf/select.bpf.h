/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is the current task profiled? Decided before anything is unwound. Patterns are not matched here: the
 * daemon matches an executable or a thread name once and leaves its verdict in a map; until it has, the
 * sample is taken and marked undecided.
 */
#pragma once

#include "maps.bpf.h"

#define MAX_CGROUP_DEPTH 32

enum selected { SELECTED_NO, SELECTED_YES, SELECTED_UNDECIDED };

static __always_inline enum selected verdict_of(const u32 *verdict)
{
	if (!verdict)
		return SELECTED_UNDECIDED;
	return *verdict == VERDICT_YES ? SELECTED_YES : SELECTED_NO;
}

/* Is the cgroup of the current task in one hierarchy, or a parent of it, the wanted one? */
__noinline int in_cgroup(u32 which)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cgroup_subsys_state *css;

	if (which >= MAX_SELECTED_CGROUPS)
		return 0;
	u32 subsystem = selected_cgroups[which].subsystem;
	u64 wanted = selected_cgroups[which].id;
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup *cgroup;
	if (subsystem == CGROUP_DEFAULT_HIERARCHY) {
		cgroup = BPF_CORE_READ(set, dfl_cgrp);
	} else {
		u64 at = bpf_core_field_offset(set->subsys) + (subsystem & 15) * 8;
		if (bpf_probe_read_kernel(&css, 8, (char *)set + at))
			return 0;
		cgroup = BPF_CORE_READ((struct cgroup_subsys_state___with_cgroup *)css, cgroup);
	}
	for (u32 depth = 0; depth < MAX_CGROUP_DEPTH && cgroup; depth++) {
		if (BPF_CORE_READ(cgroup, kn, id) == wanted)
			return 1;
		css = BPF_CORE_READ(cgroup, self.parent);
		if (!css)
			return 0;
		cgroup = BPF_CORE_READ((struct cgroup_subsys_state___with_cgroup *)css, cgroup);
	}
	return 0;
}

/* The current task as the daemon's pid namespace numbers it, and its process's number on the host. */
struct task_numbers {
	u32 pid, tid;
	u32 host_pid;
	u32 inner_pid; /* pid with SELECTED_INNER_PID; 0: the daemon's namespace is the host's */
};

static __always_inline bool is_pid_selected(struct task_numbers numbers)
{
	if (bpf_map_lookup_elem(&selected_pids, &numbers.host_pid))
		return true;
	return numbers.inner_pid && bpf_map_lookup_elem(&selected_pids, &numbers.inner_pid);
}

static __always_inline bool is_mode_selected(const struct tick_settings *settings, bool user_mode)
{
	return user_mode ? !settings->kernel_only : !settings->user_only;
}

/* Changes with every process that is selected. */
static __always_inline u64 current_generation(const struct tick_settings *settings, bool with_children)
{
	const struct tick_forks *forks = with_children ? tick_forks() : 0;

	return *(const volatile u64 *)&settings->generation +
	       (forks ? *(const volatile u64 *)&forks->generation : 0) + 1;
}

/* Was the process of this number looked for at this generation, and not found? */
static __always_inline bool is_known_refused(const struct cpu_clock *clock, u64 generation, u32 pid)
{
	return clock->refused_generation == generation &&
	       clock->refused_pids[pid & (REFUSED_PIDS - 1)] == pid;
}

/* The generation is that from before the process was looked for. */
static __always_inline void note_refused(struct cpu_clock *clock, u64 generation, u32 pid)
{
	if (clock->refused_generation != generation) {
		clock->refused_generation = generation;
		for (u32 i = 0; i < REFUSED_PIDS; i++)
			clock->refused_pids[i] = 0;
	}
	clock->refused_pids[pid & (REFUSED_PIDS - 1)] = pid;
}

/* Is the process asked for by its number? What a tick pays that is not: the search is remembered. */
static __always_inline bool select_number(struct cpu_clock *clock, const struct tick_settings *settings,
					  struct task_numbers numbers)
{
	u64 generation = current_generation(settings, select_children);

	if (!select_by_pid || is_pid_selected(numbers))
		return true;
	note_refused(clock, generation, numbers.host_pid);
	return false;
}

/* Is the process in one of the selected cgroups? `count`: how many there are. */
__noinline int in_selected_cgroup(u32 count)
{
	for (u32 i = 0; i < MAX_SELECTED_CGROUPS; i++)
		if (i < count && in_cgroup(i))
			return 1;
	return 0;
}

/* Is the process asked for by its cgroup? */
static __always_inline bool select_cgroup(void)
{
	u32 count = selected_cgroup_count;

	return !count || in_selected_cgroup(count);
}

/* Is the process asked for by its number and its cgroup? Needs no more than the numbers. */
static __always_inline bool select_process(struct task_numbers numbers)
{
	return (!select_by_pid || is_pid_selected(numbers)) && select_cgroup();
}

static __always_inline bool is_kernel_task(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, flags) & PF_KTHREAD;
}

/* The verdict on the described task by its names. */
__noinline int select_names(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	enum selected selected = SELECTED_YES, next;

	if (!s)
		return SELECTED_NO;
	if (select_by_comm) {
		next = verdict_of(bpf_map_lookup_elem(&comm_verdicts, s->sample.comm));
		if (next == SELECTED_NO)
			return SELECTED_NO;
		selected = next;
	}
	if (select_by_executable) {
		struct executable_key key = {.inode = s->sample.executable_inode,
					     .device = s->sample.executable_device};
		next = SELECTED_UNDECIDED;
		/* No file: the kernel's own tasks have one verdict, those at their end each their own. */
		if (key.inode || is_kernel_task())
			next = verdict_of(bpf_map_lookup_elem(&executable_verdicts, &key));
		if (next == SELECTED_NO)
			return SELECTED_NO;
		if (next == SELECTED_UNDECIDED)
			selected = SELECTED_UNDECIDED;
	}
	return selected;
}

/* Is the described task asked for by its names? */
static __always_inline enum selected select_task(u32 walk)
{
	if (!select_by_comm && !select_by_executable)
		return SELECTED_YES;
	return select_names(walk);
}
