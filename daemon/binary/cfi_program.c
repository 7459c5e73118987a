/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions of call frame information (DWARF 5, section 6.4.2 and 7.24, with the GNU and
 * AArch64 additions). Each one that advances the location closes the row made so far, which becomes
 * a rule. A row is translated only when a column we keep has changed: most rows save registers
 * nobody here asks for.
 */
#include "binary/cfi_machine.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#ifndef DW_CFA_AARCH64_negate_ra_state
#define DW_CFA_AARCH64_negate_ra_state 0x2d
#endif
#define DW_CFA_AARCH64_negate_ra_state_with_pc 0x2c

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

/* More than the CFA's offset has changed. Returns the set that the state's rule was of until now, or NULL. */
static const struct cfi_rule_set *set_outdated(struct cfi_machine *m)
{
	const struct cfi_rule_set *set = m->made.set;
	m->changed = m->made.outdated = true;
	m->made.set = NULL;
	return set;
}

static void set_place(struct cfi_machine *m, uint64_t number, struct cfi_place place)
{
	struct cfi_place *kept = place_of(m->now, m->program->registers, number);
	if (!kept)
		return;
	*kept = place;
	set_outdated(m);
}

/* Of the rule's bits: all but the CFA's offset. */
static uint64_t form_of(uint64_t bits, uint16_t machine)
{
	return machine == EM_AARCH64 ? bits & ~(0xffffULL << 32) : (uint32_t)bits;
}

/* Where the rules of this form and their indices are found by the CFA's offset, or NULL. */
static struct cfi_rule_set *rule_set(struct cfi_rule_sets *sets, uint64_t form)
{
	for (unsigned i = 0; i < sets->count; i++)
		if (sets->items[i].form == form)
			return &sets->items[i];
	if (sets->count == ARRAY_LENGTH(sets->items))
		return NULL;
	sets->items[sets->count].form = form;
	return &sets->items[sets->count++];
}

/*
 * The sets of rules that are as those of another set except for what an instruction changes. Nearly all functions
 * save the frame pointer, take the CFA from it and back from the stack pointer, and restore it: no rule has to
 * be made for that more than once.
 */
static struct cfi_rule_set *with_frame_at(struct cfi_machine *m, const struct cfi_rule_set *set, uint8_t where,
					  int64_t offset)
{
	if (!set || offset != (int16_t)offset)
		return NULL;
	struct unwind_rule rule = unwind_rule_of(set->form);
	rule.flags = (rule.flags & ~(RULE_FP_AT_FP | RULE_FP_AT_CFA)) | where;
	rule.fp_offset = offset;
	return rule_set(m->program->rule_sets, unwind_rule_bits(rule));
}

static struct cfi_rule_set *with_cfa_register(struct cfi_machine *m, const struct cfi_rule_set *set, uint64_t number)
{
	const struct cfi_registers *registers = m->program->registers;
	if (!set || (number != registers->stack && number != registers->frame))
		return NULL;
	struct unwind_rule rule = unwind_rule_of(set->form);
	rule.kind = number == registers->stack ? RULE_CFA_SP : RULE_CFA_FP;
	return rule_set(m->program->rule_sets, unwind_rule_bits(rule));
}

void cfi_restore_place(struct cfi_machine *m, uint64_t number)
{
	struct cfi_place *kept = place_of(m->now, m->program->registers, number);
	if (!kept)
		return;
	/* The initial state's place for it, which is at the same distance. */
	const struct cfi_state *initial = &m->program->cie->initial;
	*kept = *(const struct cfi_place *)((const char *)initial + ((char *)kept - (char *)m->now));
	const struct cfi_rule_set *set = set_outdated(m);
	if (kept == &m->now->frame && kept->kind == CFI_UNCHANGED)
		m->made.set = with_frame_at(m, set, 0, 0);
}

void cfi_make_rule(const struct cfi_state *state, uint16_t machine, struct cfi_rule_sets *sets,
		   struct cfi_made_rule *ret)
{
	struct unwind_rule rule = cfi_rule(state, machine);
	uint64_t bits = unwind_rule_bits(rule);
	bool plain = (rule.kind == RULE_CFA_SP || rule.kind == RULE_CFA_FP) &&
		     state->frame.kind != CFI_AT_EXPRESSION && !state->cfa_expression;
	*ret = (struct cfi_made_rule){.bits = bits, .cfa_offset = state->cfa_offset};
	if (plain)
		ret->set = rule_set(sets, form_of(bits, machine));
}

