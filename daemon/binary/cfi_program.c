/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of call frame information (DWARF 5, section 6.4.2 and 7.24, with the GNU and
 * AArch64 additions). Each one that advances the location closes the row made so far, which becomes
 * a rule. A row is translated only when a column we keep has changed: most rows save registers
 * nobody here asks for.
 */
#include "binary/cfi.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define MAX_REMEMBERED 16 /* compilers nest once; hand-written code a few times */

#ifndef DW_CFA_AARCH64_negate_ra_state
#define DW_CFA_AARCH64_negate_ra_state 0x2d
#endif
#define DW_CFA_AARCH64_negate_ra_state_with_pc 0x2c

/* The last rule made, and how far it is from what the state says by now. */
struct made_rule {
	uint64_t bits;
	int64_t cfa_offset; /* that it was made for */
	uint32_t lower;	    /* half of the bits: all but the CFA's offset */
	bool plain; /* RULE_CFA_SP with nothing in it that depends on the CFA's offset */
	bool outdated; /* more has changed than the CFA's offset */
};

struct remembered {
	struct cfi_state state;
	struct made_rule made;
};

struct machine_state {
	struct cfi_program *program;
	struct cfi_state *now;
	bool changed; /* anything, since the last row was given away */
	struct made_rule made;
	unsigned remembered;
	struct remembered stack[MAX_REMEMBERED];
};

static struct cfi_place *place_of(struct cfi_state *state, const struct cfi_registers *registers,
				  uint64_t number)
{
	if (number == registers->frame)
		return &state->frame;
	if (number == registers->return_address)
		return &state->return_address;
	if (number == registers->stack)
		return &state->stack;
	return NULL;
}

static void set_place(struct machine_state *m, uint64_t number, struct cfi_place place)
{
	struct cfi_place *kept = place_of(m->now, m->program->registers, number);
	if (!kept)
		return;
	*kept = place;
	m->changed = m->made.outdated = true;
}

static void restore_place(struct machine_state *m, uint64_t number)
{
	struct cfi_place *kept = place_of(m->now, m->program->registers, number);
	if (!kept)
		return;
	/* The initial state's place for it, which is at the same distance. */
	const struct cfi_state *initial = &m->program->cie->initial;
	*kept = *(const struct cfi_place *)((const char *)initial + ((char *)kept - (char *)m->now));
	m->changed = m->made.outdated = true;
}

static bool is_plain(const struct machine_state *m)
{
	return m->program->machine == EM_X86_64 && unwind_rule_of(m->made.bits).kind == RULE_CFA_SP &&
	       m->now->frame.kind != CFI_AT_EXPRESSION;
}

static __attribute__((noinline)) uint64_t make_rule(struct machine_state *m)
{
	m->made.bits = unwind_rule_bits(cfi_rule(m->now, m->program->machine));
	m->made.cfa_offset = m->now->cfa_offset;
	m->made.lower = m->made.bits;
	m->made.plain = is_plain(m);
	m->made.outdated = false;
	return m->made.bits;
}

/* Gives the row away whose code starts at `address`. */
static inline int emit_changed_row(struct machine_state *m, uint64_t address)
{
	int64_t offset = m->now->cfa_offset;
	uint64_t bits = m->made.bits;
	if (!m->made.outdated && m->made.plain && offset >= 8 && offset <= INT32_MAX) {
		/* Nine rows of ten only move the CFA; what is relative to it stays. */
		bits = m->made.lower | (uint64_t)offset << 32;
	} else if (m->made.outdated || offset != m->made.cfa_offset) {
		bits = make_rule(m);
	}
	m->changed = false;
	return unwind_rows_add_bits(m->program->rows, address, bits);
}

static int emit_row(struct machine_state *m, uint64_t address)
{
	return m->changed && m->program->rows ? emit_changed_row(m, address) : 0;
}

