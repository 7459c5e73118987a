/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All maps and settings, each with its key, its value and the reason for its size. Sizes written as 1
 * are set by the daemon before loading.
 *
 * Per-CPU state lies in plain arrays indexed by CPU, not in per-CPU maps: their lookup is inlined by
 * the JIT on every kernel, and a per-CPU map's is not before 6.10.
 */
#pragma once

#include "quirks.bpf.h"
#include "wire.h"

#define MAPPING_CACHE_SIZE 8   /* mappings one stack runs through; power of two */
#define KEPT_PROCESSES 4	       /* the latest on a CPU, of which mappings are kept; power of two */
#define RECENT_RULES 32	       /* of them, those that are fetched before a walk; power of two */
#define RULE_SETS 512	       /* of two recent (binary, offset) -> rule each; power of two */
#define STACK_WINDOW_SIZE 1024 /* bytes of user stack read at once */
#define STACK_WINDOW_BELOW 64  /* of them below the address asked for: saved registers lie there */
#define STACKS_SENT_SIZE 16384 /* recent stack ids, direct mapped; 128 KiB in all */
#define RECENT_STACKS 32       /* of them, those that a walk finds in its scratch; power of two */
#define MAX_SAMPLE_WORDS (MAX_KERNEL_FRAMES + MAX_USER_FRAMES + 1)
#define CACHE_LINE 64
#define NO_FRAME ~0U
#define KERNEL_BLOCK_WORDS 32 /* a node of the maple tree; power of two */

/* An executable mapping of the sampled process with what is known of its file. */
struct cached_mapping {
	u64 start;
	u64 length;
	u64 to_frame; /* in a file: frame word = address + to_frame */
	struct binary_entry binary;
	u32 in_file; /* false: code without a file (JIT) */
	u32 has_tables; /* and the file's offsets fit into a frame word */
};

/* What told of a cached mapping; see prove_mapping(). */
struct mapping_proof {
	u64 length; /* of the mapping, 0: no proof */
	u64 page_offset;
	struct vm_area_struct *area;
	struct file *file;
	struct inode *inode;
	struct super_block *super;
	struct binary_key key;
};

/* Which program a process runs, and how its mappings stood that are kept. */
struct known_process {
	struct mm_struct *executable_mm;
	u64 executable_start_time;
	u32 executable_exec_id;
	u32 executable_device;
	u64 executable_inode;
	u64 mappings_sequence;
	u64 mappings_start_time;
	struct mm_struct *mappings_mm;
	u32 mappings_pid;
	u32 mappings_epoch;
	u32 next_mapping;
	u32 last_mapping;
	u32 mapping_count; /* places behind these were not used yet */
	u32 mappings_exec_id;
};

/* One that was sampled before others were. */
struct kept_process {
	struct known_process known;
	struct cached_mapping mappings[MAPPING_CACHE_SIZE];
	struct mapping_proof proofs[MAPPING_CACHE_SIZE];
};

struct cached_rule {
	u64 frame; /* file frame word, 0 = empty */
	struct unwind_rule rule; /* merge applied */
};

/* Two rules whose frames share a place, the later one first. */
struct rule_set {
	struct cached_rule rules[2];
};

/* Everything one walk up a stack needs. */
struct scratch {
	u64 new_binaries; /* how many slots this walk has given out */
	u64 unlooked_bytes; /* sent since this walk last asked how full the ring is */

	/* the latest process */
	struct known_process known;

	u32 recent_count; /* of recent_rules */
	u32 kept_at;	  /* where the latest process has its place among those kept */
	u16 recent_rules[RECENT_RULES]; /* which of `rules` the last walk used */
	u64 recent_stacks[RECENT_STACKS]; /* as `stacks_sent` */
	struct cached_mapping mappings[MAPPING_CACHE_SIZE];

