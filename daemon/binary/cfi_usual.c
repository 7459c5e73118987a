/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions that nearly all programs of call frame information consist of, with operands of one
 * byte: steps, moves of the CFA, registers saved, and ends where states are kept and taken back. What
 * makes it quick is that everything is in registers, and that a rule which differs from one seen before
 * in the CFA's offset alone is found by that offset.
 */
#include "binary/cfi_machine.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define LONGEST 3 /* bytes of an instruction here */

struct loop {
	struct cfi_machine *machine;
	struct unwind_writer rows;
	const uint16_t *places; /* of rules by the CFA's offset */
	uint32_t index; /* of the state's rule; 0: has to be made or looked up; rows.last_index: there is no news */
	int error; /* of an instruction or a row */
};

/* The state's rule may be another one. */
static inline void find_index(struct loop *l)
{
	static const uint16_t nothing[CFI_SET_PLACES];
	const struct cfi_machine *m = l->machine;
	uint64_t cfa_offset = m->now->cfa_offset;
	l->places = m->made.set ? m->made.set->index : nothing;
	l->index = cfi_has_place(cfa_offset) ? l->places[cfa_offset / 8] : 0;
}

/* A row by a rule that has to be made or looked up. */
static __attribute__((noinline)) void put_new_row(struct loop *l, uint64_t offset)
{
	struct cfi_machine *m = l->machine;
	struct unwind_rows *rows = m->program->rows;
	unwind_writer_close(&l->rows, rows);
	m->changed = true;
	l->error = cfi_emit_row(m, unwind_writer_address(rows, offset));
	l->rows = unwind_writer_open(rows);
	find_index(l);
	l->index = l->rows.last_index;
}

/* Gives the row away whose code starts at `offset`, if there is news. */
static inline __attribute__((always_inline)) void put_row(struct loop *l, uint64_t offset)
{
	if (l->index == l->rows.last_index)
		return;
	if (__builtin_expect(l->index && unwind_writer_add(&l->rows, offset, l->index), 1))
		return;
	struct loop in_memory = *l; /* so that the original stays in registers */
	put_new_row(&in_memory, offset);
	*l = in_memory;
}

/* An end, as many functions have one: states kept and taken back, the CFA by another register. Returns what
 * follows the instruction at `at`, or NULL when it is another one or its operands are longer than a byte. */
static __attribute__((noinline)) const unsigned char *run_short(struct cfi_machine *m,
								const unsigned char *at, int *r)
{
	switch (*at) {
	case DW_CFA_remember_state:
		*r = cfi_remember(m);
		return at + 1;
	case DW_CFA_restore_state:
		*r = cfi_restore(m);
		return at + 1;
	case DW_CFA_def_cfa:
		if ((at[1] | at[2]) >= 0x80)
			return NULL;
		cfi_set_cfa(m, at[1], at[2]);
		return at + 3;
	case DW_CFA_def_cfa_register:
		if (at[1] >= 0x80)
			return NULL;
		cfi_set_cfa(m, at[1], m->now->cfa_offset);
		return at + 2;
	default:
		return NULL;
	}
}

/* Where a register is that a rule asks for. The operand, if any, is one byte. */
static __attribute__((noinline)) void run_kept(struct cfi_machine *m, const unsigned char *at)
{
	if (*at >= DW_CFA_restore)
		cfi_restore_place(m, *at & 0x3f);
	else
		cfi_set_saved(m, *at & 0x3f, (int64_t)(at[1] * (uint64_t)m->program->cie->data_factor));
}

/* Is what the loop takes for granted true? It looks at an instruction's operands before it asks whether they
 * are still the entry's; its rows have ascending offsets, and the last one stays far below 2^64. */
