/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel types the programs touch, and no more: each field is relocated by CO-RE against the BTF of
 * the running kernel, so that one object loads on every kernel and builds on any host. Flavours
 * (name___suffix) describe a kernel version that differs; quirks.bpf.h says which and chooses.
 */
#pragma once

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef u8 __u8;
typedef s8 __s8;
typedef u16 __u16;
typedef s16 __s16;
typedef u32 __u32;
typedef s32 __s32;
typedef u64 __u64;
typedef s64 __s64;
typedef u16 __be16;
typedef u32 __be32;
typedef u32 __wsum;
typedef _Bool bool;
#define true 1
#define false 0

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_F_MMAPABLE = 1 << 10,
};

/* User ABI of a perf_event program's context (linux/bpf_perf_event.h). */
#if defined(__TARGET_ARCH_x86)
struct user_registers { /* struct pt_regs of asm/ptrace.h; kernel and user layout agree */
	u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	u64 orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_registers { /* struct user_pt_regs; the kernel's struct pt_regs starts with it */
	u64 regs[31];
	u64 sp, pc, pstate;
};
#else
#error "unsupported architecture"
#endif

struct pt_regs; /* a uprobe's context, begins as struct user_registers */

struct bpf_perf_event_data {
	struct user_registers regs;
	u64 sample_period;
	u64 addr;
};

struct bpf_perf_event_value {
	u64 counter;
	u64 enabled;
	u64 running;
};

struct bpf_pidns_info {
	u32 pid;
	u32 tgid;
};

struct bpf_raw_tracepoint_args {
	u64 args[0];
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block {
	u32 s_dev;
};

struct inode {
	struct super_block *i_sb;
	unsigned long i_ino;
	s64 i_size;
};

struct file {
	struct inode *f_inode;
};

struct mm_struct;

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	struct mm_struct *vm_mm;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

struct mm_struct {
	struct file *exe_file;
};

struct kernfs_node {
	u64 id;
};

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state___with_cgroup {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

struct bpf_ringbuf {
	u64 mask;
	struct {
		int counter;
	} busy; /* beside its lock */
	unsigned long consumer_pos;
	unsigned long producer_pos;
};

struct bpf_ringbuf_map {
	struct bpf_ringbuf *rb;
};

/* The user's thread pointer, as of when it was set or the task was last switched away from. */
#if defined(__TARGET_ARCH_x86)
struct thread_struct {
	unsigned long fsbase;
};
#else
struct thread_struct {
	struct {
		unsigned long tp_value;
	} uw;
};
#endif

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	u64 start_time;
	u64 self_exec_id;
	void *stack;
	struct mm_struct *mm;
	struct task_struct *group_leader;
	struct signal_struct *signal;
	struct css_set *cgroups;
	char comm[16];
	struct thread_struct thread;
};

#pragma clang attribute pop
