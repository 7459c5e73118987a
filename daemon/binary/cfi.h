/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call frame information: .eh_frame (Linux Standard Base, "Exception Frames") and .debug_frame
 * (DWARF 5, section 6.4). Reads a whole section in one pass and gives every range of code with its
 * rules to the collector. Only three columns matter for unwinding: CFA, frame pointer and return
 * address; the stack pointer is watched because a rule for it that is not "the CFA" makes the frame
 * impossible to describe.
 */
#pragma once

#include "binary/cursor.h"
#include "binary/elf_file.h"
#include "binary/unwind_rows.h"

#include <string.h>

/* Registers by DWARF number. */
struct cfi_registers {
	uint16_t stack, frame, return_address;
	uint64_t kept; /* a bit for each of them */
};

enum cfi_place_kind {
	CFI_UNCHANGED, /* no rule, or same value */
	CFI_UNDEFINED,
	CFI_AT_CFA,	/* saved at CFA + offset */
	CFI_CFA_PLUS,	/* is CFA + offset */
	CFI_REGISTER,	/* in register `offset` */
	CFI_AT_EXPRESSION,
	CFI_IS_EXPRESSION,
};

/* Where a register, or the CFA itself, is found. */
struct cfi_place {
	uint8_t kind; /* enum cfi_place_kind */
	uint32_t expression_size;
	union { /* by kind; small, because states are copied a lot */
		int64_t offset;
		const unsigned char *expression;
	};
};

/* One row of the table that CFI describes. */
struct cfi_state {
	uint32_t cfa_register;
	uint32_t cfa_expression_size;
	int64_t cfa_offset;
	const unsigned char *cfa_expression; /* NULL: CFA = cfa_register + cfa_offset */
	struct cfi_place stack, frame, return_address;
};

struct cfi_section {
	const unsigned char *bytes;
	size_t size;
	uint64_t address;      /* ELF virtual address of the bytes */
	bool debug_frame;      /* .debug_frame, otherwise .eh_frame */
	bool ends_with_zero;   /* the size is not known: a zero length ends it */
	bool is_32_bit;	       /* addresses have four bytes */
};

struct cfi_statistics {
	uint64_t functions;
	uint64_t bad_functions; /* damaged or beyond what is understood: RULE_NONE */
	uint64_t bad_entries;	/* neither CIE nor FDE could be made of it */
};

/* False for a machine that is not supported. */
bool cfi_registers_of(uint16_t machine, struct cfi_registers *ret);

/* The rule that stands for a row; RULE_NONE when none can. */
struct unwind_rule cfi_rule(const struct cfi_state *state, uint16_t machine);

/* Returns 0, -ENOMEM or -E2BIG; damage is skipped and counted. */
int cfi_read(const struct elf_file *elf, const struct cfi_section *section,
	     struct unwind_rows *rows, struct cfi_statistics *statistics);

/* ---- Between the parts of the reader ---------------------------------------------------------- */

/*
 * Rules that differ in the CFA's offset alone, and their indices in the rows' list by that offset. Nine
 * rows of ten only move the CFA.
 */
#define CFI_SET_PLACES 128

struct cfi_rule_set {
	uint64_t form; /* what they have in common */
	uint16_t index[CFI_SET_PLACES]; /* by offset / 8; 0: not seen yet */
};

/* Of one section. A file uses a handful; what has no room is looked up as any rule is. */
struct cfi_rule_sets {
	unsigned count;
	struct cfi_rule_set items[32];
};

static inline bool cfi_has_place(uint64_t cfa_offset)
{
	return !(cfa_offset & ~(uint64_t)(8 * CFI_SET_PLACES - 8));
}

/* The last rule made, and how far it is from what the state says by now. */
struct cfi_made_rule {
	uint64_t bits;
	int64_t cfa_offset; /* that it was made for */
	bool outdated;	    /* more has changed than the CFA's offset */
	struct cfi_rule_set *set; /* that the state's rule is of by now, NULL: not known */
};

/* A CIE and what its instructions make of the first row. */
struct cfi_cie {
	uint64_t offset; /* in the section; identifies it */
	bool valid;
	bool signal; /* augmentation 'S' */
	bool augmented; /* 'z': FDEs have an augmentation length */
	uint8_t encoding; /* of addresses in FDEs: DW_EH_PE_* */
	uint64_t code_factor;
	int64_t data_factor;
	struct cfi_state initial;
	struct cfi_made_rule initial_made; /* for `initial` */
};

struct cfi_program {
	const struct cfi_section *section;
	const struct cfi_registers *registers;
	const struct cfi_cie *cie;
	uint16_t machine;
	struct cursor code;
	uint64_t address; /* of the row being made */
	struct cfi_rule_sets *rule_sets;
	struct unwind_rows *rows; /* NULL while a CIE's own instructions run */
};

/* Runs the instructions from `state` on, which is the CIE's initial one. Returns 0, -EBADMSG (damaged), -ENOTSUP (unknown
 * instruction), -ENOMEM or -E2BIG. */
int cfi_run(struct cfi_program *program, struct cfi_state *state);

/* Entries are padded with up to seven of them. Whatever is in front of the instructions has eight bytes too. */
static inline bool cfi_only_nops(const unsigned char *at, const unsigned char *end)
{
	size_t left = end - at;
	uint64_t last;
	if (!left || left > sizeof(last))
		return !left;
	memcpy(&last, end - sizeof(last), sizeof(last));
	return !(last >> 8 * (sizeof(last) - left));
}

/* The rule for a state. */
void cfi_make_rule(const struct cfi_state *state, uint16_t machine, struct cfi_rule_sets *sets,
		   struct cfi_made_rule *ret);

/* An address in encoding DW_EH_PE_*; `value` bits only when `encoding` says relative to nothing. */
uint64_t cfi_encoded(struct cursor *c, uint8_t encoding, const struct cfi_section *section);
