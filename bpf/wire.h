/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one header that the BPF programs and the daemon share: records on the ring buffer, frame words,
 * unwind rules, map keys and values. Everything is little-endian host order, 8-byte aligned, with
 * named padding; sizes are asserted at the end.
 *
 * Addresses. A frame in a file is (binary slot, file offset), from the moment it is sampled: the
 * process may be gone a millisecond later. A slot stands for one inode as the kernel saw it (device,
 * inode number, modification time, size) and is never given to another one while a daemon runs, so a
 * stack id (a hash over frame words) cannot change its meaning.
 */
#pragma once

#ifdef __bpf__
#include "kernel_types.bpf.h"
#else
#include <stdint.h>
typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
#endif

#include "counters.h"

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

/* ---- Ticks ----------------------------------------------------------------------------------- */
/*
 * All that an unselected tick reads and writes lies in one map, on few machines in more than one page: between
 * two ticks the caches and the TLB lose what is here, and pages cost more than lines. The kernel puts the first
 * value of a map behind the map itself, at 8 bytes before a line of the cache or anywhere else; what is used
 * begins 8 bytes into an entry, and is never on one line with what another CPU writes.
 */
#define REFUSED_PIDS 16 /* power of two */

/* What a CPU keeps from tick to tick. */
struct cpu_clock {
	/* CLOCK_MONOTONIC is ahead of the clock that tells the times by this; see `compared_at`. */
	u64 monotonic_offset;
	/* When it ticked last, ns: before its first tick, when the daemon started its clock. */
	u64 previous_tick;
	/* When the clock that tells the times was compared with CLOCK_MONOTONIC. 0: never, it is that. */
	u64 compared_at;
	/* The counters of these names. */
	u64 ticks;
	u64 unselected, unselected_ns;
	u64 idle, idle_ns;
	/* Processes that were not selected at this generation; 0: none. Place: low bits of the pid. */
	u64 refused_generation;
	u32 refused_pids[REFUSED_PIDS];
};

/* Changed while running, by the daemon, which alone writes here. */
struct tick_settings {
	u64 padding;
	u64 period_ns;	/* between two ticks of a CPU */
	u64 generation; /* changed: so did the selected processes */
	u8 kernel_only;
	u8 user_only;
	u8 leaves_out; /* some processes may be in `left_out_processes` */
	u8 takes_all;  /* nothing is selected by: each tick of a task is taken, but for what is left out */
};

/* Processes that forks selected; the programs alone write here. */
struct tick_forks {
	u64 padding;
	u64 generation;
};

union tick_entry {
	struct cpu_clock clock;
	struct tick_settings settings;
	struct tick_forks forks;
	u64 words[24]; /* whole lines */
};

#define TICK_SETTINGS 0
#define TICK_FORKS 1
#define TICK_CPUS 2 /* that of CPU 0, and so on */

/* What a program calls in place of the kernel's bpf_cast_to_kern_ctx(): no helper has this number. */
#define CAST_TO_KERNEL_CONTEXT 0x7fb01000

/*
 * Switches that the daemon sets in the instructions of the tick's program before that is loaded, each a number
 * of its own plus 1 where it is on. A constant in memory would still be read at every tick, though the verifier
 * knows it, from a page that no tick needs otherwise.
 */
#define SWITCH_EVENT_CLOCK 0x7fb01010	  /* CAST_TO_KERNEL_CONTEXT can be called */
#define SWITCH_SELECT_BY_PID 0x7fb01020	  /* as the constant of this name */
#define SWITCH_SELECT_CHILDREN 0x7fb01030 /* the same */

/* A cgroup of the default hierarchy was made. Its path is told now: a container's may be gone with it
 * before its samples are read. */
