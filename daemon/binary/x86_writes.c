/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which general registers an instruction writes (Intel SDM, volume 2). Of what is not known it says more
 * rather than less. Calls, system calls and returns are left out: what runs there writes what it likes.
 */
#include "binary/x86_parts.h"

/* Hardware numbers. */
enum { AX, CX, DX, BX, SI = 6, DI = 7 };

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

/* The registers that no operand names. */
static uint32_t implicit_writes(const struct x86_decoder *d)
{
	if (d->map == MAP_0F3A && (d->opcode == 0x61 || d->opcode == 0x63)) /* pcmpestri, pcmpistri */
		return 1U << CX;
	if (d->vector)
		return 0;
	if (d->map == MAP_0F)
		switch (d->opcode) {
		case 0xb0: case 0xb1: /* cmpxchg */
			return 1U << AX;
		case 0x01: case 0xa2: case 0xc7: /* rdtscp and others, cpuid, cmpxchg8b */
			return 1U << AX | 1U << CX | 1U << DX | 1U << BX;
		case 0x31: case 0x32: case 0x33: /* rdtsc, rdmsr, rdpmc */
			return 1U << AX | 1U << DX;
		}
	if (d->map != MAP_ONE)
		return 0;
	switch (d->opcode) {
	case 0x58 ... 0x5f: /* pop */
		return 1U << ((d->opcode & 7) | d->rex_b << 3);
	case 0x04: case 0x05: case 0x0c: case 0x0d: case 0x14: case 0x15: case 0x1c: case 0x1d:
	case 0x24: case 0x25: case 0x2c: case 0x2d: case 0x34: case 0x35: /* arithmetic with rax */
	case 0x91 ... 0x97: case 0x98: case 0xa0: case 0xa1: case 0xe4: case 0xe5: case 0xec: case 0xed:
	case 0xd7: case 0x9f:
		return 1U << AX;
	case 0x99: /* cqo */
		return 1U << AX | 1U << DX;
	case 0xf6: case 0xf7: /* mul, div */
		return (d->reg & 7) >= 4 ? 1U << AX | 1U << DX : 0;
	case 0xdf: /* fnstsw %ax */
		return d->mod == 3 && d->reg == 4 && d->rm == 0 ? 1U << AX : 0;
	case 0x90: /* xchg %rax, %r8; else nop */
		return d->rex_b ? 1U << AX | 1U << 8 : 0;
	case 0xa4 ... 0xa7: case 0xaa ... 0xaf: case 0x6c ... 0x6f: /* strings */
		return 1U << AX | 1U << CX | 1U << SI | 1U << DI;
	case 0xe0 ... 0xe2: /* loop */
		return 1U << CX;
	}
	return 0;
}

/* By the number of an operand. Byte registers 4 to 7 without REX are ah, ch, dh, bh. */
static uint32_t bit(const struct x86_decoder *d, unsigned writes, unsigned number)
{
	if ((writes & BYTE_SIZED) && !d->rex_present && number < 8)
		number &= 3;
	return 1U << (number & 15);
}

uint32_t x86_registers_written(const struct x86_decoder *d)
{
	unsigned writes = writes_of(d);
	uint32_t written = implicit_writes(d);
	if (writes & WRITES_REG)
		written |= bit(d, writes, d->reg);
	if ((writes & WRITES_RM) && d->mod == 3)
		written |= bit(d, writes, d->rm);
	if (writes & WRITES_LOW)
		written |= bit(d, writes, (d->opcode & 7) | d->rex_b << 3);
	if (writes & WRITES_VVVV)
		written |= bit(d, writes, d->vvvv);
	return written;
}
