/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stack as text: the registers, what the walk reads of the user's memory, the mappings, the unwind
 * rules of the pages of code that it runs through, and the frames it must give. A case needs nothing of
 * the machine it was recorded on.
 *
 *	machine x86_64
 *	registers WORD …
 *	file NUMBER NAME
 *	mapping START END OFFSET x|- NUMBER|-
 *	rule NUMBER OFFSET KIND FLAGS FP-OFFSET CFA-OFFSET	sorted; holds to the next one of its page
 *	memory ADDRESS BYTES
 *	frame WORD
 *	end NUMBER
 * Numbers are hexadecimal without 0x, the rules' last two fields and `end` are decimal.
 */
#pragma once

#include "base/text.h"
#include "world.h"

struct case_memory {
	uint64_t address;
	size_t size;
	unsigned char *bytes;
};

struct stack_case {
	struct world world;
	u64 registers[REPLAY_REGISTERS];
	ARRAY(struct case_memory) memory;
	struct replay_stack expected;
};

/* Reads a file. Returns 0, -ENOTSUP for another machine's, or -errno. stack_case_free() in every case. */
int stack_case_read(struct stack_case *stack_case, const char *path);
void stack_case_free(struct stack_case *stack_case);

/* For replay_world.read_user, with the case as userdata. */
int stack_case_read_user(void *userdata, void *to, u64 size, u64 address);

/* Remembers bytes that the walk read. */
int stack_case_add_memory(struct stack_case *stack_case, uint64_t address, const void *bytes,
			  size_t size);

/* Writes memory, registers and expected frames of a case, and what they use of `world`. */
void stack_case_write(const struct stack_case *stack_case, const struct world *world,
		      struct text *ret);
