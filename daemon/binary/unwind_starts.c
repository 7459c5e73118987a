/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts are known for certain at symbols of functions, at the entry, at .init and .fini, and where calls lead
 * to. They are possible where described code jumps to, where the code takes an address (lea), or a relocation or
 * .init_array holds it.
 *
 * Described code is searched for calls only when it is small or not much larger than what nobody described, and names
 * are read only where there is more of that than the start files of a compiler.
 */
#include "binary/unwind_starts.h"

#include "binary/symbol_list.h"
#include "binary/symbol_table.h"
#include "binary/x86_decode.h"

#include <errno.h>
#include <string.h>

#define ENTRY_SIZE 64 /* longest entry considered */
/* Described code this many times larger than the rest is not searched for calls into the rest, unless it is small: then
 * that takes a few milliseconds. */
#define SEARCH_RATIO 16
#define SMALL_CODE (4UL << 20)
#define CALL 0xe8
#define JUMP 0xe9
/* Less code than the start files of a compiler are not worth reading names for. */
#define LEAST_FOR_NAMES 1024
/* Of what a file claims to have, so much is read: the largest programs have some thousand functions in an array,
 * and some hundred MB of relocations. */
#define MAX_ARRAY_BYTES (1UL << 20)
#define MAX_RELOCATION_BYTES (512UL << 20)

struct starts {
	const struct elf_file *elf;
	const struct unwind_rows *rows;
	uint64_t described_size;
	struct flow *flow;
};

/* GCC's name for the unlikely part of a function, which is entered in the middle of it. */
static bool is_cold_part(const struct symbol_table *table, const Elf64_Sym *symbol)
{
	const char *name = NULL;
	size_t length = symbol_table_name(table, symbol, &name);
	return length && memmem(name, length, ".cold", 5);
}

static bool is_never(const char *name, size_t length)
{
	static const char *const names[] = {
		"abort", "exit", "_exit", "_Exit", "quick_exit", "__stack_chk_fail", "__assert_fail",
		"__chk_fail", "__fortify_fail", "__cxa_throw", "__cxa_rethrow", "_Unwind_Resume",
		"longjmp", "siglongjmp", "__longjmp_chk", "pthread_exit", "err", "errx", "verr", "verrx",
		"__cxa_throw_bad_array_new_length", "__cxa_bad_cast", "_ZSt9terminatev",
	};
	const char *at = memchr(name, '@', length); /* name@plt */
	length = at ? (size_t)(at - name) : length;
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (strlen(names[i]) == length && !memcmp(name, names[i], length))
			return true;
	return false;
}

static int add_symbols(struct starts *s, uint32_t type)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	if (s->flow->code.size < LEAST_FOR_NAMES)
		return 0;
	int r = symbol_table_open(s->elf, type, &table);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (size_t i = 0; i < table.count && r == 0; i++) {
		Elf64_Sym symbol = symbol_table_get(&table, i);
		unsigned kind = ELF64_ST_TYPE(symbol.st_info);
		if ((kind == STT_FUNC || kind == STT_GNU_IFUNC) && symbol.st_shndx != SHN_UNDEF &&
		    flow_has(s->flow, symbol.st_value) && !is_cold_part(&table, &symbol)) {
			const char *name;
			size_t length = symbol_table_name(&table, &symbol, &name);
			if (length && is_never(name, length))
				r = flow_add_never(s->flow, symbol.st_value);
			if (r == 0)
				r = flow_add_start(s->flow, symbol.st_value, true);
		}
	}
	return r;
}

/* Functions of .init_array and .fini_array in files whose code does not move. */
static int add_array(struct starts *s, const Elf64_Shdr *section)
{
	uint64_t size = MIN_OF(section->sh_size, MAX_ARRAY_BYTES);
	const unsigned char *bytes = elf_file_range(s->elf, section->sh_offset, size);
	int r = 0;
	for (uint64_t at = 0; bytes && size - at >= 8 && r == 0; at += 8) {
		uint64_t address;
		memcpy(&address, bytes + at, sizeof(address));
		r = flow_add_start(s->flow, address, false);
	}
	return r;
}

/* Is the address between the first and the last gap? Most of a large file's are not. */
static bool may_be_in_gap(const struct starts *s, uint64_t address)
{
	return address - s->flow->code.base < s->flow->code.span;
}