	/* registers of the frame being unwound */
	u64 pc, sp, fp, lr;
	u64 lookup_pc;	    /* pc, or pc - 1 for a return address */
	u64 general[16];    /* x86-64: by DWARF number, of a frame whose registers are all known */
	u32 general_depth;  /* of the frame of which they are, counted from 1; NO_FRAME: of none */
	u32 link_known;	    /* arm64: lr belongs to this frame */
	u32 in_chain;	    /* this frame was found through a frame record */
	u32 after_kernel_entry; /* 1: registers come from a kernel entry by exec */
	u32 is_compat;	    /* they are those of 32-bit code */
	u32 padding2;
	u32 depth;	    /* user frames pushed */
	u64 hash;	    /* over the frames pushed so far */
	struct unwind_rule rule;
	struct mm_struct *mm;
	u64 sequence; /* mm_sequence() of mm */

	/* what was last read of the user's stack */
	u64 window_base; /* user address of window[0]; ~0 = nothing read */
	u64 word;
	u64 window[STACK_WINDOW_SIZE / 8];

	/* the record as it is sent: frames follow the sample at once */
	struct record_sample sample;
	u64 frames[MAX_SAMPLE_WORDS + TRACE_WORDS]; /* and the trace context behind them */
	u64 frames_end; /* room for a masked index that is one past */
	u64 trace[TRACE_WORDS]; /* struct record_trace, with SAMPLE_HAS_TRACE */

	/* a kernel object read at once (see kernel_block.bpf.h), or the registers in a signal frame */
	u64 block[KERNEL_BLOCK_WORDS];
	/* the mapping found */
	u64 area_start, area_end, area_page_offset, area_flags;
	struct file *area_file;
	struct vm_area_struct *area;
	struct mapping_proof proofs[MAPPING_CACHE_SIZE];
	u64 fault_address;
	u64 fault_order;  /* log2 of the pages that came with it */
	u64 fault_weight; /* faults that its sample stands for */

	struct binary_key key;
	struct record_new_binary notice;

	u64 users __attribute__((aligned(CACHE_LINE))); /* see begin_walk() */
	struct rule_set rules[RULE_SETS];

	struct kept_process kept[KEPT_PROCESSES]; /* see switch_process() */
} __attribute__((aligned(4096)));

_Static_assert(__builtin_offsetof(struct scratch, rules) % CACHE_LINE == 8, "a set is on one line of the cache");

/* Of the front of a scratch, what every walk reads before it has written it. */
#define HOT_SCRATCH_SIZE __builtin_offsetof(struct scratch, mappings[4])

/* Key: number of the walk, see enum walk_class. Size: walk_count. Nine pages each, with the front in one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Key: TICK_... in wire_ticks.h. Size: TICK_CPUS + possible CPUs. The daemon sets a CPU's clock before its event is
 * enabled. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TICK_CPUS + 1);
	__type(key, u32);
	__type(value, union tick_entry);
} ticks SEC(".maps");

struct cpu_counters {
	u64 values[COUNTER_MAX];
};

/* Key: number of the walk, so each has one writer. Size: walk_count. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct cpu_counters);
} counters SEC(".maps");

/* Key: file identity. Size: how many binaries may be known at once (configuration). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct binary_key);
	__type(value, struct binary_entry);
} binaries SEC(".maps");

/* A segment of the arena; the daemon makes more of the same shape when it needs them. */
struct arena_segment {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ARENA_SEGMENT_CHUNKS);
	__uint(key_size, sizeof(u32));
	__uint(value_size, ARENA_CHUNK_SIZE);
};