/* The rule that the state says by now. */
static uint64_t rule_bits(struct cfi_machine *m)
{
	struct cfi_program *p = m->program;
	struct cfi_made_rule *made = &m->made;
	int64_t offset = m->now->cfa_offset;
	if (made->set && p->machine != EM_AARCH64 && offset >= 8 && offset <= INT32_MAX)
		return made->set->form | (uint64_t)offset << 32;
	if (made->outdated || offset != made->cfa_offset)
		cfi_make_rule(m->now, p->machine, p->rule_sets, made);
	return made->bits;
}

/* So that the quick loop finds it the next time. */
static void keep_index(struct cfi_machine *m, uint64_t bits)
{
	uint64_t offset = m->now->cfa_offset;
	const struct unwind_cached_rule *cached = unwind_rows_cached(m->program->rows, bits);
	if (m->made.set && offset >= 8 && cfi_has_place(offset) && cached->rule == bits)
		m->made.set->index[offset / 8] = cached->index;
}

int cfi_emit_row(struct cfi_machine *m, uint64_t address)
{
	struct unwind_rows *rows = m->program->rows;
	if (!m->changed || !rows)
		return 0;
	uint64_t bits = rule_bits(m);
	m->changed = false;
	int r = unwind_rows_add_bits(rows, address, bits);
	keep_index(m, bits);
	return r;
}

static int advance(struct cfi_machine *m, uint64_t by)
{
	struct cfi_program *p = m->program;
	uint64_t address = p->address;
	if (!by)
		return 0;
	/* An advance that wraps would go backwards: the rows after it belong nowhere. */
	if (__builtin_mul_overflow(by, p->cie->code_factor, &by) ||
	    __builtin_add_overflow(address, by, &p->address))
		return -EBADMSG;
	return cfi_emit_row(m, address);
}

static int set_location(struct cfi_machine *m)
{
	struct cfi_program *p = m->program;
	uint64_t address = cfi_encoded(&p->code, p->cie->encoding, p->section);
	if (address < p->address)
		return -EBADMSG;
	int r = cfi_emit_row(m, p->address);
	p->address = address;
	return r;
}

static int64_t factored(struct cfi_machine *m, uint64_t n)
{
	return (int64_t)(n * (uint64_t)m->program->cie->data_factor);
}

void cfi_set_cfa(struct cfi_machine *m, uint64_t reg, int64_t offset)
{
	reg = MIN_OF(reg, (uint64_t)UINT32_MAX);
	if (m->now->cfa_expression || m->now->cfa_register != reg)
		m->made.set = with_cfa_register(m, set_outdated(m), reg);
	m->now->cfa_expression = NULL;
	m->now->cfa_register = reg;
	m->now->cfa_offset = offset;
	m->changed = true;
}

static void set_cfa_offset(struct cfi_machine *m, int64_t offset)
{
	if (m->now->cfa_expression)
		set_outdated(m);
	m->now->cfa_expression = NULL;
	m->now->cfa_offset = offset;
	m->changed = true;
}

static int set_cfa_expression(struct cfi_machine *m)
{
	struct cursor *c = &m->program->code;
	uint64_t size = cursor_uleb(c);
	const unsigned char *expression = cursor_take(c, size);
	if (!expression || size > UINT32_MAX)
		return -EBADMSG;
	m->now->cfa_expression = expression;
	m->now->cfa_expression_size = size;
	set_outdated(m);
	return 0;
}

static int set_expression(struct cfi_machine *m, enum cfi_place_kind kind)
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

int cfi_remember(struct cfi_machine *m)
{
	if (m->remembered == CFI_MAX_REMEMBERED)
		return -ENOTSUP;
	m->stack[m->remembered++] = (struct cfi_remembered){*m->now, m->made};
	return 0;
}