static int add_relocations(struct starts *s, const Elf64_Shdr *section)
{
	uint64_t size = MIN_OF(section->sh_size, MAX_RELOCATION_BYTES);
	const unsigned char *bytes = elf_file_range(s->elf, section->sh_offset, size);
	Elf64_Rela entry;
	int r = 0;
	for (uint64_t at = 0; bytes && size - at >= sizeof(entry) && r == 0; at += sizeof(entry)) {
		memcpy(&entry, bytes + at, sizeof(entry));
		unsigned type = ELF64_R_TYPE(entry.r_info);
		if ((type == R_X86_64_RELATIVE || type == R_X86_64_IRELATIVE) &&
		    may_be_in_gap(s, entry.r_addend))
			r = flow_add_start(s->flow, entry.r_addend, false);
	}
	return r;
}

static int add_sections(struct starts *s)
{
	Elf64_Shdr section;
	int r = 0;
	for (uint32_t i = 0; r == 0 && elf_file_section(s->elf, i, &section); i++) {
		const char *name = elf_file_section_name(s->elf, &section);
		if (!strcmp(name, ".init") || !strcmp(name, ".fini"))
			r = flow_add_start(s->flow, section.sh_addr, true);
		else if (section.sh_type == SHT_INIT_ARRAY || section.sh_type == SHT_FINI_ARRAY)
			r = add_array(s, &section);
		else if (section.sh_type == SHT_RELA && (section.sh_flags & SHF_ALLOC))
			r = add_relocations(s, &section);
	}
	return r;
}

/* Where this code calls, jumps to or takes addresses: as others cannot be in a function that is described, a jump out of
 * it is a call at its end. */
static int search_code(struct starts *s, const unsigned char *bytes, uint64_t address, uint64_t size)
{
	int r = 0;
	for (uint64_t at = 0; bytes && at < size && r == 0;) {
		struct x86_instruction i = x86_decode(bytes + at, size - at, address + at);
		bool call = i.effect == X86_CALL && i.has_target, jump = i.effect == X86_JUMP && i.has_target;
		/* A number is no address where code moves. */
		bool address_taken = i.takes_address && !(i.is_constant && s->elf->type == ET_DYN);
		if (!i.length)
			break;
		if (address_taken || call || jump)
			r = flow_add_start(s->flow, i.target, call);
		at += i.length;
	}
	return r;
}

/* The entry may share its unit with described code. It ends with a call. */
static int search_entry(struct starts *s)
{
	size_t size;
	const unsigned char *bytes = elf_file_at_address(s->elf, s->elf->entry, &size);
	uint64_t end = 0;
	if (!bytes || !s->elf->entry)
		return 0;
	size = MIN_OF(size, (size_t)ENTRY_SIZE);
	while (end < size) {
		struct x86_instruction i = x86_decode(bytes + end, size - end, s->elf->entry + end);
		end += i.length;
		if (!i.length || i.effect == X86_CALL || i.effect == X86_JUMP)
			break;
	}
	return search_code(s, bytes, s->elf->entry, end);
}

/* Do the four bytes, being relative to what follows them, lead into a gap? */
static bool leads_into_gap(const struct starts *s, const unsigned char *at, uint64_t address)
{
	int32_t value;
	memcpy(&value, at, sizeof(value));
	uint64_t target = address + sizeof(value) + (int64_t)value;
	return may_be_in_gap(s, target) && flow_has(s->flow, target);
}

/* By an instruction of this byte and a distance. */
static bool may_lead_into_gap(const struct starts *s, unsigned char opcode, const unsigned char *bytes, uint64_t address,
			      uint64_t size)
{
	const unsigned char *at = bytes, *stop = bytes + size - sizeof(int32_t);
	for (; at < stop && (at = memchr(at, opcode, stop - at)); at++)
		if (leads_into_gap(s, at + 1, address + (at + 1 - bytes)))
			return true;
	return false;
}

