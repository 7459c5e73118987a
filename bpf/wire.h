/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one header that the BPF programs and the daemon share. Here: frame words and the records on the ring buffer.
 * In parts of their own: what ticks share with the daemon (wire_ticks.h), what probes on allocators do (wire_heap.h),
 * unwind tables (wire_unwind.h). Everything is little-endian host order, 8-byte aligned, with named padding; sizes are
 * asserted at each end.
 *
 * Addresses. A frame in a file is (binary slot, file offset), from the moment it is sampled: the
 * process may be gone a millisecond later. A slot stands for one inode as the kernel saw it (device,
 * inode number, modification time, size) and is never given to another one while a daemon runs, so a
 * stack id (a hash over frame words) cannot change its meaning.
 */
#pragma once

#include "counters.h"
#include "wire_heap.h"
#include "wire_ticks.h"
#include "wire_types.h"
#include "wire_unwind.h"

#define WIRE_VERSION 1

#define COUNTER_ENUM(id, name, what) COUNTER_##id,
enum counter { BOLOMETER_COUNTERS(COUNTER_ENUM) COUNTER_MAX };
#undef COUNTER_ENUM

#define STACK_END_ENUM(id, text) STACK_END_##id,
enum stack_end { BOLOMETER_STACK_ENDS(STACK_END_ENUM) STACK_END_MAX };
#undef STACK_END_ENUM

/* ---- Limits ---------------------------------------------------------------------------------- */

#define MAX_USER_FRAMES 1024
#define MAX_KERNEL_FRAMES 127 /* kernel.perf_event_max_stack's default; bpf_get_stack stops there */
#define COMM_SIZE 16	      /* the kernel's TASK_COMM_LEN */

/* ---- Walks ----------------------------------------------------------------------------------- */
/*
 * Who walks up stacks at the same time on one CPU: each class has a scratch there. A walk's number is
 * class * possible CPUs + CPU, so that of a perf event (tick, page fault) is its CPU: the kernel runs one
 * of their programs at a time. A program on a uprobe can be interrupted by them, and preempted by the
 * next thread's, so it takes the first of its scratches that is free (begin_walk).
 */
#define PROBE_WALKS 4

enum walk_class {
	WALK_EVENT = 0,
	WALK_PROBE = 1, /* the first of PROBE_WALKS */
	WALK_CLASSES = WALK_PROBE + PROBE_WALKS
};

/* ---- Frame words ----------------------------------------------------------------------------- */
/*
 *	0sssssss ssssssss ssssssss oooooooo …	file frame: 23-bit slot, 40-bit file offset
 *	1000 …					address without a file (JIT code), 56-bit address
 *	1001 …					end of stack, low bits = enum stack_end
 *	1010 …					interpreter frame, low 8 bits = how many words follow
 *	1111 1111 1111 …			kernel address as it is
 * A caller's frame holds its return address minus one, so that it falls into the call; the leaf and
 * a frame interrupted by a signal hold the address itself.
 */
#define FRAME_SLOT_BITS 23
#define FRAME_OFFSET_BITS 40
#define FRAME_OFFSET_MASK ((1ULL << FRAME_OFFSET_BITS) - 1)
#define FRAME_PAYLOAD_MASK ((1ULL << 56) - 1)

enum frame_kind {
	FRAME_FILE = 0x0,
	FRAME_ADDRESS = 0x8,
	FRAME_END = 0x9,
	FRAME_INTERPRETER = 0xa,
	FRAME_KERNEL = 0xf,
};

#define FRAME_WORD_FILE(slot, offset) (((u64)(slot) << FRAME_OFFSET_BITS) | (offset))
#define FRAME_WORD_ADDRESS(address) (((u64)FRAME_ADDRESS << 60) | ((address)&FRAME_PAYLOAD_MASK))
#define FRAME_WORD_END(end) (((u64)FRAME_END << 60) | (end))

/* x86-64: a page at the same address in every process. */
#define VSYSCALL_ADDRESS 0xffffffffff600000ULL
#define VSYSCALL_SIZE 4096

/* Slots below SLOT_FIRST_KERNEL_MADE are given out by the daemon, the others by the BPF side when it
 * meets an inode nobody announced. Slot 0 is never used. */
#define SLOT_VDSO 1
#define SLOT_FIRST_FREE 2
#define SLOT_FIRST_KERNEL_MADE (1U << (FRAME_SLOT_BITS - 1))
#define SLOT_LIMIT (1U << FRAME_SLOT_BITS)

/* ---- Records --------------------------------------------------------------------------------- */

enum record_kind {
	RECORD_SAMPLE = 1,
	RECORD_NEW_BINARY = 2,
	RECORD_NEW_CGROUP = 3,
	RECORD_FAST_FAULTS = 4,
	RECORD_OOM_VICTIM = 5,
};

enum event_kind {
	EVENT_CPU = 1, /* weight: ns of CPU time */
	EVENT_GROWTH = 2, /* weight: bytes of new memory that page faults brought */
	EVENT_COPIED = 3, /* weight: bytes of pages that became the process's own after a fork */
	EVENT_ALLOCATION = 4, /* a place that allocates: weight 0, see struct heap_site */
	/* off-CPU and probe events come here; readers skip kinds they do not know */
};

struct record_header {
	u16 version; /* WIRE_VERSION */
	u16 kind;    /* enum record_kind */
	u32 size;    /* of the whole record, header included */
	u64 time;    /* CLOCK_MONOTONIC ns */
};

