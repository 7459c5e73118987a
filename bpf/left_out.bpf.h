/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Processes of which no tick is taken, as a sampling strategy has it: a tick of theirs is counted, nothing is
 * unwound. The daemon decides (daemon/collect/left_out.h) and leaves its verdict here. As what a verdict was
 * made of may change without a trace in the kernel (a cgroup, the names of a pod), one tick becomes a sample
 * all the same each time LEFT_OUT_LOOK_NS have passed, and the daemon judges again.
 */
#pragma once

#include "maps.bpf.h"

/* Key: low bits of a process's number. Size: LEFT_OUT_SETS, where processes may be left out. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct left_out_set);
} left_out_processes SEC(".maps");

/* Key: CPU number. Size: possible CPUs, where processes may be left out. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct left_out_counts);
} left_out_counts SEC(".maps");

static __always_inline struct left_out_process *find_left_out(u32 pid)
{
	u32 at = pid & (LEFT_OUT_SETS - 1);
	struct left_out_set *set = bpf_map_lookup_elem(&left_out_processes, &at);

	if (!set)
		return 0;
	if ((u32)set->processes[0].pid_and_reason == pid)
		return &set->processes[0];
	return (u32)set->processes[1].pid_and_reason == pid ? &set->processes[1] : 0;
}

/* Is the tick, at a time of CLOCK_MONOTONIC, one of a process that is left out? Then it has been counted. `pid` as
 * in a sample; never 0. */
static __always_inline bool leave_out(u32 cpu, struct task_struct *task, u32 pid, u64 time, u64 weight)
{
	struct left_out_process *process = find_left_out(pid);

	if (!process)
		return false;
	struct task_struct *leader = READ_TYPED(task, group_leader);
	/* One load: the reason is that of this process. */
	u64 reason = *(volatile u64 *)&process->pid_and_reason >> 32;
	if (process->process_start != READ_TYPED(leader, start_time) ||
	    process->exec_id != READ_TYPED(task, self_exec_id))
		return false;
	if (time >= process->look_at) {
		process->look_at = time + LEFT_OUT_LOOK_NS;
		return false;
	}
	struct left_out_counts *counts = bpf_map_lookup_elem(&left_out_counts, &cpu);
	if (!counts || reason >= LEFT_OUT_REASONS)
		return false;
	counts->by_reason[reason].ticks++;
	counts->by_reason[reason].ns += weight;
	return true;
}
