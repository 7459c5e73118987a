/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding: prefixes and opcode, operand and its length. What the instruction does is in x86_effect.c.
 */
#include "binary/x86_parts.h"

#include <string.h>

#define MAX_LENGTH 15
/* How an opcode goes on. */
enum shape {
	NONE = '.',	 /* nothing */
	MODRM = 'M',	 /* ModRM */
	MODRM_IMM8 = 'B',
	MODRM_IMM = 'Z', /* and 32 bits, with prefix 66 16 */
	IMM8 = 'b',
	IMM = 'z',
	IMM16 = 'w',
	IMM24 = 'e',	 /* enter */
	IMM_FULL = 'v',	 /* mov: with REX.W 64 bits */
	ADDRESS = 'o',	 /* mov from and to an absolute address */
	REL8 = 'j',
	REL32 = 'J',
	TEST8 = 'g',	 /* groups in which only test has an immediate operand */
	TEST = 'G',
	WRONG = 'x',
};

static const char one_byte[256 + 1] =
	"MMMMbzxxMMMMbzxx" "MMMMbzxxMMMMbzxx" "MMMMbzxxMMMMbzxx" "MMMMbzxxMMMMbzxx" /* 00 */
	"xxxxxxxxxxxxxxxx" "................" "xxxMxxxxzZbB...." "jjjjjjjjjjjjjjjj" /* 40 */
	"BZxBMMMMMMMMMMMM" "..........x....." "oooo....bz......" "bbbbbbbbvvvvvvvv" /* 80 */
	"BBw.xxBZe.w..bx." "MMMMxxx.MMMMMMMM" "jjjjbbbbJJxj...." "x.xx..gG......MM"; /* c0 */

/* After 0f. */
static const char two_byte[256 + 1] =
	"MMMMx.....x.xM.B" "MMMMMMMMMMMMMMMM" "MMMMxxxxMMMMMMMM" "......x.xxxxxxxx" /* 00 */
	"MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "BBBBMMM.MMMMMMMM" /* 40 */
	"JJJJJJJJJJJJJJJJ" "MMMMMMMMMMMMMMMM" "...MBMMM...MBMMM" "MMMMMMMMMMBMMMMM" /* 80 */
	"MMBMBBBM........" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM" "MMMMMMMMMMMMMMMM"; /* c0 */

static uint8_t next_byte(struct x86_decoder *d)
{
	if (d->at >= d->size) {
		d->failed = true;
		return 0;
	}
	return d->code[d->at++];
}

/* `size` bytes, signed, little-endian. */
static int64_t next_number(struct x86_decoder *d, unsigned size)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)next_byte(d) << 8 * i;
	unsigned unused = 64 - 8 * size;
	return size ? (int64_t)(value << unused) >> unused : 0;
}

/* True while the byte is a prefix; REX must be the last one. */
static bool take_prefix(struct x86_decoder *d, uint8_t byte)
{
	switch (byte) {
	case 0x66:
		d->operand_16 = true;
		return true;
	case 0x67:
		d->address_32 = true;
		return true;
	case 0xf2:
		d->repeat_not = true;
		return true;
	case 0xf3:
		d->repeat = true;
		return true;
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0xf0:
		return true;
	}
	return false;
}

static void take_rex(struct x86_decoder *d, uint8_t rex)
{
	d->rex_present = true;
	d->rex_w = rex & 8;
	d->rex_r = rex & 4;
	d->rex_x = rex & 2;
	d->rex_b = rex & 1;
}

/* VEX (c5, c4), XOP (8f) and EVEX (62): the bits of REX inverted, the map, the mandatory prefix. */
static void take_vector_prefix(struct x86_decoder *d, uint8_t byte)
{
	uint8_t first = next_byte(d), last = first, map = 1;
	d->vector = true;
	d->rex_r = !(first & 0x80);
	if (byte != 0xc5) {
		d->rex_x = !(first & 0x40);
		d->rex_b = !(first & 0x20);
		map = first & (byte == 0x62 ? 7 : 0x1f);
		last = next_byte(d);
		d->rex_w = last & 0x80;
	}
	if (byte == 0x62)
		next_byte(d);
	d->vvvv = ~(last >> 3) & 15;
	d->operand_16 = (last & 3) == 1;
	d->repeat = (last & 3) == 2;
	d->repeat_not = (last & 3) == 3;
	d->map = map >= 1 && map <= 3 ? map : MAP_OTHER;
	if (byte == 0x8f || !map)
		d->map = MAP_OTHER;
	d->immediate = byte == 0x8f ? map : 0; /* until the shape is known */
	d->opcode = next_byte(d);
}