enum sample_flag {
	SAMPLE_HAS_STACK = 1 << 0,   /* frames follow; otherwise the stack with this id was sent before */
	SAMPLE_HAS_TRACE = 1 << 1,   /* struct record_trace is the last part */
	SAMPLE_HAS_LABELS = 1 << 2,  /* struct record_labels follows */
	SAMPLE_UNDECIDED = 1 << 3,   /* the daemon decides whether this executable is selected */
	SAMPLE_KERNEL_TASK = 1 << 4, /* kernel thread: no user stack to expect */
	SAMPLE_USER_MODE = 1 << 5,   /* the tick interrupted user code */
	SAMPLE_HAS_ADDRESSES = 1 << 6, /* some frame is FRAME_ADDRESS: process-specific */
};

/*
 * One sample. Optional parts follow in this order: record_labels, then kernel_frames + user_frames frame
 * words, leaf first (kernel part first), then record_trace.
 */
struct record_sample {
	struct record_header header;
	u64 weight;	   /* what the sample stands for, in the unit of its event */
	u64 stack_id;	   /* seeded hash over the frame words, never 0 */
	u64 process_start; /* group leader's start time, CLOCK_MONOTONIC ns (task_struct.start_time) */
	u64 cgroup_id;	   /* of the default (v2) hierarchy; 0 when there is none */
	u64 executable_inode; /* of the process's executable (mm->exe_file), 0 for kernel tasks */
	u32 executable_device; /* kernel encoding of its superblock's device */
	u32 pid;	   /* process (thread group) */
	u32 tid;
	u32 cpu;
	u32 exec_id;	   /* counts the task's exec calls, inherited over fork */
	u16 event;	   /* enum event_kind */
	u16 flags;	   /* enum sample_flag */
	u16 kernel_frames; /* counted even when the frames do not follow */
	u16 user_frames;   /* includes the end frame */
	u16 end;	   /* enum stack_end */
	u16 padding;
	char comm[COMM_SIZE]; /* the thread's name */
};

/* In which span the thread was: as W3C Trace Context has them, in the order of their digits. */
struct record_trace {
	u8 trace_id[16]; /* not all 0 */
	u8 span_id[8];
};
#define TRACE_WORDS (sizeof(struct record_trace) / sizeof(u64))

/* Followed by `size` bytes (a multiple of 8) of key\0value\0 pairs. */
struct record_labels {
	u32 size;
	u32 count;
};

/* What identifies a file for the BPF side; see the top of this file. The vDSO is {0, 0, 0, 0}, that of 32-bit programs on
 * x86-64 has an inode of its own, on no device. */
#define VDSO_32_INODE 1
struct binary_key {
	u64 inode;
	u64 mtime_ns;
	u64 size;
	u32 device; /* kernel encoding: major << 20 | minor */
	u32 padding;
};

/* A binary without tables was met. The mapping tells the daemon where to open the file. */
struct record_new_binary {
	struct record_header header;
	struct binary_key key;
	u64 mapping_start;
	u64 mapping_end;
	u64 mapping_offset; /* bytes into the file */
	u32 slot;
	u32 pid;
};

/* A cgroup of the default hierarchy was made. Its path is told now: a container's may be gone with it
 * before its samples are read. */
#define CGROUP_PATH_SIZE 1024 /* TRACE_CGROUP_PATH_LEN of the kernel, which cuts there */
struct record_new_cgroup {
	struct record_header header;
	u64 id; /* as record_sample.cgroup_id */
	char path[CGROUP_PATH_SIZE]; /* from the hierarchy's root; NUL-terminated */
};

/* How the page faults of a CPU are looked at. */
struct growth_pace_setting {
	u32 period;	 /* faults between two runs */
	u32 small_limit; /* samples of small pages in a tenth of a second */
};

/* Page faults come so fast on a CPU that the period of its event should be longer. */
struct record_fast_faults {
	struct record_header header;
	u32 cpu;
	u32 padding;
};

/* The kernel kills a process because memory has run out. Where it tells only a number, that is the pid, of
 * the host's namespace, and the rest is 0. Pages are about right: the kernel counts by CPU. */
struct record_oom_victim {
	struct record_header header;
	u64 process_start; /* as record_sample.process_start */
	u64 cgroup_id;
	u64 file_pages, anonymous_pages, swapped_pages, shared_pages;
	u32 pid;
	u32 padding;
	char comm[COMM_SIZE]; /* of the process */
};

/* ---- Trace contexts -------------------------------------------------------------------------- */

/* Key of `context_places`: a program in a process, as its samples tell it. */
struct context_key {
	u64 process_start;
	u32 pid;
	u32 exec_id;
};

/*
 * Where a thread of it has the pointer to its context: `offset` bytes from the thread pointer; or, with a
 * `module`, from that module's block. The block's address is in the thread's vector (DTV), which lies at the
 * address that is at the thread pointer + `vector_at`: entry `module`, of `entry_size` bytes each. How many
 * entries it has is in its word at `count_at`.
 */
struct context_place {
	s64 offset;
	u32 module; /* 0: no vector is needed */
	u32 entry_size;
	s32 vector_at;
	s32 count_at;
};

#ifndef __bpf__
_Static_assert(sizeof(struct record_header) == 16, "record_header");
_Static_assert(sizeof(struct record_sample) == 104, "record_sample");
_Static_assert(sizeof(struct binary_key) == 32, "binary_key");
#endif
