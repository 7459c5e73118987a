/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * With --children the set of selected processes follows forks and ends: a child of a selected process is selected before
 * it has run, and a number leaves the set when its process is gone.
 */
#pragma once

#include "maps.bpf.h"

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = BPF_CORE_READ((struct task_struct *)ctx->args[0], tgid);
	u32 child = BPF_CORE_READ((struct task_struct *)ctx->args[1], tgid);
	u32 *selected = bpf_map_lookup_elem(&selected_pids, &parent);

	if (!selected && pid_namespace_inode) {
		struct bpf_pidns_info inner = {};
		if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &inner,
						sizeof(inner)) == 0) { /* the parent is the current task */
			u32 inner_pid = inner.tgid | SELECTED_INNER_PID;
			selected = bpf_map_lookup_elem(&selected_pids, &inner_pid);
		}
	}
	if (selected && child != parent) {
		u32 value = *selected;
		bpf_map_update_elem(&selected_pids, &child, &value, BPF_ANY);
		/* The child has not run yet. */
		struct tick_forks *forks = tick_forks();
		if (forks)
			__sync_fetch_and_add(&forks->generation, 1);
	}
	return 0;
}

/* Not at exit: giving its memory back is work of the process too. The number is free a moment before this, and given out
 * again only when all others have had their turn. */
SEC("raw_tp/sched_process_free")
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	u32 pid = BPF_CORE_READ(task, tgid);

	if ((u32)BPF_CORE_READ(task, pid) == pid)
		bpf_map_delete_elem(&selected_pids, &pid);
	return 0;
}
