/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the stubs of the procedure linkage table.
 *
 * A stub is found by what it does, not by counting: it jumps through a slot of the global offset
 * table, and a relocation says whose address the loader puts there. So .plt, .plt.sec and .plt.got of
 * every linker are read alike. Encodings: Intel SDM (ff /4; in 64-bit code with a RIP-relative operand, in 32-bit code
 * with an absolute one or from EBX, which has the table's address: System V ABI for i386, 5.2), Arm ARM (ADRP, LDR
 * immediate).
 */
#include "binary/symbol_list.h"
#include "binary/symbol_table.h"

#include <errno.h>
#include <string.h>

#define PLT_LIMIT (16ULL << 20)
#define PLT_ENTRY_SIZE 16

struct slot {
	uint64_t address, symbol;
};

static struct slot slot_of_rela(const unsigned char *bytes)
{
	Elf64_Rela rela;
	memcpy(&rela, bytes, sizeof(rela));
	return (struct slot){rela.r_offset, ELF64_R_SYM(rela.r_info)};
}

static struct slot slot_of_rel_32(const unsigned char *bytes)
{
	Elf32_Rel rel;
	memcpy(&rel, bytes, sizeof(rel));
	return (struct slot){rel.r_offset, ELF32_R_SYM(rel.r_info)};
}

/* Global offset table slot -> index of the dynamic symbol whose address it gets. */
static int collect_slots(const struct elf_file *elf, const char *section, struct hash *slots)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	bool is_32_bit = elf_file_is_32_bit(elf);
	size_t size = is_32_bit ? sizeof(Elf32_Rel) : sizeof(Elf64_Rela);
	if (elf_file_data(elf, section, PLT_LIMIT, &data) < 0)
		return 0;
	for (size_t at = 0; at + size <= data.size; at += size) {
		const unsigned char *bytes = data.bytes + at;
		struct slot slot = is_32_bit ? slot_of_rel_32(bytes) : slot_of_rela(bytes);
		int r = slot.symbol ? hash_put(slots, slot.address, slot.symbol) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int collect_all_slots(const struct elf_file *elf, struct hash *slots)
{
	bool is_32_bit = elf_file_is_32_bit(elf);
	int r = collect_slots(elf, is_32_bit ? ".rel.plt" : ".rela.plt", slots);
	return r < 0 ? r : collect_slots(elf, is_32_bit ? ".rel.dyn" : ".rela.dyn", slots);
}

/* What EBX has in the stubs of a 32-bit library; 0: there is no such table. */
static uint64_t address_of_table(const struct elf_file *elf)
{
	Elf64_Shdr header;
	bool found = elf_file_find_section(elf, ".got.plt", &header, NULL) ||
		     elf_file_find_section(elf, ".got", &header, NULL);
	return found ? header.sh_addr : 0;
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

/* jmp *slot, or jmp *displacement(%ebx). */
static bool x86_32_slot(const unsigned char *stub, size_t size, uint64_t table, uint64_t *ret)
{
	for (size_t i = 0; i + 6 <= size; i++) {
		bool from_table = stub[i + 1] == 0xa3;
		if (stub[i] != 0xff || (stub[i + 1] != 0x25 && !from_table))
			continue;
		*ret = (uint32_t)((from_table ? table : 0) + word_at(stub + i + 2));
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

static bool stub_slot(const struct elf_file *elf, const unsigned char *stub, size_t size, uint64_t address,
		      uint64_t *ret)
{
	switch (elf->machine) {
	case EM_AARCH64:
		return arm_slot(stub, size, address, ret);
	case EM_386:
		return x86_32_slot(stub, size, address_of_table(elf), ret);
	default:
		return x86_slot(stub, size, address, ret);
	}
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
		bool found = stub_slot(elf, data.bytes + at, size, address, &slot);
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
	if (symbol_table_open(elf, SHT_DYNSYM, &table) < 0)
		return;
	int r = collect_all_slots(elf, &slots);
	if (r < 0) {
		list->error = r;
		return;
	}
	static const char *const sections[] = {".plt", ".plt.sec", ".plt.got"};
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++)
		add_stubs(list, elf, sections[i], &table, &slots);
}
