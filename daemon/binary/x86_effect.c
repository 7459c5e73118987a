/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instruction does to SP and FP. It errs on one side: what may write one of them in a way that
 * has no name here is said to do so.
 */
#include "binary/x86_parts.h"

#define SP 4
#define FP 5

static enum x86_effect effect_by_writes(uint32_t written)
{
	bool sp = written & 1U << SP, fp = written & 1U << FP;
	return sp ? fp ? X86_WRITES_BOTH : X86_WRITES_SP : fp ? X86_WRITES_FP : X86_PLAIN;
}

/* ---- The forms that have a name ------------------------------------------------------------------- */

static void set(struct x86_instruction *i, enum x86_effect effect, int64_t value)
{
	i->effect = effect;
	i->value = value;
}

/* mov between registers, or of FP to and from the stack */
static void understand_mov(const struct x86_decoder *d, struct x86_instruction *i)
{
	bool load = d->opcode == 0x8b;
	unsigned from = load ? d->rm : d->reg, to = load ? d->reg : d->rm;
	if (d->mod == 3 && from == SP && to == FP)
		set(i, X86_SET_FP_TO_SP, 0);
	else if (d->mod == 3 && from == FP && to == SP)
		set(i, X86_SET_SP_TO_FP, 0);
	else if (d->mod != 3 && d->reg == FP && d->base == SP && !d->indexed && !d->address_32)
		set(i, load ? X86_LOAD_FP : X86_STORE_FP, d->displacement);
}

/* mov of a whole register to another */
static void understand_copy(const struct x86_decoder *d, struct x86_instruction *i)
{
	bool mov = d->opcode == 0x89 || d->opcode == 0x8b;
	if (d->vector || d->map != MAP_ONE || !mov || !d->rex_w || d->mod != 3)
		return;
	i->copies = true;
	i->copy_from = d->opcode == 0x8b ? d->rm : d->reg;
	i->copy_to = d->opcode == 0x8b ? d->reg : d->rm;
}

static void understand_lea(const struct x86_decoder *d, struct x86_instruction *i)
{
	if (d->mod == 3 || d->address_32 || !d->rex_w)
		return;
	if (d->base == 17) {
		i->takes_address = true;
		i->target = d->address + d->at + d->displacement;
		return;
	}
	if (d->indexed)
		return;
	if (d->base == SP && (d->reg == SP || d->reg == FP))
		set(i, d->reg == SP ? X86_ADD_SP : X86_SET_FP_TO_SP, d->displacement);
	else if (d->base == FP && d->reg == SP)
		set(i, X86_SET_SP_TO_FP, d->displacement);
}

/* add, sub and others with an immediate operand */
static void understand_arithmetic(const struct x86_decoder *d, struct x86_instruction *i)
{
	unsigned group = d->reg & 7;
	if (d->mod != 3 || d->rm != SP || !d->rex_w || d->immediate == INT32_MIN)
		return;
	if (group == 0 || group == 5)
		set(i, X86_ADD_SP, group ? -d->immediate : d->immediate);
}

static void understand_push(const struct x86_decoder *d, struct x86_instruction *i, int64_t value)
{
	set(i, d->operand_16 ? X86_WRITES_SP : X86_ADD_SP, value);
}

static void understand_push_pop(const struct x86_decoder *d, struct x86_instruction *i)
{
	unsigned number = (d->opcode & 7) | d->rex_b << 3;
	bool pop = d->opcode >= 0x58;
	understand_push(d, i, pop ? 8 : -8);
	if (i->effect == X86_ADD_SP && number == FP)
		set(i, pop ? X86_POP_FP : X86_PUSH_FP, 0);
	else if (pop && number == SP)
		set(i, X86_WRITES_SP, 0);
	else if (pop && number == FP)
		set(i, X86_WRITES_BOTH, 0);
}

static void go(const struct x86_decoder *d, struct x86_instruction *i, enum x86_effect effect)
{
	i->effect = effect;
	i->has_target = true;
	i->target = d->address + d->at + d->immediate;
}

/* ff: inc, dec, call, far call, jmp, far jmp, push */
static void understand_group_5(const struct x86_decoder *d, struct x86_instruction *i)
{
	switch (d->reg & 7) {
	case 2: case 3:
		i->effect = X86_CALL;
		return;
	case 4: case 5:
		i->effect = X86_JUMP;
		return;
	case 6:
		understand_push(d, i, -8);
		return;
	case 7:
		i->effect = X86_INVALID;
	}
}

static void understand_one_byte(const struct x86_decoder *d, struct x86_instruction *i)
{
	switch (d->opcode) {
	case 0x50 ... 0x5f:
		understand_push_pop(d, i);
		return;
	case 0x68: case 0x6a: case 0x9c:
		understand_push(d, i, -8);
		return;
	case 0x9d:
		understand_push(d, i, 8);
		return;
	case 0x8f: /* pop to memory; with SP as its base that is another address, but not another height */
		set(i, d->mod == 3 || d->operand_16 ? X86_WRITES_BOTH : X86_ADD_SP, 8);
		return;
	case 0x81: case 0x83:
		understand_arithmetic(d, i);
		return;
	case 0x89: case 0x8b:
		if (d->rex_w)
			understand_mov(d, i);
		return;
	case 0x8d:
		understand_lea(d, i);
		return;
	case 0xb8 ... 0xbf: case 0xc7:
		if (d->immediate > 0 && !d->operand_16 && (!d->has_modrm || d->mod == 3)) {
			i->takes_address = i->is_constant = true;
			i->target = d->immediate;
		}
		return;
	case 0xc8:
		set(i, d->immediate >> 16 || d->operand_16 ? X86_WRITES_BOTH : X86_ENTER,
		    d->immediate & 0xffff);
		return;
	case 0xc9:
		i->effect = d->operand_16 ? X86_WRITES_BOTH : X86_LEAVE;
		return;
	case 0xc2: case 0xc3:
		i->effect = X86_RETURN;
		return;
	case 0xca: case 0xcb: case 0xcc: case 0xcf: case 0xf4:
		i->effect = X86_STOP;
		return;
	case 0xe8:
		go(d, i, X86_CALL);
		return;
	case 0xe9: case 0xeb:
		go(d, i, X86_JUMP);
		return;
	case 0x70 ... 0x7f: case 0xe0 ... 0xe3:
		go(d, i, X86_BRANCH);
		return;
	case 0xff:
		understand_group_5(d, i);
	}
}

static void understand_two_byte(const struct x86_decoder *d, struct x86_instruction *i)
{
	switch (d->opcode) {
	case 0x80 ... 0x8f:
		go(d, i, X86_BRANCH);
		return;
	case 0xa0: case 0xa8:
		understand_push(d, i, -8);
		return;
	case 0xa1: case 0xa9:
		understand_push(d, i, 8);
		return;
	case 0x07: case 0x0b: case 0x35: case 0xb9: case 0xff: /* sysret, ud2, sysexit, ud1, ud0 */
		i->effect = X86_STOP;
	}
}

void x86_understand(const struct x86_decoder *d, struct x86_instruction *instruction)
{
	uint32_t written = x86_registers_written(d);
	instruction->effect = effect_by_writes(written);
	instruction->written = (uint16_t)written;
	understand_copy(d, instruction);
	if (!d->vector && d->map == MAP_ONE)
		understand_one_byte(d, instruction);
	else if (!d->vector && d->map == MAP_0F)
		understand_two_byte(d, instruction);
}
