/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with made-up registers and memory, in which a row of CFI as libdw decodes it and an unwind
 * rule are both carried out. They agree when they find the same caller: comparing results and not
 * notations needs no knowledge of how the builder writes a row down.
 */
#pragma once

#include "bpf/wire.h"

#include <elfutils/libdw.h>
#include <stdbool.h>

/* By DWARF number, of each machine that tables are made for. */
struct frame_registers {
	unsigned stack, frame, return_address;
};

struct frame_registers frame_registers_of(uint16_t elf_machine);

/* Bytes of a return address on the stack. */
int frame_word_size(uint16_t elf_machine);

struct frame_machine {
	uint16_t elf_machine; /* EM_X86_64, EM_AARCH64 or EM_386 */
	uint64_t pc;
	uint64_t registers[32]; /* by DWARF number */
};

enum caller_kind {
	CALLER_FOUND,
	CALLER_NONE,	/* outermost frame: return address undefined */
	CALLER_UNKNOWN, /* nothing can be said */
	CALLER_SIGNAL,	/* everything is in the kernel's signal frame */
};

struct caller {
	enum caller_kind kind;
	uint64_t cfa;
	uint64_t return_address;
	uint64_t frame_pointer;
	bool frame_pointer_known;
	bool stack_is_cfa; /* the caller's stack pointer is the CFA */
	bool depends_on_pc;
};

/* Different for every register and seed, and such that no sum of small numbers coincides. */
void frame_machine_init(struct frame_machine *m, uint16_t elf_machine, uint64_t pc);

/* CALLER_UNKNOWN when libdw does not know the row or the expression uses an operation that no CFI
 * uses. */
void caller_by_libdw(const struct frame_machine *m, Dwarf_Frame *frame, struct caller *ret);

void caller_by_rule(const struct frame_machine *m, struct unwind_rule rule, struct caller *ret);
