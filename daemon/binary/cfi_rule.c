/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a row of CFI to an unwind rule.
 *
 * Expressions are Turing-complete in DWARF and half a dozen shapes in practice: register plus
 * constant, the same dereferenced once plus a constant (stack realignment by GCC, OpenSSL, OCaml),
 * and the PLT's. Those are evaluated symbolically; everything else is RULE_NONE, which ends a stack
 * with a reason instead of continuing it wrongly.
 */
#include "binary/cfi.h"

#include <dwarf.h>

/* Pseudo register: the CFA, which register expressions find on the stack. */
#define REGISTER_CFA 0xffff

/* (register + offset), or *(register + offset) + addend. */
struct form {
	uint32_t base;
	int64_t offset;
	bool dereferenced;
	int64_t addend;
};

bool cfi_registers_of(uint16_t machine, struct cfi_registers *ret)
{
	if (machine == EM_X86_64)
		*ret = (struct cfi_registers){.stack = 7, .frame = 6, .return_address = 16,
					      .kept = 1U << 7 | 1U << 6 | 1U << 16};
	else if (machine == EM_AARCH64)
		*ret = (struct cfi_registers){.stack = 31, .frame = 29, .return_address = 30,
					      .kept = 1U << 31 | 1U << 29 | 1U << 30};
	else if (machine == EM_386) /* psABI of 2015, table 2.14 */
		*ret = (struct cfi_registers){.stack = 4, .frame = 5, .return_address = 8,
					      .kept = 1U << 4 | 1U << 5 | 1U << 8};
	else
		return false;
	return true;
}

static bool read_constant(struct cursor *c, uint8_t op, int64_t *ret)
{
	switch (op) {
	case DW_OP_lit0 ... DW_OP_lit31:
		*ret = op - DW_OP_lit0;
		return true;
	case DW_OP_const1u:
		*ret = cursor_u8(c);
		return true;
	case DW_OP_const1s:
		*ret = (int8_t)cursor_u8(c);
		return true;
	case DW_OP_const2u:
		*ret = cursor_u16(c);
		return true;
	case DW_OP_const2s:
		*ret = (int16_t)cursor_u16(c);
		return true;
	case DW_OP_const4u:
		*ret = cursor_u32(c);
		return true;
	case DW_OP_const4s:
		*ret = (int32_t)cursor_u32(c);
		return true;
	case DW_OP_constu:
		*ret = cursor_uleb(c);
		return true;
	case DW_OP_consts:
		*ret = cursor_sleb(c);
		return true;
	default:
		return false;
	}
}

static bool add_to(struct form *form, int64_t n)
{
	int64_t *sum = form->dereferenced ? &form->addend : &form->offset;
	return !__builtin_add_overflow(*sum, n, sum);
}

static bool start_form(struct cursor *c, struct form *form)
{
	uint8_t op = cursor_u8(c);
	uint64_t base;
	if (op >= DW_OP_breg0 && op <= DW_OP_breg31)
		base = op - DW_OP_breg0;
	else if (op == DW_OP_bregx)
		base = cursor_uleb(c);
	else
		return false;
	*form = (struct form){.base = base, .offset = cursor_sleb(c)};
	return base < REGISTER_CFA;
}

/* Evaluates an expression to a form. With `on_cfa` the CFA is on the stack at the start. */
static bool expression_form(const unsigned char *expression, size_t size, bool on_cfa,
			    struct form *form)
{
	struct cursor c = cursor_over(expression, size);
	bool starts_with_register = size && *expression >= DW_OP_breg0 &&
				    *expression <= DW_OP_bregx;
	*form = (struct form){.base = REGISTER_CFA};
	if ((starts_with_register || !on_cfa) && !start_form(&c, form))
		return false;
	while (cursor_left(&c)) {
		uint8_t op = cursor_u8(&c);
		int64_t n;
		if (op == DW_OP_deref) {
			if (form->dereferenced)
				return false;
			form->dereferenced = true;
		} else if (op == DW_OP_plus_uconst) {
			if (!add_to(form, cursor_uleb(&c)))
				return false;
		} else if (read_constant(&c, op, &n)) {
			op = cursor_u8(&c);
			if ((op != DW_OP_plus && op != DW_OP_minus) || n == INT64_MIN ||
			    !add_to(form, op == DW_OP_plus ? n : -n))
				return false;
		} else if (op != DW_OP_nop) {
			return false;
		}
	}
	return !c.failed;
}

