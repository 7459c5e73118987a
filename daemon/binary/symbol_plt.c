/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the stubs of the procedure linkage table.
 *
 * A stub is found by what it does, not by counting: it jumps through a slot of the global offset
 * table, and a relocation says whose address the loader puts there. So .plt, .plt.sec and .plt.got of
 * every linker are read alike. Encodings: Intel SDM (ff /4 with RIP-relative operand), Arm ARM (ADRP,
 * LDR immediate).
 */
#include "binary/symbol_list.h"
#include "binary/symbol_table.h"

#include <errno.h>
#include <string.h>

#define PLT_LIMIT (16ULL << 20)
#define PLT_ENTRY_SIZE 16

/* Global offset table slot -> index of the dynamic symbol whose address it gets. */
static int collect_slots(const struct elf_file *elf, const char *section, struct hash *slots)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	if (elf_file_data(elf, section, PLT_LIMIT, &data) < 0)
		return 0;
	for (size_t at = 0; at + sizeof(Elf64_Rela) <= data.size; at += sizeof(Elf64_Rela)) {
		Elf64_Rela rela;
		memcpy(&rela, data.bytes + at, sizeof(rela));
		uint64_t symbol = ELF64_R_SYM(rela.r_info);
		int r = symbol ? hash_put(slots, rela.r_offset, symbol) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static uint32_t word_at(const unsigned char *bytes)
{
	uint32_t word;
	memcpy(&word, bytes, sizeof(word));
	return word;
}

/* The slot that the stub at `address` jumps through: jmp *displacement(%rip). */
static bool x86_slot(const unsigned char *stub, size_t size, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i + 6 <= size; i++) {
		if (stub[i] != 0xff || stub[i + 1] != 0x25)
			continue;
		*ret = address + i + 6 + (uint64_t)(int64_t)(int32_t)word_at(stub + i + 2);
		return true;
	}
	return false;
}

/* adrp x16, page; ldr x17, [x16, #offset]: perhaps after a BTI landing pad. */
static bool arm_slot(const unsigned char *stub, size_t size, uint64_t address, uint64_t *ret)
{
	for (size_t i = 0; i + 8 <= size; i += 4) {
		uint32_t adrp = word_at(stub + i), load = word_at(stub + i + 4);
		if ((adrp & 0x9f00001f) != 0x90000010 || (load & 0xffc003ff) != 0xf9400211)
			continue;
		int64_t pages = (int32_t)((adrp >> 5 & 0x7ffff) << 13) >> 11;
		pages |= adrp >> 29 & 3;
		*ret = ((address + i) & ~0xfffULL) + (uint64_t)pages * 4096 +
		       (load >> 10 & 0xfff) * 8;
		return true;
	}
	return false;
}

static void add_stubs(struct symbol_list *list, const struct elf_file *elf, const char *section,
		      const struct symbol_table *table, const struct hash *slots)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	Elf64_Shdr header;
	if (!elf_file_find_section(elf, section, &header, NULL) ||
	    elf_file_section_data(elf, &header, PLT_LIMIT, &data) < 0)
		return;
	size_t step = strcmp(section, ".plt.got") == 0 && header.sh_entsize == 8 ? 8
										: PLT_ENTRY_SIZE;
	for (size_t at = 0; at < data.size; at += step) {
		uint64_t slot, address = header.sh_addr + at;
		size_t size = MIN_OF(step, data.size - at);
		bool found = elf->machine == EM_AARCH64
				     ? arm_slot(data.bytes + at, size, address, &slot)
				     : x86_slot(data.bytes + at, size, address, &slot);
		uint64_t *symbol = found ? hash_get(slots, slot) : NULL;
		if (!symbol || *symbol >= table->count)
			continue;
		Elf64_Sym target = symbol_table_get(table, *symbol);
		const char *name = NULL;
		char stub_name[512];
		size_t length = symbol_table_name(table, &target, &name);
		if (length == 0 || length > sizeof(stub_name) - 4)
			continue;
		memcpy(stub_name, name, length);
		memcpy(stub_name + length, "@plt", 4);
		symbol_list_add(list, stub_name, length + 4, address, step, SYMBOL_RANK_PLT);
	}
}

void symbol_plt_add(struct symbol_list *list, const struct elf_file *elf)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	_cleanup_(hash_free) struct hash slots = {0};
	/* Stubs of 32-bit programs count from a register, and their relocations have another shape. */
	if (elf_file_is_32_bit(elf) || symbol_table_open(elf, SHT_DYNSYM, &table) < 0)
		return;
	int r = collect_slots(elf, ".rela.plt", &slots);
	if (r == 0)
		r = collect_slots(elf, ".rela.dyn", &slots);
	if (r < 0) {
		list->error = r;
		return;
	}
	static const char *const sections[] = {".plt", ".plt.sec", ".plt.got"};
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++)
		add_stubs(list, elf, sections[i], &table, &slots);
}