static bool may_run(const struct cfi_program *p)
{
	const struct cfi_section *section = p->section;
	const struct unwind_rows *rows = p->rows;
	size_t behind = section->bytes + section->size - p->code.end;
	size_t count = rows->rows.count;
	uint64_t offset = unwind_writer_offset(rows, p->address);
	return behind >= LONGEST - 1 && p->address < UINT64_MAX / 2 &&
	       (count == rows->range.first_row || rows->rows.items[count - 1].offset < offset);
}

/* These return what follows the instruction at `at`, or NULL when it is for the other loop. */
static inline const unsigned char *run_cfa_offset(struct loop *l, const unsigned char *at)
{
	struct cfi_state *now = l->machine->now;
	unsigned low = at[1], high = at[2];
	if (now->cfa_expression || (low & high & 0x80))
		return NULL;
	if (__builtin_expect(!(low & 0x87), 1)) { /* one byte, and a multiple of 8 */
		now->cfa_offset = low;
		l->index = l->places[low / 8];
		return at + 2;
	}
	now->cfa_offset = low < 0x80 ? low : (low & 0x7f) | high << 7;
	l->index = cfi_has_place(now->cfa_offset) ? l->places[now->cfa_offset / 8] : 0;
	return at + (low < 0x80 ? 2 : 3);
}

static inline const unsigned char *run_register(struct loop *l, uint64_t kept, const unsigned char *at)
{
	unsigned operands = *at < DW_CFA_restore;
	if (operands && at[1] >= 0x80)
		return NULL;
	if (kept >> (*at & 0x3f) & 1) {
		run_kept(l->machine, at);
		find_index(l);
	}
	return at + 1 + operands;
}

static inline const unsigned char *run_other(struct loop *l, const unsigned char *at,
					     const unsigned char *end)
{
	int r = 0;
	if (*at == DW_CFA_nop)
		return cfi_only_nops(at, end) ? end : at + 1;
	at = run_short(l->machine, at, &r);
	l->error = r;
	if (at)
		find_index(l);
	return at;
}

/* A step of 0 is no step, and for the other loop too. */
static inline const unsigned char *run_step(const unsigned char *at, uint64_t *by)
{
	if ((uint8_t)(*at - DW_CFA_advance_loc - 1) < 0x3f) { /* most of them */
		*by = *at - DW_CFA_advance_loc;
		return at + 1;
	}
	if (*at != DW_CFA_advance_loc1 && *at != DW_CFA_advance_loc2)
		return NULL;
	bool one = *at == DW_CFA_advance_loc1;
	*by = one ? at[1] : at[1] | at[2] << 8;
	return *by ? at + (one ? 2 : 3) : NULL;
}

int cfi_run_usual(struct cfi_machine *m)
{
	struct cfi_program *p = m->program;
	const unsigned char *at = p->code.at, *end = p->code.end, *next;
	if (!may_run(p))
		return 0;
	struct loop l = {.machine = m, .rows = unwind_writer_open(p->rows)};
	uint64_t kept = p->registers->kept, factor = p->cie->code_factor;
	uint64_t offset = unwind_writer_offset(p->rows, p->address), by;
	find_index(&l);
	if (!m->changed)
		l.index = l.rows.last_index;
	for (; at < end; at = next) {
		if ((next = run_step(at, &by))) {
			put_row(&l, offset);
			offset += by * factor;
			at = next;
			/* What a step leads to is mostly a move of the CFA. */
			if (at < end && *at == DW_CFA_def_cfa_offset)
				next = run_cfa_offset(&l, at);
		} else if (*at >= DW_CFA_offset) {
			next = run_register(&l, kept, at);
		} else if (*at == DW_CFA_def_cfa_offset) {
			next = run_cfa_offset(&l, at);
		} else {
			next = run_other(&l, at, end);
		}
		if (!next || l.error)
			break;
	}
	if (l.error == 0 && at == end)
		put_row(&l, offset);
	unwind_writer_close(&l.rows, p->rows);
	m->changed = l.index != l.rows.last_index;
	p->code.at = at;
	p->address = unwind_writer_address(p->rows, offset);
	return at <= end ? l.error : -EBADMSG;
}