static int advance(struct machine_state *m, uint64_t by)
{
	struct cfi_program *p = m->program;
	uint64_t address = p->address;
	if (!by)
		return 0;
	/* An advance that wraps would go backwards: the rows after it belong nowhere. */
	if (__builtin_mul_overflow(by, p->cie->code_factor, &by) ||
	    __builtin_add_overflow(address, by, &p->address))
		return -EBADMSG;
	return emit_row(m, address);
}

static int set_location(struct machine_state *m)
{
	struct cfi_program *p = m->program;
	uint64_t address = cfi_encoded(&p->code, p->cie->encoding, p->section);
	if (address < p->address)
		return -EBADMSG;
	int r = emit_row(m, p->address);
	p->address = address;
	return r;
}

static int64_t factored(struct machine_state *m, uint64_t n)
{
	return (int64_t)(n * (uint64_t)m->program->cie->data_factor);
}

static void set_cfa(struct machine_state *m, uint64_t reg, int64_t offset)
{
	reg = MIN_OF(reg, (uint64_t)UINT32_MAX);
	m->made.outdated |= m->now->cfa_expression || m->now->cfa_register != reg;
	m->now->cfa_expression = NULL;
	m->now->cfa_register = reg;
	m->now->cfa_offset = offset;
	m->changed = true;
}

static void set_cfa_offset(struct machine_state *m, int64_t offset)
{
	m->made.outdated |= m->now->cfa_expression != NULL;
	m->now->cfa_expression = NULL;
	m->now->cfa_offset = offset;
	m->changed = true;
}

static int set_cfa_expression(struct machine_state *m)
{
	struct cursor *c = &m->program->code;
	uint64_t size = cursor_uleb(c);
	const unsigned char *expression = cursor_take(c, size);
	if (!expression || size > UINT32_MAX)
		return -EBADMSG;
	m->now->cfa_expression = expression;
	m->now->cfa_expression_size = size;
	m->changed = m->made.outdated = true;
	return 0;
}

static int set_expression(struct machine_state *m, enum cfi_place_kind kind)
{
	struct cursor *c = &m->program->code;
	uint64_t number = cursor_uleb(c);
	uint64_t size = cursor_uleb(c);
	const unsigned char *expression = cursor_take(c, size);
	if (!expression || size > UINT32_MAX)
		return -EBADMSG;
	set_place(m, number, (struct cfi_place){kind, size, .expression = expression});
	return 0;
}

static int remember(struct machine_state *m)
{
	if (m->remembered == MAX_REMEMBERED)
		return -ENOTSUP;
	m->stack[m->remembered++] = (struct remembered){*m->now, m->made};
	return 0;
}

static int restore(struct machine_state *m)
{
	if (!m->remembered)
		return -EBADMSG;
	const struct remembered *then = &m->stack[--m->remembered];
	*m->now = then->state;
	m->made = then->made;
	m->changed = true;
	return 0;
}

static void set_saved(struct machine_state *m, uint64_t number, int64_t offset)
{
	set_place(m, number, (struct cfi_place){.kind = CFI_AT_CFA, .offset = offset});
}

static void set_value(struct machine_state *m, uint64_t number, int64_t offset)
{
	set_place(m, number, (struct cfi_place){.kind = CFI_CFA_PLUS, .offset = offset});
}

