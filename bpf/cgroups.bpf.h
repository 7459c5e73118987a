/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* New cgroups are announced with their paths: a container's may be gone before its samples are read. */
#pragma once

#include "maps.bpf.h"

SEC("raw_tp/cgroup_mkdir")
int on_new_cgroup(struct bpf_raw_tracepoint_args *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx->args[0];

	/* Ids of v1 hierarchies are others. A kernel without cgroups has neither type nor tracepoint. */
	if (!bpf_core_type_exists(struct cgroup_root) || BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
		return 0;
	struct record_new_cgroup *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return 0; /* it can still be found by its id while it lives */
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_NEW_CGROUP;
	record->header.size = sizeof(*record);
	record->header.time = bpf_ktime_get_ns();
	record->id = BPF_CORE_READ(cgroup, kn, id);
	if (bpf_probe_read_kernel_str(record->path, sizeof(record->path), (void *)ctx->args[1]) < 0)
		record->path[0] = '\0';
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
