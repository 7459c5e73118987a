/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expression operations are those of DWARF 5, section 2.5, as far as CFI uses them.
 */
#include "frame_machine.h"

#include <dwarf.h>
#include <elf.h>
#include <string.h>

#define STACK_DEPTH 32

struct evaluation {
	const struct frame_machine *machine;
	uint64_t cfa;
	uint64_t stack[STACK_DEPTH];
	unsigned depth;
	bool is_value;	  /* the result is the value itself, not where it is */
	bool is_register; /* the result is the value of a register */
	bool depends_on_pc;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

static uint64_t memory_at(uint64_t address)
{
	return mix(address + 0x1234567);
}

struct frame_registers frame_registers_of(uint16_t elf_machine)
{
	static const struct frame_registers x86_64 = {7, 6, 16}, x86_32 = {4, 5, 8}, aarch64 = {31, 29, 30};
	return elf_machine == EM_X86_64 ? x86_64 : elf_machine == EM_386 ? x86_32 : aarch64;
}

int frame_word_size(uint16_t elf_machine)
{
	return elf_machine == EM_386 ? 4 : 8;
}

static unsigned stack_register(const struct frame_machine *m)
{
	return frame_registers_of(m->elf_machine).stack;
}

static unsigned frame_register(const struct frame_machine *m)
{
	return frame_registers_of(m->elf_machine).frame;
}

static unsigned return_register(const struct frame_machine *m)
{
	return frame_registers_of(m->elf_machine).return_address;
}

/* The DWARF number of a register that a rule names, as x86-64 numbers it: ax dx cx bx si di bp sp. */
static unsigned rule_register(const struct frame_machine *m, struct unwind_rule rule)
{
	static const unsigned x86_32[] = {0, 2, 1, 3, 6, 7, 5, 4};
	unsigned number = RULE_NUMBER(rule.flags);
	return m->elf_machine == EM_386 ? x86_32[number & 7] : number;
}

void frame_machine_init(struct frame_machine *m, uint16_t elf_machine, uint64_t pc)
{
	*m = (struct frame_machine){.elf_machine = elf_machine, .pc = pc};
	for (unsigned i = 0; i < 32; i++)
		m->registers[i] = mix(i + 1) << 3;
	if (elf_machine != EM_AARCH64)
		m->registers[frame_registers_of(elf_machine).return_address] = pc;
}

static bool push(struct evaluation *e, uint64_t value)
{
	if (e->depth == STACK_DEPTH)
		return false;
	e->stack[e->depth++] = value;
	return true;
}

static bool push_register(struct evaluation *e, uint64_t number, int64_t offset)
{
	if (number >= 32)
		return false;
	e->depends_on_pc |= e->machine->elf_machine != EM_AARCH64 && number == return_register(e->machine);
	return push(e, e->machine->registers[number] + offset);
}

static bool run_binary(struct evaluation *e, uint8_t atom)
{
	if (e->depth < 2)
		return false;
	uint64_t b = e->stack[--e->depth], *a = &e->stack[e->depth - 1];
	switch (atom) {
	case DW_OP_plus:
		*a += b;
		return true;
	case DW_OP_minus:
		*a -= b;
		return true;
	case DW_OP_mul:
		*a *= b;
		return true;
	case DW_OP_and:
		*a &= b;
		return true;
	case DW_OP_or:
		*a |= b;
		return true;
	case DW_OP_shl:
		*a = b < 64 ? *a << b : 0;
		return true;
	case DW_OP_ge:
		*a = (int64_t)*a >= (int64_t)b;
		return true;
	default:
		return false;
	}
}

static bool run_one(struct evaluation *e, const Dwarf_Op *op)
{
	switch (op->atom) {
	case DW_OP_breg0 ... DW_OP_breg31:
		return push_register(e, op->atom - DW_OP_breg0, op->number);
	case DW_OP_bregx:
		return push_register(e, op->number, op->number2);
	case DW_OP_reg0 ... DW_OP_reg31:
		e->is_register = true;
		return push_register(e, op->atom - DW_OP_reg0, 0);
	case DW_OP_regx:
		e->is_register = true;
		return push_register(e, op->number, 0);
	case DW_OP_lit0 ... DW_OP_lit31:
		return push(e, op->atom - DW_OP_lit0);
	case DW_OP_const1u ... DW_OP_consts:
		return push(e, op->number);
	case DW_OP_call_frame_cfa:
		return push(e, e->cfa);
	case DW_OP_dup:
		return e->depth && push(e, e->stack[e->depth - 1]);
	case DW_OP_plus_uconst:
		e->stack[e->depth ? e->depth - 1 : 0] += op->number;
		return e->depth;
	case DW_OP_deref:
		e->stack[e->depth ? e->depth - 1 : 0] = memory_at(e->stack[e->depth ? e->depth - 1 : 0]);
		return e->depth;
	case DW_OP_stack_value:
		e->is_value = true;
		return true;
	case DW_OP_nop:
		return true;
	default:
		return run_binary(e, op->atom);
	}
}

static bool run(struct evaluation *e, const Dwarf_Op *ops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!run_one(e, &ops[i]))
			return false;
	return e->depth > 0;
}