/* The rules that place a register. Returns -ENOTSUP for any other instruction. */
static int run_register_instruction(struct machine_state *m, uint8_t op)
{
	struct cursor *c = &m->program->code;
	uint64_t number;
	switch (op) {
	case DW_CFA_expression:
		return set_expression(m, CFI_AT_EXPRESSION);
	case DW_CFA_val_expression:
		return set_expression(m, CFI_IS_EXPRESSION);
	case DW_CFA_offset_extended ... DW_CFA_register:
	case DW_CFA_offset_extended_sf:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_GNU_negative_offset_extended:
		number = cursor_uleb(c);
		break;
	default:
		return -ENOTSUP;
	}
	if (op == DW_CFA_offset_extended)
		set_saved(m, number, factored(m, cursor_uleb(c)));
	else if (op == DW_CFA_offset_extended_sf)
		set_saved(m, number, factored(m, cursor_sleb(c)));
	else if (op == DW_CFA_GNU_negative_offset_extended)
		set_saved(m, number, factored(m, -cursor_uleb(c)));
	else if (op == DW_CFA_val_offset)
		set_value(m, number, factored(m, cursor_uleb(c)));
	else if (op == DW_CFA_val_offset_sf)
		set_value(m, number, factored(m, cursor_sleb(c)));
	else if (op == DW_CFA_restore_extended)
		restore_place(m, number);
	else if (op == DW_CFA_undefined)
		set_place(m, number, (struct cfi_place){.kind = CFI_UNDEFINED});
	else if (op == DW_CFA_same_value)
		set_place(m, number, (struct cfi_place){.kind = CFI_UNCHANGED});
	else
		set_place(m, number, (struct cfi_place){.kind = CFI_REGISTER,
							.offset = cursor_uleb(c)});
	return 0;
}

static int run_extended(struct machine_state *m, uint8_t op)
{
	struct cursor *c = &m->program->code;
	uint64_t number;
	switch (op) {
	case DW_CFA_nop:
		return 0;
	case DW_CFA_set_loc:
		return set_location(m);
	case DW_CFA_advance_loc1:
		return advance(m, cursor_u8(c));
	case DW_CFA_advance_loc2:
		return advance(m, cursor_u16(c));
	case DW_CFA_advance_loc4:
		return advance(m, cursor_u32(c));
	case DW_CFA_MIPS_advance_loc8:
		return advance(m, cursor_u64(c));
	case DW_CFA_remember_state:
		return remember(m);
	case DW_CFA_restore_state:
		return restore(m);
	case DW_CFA_def_cfa:
		number = cursor_uleb(c);
		set_cfa(m, number, cursor_uleb(c));
		return 0;
	case DW_CFA_def_cfa_sf:
		number = cursor_uleb(c);
		set_cfa(m, number, factored(m, cursor_sleb(c)));
		return 0;
	case DW_CFA_def_cfa_register:
		set_cfa(m, cursor_uleb(c), m->now->cfa_offset);
		return 0;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa_offset(m, factored(m, cursor_sleb(c)));
		return 0;
	case DW_CFA_def_cfa_expression:
		return set_cfa_expression(m);
	case DW_CFA_GNU_args_size: /* what a catch block pops: not a frame's business */
		cursor_uleb(c);
		return 0;
	case DW_CFA_AARCH64_negate_ra_state: /* signed or not: the signature is always stripped */
	case DW_CFA_AARCH64_negate_ra_state_with_pc:
		return 0;
	default:
		return run_register_instruction(m, op);
	}
}

/* An end, as many functions have one: states kept and taken back, the CFA by another register. Returns what
 * follows the instruction at `at`, or NULL when it is another one or its operands are longer than a byte. */
static const unsigned char *run_short(struct machine_state *m, const unsigned char *at,
				      const unsigned char *end, int *r)
{
	switch (*at) {
	case DW_CFA_remember_state:
		*r = remember(m);
		return at + 1;
	case DW_CFA_restore_state:
		*r = restore(m);
		return at + 1;
	case DW_CFA_def_cfa:
		if (end - at < 3 || at[1] >= 0x80 || at[2] >= 0x80)
			return NULL;
		set_cfa(m, at[1], at[2]);
		return at + 3;
	case DW_CFA_def_cfa_register:
		if (end - at < 2 || at[1] >= 0x80)
			return NULL;
		set_cfa(m, at[1], m->now->cfa_offset);
		return at + 2;
	default:
		return NULL;
	}
}

/* A register that a rule asks for. Its operand, if any, is one byte. Returns what follows. */
static const unsigned char *run_kept(struct machine_state *m, const unsigned char *at)
{
	if (*at >= DW_CFA_restore) {
		restore_place(m, *at & 0x3f);
		return at + 1;
	}
	set_saved(m, *at & 0x3f, factored(m, at[1]));
	return at + 2;
}

