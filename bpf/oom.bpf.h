/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's choice of a process to kill because memory has run out, of the host or of a cgroup: told at
 * once, so that the daemon keeps what it knows of the process. Costs nothing until it happens.
 */
#pragma once

#include "maps.bpf.h"

static __always_inline void describe_victim(struct record_oom_victim *record, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);

	record->pid = BPF_CORE_READ(task, tgid);
	record->process_start = BPF_CORE_READ(task, group_leader, start_time);
	if (bpf_core_type_exists(struct cgroup_root))
		record->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	bpf_probe_read_kernel_str(record->comm, sizeof(record->comm), BPF_CORE_READ(task, group_leader, comm));
	if (!mm)
		return; /* a thread that has given its memory back */
	record->file_pages = mm_pages(mm, MM_FILE_PAGES);
	record->anonymous_pages = mm_pages(mm, MM_ANONYMOUS_PAGES);
	record->swapped_pages = mm_pages(mm, MM_SWAPPED_PAGES);
	record->shared_pages = mm_pages(mm, MM_SHARED_PAGES);
}

/* Its argument is the task since 72ba14deb40a ("mm: update mark_victim tracepoints fields", 6.9), before
 * that the task's number. */
SEC("raw_tp/mark_victim")
int on_oom_victim(struct bpf_raw_tracepoint_args *ctx)
{
	u64 argument = ctx->args[0];

	count(bpf_get_smp_processor_id(), COUNTER_OOM_VICTIMS, 1);
	struct record_oom_victim *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(bpf_get_smp_processor_id(), COUNTER_NOTICES_LOST, 1);
		return 0;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_OOM_VICTIM;
	record->header.size = sizeof(*record);
	record->header.time = bpf_ktime_get_ns();
	if (argument >> 32)
		describe_victim(record, (struct task_struct *)argument);
	else if ((u32)bpf_get_current_pid_tgid() == (u32)argument)
		describe_victim(record, (struct task_struct *)bpf_get_current_task());
	else
		record->pid = argument;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 0;
}