enum found { FOUND, UNDEFINED, FAILED };

/* What the register holds in the caller. */
static enum found caller_register(const struct frame_machine *m, Dwarf_Frame *frame, unsigned number,
				  struct caller *caller, uint64_t *ret)
{
	Dwarf_Op memory[3], *ops;
	size_t count;
	struct evaluation e = {.machine = m, .cfa = caller->cfa};
	if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0)
		return FAILED;
	if (!ops) {
		*ret = m->registers[number];
		return FOUND;
	}
	if (!count)
		return UNDEFINED;
	if (!run(&e, ops, count))
		return FAILED;
	caller->depends_on_pc |= e.depends_on_pc;
	*ret = e.stack[e.depth - 1];
	if (!e.is_value && !e.is_register)
		*ret = memory_at(*ret);
	return FOUND;
}

void caller_by_libdw(const struct frame_machine *m, Dwarf_Frame *frame, struct caller *ret)
{
	struct evaluation e = {.machine = m};
	Dwarf_Op *ops;
	size_t count;
	*ret = (struct caller){.kind = CALLER_UNKNOWN};
	if (dwarf_frame_cfa(frame, &ops, &count) != 0 || !run(&e, ops, count))
		return;
	ret->cfa = e.stack[e.depth - 1];
	ret->depends_on_pc = e.depends_on_pc;
	enum found found = caller_register(m, frame, return_register(m), ret, &ret->return_address);
	if (found != FOUND) {
		ret->kind = found == UNDEFINED ? CALLER_NONE : CALLER_UNKNOWN;
		return;
	}
	ret->kind = CALLER_FOUND;
	ret->frame_pointer_known = caller_register(m, frame, frame_register(m), ret,
						   &ret->frame_pointer) == FOUND;
	uint64_t stack = 0;
	found = caller_register(m, frame, stack_register(m), ret, &stack);
	/* libdw has no default for arm64's stack pointer: unchanged means the CFA. */
	ret->stack_is_cfa = found == FOUND &&
			    (stack == ret->cfa || stack == m->registers[stack_register(m)]);
}

static uint64_t rule_cfa(const struct frame_machine *m, struct unwind_rule rule)
{
	uint64_t sp = m->registers[stack_register(m)], fp = m->registers[frame_register(m)];
	bool dereferenced = rule.kind == RULE_CFA_DEREF_SP || rule.kind == RULE_CFA_DEREF_FP;
	int64_t offset = rule.cfa_offset;
	if (m->elf_machine == EM_AARCH64)
		offset = (int16_t)rule.cfa_offset * 8;
	else if (dereferenced)
		offset = (int16_t)rule.cfa_offset;
	switch (rule.kind) {
	case RULE_CFA_SP:
	case RULE_RETURN_REGISTER:
	case RULE_NEW_THREAD: /* the parent */
		return sp + offset;
	case RULE_CFA_FP:
		return fp + offset;
	case RULE_CFA_REGISTER:
		return m->registers[rule_register(m, rule)] + offset;
	case RULE_CFA_DEREF_SP:
		return memory_at(sp + offset) + (rule.cfa_offset >> 16);
	case RULE_CFA_DEREF_FP:
		return memory_at(fp + offset) + (rule.cfa_offset >> 16);
	default: /* RULE_PLT */
		return sp + frame_word_size(m->elf_machine) * ((m->pc & 15) >= RULE_NUMBER(rule.flags) ? 2 : 1);
	}
}

void caller_by_rule(const struct frame_machine *m, struct unwind_rule rule, struct caller *ret)
{
	uint64_t fp = m->registers[frame_register(m)];
	*ret = (struct caller){.kind = CALLER_FOUND, .frame_pointer = fp,
			       .frame_pointer_known = true, .stack_is_cfa = true};
	if (rule.kind == RULE_NONE || rule.kind == RULE_END || rule.kind == RULE_SIGNAL) {
		ret->kind = rule.kind == RULE_NONE  ? CALLER_UNKNOWN
			    : rule.kind == RULE_END ? CALLER_NONE
						    : CALLER_SIGNAL;
		return;
	}
	if (rule.kind == RULE_FRAME_POINTER) {
		ret->cfa = fp + 16;
		ret->frame_pointer = memory_at(fp);
		ret->return_address = memory_at(fp + 8);
		return;
	}
	ret->cfa = rule_cfa(m, rule);
	if (rule.flags & RULE_FP_AT_CFA)
		ret->frame_pointer = memory_at(ret->cfa + rule.fp_offset);
	else if (rule.flags & RULE_FP_AT_FP)
		ret->frame_pointer = memory_at(fp + rule.fp_offset);
	if (rule.kind == RULE_RETURN_REGISTER)
		ret->return_address = m->registers[rule_register(m, rule)];
	else if (m->elf_machine != EM_AARCH64)
		ret->return_address = memory_at(ret->cfa - frame_word_size(m->elf_machine));
	else if (rule.flags & RULE_RA_AT_CFA)
		ret->return_address = memory_at(ret->cfa + (rule.cfa_offset >> 16) * 8);
	else
		ret->return_address = m->registers[30];
}
