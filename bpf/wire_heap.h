/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the probes on allocators and the daemon share: the attach cookie of a probe, keys and values of the maps in
 * heap_*.bpf.h, and the arithmetic of weights and lifetimes, which both sides must do alike.
 */
#pragma once

#include "wire_types.h"

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