#define CGROUP_PATH_SIZE 1024 /* TRACE_CGROUP_PATH_LEN of the kernel, which cuts there */
struct record_new_cgroup {
	struct record_header header;
	u64 id; /* as record_sample.cgroup_id */
	char path[CGROUP_PATH_SIZE]; /* from the hierarchy's root; NUL-terminated */
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

/* ---- Selection ------------------------------------------------------------------------------- */

/* In selected_pids a number of the daemon's own pid namespace has this bit, one of the host's has not. */
#define SELECTED_INNER_PID 0x80000000U
#define MAX_SELECTED_CGROUPS 8
#define CGROUP_DEFAULT_HIERARCHY 255

struct selected_cgroup {
	u64 id;	       /* kernfs id of the directory */
	u32 subsystem; /* index into css_set.subsys, or CGROUP_DEFAULT_HIERARCHY */
	u32 padding;
};

struct executable_key {
	u64 inode;
	u32 device;
	u32 padding;
};

enum verdict { VERDICT_NO = 1, VERDICT_YES = 2 };

/* ---- Processes left out ---------------------------------------------------------------------- */

#define LEFT_OUT_SETS 2048   /* power of two */
#define LEFT_OUT_REASONS 64  /* what is counted apart: the daemon says what each means */
#define LEFT_OUT_LOOK_NS 10000000000ULL

/* A process of which no tick is taken; the daemon writes all but `look_at`, which both do. */
struct left_out_process {
	u64 pid_and_reason; /* record_sample's pid, the reason << 32; 0: none */
	u64 process_start;  /* record_sample's, as exec_id */
	u64 exec_id;
	u64 look_at; /* the first tick from then on is taken, CLOCK_MONOTONIC ns */
};

/* Value of `left_out_processes`: of the processes whose numbers have the same low bits. One line of the cache. */
struct left_out_set {
	struct left_out_process processes[2];
};

/* Value of `left_out_counts`: what a CPU left out. Never begins anew. */
struct left_out_counts {
	struct {
		u64 ticks, ns;
	} by_reason[LEFT_OUT_REASONS];
};

/* ---- Heap ------------------------------------------------------------------------------------ */

/* What a probed function does with its arguments; as enum allocator_role in daemon/binary/allocator.h. */
enum allocation_role {
	ALLOCATION_MALLOC = 1,
	ALLOCATION_CALLOC,
	ALLOCATION_REALLOC,
	ALLOCATION_ALIGNED,
	ALLOCATION_POSIX_MEMALIGN,
	ALLOCATION_FREE,
};

/* The attach cookie of a heap probe: role in the low byte, then one byte each, which of the words of
 * struct user_registers holds an argument; flags; and the index of the process in `heap_processes`. */
#define HEAP_COOKIE_SIZE 8
#define HEAP_COOKIE_COUNT 16
#define HEAP_COOKIE_POINTER 24
#define HEAP_COOKIE_FLAGS 32
#define HEAP_COOKIE_PROCESS 40
#define HEAP_NO_REGISTER 0xff

/* Flags of a heap probe. */
#define HEAP_PROBE_NESTS 1 /* the function may call another probed one for the same request */

/* Bytes between two samples: 1 samples everything, more than the last one would overflow sums of squares. */
#define HEAP_EXACT_INTERVAL 1ULL
#define HEAP_MAX_INTERVAL (1ULL << 27)
/* What an allocator gives at the least: smaller requests are sampled as if they were of this size. */
#define HEAP_LEAST_SIZE 16ULL

/* Of 2^32 allocations of a size, how many are sampled at an interval: S / T of all, rounded up. */
static inline u64 heap_chance(u64 size, u64 interval)
{
	u64 weighed = size < HEAP_LEAST_SIZE ? HEAP_LEAST_SIZE : size;

	return weighed >= interval ? 1ULL << 32 : ((weighed << 32) + interval - 1) / interval;
}

/* How many objects a sampled one stands for, in units of 2^-16. */
#define HEAP_WEIGHT_ONE (1ULL << 16)
#define HEAP_WEIGHT(chance) ((1ULL << 48) / (chance))

static inline u64 heap_weight(u64 size, u64 interval)
{
	return interval == HEAP_EXACT_INTERVAL ? HEAP_WEIGHT_ONE : HEAP_WEIGHT(heap_chance(size, interval));
}

/* Key of `heap_sites` and `heap_window_sites`: a place in a program that allocates. */
struct heap_site_key {
	u64 stack_id;	   /* as record_sample's */
	u64 process_start; /* as record_sample's, with pid and exec_id */
	u32 pid;
	u32 exec_id;
};

/*
 * How long an object lived, in classes of powers of four: class i holds what lived less than 4^i ms (and, but for the
 * first, at least a quarter of that), the last one all that lived longer.
 */
#define HEAP_LIFETIMES 13
#define HEAP_LIFETIME_BOUND_NS(class) (1000000ULL << 2 * (class))

static inline u32 heap_lifetime_class(u64 lived_ns)
{
	u32 class = 0;

	while (class < HEAP_LIFETIMES - 1 && lived_ns >= HEAP_LIFETIME_BOUND_NS(class))
		class++;
	return class;
}

/* Samples, each with its weight. */
struct heap_sum {
	u64 objects; /* units of HEAP_WEIGHT_ONE */
	u64 bytes;
};

/* What was allocated since the probes were set, each sample with its weight. */
struct heap_site {
	u64 objects;	      /* units of HEAP_WEIGHT_ONE */
	u64 bytes;
	u64 object_variance; /* of `objects`, units of 1/256 */
	u64 byte_variance;   /* of `bytes`, units of 1024 */
	u64 samples;
	u64 watched; /* of them, taken in windows that look at frees too */
	struct heap_sum watched_sum; /* what these stand for */
	struct heap_sum freed[HEAP_LIFETIMES]; /* seen to be freed, by how long it lived */
	u32 is_sent; /* its stack */
	u32 padding;
};

/* Key of `heap_live`: an object alive that was sampled. */
struct heap_block_key {
	u64 address;
	u32 host_pid;
	u32 program; /* when the process started, and exec_id, mixed: which one of that number */
};

struct heap_block {
	struct heap_site_key site;
	u64 size;
	u64 interval; /* it stands for others by that one: heap_chance(size, interval) */
	u64 time;     /* when it was allocated, CLOCK_MONOTONIC ns */
	u64 window;   /* of its process in which it was allocated, with HEAP_OUTLIVED; 0: its probes stay */
};

/* In a block's `window`: it was not freed in that one. Set by the daemon, when the window's probes are gone. */
#define HEAP_OUTLIVED (1ULL << 63)

/* Value of `heap_pending`: a call on its way. */
struct heap_call {
	u64 sp;	  /* at the outermost call: calls it makes have lower ones */
	u64 ip;	  /* of its probe */
	u32 role; /* enum allocation_role */
	u32 tid;  /* as the daemon sees it */
	u64 size;
	u64 pointer;
	u64 interval; /* with which it was sampled; 0: it was not */
	u64 has_old; /* realloc: `old` was alive */
	struct heap_block old;
	u64 depth; /* calls inside it that have not returned */
	u64 window; /* of the process, in which it began: with the probes, those of its return went */
};

/* What the probes of a process do at the moment. */
enum heap_mode {
	HEAP_MODE_ALL = 0,	   /* sample, and follow what is sampled until it is freed */
	HEAP_MODE_RESTING = 1,	   /* nothing: they are about to come or to go */
	HEAP_MODE_ALLOCATIONS = 2, /* sample, follow nothing */
	HEAP_MODE_SURVIVORS = 3,   /* sample and follow */
	HEAP_MODE_FREES = 4,	   /* look what of that is freed */
	HEAP_MODE_TRIAL = 5,	   /* sample nothing: what does the probe cost? */
};

/* Addresses that probes tell of: so many at the most, each in its own slot, or in the next one. */
#define HEAP_CALL_POINTS 16U
#define HEAP_RETURN_POINTS 1024U

static inline u32 heap_point_slot(u64 address, u32 slots)
{
	return (u32)(address ^ address >> 4 ^ address >> 9) % (slots - 1);
}

/* Value of `heap_processes`: what the probes of a process saw, sampled or not. */
struct heap_process {
	u64 calls;	 /* of functions that allocate, with those made by others */
	u64 returns;	 /* of them, seen to return */
	u64 frees;	 /* calls of functions that free */
	u64 allocations; /* requests that succeeded */
	u64 bytes;	 /* those asked for */
	u64 walk_ns;	 /* time that the program spent on those that were sampled */
	u64 process_start; /* as in its places; 0: it has none yet */
	u64 called_at[HEAP_CALL_POINTS];     /* addresses of probes that were hit; 0: none */
	/* set by the daemon */
	u64 interval; /* bytes between two samples; 0: `heap_interval` */
	u64 most;     /* samples in the window, before fewer are taken; 0: it does not matter */
	u64 taken;    /* in the window */
	u64 window;   /* number of the one that is open; 0: none was yet */
	u64 mode;     /* enum heap_mode */
};

/* Context of the program that thins the objects alive: since which interval. */
struct heap_thinning {
	u64 interval;
};

/* ---- Unwind tables --------------------------------------------------------------------------- */
/*
 * The arena is one linear space of 16-byte units, cut into 64 KiB chunks (the values of segment
 * maps). A table never straddles a chunk unless it starts at one.
 *
 * A table covers file offsets in pages of 512 bytes: u32 index[page] = row_offset << 9 | wide << 8 |
 * row_count, where row_offset counts u16 from the start of the rows. Narrow row: page offset (9 bits)
 * << 7 | palette index (7 bits). Wide row: two u16, low half first, of page offset << 23 | palette
 * index (23 bits). Rows of a page are sorted; the rule before the first one is the row just before it
 * in the array, which the builder guarantees to exist, in the same format and the same chunk.
 */
#define ARENA_UNIT 16
#define ARENA_CHUNK_SIZE 65536
#define ARENA_CHUNK_UNITS (ARENA_CHUNK_SIZE / ARENA_UNIT)
#define ARENA_SEGMENT_CHUNKS 16
#define ARENA_SEGMENT_SIZE (ARENA_SEGMENT_CHUNKS * ARENA_CHUNK_SIZE)
#define ARENA_MAX_SEGMENTS 1024

#define UNWIND_PAGE_SHIFT 9
#define UNWIND_PAGE_SIZE (1 << UNWIND_PAGE_SHIFT)
#define UNWIND_PALETTE_NARROW 128	  /* palette entries a narrow row can name */
#define UNWIND_MAX_PAGE_ROWS 255
#define UNWIND_MAX_ROW_OFFSET (1U << 23)

#define UNWIND_INDEX(row_offset, wide, count) (((u32)(row_offset) << 9) | ((wide) << 8) | (count))

enum rule_kind {
	RULE_NONE = 0,	    /* no unwind information here */
	RULE_END = 1,	    /* return address undefined: entry of the thread */
	RULE_CFA_SP = 2,    /* CFA = SP + cfa_offset */
	RULE_CFA_FP = 3,    /* CFA = FP + cfa_offset */
	RULE_CFA_REGISTER = 4, /* CFA = register `number` + cfa_offset; leaf and signal frames only */
	RULE_CFA_DEREF_SP = 5, /* CFA = *(SP + low 16 bits of cfa_offset) + high 16 bits, both signed */
	RULE_CFA_DEREF_FP = 6, /* same from FP */
	RULE_PLT = 7,	    /* CFA = SP + word + ((pc & 15) >= number ? word : 0) */
	RULE_SIGNAL = 8,    /* the kernel's signal frame at SP holds all registers */
	RULE_FRAME_POINTER = 9, /* frame record at FP: {caller's FP, return address} */
	RULE_RETURN_REGISTER = 10, /* CFA = SP + cfa_offset, return address in register `number` */
	RULE_NEW_THREAD = 11, /* behind clone's system call: no caller where it returned 0, else as RULE_CFA_SP */
	RULE_KIND_MAX
};

enum rule_flag {
	RULE_FP_AT_CFA = 1 << 0, /* caller's FP is at CFA + fp_offset */
	RULE_FP_AT_FP = 1 << 1,	 /* caller's FP is at FP + fp_offset */
	RULE_RA_AT_CFA = 1 << 2, /* arm64: return address at CFA + ra offset, otherwise in LR */
	RULE_LOOK_AT_CODE = 1 << 2, /* RULE_FRAME_POINTER: unless the code is about to leave its frame */
	RULE_ANY_STACK = 1 << 3, /* RULE_FRAME_POINTER: the caller may run on another stack (Go) */
};

/* The upper half of `flags`: a DWARF register number or PLT threshold (`number`) or, on RULE_CFA_SP,
 * one of these: the CFA offset changes by 8 so many bytes after the row starts (a push or pop that
 * would need a row of its own). */
enum rule_merge {
	RULE_MERGE_NONE = 0,
	RULE_MERGE_PLUS_AFTER_1 = 1,
	RULE_MERGE_PLUS_AFTER_2 = 2,
	RULE_MERGE_MINUS_AFTER_1 = 3,
	RULE_MERGE_MINUS_AFTER_2 = 4,
};
#define RULE_NUMBER(flags) ((flags) >> 4)

/*
 * One palette entry. Offsets are bytes. x86-64: the return address is always at CFA - 8, in 32-bit programs at CFA - 4;
 * registers of these have the numbers they have on x86-64.
 * arm64: cfa_offset holds two signed 16-bit halves in units of 8 bytes: low = CFA offset, high =
 * return address relative to the CFA (with RULE_RA_AT_CFA).
 */
struct unwind_rule {
	u8 kind; /* enum rule_kind */
	u8 flags; /* enum rule_flag, upper half: see above */
	s16 fp_offset;
	s32 cfa_offset;
};

enum binary_state {
	BINARY_PENDING = 0,	  /* the daemon has been told, tables are being made */
	BINARY_READY = 1,
	BINARY_FRAME_POINTERS = 2, /* has no unwind information at all: follow frame pointers */
};

/* Value of the `binaries` map, keyed by struct binary_key. Units are ARENA_UNIT. */
struct binary_entry {
	u32 slot;
	u8 state;   /* enum binary_state */
	u8 noticed; /* the daemon has been told */
	u16 palette_count;
	u32 index;	/* unit where the page index starts */
	u32 rows;	/* unit where the rows start */
	u32 palette;	/* unit where the palette starts */
	u32 first_page; /* first file page covered: file offset / UNWIND_PAGE_SIZE */
	u32 page_count;
	u32 padding;
};

#ifndef __bpf__
_Static_assert(sizeof(struct record_header) == 16, "record_header");
_Static_assert(sizeof(struct record_sample) == 104, "record_sample");
_Static_assert(sizeof(struct binary_key) == 32, "binary_key");
_Static_assert(sizeof(struct unwind_rule) == 8, "unwind_rule");
_Static_assert(sizeof(struct binary_entry) == 32, "binary_entry");
_Static_assert(sizeof(struct left_out_set) == 64, "left_out_set");
#endif