/* Bytes of a return address, and of what a push saves. */
static int word_size(uint16_t machine)
{
	return machine == EM_386 ? 4 : 8;
}

/*
 * The linker's rule for PLT entries of x86: CFA = rsp + 8 + ((rip & 15) >= N) * 8, where N is the
 * end of the entry's push instruction: 11, or 10 with the shorter jumps of newer layouts. In 32-bit programs
 * the words have four bytes.
 */
static bool is_plt(const struct cfi_state *state, uint16_t machine, const struct cfi_registers *registers,
		   struct unwind_rule *ret)
{
	bool is_32_bit = machine == EM_386;
	const unsigned char before[] = {DW_OP_breg0 + registers->stack, word_size(machine),
					DW_OP_breg0 + registers->return_address, 0, DW_OP_lit15, DW_OP_and};
	const unsigned char after[] = {DW_OP_ge, is_32_bit ? DW_OP_lit2 : DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	const unsigned char *expression = state->cfa_expression;
	if (machine == EM_AARCH64 ||
	    state->cfa_expression_size != sizeof(before) + 1 + sizeof(after) ||
	    memcmp(expression, before, sizeof(before)) ||
	    memcmp(expression + sizeof(before) + 1, after, sizeof(after)))
		return false;
	uint8_t threshold = expression[sizeof(before)];
	if (threshold < DW_OP_lit0 || threshold > DW_OP_lit15)
		return false;
	*ret = (struct unwind_rule){.kind = RULE_PLT,
				    .flags = (threshold - DW_OP_lit0) << 4};
	return true;
}

static bool cfa_form(const struct cfi_state *state, struct form *ret)
{
	if (state->cfa_expression)
		return expression_form(state->cfa_expression, state->cfa_expression_size, false,
				       ret);
	*ret = (struct form){.base = state->cfa_register, .offset = state->cfa_offset};
	return true;
}

static bool fits_s16(int64_t n)
{
	return n == (int16_t)n;
}

static int general_registers(uint16_t machine)
{
	return machine == EM_386 ? 8 : 16;
}

/* Registers of 32-bit x86 have numbers of their own; a rule has those of x86-64. */
static uint8_t rule_number(uint32_t number, uint16_t machine)
{
	static const uint8_t x86[] = {0, 2, 1, 3, 7, 6, 4, 5};
	return machine == EM_386 ? x86[number & 7] : number;
}

/* Which kind a CFA of this form is; the register's number goes to the rule's flags. */
static bool set_cfa_kind(const struct form *cfa, uint16_t machine, const struct cfi_registers *registers,
			 struct unwind_rule *rule)
{
	if (cfa->base == registers->stack)
		rule->kind = cfa->dereferenced ? RULE_CFA_DEREF_SP : RULE_CFA_SP;
	else if (cfa->base == registers->frame)
		rule->kind = cfa->dereferenced ? RULE_CFA_DEREF_FP : RULE_CFA_FP;
	else if (cfa->base < general_registers(machine) && !cfa->dereferenced)
		*rule = (struct unwind_rule){.kind = RULE_CFA_REGISTER,
					     .flags = rule_number(cfa->base, machine) << 4};
	else
		return false;
	return true;
}

/* The caller's frame pointer. False when it is lost or somewhere a rule cannot name. */
static bool set_frame_pointer(const struct cfi_state *state, const struct form *cfa,
			      const struct cfi_registers *registers, struct unwind_rule *rule)
{
	const struct cfi_place *place = &state->frame;
	if (place->kind == CFI_UNCHANGED ||
	    (place->kind == CFI_REGISTER && place->offset == registers->frame))
		return true;
	struct form at = {.base = REGISTER_CFA, .offset = place->offset};
	if (place->kind == CFI_AT_EXPRESSION) {
		if (!expression_form(place->expression, place->expression_size, true, &at) ||
		    at.dereferenced)
			return false;
	} else if (place->kind != CFI_AT_CFA) {
		return false;
	}
	if (at.base != registers->frame && at.base != REGISTER_CFA) {
		/* Relative to the register the CFA comes from: as good as relative to the CFA. */
		if (at.base != cfa->base || cfa->dereferenced ||
		    __builtin_sub_overflow(at.offset, cfa->offset, &at.offset))
			return false;
		at.base = REGISTER_CFA;
	}
	if (!fits_s16(at.offset))
		return false;
	rule->flags |= at.base == REGISTER_CFA ? RULE_FP_AT_CFA : RULE_FP_AT_FP;
	rule->fp_offset = at.offset;
	return true;
}

/* A stack pointer that is not the CFA in the caller cannot be described. */
static bool stack_is_cfa(const struct cfi_state *state)
{
	return state->stack.kind == CFI_UNCHANGED ||
	       (state->stack.kind == CFI_CFA_PLUS && state->stack.offset == 0);
}

static bool set_cfa_offset_x86(const struct form *cfa, struct unwind_rule *rule)
{
	if (cfa->dereferenced) {
		if (!fits_s16(cfa->offset) || !fits_s16(cfa->addend))
			return false;
		rule->cfa_offset = (uint16_t)cfa->offset | (uint32_t)cfa->addend << 16;
		return true;
	}
	rule->cfa_offset = cfa->offset;
	return cfa->offset == rule->cfa_offset;
}

/* The return address is a word below the CFA, or in a register (vfork keeps it there over the system call). */
static bool set_return_address_x86(const struct cfi_state *state, uint16_t machine, const struct form *cfa,
				   struct unwind_rule *rule)
{
	const struct cfi_place *place = &state->return_address;
	if (place->kind == CFI_REGISTER) {
		if (rule->kind != RULE_CFA_SP || place->offset >= general_registers(machine))
			return false;
		rule->kind = RULE_RETURN_REGISTER;
		rule->flags |= rule_number(place->offset, machine) << 4;
		return true;
	}
	if (place->kind != CFI_UNCHANGED &&
	    !(place->kind == CFI_AT_CFA && place->offset == -word_size(machine)))
		return false;
	/* Below the stack pointer there is none: a new thread's first frame, as in musl's __clone. */
	if (rule->kind == RULE_CFA_SP && cfa->offset < word_size(machine))
		*rule = (struct unwind_rule){.kind = RULE_END};
	return true;
}

/* Both offsets in units of eight bytes, in sixteen bits each; see bpf/wire_unwind.h. */
static bool set_offsets_aarch64(const struct cfi_state *state, const struct form *cfa,
				struct unwind_rule *rule)
{
	const struct cfi_place *place = &state->return_address;
	int64_t return_address = 0;
	if (cfa->dereferenced || cfa->offset % 8 || !fits_s16(cfa->offset / 8))
		return false;
	if (place->kind == CFI_AT_CFA) {
		return_address = place->offset / 8;
		if (place->offset % 8 || !fits_s16(return_address))
			return false;
		rule->flags |= RULE_RA_AT_CFA;
	} else if (place->kind != CFI_UNCHANGED) {
		return false;
	}
	rule->cfa_offset = (uint16_t)(cfa->offset / 8) | (uint32_t)return_address << 16;
	return true;
}

struct unwind_rule cfi_rule(const struct cfi_state *state, uint16_t machine)
{
	static const struct unwind_rule none = {.kind = RULE_NONE};
	struct cfi_registers registers;
	struct unwind_rule rule = {0};
	struct form cfa;
	if (!cfi_registers_of(machine, &registers))
		return none;
	if (state->return_address.kind == CFI_UNDEFINED)
		return (struct unwind_rule){.kind = RULE_END};
	if (state->cfa_expression && is_plt(state, machine, &registers, &rule))
		return rule;
	if (!stack_is_cfa(state) || !cfa_form(state, &cfa) ||
	    !set_cfa_kind(&cfa, machine, &registers, &rule) ||
	    !set_frame_pointer(state, &cfa, &registers, &rule))
		return none;
	if (machine == EM_AARCH64)
		return set_offsets_aarch64(state, &cfa, &rule) ? rule : none;
	if (!set_cfa_offset_x86(&cfa, &rule) || !set_return_address_x86(state, machine, &cfa, &rule))
		return none;
	return rule;
}