static bool is_vector_prefix(const struct x86_decoder *d, uint8_t byte)
{
	if (byte == 0xc4 || byte == 0xc5 || byte == 0x62)
		return true;
	return byte == 0x8f && d->at < d->size && (d->code[d->at] & 0x1f) >= 8;
}

static void take_opcode(struct x86_decoder *d)
{
	uint8_t byte = next_byte(d);
	while (take_prefix(d, byte))
		byte = next_byte(d);
	if (byte >> 4 == 4) {
		take_rex(d, byte);
		byte = next_byte(d);
	} else if (is_vector_prefix(d, byte)) {
		take_vector_prefix(d, byte);
		return;
	}
	d->map = MAP_ONE;
	if (byte == 0x0f) {
		byte = next_byte(d);
		d->map = byte == 0x38 ? MAP_0F38 : byte == 0x3a ? MAP_0F3A : MAP_0F;
		if (d->map != MAP_0F)
			byte = next_byte(d);
	}
	d->opcode = byte;
}

static enum shape shape_of(const struct x86_decoder *d)
{
	switch (d->map) {
	case MAP_ONE:
		return one_byte[d->opcode];
	case MAP_0F:
		/* extrq and insertq with two immediate bytes: left out */
		if (d->opcode == 0x78 && !d->vector && (d->operand_16 || d->repeat_not))
			return WRONG;
		if (d->vector && two_byte[d->opcode] != MODRM_IMM8)
			return d->opcode == 0x77 ? NONE : MODRM;
		return two_byte[d->opcode];
	case MAP_0F38:
		return MODRM;
	case MAP_0F3A:
		return MODRM_IMM8;
	default: /* XOP has maps 8 to 10; the rest is EVEX */
		return d->immediate == 8 ? MODRM_IMM8 : d->immediate == 10 ? MODRM_IMM : MODRM;
	}
}

static void take_modrm(struct x86_decoder *d)
{
	uint8_t byte = next_byte(d);
	d->has_modrm = true;
	d->mod = byte >> 6;
	d->reg = (byte >> 3 & 7) | d->rex_r << 3;
	d->rm = (byte & 7) | d->rex_b << 3;
	d->base = d->rm;
	/* Moves of control and debug registers have no memory form. */
	if (d->map == MAP_0F && !d->vector && d->opcode >> 2 == 0x20 >> 2)
		d->mod = 3;
	if (d->mod == 3)
		return;
	if ((byte & 7) == 4) {
		uint8_t sib = next_byte(d);
		d->base = (sib & 7) | d->rex_b << 3;
		d->indexed = (sib >> 3 & 7) != 4 || d->rex_x;
		if ((sib & 7) == 5 && d->mod == 0)
			d->base = 16;
	} else if ((byte & 7) == 5 && d->mod == 0) {
		d->base = 17;
	}
	if (d->mod == 1)
		d->displacement = next_number(d, 1);
	else if (d->mod == 2 || d->base >= 16)
		d->displacement = next_number(d, 4);
}

static unsigned immediate_size(const struct x86_decoder *d, enum shape shape)
{
	unsigned operand = d->operand_16 && !d->rex_w && !d->vector ? 2 : 4;
	bool test = (d->reg & 7) < 2;
	switch (shape) {
	case IMM8: case MODRM_IMM8: case REL8:
		return 1;
	case IMM16:
		return 2;
	case IMM24:
		return 3;
	case IMM: case MODRM_IMM:
		return operand;
	case REL32:
		return 4;
	case IMM_FULL:
		return d->rex_w ? 8 : operand;
	case ADDRESS:
		return d->address_32 ? 4 : 8;
	case TEST8:
		return test ? 1 : 0;
	case TEST:
		return test ? operand : 0;
	default:
		return 0;
	}
}

static void take_operands(struct x86_decoder *d)
{
	enum shape shape = shape_of(d);
	d->immediate = 0;
	if (shape == WRONG)
		d->failed = true;
	if (shape == MODRM || shape == MODRM_IMM8 || shape == MODRM_IMM || shape == TEST8 ||
	    shape == TEST)
		take_modrm(d);
	d->immediate = next_number(d, immediate_size(d, shape));
}

struct x86_instruction x86_decode(const unsigned char *code, size_t size, uint64_t address)
{
	struct x86_instruction instruction = {.effect = X86_INVALID};
	struct x86_decoder d = {.code = code, .size = MIN_OF(size, (size_t)MAX_LENGTH),
			    .address = address};
	take_opcode(&d);
	if (!d.failed)
		take_operands(&d);
	if (d.failed)
		return instruction;
	x86_understand(&d, &instruction);
	if (instruction.effect != X86_INVALID)
		instruction.length = d.at;
	return instruction;
}
