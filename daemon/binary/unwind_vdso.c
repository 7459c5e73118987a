/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vDSO of arm64 kernels has no call frame information. Its functions are leaves, or keep a frame
 * record: "stp x29, x30, [sp, #-N]!" makes the frame and "ldp x29, x30, [sp], #N" takes it down.
 * Between the two the frame is found by x29 and its size N, for the caller need not keep records, and its
 * stack pointer must be right; elsewhere the return address is in the link register.
 */
#include "binary/unwind_code.h"

#include "binary/cursor.h"

#include <string.h>

#define MAX_SYMBOLS 256 /* there are about ten */

static bool is_vdso(const struct elf_file *elf)
{
	static const char name[] = "linux-vdso.so.1";
	_cleanup_elf_data_ struct elf_data strings = {0};
	return elf->machine == EM_AARCH64 && elf->type == ET_DYN &&
	       elf_file_data(elf, ".dynstr", 1 << 16, &strings) == 0 &&
	       memmem(strings.bytes, strings.size, name, sizeof(name));
}

/* The rule of a frame whose record "stp x29, x30, [sp, #-N]!" put at its bottom. */
static struct unwind_rule record_at_bottom(uint32_t stp)
{
	int words = 128 - (int)(stp >> 15 & 0x7f); /* N / 8: a negative number of 7 bits */
	return (struct unwind_rule){
		.kind = RULE_CFA_FP,
		.flags = RULE_FP_AT_CFA | RULE_RA_AT_CFA,
		.fp_offset = (int16_t)(-8 * words),
		.cfa_offset = (uint16_t)words | (uint32_t)(1 - words) << 16,
	};
}

static int add_function(const struct elf_file *elf, uint64_t address, uint64_t size,
			struct unwind_rows *rows)
{
	static const struct unwind_rule leaf = {.kind = RULE_CFA_SP};
	struct unwind_rule framed = {.kind = RULE_FRAME_POINTER};
	if (code_is_signal_return(elf, address) || code_is_signal_return(elf, address + 4))
		return unwind_rows_add_range(rows, address - 1, size + 1, UNWIND_FROM_CODE,
					     (struct unwind_rule){.kind = RULE_SIGNAL});
	if (!unwind_rows_begin(rows, address, size, UNWIND_FROM_CODE))
		return 0;
	size_t available;
	const unsigned char *code = elf_file_at_address(elf, address, &available);
	int r = unwind_rows_add(rows, address, leaf);
	size = code ? MIN_OF(size, (uint64_t)available) : 0;
	for (uint64_t at = 0; at + 4 <= size && r == 0; at += 4) {
		uint32_t instruction;
		memcpy(&instruction, code + at, sizeof(instruction));
		/* The record is in place once x29 points to it. */
		if ((instruction & 0xffc07fff) == 0xa9807bfd) /* stp x29, x30, [sp, #-N]! */
			framed = record_at_bottom(instruction);
		else if (instruction == 0x910003fd) /* mov x29, sp */
			r = unwind_rows_add(rows, address + at + 4, framed);
		else if ((instruction & 0xffc07fff) == 0xa8c07bfd) /* ldp x29, x30, [sp], #N */
			r = unwind_rows_add(rows, address + at + 4, leaf);
	}
	return r < 0 ? r : unwind_rows_end(rows);
}

int unwind_vdso_read(const struct elf_file *elf, struct unwind_rows *rows)
{
	_cleanup_elf_data_ struct elf_data symbols = {0};
	if (!is_vdso(elf) ||
	    elf_file_data(elf, ".dynsym", MAX_SYMBOLS * sizeof(Elf64_Sym), &symbols) < 0)
		return 0;
	struct cursor c = cursor_over(symbols.bytes, symbols.size);
	int r = 0;
	while (cursor_left(&c) >= sizeof(Elf64_Sym) && r == 0) {
		Elf64_Sym symbol;
		memcpy(&symbol, cursor_take(&c, sizeof(symbol)), sizeof(symbol));
		/* The signal trampoline has no type. */
		if (symbol.st_shndx != SHN_UNDEF && symbol.st_size)
			r = add_function(elf, symbol.st_value, symbol.st_size, rows);
	}
	return r;
}