/* Gives the row at `address` away if the instruction steps on from it. */
static inline int step(struct machine_state *m, uint64_t *address, uint64_t by)
{
	uint64_t from = *address;
	*address += by;
	return m->changed && by ? emit_changed_row(m, from) : 0;
}

/* Entries are padded with up to seven of them. Whatever is in front of the instructions has eight bytes too. */
static inline bool only_nops(const unsigned char *at, const unsigned char *end)
{
	size_t left = end - at;
	uint64_t last;
	if (left > sizeof(last))
		return false;
	memcpy(&last, end - sizeof(last), sizeof(last));
	return !(last >> 8 * (sizeof(last) - left));
}

/* Nearly all instructions, with operands of a byte. Stops before any other one. */
static inline int run_usual(struct machine_state *m)
{
	struct cfi_program *p = m->program;
	const unsigned char *at = p->code.at, *end = p->code.end;
	uint64_t kept = p->registers->kept, address = p->address;
	int r = 0;
	if (address >= UINT64_MAX / 2) /* its end must stay far away */
		return 0;
	while (at < end && r == 0) {
		uint8_t op = *at, low = op & 0x3f;
		if ((op & 0xc0) == DW_CFA_advance_loc) {
			r = step(m, &address, low);
			at++;
		} else if (op == DW_CFA_def_cfa_offset) {
			if (at + 1 == end || at[1] >= 0x80 || m->now->cfa_expression)
				break;
			m->now->cfa_offset = at[1];
			m->changed = true;
			at += 2;
		} else if (op >= DW_CFA_offset) {
			unsigned operands = op < DW_CFA_restore;
			if (at + operands >= end || (operands && at[1] >= 0x80))
				break;
			at = kept >> low & 1 ? run_kept(m, at) : at + 1 + operands;
		} else if (op == DW_CFA_nop) {
			at = only_nops(at, end) ? end : at + 1;
		} else if (op == DW_CFA_advance_loc1 && end - at >= 2) {
			r = step(m, &address, at[1]);
			at += 2;
		} else if (op == DW_CFA_advance_loc2 && end - at >= 3) {
			r = step(m, &address, at[1] | at[2] << 8);
			at += 3;
		} else {
			const unsigned char *next = run_short(m, at, end, &r);
			if (!next)
				break;
			at = next;
		}
	}
	p->code.at = at;
	p->address = address;
	return r;
}

/* A CIE's own instructions make no rows; and steps may be of more than a byte. */
static bool has_usual_steps(const struct cfi_program *p)
{
	return p->rows && p->cie->code_factor == 1;
}

int cfi_run(struct cfi_program *program, struct cfi_state *state)
{
	struct machine_state m;
	m.program = program;
	m.now = state;
	m.made = (struct made_rule){.bits = unwind_rule_bits(program->cie->initial_rule),
				    .cfa_offset = state->cfa_offset};
	m.made.lower = m.made.bits;
	m.made.plain = is_plain(&m);
	m.changed = true;
	m.remembered = 0;
	struct cursor *c = &program->code;
	bool usual = has_usual_steps(program);
	int r = usual ? run_usual(&m) : 0;
	while (c->at < c->end && r == 0) {
		uint8_t op = *c->at++;
		uint8_t low = op & 0x3f;
		if ((op & 0xc0) == DW_CFA_advance_loc)
			r = advance(&m, low);
		else if (op == DW_CFA_def_cfa_offset)
			set_cfa_offset(&m, cursor_uleb(c));
		else if ((op & 0xc0) == DW_CFA_offset)
			set_saved(&m, low, factored(&m, cursor_uleb(c)));
		else if ((op & 0xc0) == DW_CFA_restore)
			restore_place(&m, low);
		else
			r = run_extended(&m, op);
		if (r == 0 && usual)
			r = run_usual(&m);
	}
	if (r == 0 && c->failed)
		return -EBADMSG;
	return r == 0 ? emit_row(&m, program->address) : r;
}
