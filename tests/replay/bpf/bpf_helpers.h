/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libbpf's header when bpf/ is compiled for the host. The helpers themselves are in
 * unwinder.c.
 */
#pragma once

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name
#define __array(name, value) __typeof__(value) *name[]
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))

struct task_struct;

/* As the kernel's: 0, or negative and the destination all zero. */
long bpf_probe_read_user(void *to, u32 size, const void *address);
long bpf_probe_read_kernel(void *to, u32 size, const void *address);

void *bpf_map_lookup_elem(void *map, const void *key);
long bpf_map_update_elem(void *map, const void *key, const void *value, u64 flags);
long bpf_ringbuf_output(void *ring, void *bytes, u64 size, u64 flags);
u64 bpf_get_current_task(void);
struct task_struct *bpf_get_current_task_btf(void);
long bpf_task_pt_regs(struct task_struct *task);
