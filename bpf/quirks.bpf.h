/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where kernels differ, each with its commit and one getter. Everything is decided by CO-RE from what
 * the running kernel's BTF has, never from a version number.
 */
#pragma once

#include "kernel_types.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define PF_KTHREAD 0x00200000
#define VM_EXEC 0x4
#define PAGE_SHIFT_MIN 12

/* Size of a kernel stack: 16 KiB on x86-64 and on arm64 with 4 KiB pages; KASAN and 64 KiB pages make
 * it larger. Only kernels before bpf_task_pt_regs() need it; the daemon corrects it there. */
const volatile u32 thread_size = 16384;

/* log2 of the page size, which scales vm_pgoff; set by the daemon. */
const volatile u32 page_shift = PAGE_SHIFT_MIN;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* The kernel's own struct pt_regs is larger than the user ABI's on arm64; only its size matters. */
struct pt_regs___kernel {
	u64 any;
};

/* mtime: struct timespec64 i_mtime until 12cd44023651 ("fs: rename inode i_atime and i_mtime
 * fields", 6.7) made it __i_mtime and 3aa63a569c64 ("fs: switch timespec64 fields in inode to
 * discrete integers", 6.11) split it. */
struct timespec64___any {
	s64 tv_sec;
	long tv_nsec;
};
struct inode___with_timespec {
	struct timespec64___any i_mtime;
};
struct inode___with_private_timespec {
	struct timespec64___any __i_mtime;
};
struct inode___with_integers {
	s64 i_mtime_sec;
	u32 i_mtime_nsec;
};

/* Mappings: a red-black tree until 763ecb035029 ("mm: remove the vma linked list", 6.1 series) put a
 * maple tree in its place. */
struct rb_node {
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};
struct rb_root {
	struct rb_node *rb_node;
};
struct vm_area_struct___in_rb_tree {
	struct rb_node vm_rb;
};
struct mm_struct___with_rb_tree {
	struct rb_root mm_rb;
};
struct maple_tree {
	void *ma_root;
};
struct mm_struct___with_maple_tree {
	struct maple_tree mm_mt;
};

/* mm_lock_seq changes whenever the mappings may have changed: 5e31275cc997 ("mm: add per-VMA lock and
 * helper functions to control it", 6.4); a seqcount since 45ad9f5290dc ("mm: introduce mmap_lock
 * speculation", 6.14 series). */
struct mm_struct___with_lock_sequence {
	int mm_lock_seq;
};
struct seqcount___any {
	u32 sequence;
};
struct mm_struct___with_lock_seqcount {
	struct seqcount___any mm_lock_seq;
};

/* Was a mapping taken out of the tree, and is about to be freed? A flag since 457f67be5910 ("mm: introduce
 * vma detached flag", 6.4), a count of references that is 0 then since 3104138517fc ("mm: make vma cache
 * SLAB_TYPESAFE_BY_RCU", 6.15), with the commits before it. */
struct vm_area_struct___with_flag {
	bool detached;
};
struct vm_area_struct___with_references {
	struct {
		int any;
	} vm_refcnt; /* refcount_t */
};

/* Pages of a process by kind: an array of numbers, counters by CPU since f1a7941243c1 ("mm: convert mm's rss
 * stats into percpu_counter", 6.2), whose count lacks what each CPU has not added yet. */
#define MM_FILE_PAGES 0
#define MM_ANONYMOUS_PAGES 1
#define MM_SWAPPED_PAGES 2
#define MM_SHARED_PAGES 3
struct percpu_counter {
	s64 count;
};
struct mm_struct___with_percpu_rss {
	struct percpu_counter rss_stat[4];
};
struct mm_rss_stat {
	struct {
		s64 counter;
	} count[4];
};
struct mm_struct___with_atomic_rss {
	struct mm_rss_stat rss_stat;
};

/* vDSO address: mm->context.vdso on both architectures. */
struct mm_context___any {
	void *vdso;
};
struct mm_struct___with_context {
	struct mm_context___any context;
};

#pragma clang attribute pop

enum bpf_func_id___any {
	BPF_FUNC_get_current_task_btf___any = 158,
	BPF_FUNC_task_pt_regs___any = 175,
};

/*
 * Does the verifier know the type of the current task? Then what it points to is read by plain loads,
 * which overlap where they miss the cache, instead of a helper call each.
 * bpf_get_current_task_btf: 3ca1032ab7ab ("bpf: Add bpf_get_current_task_btf() helper", 5.11).
 */
static __always_inline bool has_typed_task(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id___any,
					  BPF_FUNC_get_current_task_btf___any);
}

static __always_inline struct task_struct *current_task(void)
{
	if (has_typed_task())
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* A field of what current_task() gave, or of an object that was reached from it by this macro. */
#define READ_TYPED(object, field) \
	(has_typed_task() ? (object)->field : BPF_CORE_READ((object), field))

static __always_inline u64 mm_vdso(struct mm_struct *mm)
{
	struct mm_struct___with_context *with_context = (void *)mm;

	if (!bpf_core_field_exists(with_context->context.vdso))
		return 0;
	return (u64)BPF_CORE_READ(with_context, context.vdso);
}

/* Pages of one kind, about. */
static __always_inline u64 mm_pages(struct mm_struct *mm, u32 kind)
{
	struct mm_struct___with_percpu_rss *with_percpu = (void *)mm;
	u64 at = 0;
	s64 pages = 0;

	/* The offset of what this kernel has not is no valid instruction: it must stay in its branch, which
	 * the compiler, left alone, makes a choice between two numbers. */
	if (bpf_core_type_exists(struct mm_rss_stat)) {
		at = bpf_core_field_offset(struct mm_struct___with_atomic_rss, rss_stat.count) + kind * 8;
		asm volatile("" : "+r"(at));
	} else if (bpf_core_field_exists(with_percpu->rss_stat)) {
		at = bpf_core_field_offset(struct mm_struct___with_percpu_rss, rss_stat) +
		     kind * bpf_core_type_size(struct percpu_counter) +
		     bpf_core_field_offset(struct percpu_counter, count);
		asm volatile("" : "+r"(at));
	}
	if (at)
		bpf_probe_read_kernel(&pages, 8, (char *)mm + at);
	return pages > 0 ? pages : 0;
}

/* A number that differs from the last reading if the mappings may have changed; 0 when the kernel has
 * none and nothing may be remembered. `mm` is the one current_task() points to. */
static __always_inline u64 mm_sequence(struct mm_struct *mm)
{
	struct mm_struct___with_lock_seqcount *with_seqcount = (void *)mm;
	struct mm_struct___with_lock_sequence *with_sequence = (void *)mm;
	u32 sequence;

	if (bpf_core_field_exists(with_seqcount->mm_lock_seq.sequence))
		sequence = READ_TYPED(with_seqcount, mm_lock_seq.sequence);
	else if (bpf_core_field_exists(with_sequence->mm_lock_seq))
		sequence = READ_TYPED(with_sequence, mm_lock_seq);
	else
		return 0;
	return sequence | 1ULL << 32;
}

/* Where the current task's user registers were saved when it entered the kernel. */
static __always_inline void *task_user_registers(struct task_struct *task)
{
	/* bpf_task_pt_regs: dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper", 5.15) */
	if (bpf_core_enum_value_exists(enum bpf_func_id___any, BPF_FUNC_task_pt_regs___any))
		return (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
	return (char *)BPF_CORE_READ(task, stack) + thread_size -
	       bpf_core_type_size(struct pt_regs___kernel);
}
