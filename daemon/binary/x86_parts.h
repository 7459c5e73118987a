/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instruction taken apart. Private to the decoder.
 */
#pragma once

#include "binary/x86_decode.h"

enum map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_OTHER };

struct x86_decoder {
	const unsigned char *code;
	size_t size, at;
	uint64_t address;
	bool operand_16, address_32, repeat, repeat_not;
	bool vector; /* VEX, EVEX or XOP */
	bool rex_present, rex_w, rex_r, rex_x, rex_b;
	uint8_t map, opcode, vvvv;
	bool has_modrm;
	uint8_t mod, reg, rm; /* reg and rm with their REX bits */
	uint8_t base;	      /* of a memory operand; 16: none, 17: the next instruction's address */
	bool indexed;
	int64_t displacement, immediate;
	bool failed;
};

/* Fills in the effect and what belongs to it. */
void x86_understand(const struct x86_decoder *d, struct x86_instruction *instruction);

/* The general registers it writes, as bits by hardware number. */
uint32_t x86_registers_written(const struct x86_decoder *d);