/* 8d behind a REX prefix with W: lea, whose next byte says that the address is relative. */
static bool may_take_address_in_gap(const struct starts *s, const unsigned char *bytes, uint64_t address,
				    uint64_t size)
{
	const unsigned char *at = bytes + 1, *stop = bytes + size - 1 - sizeof(int32_t);
	for (; at < stop && (at = memchr(at, 0x8d, stop - at)); at++)
		if ((at[-1] & 0xf8) == 0x48 && (at[1] & 0xc7) == 0x05 &&
		    leads_into_gap(s, at + 2, address + (at + 2 - bytes)))
			return true;
	return false;
}

/* An address as it is, where code does not move. Longer ones are eight bytes of an instruction. */
static bool may_have_address_in_gap(const struct starts *s, const unsigned char *bytes, uint64_t size)
{
	uint64_t lowest = s->flow->code.base, span = s->flow->code.span;
	if (lowest + span > INT32_MAX)
		return true;
	for (uint64_t at = 0; at + sizeof(int32_t) <= size; at++) {
		int32_t value;
		memcpy(&value, bytes + at, sizeof(value));
		if ((uint64_t)(int64_t)value - lowest < span && flow_has(s->flow, value))
			return true;
	}
	return false;
}

/*
 * Can an instruction of this code name an address in a gap? Looking for the opcodes that can costs little
 * beside decoding, and nearly all functions name none. What looks like one may be another's operand: the
 * instructions themselves have to be asked then.
 */
static bool may_name_gap(const struct starts *s, const unsigned char *bytes, uint64_t address, uint64_t size)
{
	if (size <= sizeof(int32_t))
		return false;
	return may_lead_into_gap(s, CALL, bytes, address, size) || may_lead_into_gap(s, JUMP, bytes, address, size) ||
	       may_take_address_in_gap(s, bytes, address, size) ||
	       (s->elf->type != ET_DYN && may_have_address_in_gap(s, bytes, size));
}

static int search_function(struct starts *s, uint64_t offset, uint64_t address, uint64_t size)
{
	const unsigned char *bytes = elf_file_range(s->elf, offset, size);
	return bytes && may_name_gap(s, bytes, address, size) ? search_code(s, bytes, address, size) : 0;
}

static int search_described(struct starts *s)
{
	const struct unwind_rows *rows = s->rows;
	uint64_t budget = (uint64_t)s->flow->code.size * SEARCH_RATIO;
	bool is_small = s->described_size <= SMALL_CODE && s->flow->code.size >= LEAST_FOR_NAMES;
	int r = 0;
	if (s->described_size > budget && !is_small)
		return 0;
	for (size_t i = 0; i < rows->ranges.count && r == 0; i++) {
		const struct unwind_range *range = &rows->ranges.items[i];
		uint64_t offset = rows->base + range->start;
		for (size_t j = 0; j < rows->segments.count && unwind_range_describes(range) && r == 0; j++) {
			const struct unwind_segment *segment = &rows->segments.items[j];
			if (offset - segment->offset < segment->size)
				r = search_function(s, offset, segment->address + (offset - segment->offset),
						    range->end - range->start);
		}
	}
	return r;
}

/* Stubs that jump to functions of other files which do not return. */
static int add_never(struct starts *s)
{
	struct symbol_list list;
	int r = 0;
	if (s->flow->code.size < LEAST_FOR_NAMES)
		return 0;
	symbol_list_init(&list, s->elf);
	symbol_plt_add(&list, s->elf);
	for (size_t i = 0; i < list.symbols.count && r == 0; i++) {
		const char *name = strings_get(&list.names, list.symbols.items[i].name);
		if (is_never(name, strlen(name)))
			r = flow_add_never(s->flow, list.symbols.items[i].address);
	}
	symbol_list_free(&list);
	return r;
}

int unwind_starts_add(const struct elf_file *elf, const struct unwind_rows *rows, uint64_t described_size,
		      struct flow *flow)
{
	struct starts starts = {elf, rows, described_size, flow}, *s = &starts;
	int r = flow_add_start(flow, elf->entry, true);
	if (r == 0)
		r = search_entry(s);
	if (r == 0)
		r = add_never(s);
	if (r == 0)
		r = add_symbols(s, SHT_SYMTAB);
	if (r == 0)
		r = add_symbols(s, SHT_DYNSYM);
	if (r == 0)
		r = add_sections(s);
	return r < 0 ? r : search_described(s);
}
