/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The binaries that samples run through: one for each slot, with its file, what is known of it, and
 * where its unwind table lies in the arena.
 *
 * A binary becomes known because a process mapped it (side-band, /proc) or because the BPF side met it
 * first and sent a notice. Either way its file is opened while that is possible, the parser child makes
 * the table, and the entry in the BPF map is made ready.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "binary/allocator.h"
#include "binary/binary_store.h"
#include "binary/facts.h"
#include "bpf/wire.h"
#include "collect/arena.h"
#include "collect/programs.h"
#include "process/process.h"

struct binary {
	struct binary_key key;
	uint32_t slot;
	char *path;	 /* as some process saw it; "[vdso]"; NULL: unknown */
	uint32_t pid;	 /* a process that mapped it; 0: none */
	int file;	 /* descriptor, or -1 when it could not be opened */
	int error;	 /* why there is no table: negative errno, 0 = none */
	bool on_overlay; /* its key has the overlay's device, as a mapping told it */
	bool opening;	 /* its file is being opened */
	bool awaits_table; /* it was asked for, or its allocators */
	bool no_room;	 /* there was none in the arena for its table */
	bool interrupted; /* who made its table was killed: it is asked for again */
	unsigned int interruptions;
	bool is_leaving; /* forgotten on the BPF side; to be removed */
	uint32_t last_used; /* the age then */
	unsigned int failed_opens;
	bool has_facts;
	struct binary_facts facts; /* valid with has_facts */
	struct allocator_probe *probes; /* owned; of its allocators */
	uint32_t probe_count;
	uint32_t arena_unit;
	size_t arena_size; /* 0: no table */
	struct binaries *owner;
	void *names;	 /* the symbolizer's */
};

struct binaries_statistics {
	uint64_t known, ready, frame_pointers_only, failed, unopened, pending;
	uint64_t table_bytes, raw_rows, arena_full;
	uint64_t forgotten; /* because there were too many */
	uint64_t idle;	    /* given up because nothing used them for long */
};

struct binaries {
	struct programs *programs;
	const char *proc_path;
	struct binary_store *store;
	struct arena arena;
	ARRAY(struct binary *) list;
	struct hash by_slot;  /* slot -> struct binary * */
	struct hash by_inode; /* mix of device and inode -> struct binary *, the newest */
	struct hash by_content; /* mix of inode, size and time -> slot of the newest */
	struct hash aliases;  /* mix of device and inode -> slot of the binary that has another device */
	struct hash opening;  /* mix of device and inode, of mapped files that are being opened */
	uint32_t next_slot;
	uint32_t highest_noticed; /* slot that the BPF side gave out; 0: none yet */
	size_t pending; /* tables and allocators asked for and not answered */
	bool wants_allocators;
	size_t with_contexts; /* so far: their threads may have trace contexts (facts.context) */
	size_t limit;	/* how many at most */
	size_t leaving; /* of the list */
	uint64_t leaving_bytes; /* their tables */
	uint32_t age;
	size_t interrupted; /* of the list */
	uint64_t retry_not_before; /* CLOCK_MONOTONIC */
	struct binaries_statistics statistics;
};

/* Returns 0 or -errno. The programs and the store stay the caller's. `proc_path` is "/proc"; `limit` is
 * of binaries. */
int binaries_init(struct binaries *binaries, struct programs *programs, struct binary_store *store,
		  const char *proc_path, size_t limit, uint64_t arena_limit);

/* From now on, what is mapped is also looked through for allocators (binary->probes), and so is what was
 * mapped before. */
void binaries_want_allocators(struct binaries *binaries);

/* After the last work that the store's threads do for it. */
void binaries_deinit(struct binaries *binaries);

/* A process maps a file that may be new: opens it and asks for its table if so. */
void binaries_on_mapping(struct binaries *binaries, struct process *process,
			 const struct process_mapping *mapping);

/* The BPF side met a file that was not announced. */
void binaries_on_notice(struct binaries *binaries, const struct record_new_binary *notice);

/* Asks again, now and then, for tables whose parser child somebody killed, or the kernel when memory was
 * short. To be called from time to time. */
void binaries_retry_interrupted(struct binaries *binaries);

/* Has a CPU given out nine tenths of the slots that the BPF side has for it? None is given twice: then files that are
 * new to it would get none, and stacks end there. */
bool binaries_slots_run_out(const struct binaries *binaries);

/* The newest of a file, or NULL. On overlayfs the device may be that of the layers or of the overlay. */
struct binary *binaries_find_file(const struct binaries *binaries, uint32_t device, uint64_t inode);

/* The binary of a slot, or NULL. */
struct binary *binaries_find(const struct binaries *binaries, uint32_t slot);

/*
 * Making room, from time to time: when they are crowded the user begins an age, marks the slots that what
 * it keeps still refers to, and has binaries_make_room() dismiss the least recently used of the others.
 * Those leave with the next binaries_remove_leaving(), at least a drained ring and a finished profile
 * later, when `release` lets go of them (true) at its side.
 */
bool binaries_are_crowded(const struct binaries *binaries);
void binaries_next_age(struct binaries *binaries);
void binaries_mark_used(struct binaries *binaries, uint32_t slot);
int binaries_make_room(struct binaries *binaries);

/* Dismisses those that were not marked in this age and the `ages` before it. */
void binaries_dismiss_idle(struct binaries *binaries, uint32_t ages);
void binaries_remove_leaving(struct binaries *binaries, bool (*release)(void *userdata, struct binary *),
			     void *userdata);