/* Key: segment number. 8 bytes each until a segment is put there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ARENA_MAX_SEGMENTS);
	__type(key, u32);
	__array(values, struct arena_segment);
} arena SEC(".maps");

/* Key: low bits of a stack id. Value: id + epoch of a stack the daemon has. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STACKS_SENT_SIZE);
	__type(key, u32);
	__type(value, u64);
} stacks_sent SEC(".maps");

/* Samples and notices. Size: by CPUs and frequency (configuration). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* Key: process id. Selected processes; filled by the daemon and, with children, by fork. In a pid namespace
 * the daemon knows its own numbers only (SELECTED_INNER_PID), and a task that ends has the host's only. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} selected_pids SEC(".maps");

/* Key: the process's executable. Value: enum verdict, given by the daemon on first sight. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct executable_key);
	__type(value, u32);
} executable_verdicts SEC(".maps");

/* Key: a program whose threads have trace contexts. Value: where. Filled by the daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct context_key);
	__type(value, struct context_place);
} context_places SEC(".maps");

struct comm_key {
	char comm[COMM_SIZE];
};

/* Key: a thread's name. Value: enum verdict, given by the daemon on first sight. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct comm_key);
	__type(value, u32);
} comm_verdicts SEC(".maps");

/* Fixed before loading: the verifier removes what is not asked for. */
const volatile bool select_by_pid;
const volatile bool select_children;
/* A tick in kernel mode reads no user memory: daemon/collect/safe_mode.h. */
const volatile bool safe_kernel_ticks;
const volatile u32 cpu_count = 1;	/* possible CPUs */
const volatile u32 walk_count = 1;	/* cpu_count times the classes in use */
const volatile u64 stack_seed = 1;
const volatile u64 ring_wake_bytes = 65536;
const volatile u64 ring_look_bytes = 4096; /* a CPU sends so much before it asks how full the ring is */
/* This process's pid namespace, when it is not the initial one; 0 = do not translate. */
const volatile u64 pid_namespace_device;
const volatile u64 pid_namespace_inode;
/* arm64: bits of a code address; the rest of a return address may be a pointer authentication code. */
const volatile u64 code_address_mask = ~0ULL;

/*
 * Changed while running, as one value by the daemon, which alone writes here. The daemon asks for a map that
 * cannot be mapped: such a small one the kernel takes from its own linear mapping, whose large pages a tick has
 * in use anyway. Memory that can be mapped lies in small pages elsewhere, each missed by the TLB at every tick.
 * What unselected ticks need is in `ticks`.
 */
#define SETTING SEC(".data.settings")
volatile u32 max_user_frames SETTING = MAX_USER_FRAMES;
volatile bool select_by_executable SETTING;
volatile bool select_by_comm SETTING;
volatile u32 selected_cgroup_count SETTING;
volatile struct selected_cgroup selected_cgroups[MAX_SELECTED_CGROUPS] SETTING;
volatile u64 stack_epoch SETTING;	    /* changed: every stack is sent whole once more */
volatile u32 binaries_epoch SETTING;	    /* changed: entries of `binaries` did */
/* Bit `pid % 64`: a process in `context_places` has such a number. The others need not be looked for. */
volatile u64 context_pids SETTING;

static __always_inline void count(u32 walk, enum counter counter, u64 more)
{
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &walk);

	if (c)
		c->values[counter] += more;
}

static __always_inline const struct tick_settings *tick_settings(void)
{
	u32 key = TICK_SETTINGS;

	return bpf_map_lookup_elem(&ticks, &key);
}

static __always_inline struct tick_forks *tick_forks(void)
{
	u32 key = TICK_FORKS;

	return bpf_map_lookup_elem(&ticks, &key);
}

static __always_inline struct cpu_clock *clock_of(u32 cpu)
{
	u32 key = TICK_CPUS + cpu;

	return bpf_map_lookup_elem(&ticks, &key);
}

/* Is a switch of wire_ticks.h on? Only in the tick's program itself, not in its functions. */
#define IS_ON(number)                                                                             \
	({                                                                                        \
		u64 value;                                                                        \
		asm volatile("%0 = %1" : "=r"(value) : "i"(number));                              \
		value & 1;                                                                        \
	})

/* One step of the stack hash. */
static __always_inline u64 hash_frame(u64 hash, u64 frame)
{
	hash = (hash ^ frame) * 0x9fb21c651e98df25ULL;
	return hash ^ hash >> 29;
}

static __always_inline struct scratch *scratch_of(u32 walk)
{
	return bpf_map_lookup_elem(&scratches, &walk);
}

/*
 * The scratch of a walk for one caller alone, or null: in use. Perf events need not ask. Two that ask at the
 * same time may both be refused, never both be served; addition is the one atomic operation that every
 * kernel has on both architectures (compare-and-swap comes with 5.12, on arm64 with 5.18).
 */
static __always_inline struct scratch *begin_walk(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	__sync_fetch_and_add(&s->users, 1);
	if (*(volatile u64 *)&s->users == 1)
		return s;
	__sync_fetch_and_add(&s->users, -1);
	return 0;
}

static __always_inline void end_walk(struct scratch *s)
{
	__sync_fetch_and_add(&s->users, -1);
}
