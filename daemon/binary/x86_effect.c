/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instruction does to SP and FP. It errs on one side: what may write one of them in a way that
 * has no name here is said to do so.
 */
#include "binary/x86_parts.h"

#define SP 4
#define FP 5

/* ---- Which general registers an instruction writes ------------------------------------------------ */

#define WRITES_REG 1
#define WRITES_RM 2
#define WRITES_LOW 4   /* the register in the opcode's low bits */
#define WRITES_VVVV 8
#define BYTE_SIZED 16

static unsigned one_byte_writes(const struct x86_decoder *d)
{
	uint8_t op = d->opcode, group = d->reg & 7;
	if (op < 0x40) {
		unsigned form = op & 7, byte = form & 1 ? 0 : BYTE_SIZED;
		return form >= 4 || op >> 3 == 7 ? 0 : byte | (form & 2 ? WRITES_REG : WRITES_RM);
	}
	switch (op) {
	case 0x63: case 0x69: case 0x6b: case 0x8b: case 0x8d:
		return WRITES_REG;
	case 0x80:
		return group == 7 ? 0 : WRITES_RM | BYTE_SIZED;
	case 0x81: case 0x83:
		return group == 7 ? 0 : WRITES_RM;
	case 0x86:
		return WRITES_REG | WRITES_RM | BYTE_SIZED;
	case 0x87:
		return WRITES_REG | WRITES_RM;
	case 0x88: case 0xc0: case 0xc6: case 0xd0: case 0xd2: case 0xfe:
		return WRITES_RM | BYTE_SIZED;
	case 0x89: case 0x8c: case 0x8f: case 0xc1: case 0xc7: case 0xd1: case 0xd3:
		return WRITES_RM;
	case 0x8a:
		return WRITES_REG | BYTE_SIZED;
	case 0x91 ... 0x97: case 0xb8 ... 0xbf:
		return WRITES_LOW;
	case 0xb0 ... 0xb7:
		return WRITES_LOW | BYTE_SIZED;
	case 0xf6:
		return group == 2 || group == 3 ? WRITES_RM | BYTE_SIZED : 0;
	case 0xf7:
		return group == 2 || group == 3 ? WRITES_RM : 0;
	case 0xff:
		return group < 2 ? WRITES_RM : 0;
	}
	return 0;
}

static unsigned two_byte_writes(const struct x86_decoder *d)
{
	uint8_t group = d->reg & 7;
	switch (d->opcode) {
	case 0x00:
		return group < 2 ? WRITES_RM : 0;
	case 0x01:
		return group == 4 ? WRITES_RM : 0;
	case 0x1e: /* rdssp */
		return d->repeat && group == 1 ? WRITES_RM : 0;
	case 0xae: /* rdfsbase, rdgsbase; ptwrite and others only read */
		return d->repeat && group < 2 ? WRITES_RM : 0;
	case 0x7e:
		return d->repeat ? 0 : WRITES_RM;
	case 0x20: case 0x21: case 0x78: case 0xa4: case 0xa5: case 0xab: case 0xac: case 0xad:
	case 0xb1: case 0xb3: case 0xbb:
		return WRITES_RM;
	case 0xb0: case 0x90 ... 0x9f:
		return WRITES_RM | BYTE_SIZED;
	case 0xba:
		return group > 4 ? WRITES_RM : 0;
	case 0xc0:
		return WRITES_REG | WRITES_RM | BYTE_SIZED;
	case 0xc1:
		return WRITES_REG | WRITES_RM;
	case 0xc7:
		return group >= 6 ? WRITES_RM : 0;
	case 0xc8 ... 0xcf:
		return WRITES_LOW;
	case 0x02: case 0x03: case 0x2c: case 0x2d: case 0x40 ... 0x4f: case 0x50: case 0xaf: case 0xb2:
	case 0xb4 ... 0xb8: case 0xbc ... 0xbf: case 0xc5: case 0xd7:
		return WRITES_REG;
	}
	return 0;
}

static unsigned vector_writes(const struct x86_decoder *d)
{
	uint8_t op = d->opcode;
	if (d->map == MAP_0F && (op == 0x2c || op == 0x2d || op == 0x50 || op == 0x78 || op == 0x79 ||
				 op == 0x93 || op == 0xc5 || op == 0xd7))
		return WRITES_REG;
	if (d->map == MAP_0F && op == 0x7e)
		return d->repeat ? 0 : WRITES_RM;
	if (d->map == MAP_0F38 && op >= 0xf2 && op <= 0xf7)
		return WRITES_REG | WRITES_VVVV;
	if (d->map == MAP_0F38 && op >= 0xe0 && op <= 0xef) /* cmpccxadd */
		return WRITES_REG;
	if (d->map == MAP_0F3A && op == 0xf0)
		return WRITES_REG;
	if (d->map == MAP_0F3A && op >= 0x14 && op <= 0x17)
		return WRITES_RM;
	return d->map == MAP_OTHER ? WRITES_REG | WRITES_RM | WRITES_VVVV : 0;
}

static unsigned writes_of(const struct x86_decoder *d)
{
	if (d->vector)
		return vector_writes(d);
	switch (d->map) {
	case MAP_ONE:
		return one_byte_writes(d);
	case MAP_0F:
		return two_byte_writes(d);
	case MAP_0F38:
		return d->opcode == 0xf0 || d->opcode == 0xf1 || d->opcode == 0xf6 ? WRITES_REG : 0;
	default:
		return d->opcode >= 0x14 && d->opcode <= 0x17 ? WRITES_RM : 0;
	}
}

static bool writes_register(const struct x86_decoder *d, unsigned writes, unsigned number)
{
	if ((writes & BYTE_SIZED) && !d->rex_present)
		return false; /* ah, ch, dh, bh have these numbers */
	return ((writes & WRITES_REG) && d->reg == number) ||
	       ((writes & WRITES_RM) && d->mod == 3 && d->rm == number) ||
	       ((writes & WRITES_LOW) && ((d->opcode & 7) | d->rex_b << 3) == (int)number) ||
	       ((writes & WRITES_VVVV) && d->vvvv == number);
}

static enum x86_effect effect_by_writes(const struct x86_decoder *d)
{
	unsigned writes = writes_of(d);
	bool sp = writes_register(d, writes, SP), fp = writes_register(d, writes, FP);
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
		if (d->immediate > 0 && (!d->has_modrm || d->mod == 3)) {
			i->takes_address = true;
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
	instruction->effect = effect_by_writes(d);
	if (!d->vector && d->map == MAP_ONE)
		understand_one_byte(d, instruction);
	else if (!d->vector && d->map == MAP_0F)
		understand_two_byte(d, instruction);
}