int cfi_restore(struct cfi_machine *m)
{
	if (!m->remembered)
		return -EBADMSG;
	const struct cfi_remembered *then = &m->stack[--m->remembered];
	*m->now = then->state;
	m->made = then->made;
	m->changed = true;
	return 0;
}

void cfi_set_saved(struct cfi_machine *m, uint64_t number, int64_t offset)
{
	const struct cfi_rule_set *set = m->made.set;
	set_place(m, number, (struct cfi_place){.kind = CFI_AT_CFA, .offset = offset});
	if (number == m->program->registers->frame)
		m->made.set = with_frame_at(m, set, RULE_FP_AT_CFA, offset);
}

static void set_value(struct cfi_machine *m, uint64_t number, int64_t offset)
{
	set_place(m, number, (struct cfi_place){.kind = CFI_CFA_PLUS, .offset = offset});
}

/* The rules that place a register. Returns -ENOTSUP for any other instruction. */
static int run_register_instruction(struct cfi_machine *m, uint8_t op)
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
		cfi_set_saved(m, number, factored(m, cursor_uleb(c)));
	else if (op == DW_CFA_offset_extended_sf)
		cfi_set_saved(m, number, factored(m, cursor_sleb(c)));
	else if (op == DW_CFA_GNU_negative_offset_extended)
		cfi_set_saved(m, number, factored(m, -cursor_uleb(c)));
	else if (op == DW_CFA_val_offset)
		set_value(m, number, factored(m, cursor_uleb(c)));
	else if (op == DW_CFA_val_offset_sf)
		set_value(m, number, factored(m, cursor_sleb(c)));
	else if (op == DW_CFA_restore_extended)
		cfi_restore_place(m, number);
	else if (op == DW_CFA_undefined)
		set_place(m, number, (struct cfi_place){.kind = CFI_UNDEFINED});
	else if (op == DW_CFA_same_value)
		set_place(m, number, (struct cfi_place){.kind = CFI_UNCHANGED});
	else
		set_place(m, number, (struct cfi_place){.kind = CFI_REGISTER,
							.offset = cursor_uleb(c)});
	return 0;
}

static int run_extended(struct cfi_machine *m, uint8_t op)
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
		return cfi_remember(m);
	case DW_CFA_restore_state:
		return cfi_restore(m);
	case DW_CFA_def_cfa:
		number = cursor_uleb(c);
		cfi_set_cfa(m, number, cursor_uleb(c));
		return 0;
	case DW_CFA_def_cfa_sf:
		number = cursor_uleb(c);
		cfi_set_cfa(m, number, factored(m, cursor_sleb(c)));
		return 0;
	case DW_CFA_def_cfa_register:
		cfi_set_cfa(m, cursor_uleb(c), m->now->cfa_offset);
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

/* A CIE's own instructions make no rows. */
static bool is_usual(const struct cfi_program *p)
{
	return p->rows && p->cie->code_factor && p->cie->code_factor <= CFI_USUAL_FACTOR;
}

int cfi_run(struct cfi_program *program, struct cfi_state *state)
{
	struct cfi_machine m;
	m.program = program;
	m.now = state;
	m.made = program->cie->initial_made;
	m.changed = true;
	m.remembered = 0;
	struct cursor *c = &program->code;
	bool usual = is_usual(program);
	int r = usual ? cfi_run_usual(&m) : 0;
	while (c->at < c->end && r == 0) {
		uint8_t op = *c->at++;
		uint8_t low = op & 0x3f;
		if ((op & 0xc0) == DW_CFA_advance_loc)
			r = advance(&m, low);
		else if (op == DW_CFA_def_cfa_offset)
			set_cfa_offset(&m, cursor_uleb(c));
		else if ((op & 0xc0) == DW_CFA_offset)
			cfi_set_saved(&m, low, factored(&m, cursor_uleb(c)));
		else if ((op & 0xc0) == DW_CFA_restore)
			cfi_restore_place(&m, low);
		else
			r = run_extended(&m, op);
		if (r == 0 && usual)
			r = cfi_run_usual(&m);
	}
	if (r == 0 && c->failed)
		return -EBADMSG;
	return r == 0 ? cfi_emit_row(&m, program->address) : r;
}
