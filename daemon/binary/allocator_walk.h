/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk along a function's first instructions that knows where the values of the registers at its entry
 * are. Private to the finder.
 */
#pragma once

#include "binary/allocator.h"

#define WALK_NOTHING 0xff

/* Registers by DWARF's numbers. */
struct allocator_walk {
	uint16_t machine; /* EM_* */
	const unsigned char *code;
	size_t size, at;
	uint64_t address; /* of the code */
	uint8_t holds[PROBE_REGISTER_LIMIT]; /* the entry's register whose value it has, or WALK_NOTHING */
	bool return_moved; /* the return address is no longer where a return probe looks for it */
	bool behind_null_check; /* the user's */

	/* The instruction at `at`, after a look. */
	size_t length;
	bool emulated; /* by the kernel's uprobes */
	bool branches; /* may lead elsewhere than to the next one */
	uint8_t null_checked; /* it branches if this register of the entry was 0; WALK_NOTHING */

	uint8_t tested; /* the instruction before it compared this one with 0; WALK_NOTHING */
};

/* `code` is of `size` bytes and stays the caller's. */
void allocator_walk_init(struct allocator_walk *walk, uint16_t machine, const unsigned char *code,
			 size_t size, uint64_t address);

/* Looks at the next instruction. False at the end, and when it is not understood. */
bool allocator_walk_look(struct allocator_walk *walk);

/* Goes over the instruction looked at, straight on. */
void allocator_walk_step(struct allocator_walk *walk);
