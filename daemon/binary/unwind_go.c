/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .gopclntab: for each function a table of (stack pointer delta, pc delta) pairs, "pcsp", which the
 * runtime's own traceback goes by. Formats: runtime/symtab.go and runtime/runtime2.go (pcHeader,
 * _func, step) of Go 1.18 to 1.26.
 *
 * With delta d the return address is at SP + d, so CFA = SP + d + 8. Compiled functions with a frame
 * save the caller's frame pointer right below the return address; assembly does when its author or
 * the assembler made it so, which its code shows.
 *
 * The table holds offsets from the start of Go's text. The header says where that is up to Go 1.25;
 * after that only the runtime's module data do, or the symbol runtime.text.
 */
#include "binary/unwind_go.h"

#include "binary/cursor.h"
#include "binary/unwind_code.h"

#include <errno.h>
#include <string.h>

#define MAGIC_1_18 0xfffffff0
#define MAGIC_1_20 0xfffffff1

/* runtime.moduledata: pcHeader pointer first, `text` after six slices and three pointers. */
#define MODULE_DATA_TEXT (8 + 6 * 24 + 3 * 8)

/* internal/abi FuncFlag */
#define FLAG_TOP_FRAME 1
#define FLAG_WRITES_SP 2
#define FLAG_ASSEMBLY 4

/* What a frame pointer is saved by lies within the first instructions. */
#define PROLOGUE_SIZE 64
#define MAX_SIGNAL_RETURN 64 /* bytes of the function that returns from a signal, padding included */

struct go_table {
	const struct elf_file *elf;
	const unsigned char *bytes; /* pcHeader and everything behind it */
	size_t size;
	uint64_t address; /* of the bytes */
	uint32_t magic;
	uint64_t text; /* address of the first function */
	uint64_t function_count;
	uint64_t names_offset;
	uint64_t pc_offset;	  /* of the pc tables */
	uint64_t functions_offset; /* of the function table */
};

struct go_function {
	uint64_t address, size;
	uint32_t name; /* offset into the names */
	uint32_t pcsp; /* offset into the pc tables, 0: none */
	uint8_t flags;
	const unsigned char *code; /* PROLOGUE_SIZE bytes, or NULL */
};

static bool find_section(const struct elf_file *elf, Elf64_Shdr *ret)
{
	return elf_file_find_section(elf, ".gopclntab", ret, NULL) ||
	       elf_file_find_section(elf, ".data.rel.ro.gopclntab", ret, NULL);
}

bool unwind_go_has_table(const struct elf_file *elf)
{
	Elf64_Shdr section;
	return find_section(elf, &section);
}

static struct cursor table_at(const struct go_table *t, uint64_t offset)
{
	if (offset > t->size)
		return (struct cursor){.failed = true};
	return cursor_over(t->bytes + offset, t->size - offset);
}

static bool executable(const struct elf_file *elf, uint64_t address)
{
	Elf64_Phdr load;
	for (uint32_t i = 0; elf_file_segment(elf, i, &load); i++)
		if (load.p_type == PT_LOAD && (load.p_flags & PF_X) &&
		    address - load.p_vaddr < load.p_filesz)
			return true;
	return false;
}

static uint64_t text_from_symbol(const struct elf_file *elf)
{
	Elf64_Shdr symbols, strings;
	if (!elf_file_find_section_type(elf, SHT_SYMTAB, &symbols, NULL) ||
	    !elf_file_section(elf, symbols.sh_link, &strings))
		return 0;
	struct cursor c = {0};
	const unsigned char *bytes = elf_file_range(elf, symbols.sh_offset, symbols.sh_size);
	if (bytes)
		c = cursor_over(bytes, symbols.sh_size);
	while (cursor_left(&c) >= sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;
		static const char wanted[] = "runtime.text";
		memcpy(&symbol, cursor_take(&c, sizeof(symbol)), sizeof(symbol));
		if (symbol.st_name > strings.sh_size ||
		    strings.sh_size - symbol.st_name < sizeof(wanted))
			continue;
		const char *name = elf_file_range(elf, strings.sh_offset + symbol.st_name,
						  sizeof(wanted));
		if (name && !memcmp(name, wanted, sizeof(wanted)))
			return symbol.st_value;
	}
	return 0;
}

/* Position-independent files keep their pointers in relocations: where one stores the table's
 * address are the module data, and another one stores their `text`. */
static uint64_t text_from_relocations(const struct go_table *t)
{
	Elf64_Shdr section;
	Elf64_Rela entry;
	if (!elf_file_find_section(t->elf, ".rela.dyn", &section, NULL) &&
	    !elf_file_find_section(t->elf, ".rela", &section, NULL))
		return 0;
	const unsigned char *bytes = elf_file_range(t->elf, section.sh_offset, section.sh_size);
	uint64_t module = 0;
	for (int pass = 0; bytes && pass < 2; pass++)
		for (uint64_t i = 0; i + sizeof(entry) <= section.sh_size; i += sizeof(entry)) {
			memcpy(&entry, bytes + i, sizeof(entry));
			if (ELF64_R_TYPE(entry.r_info) != R_X86_64_RELATIVE)
				continue;
			if (pass == 0 && (uint64_t)entry.r_addend == t->address)
				module = entry.r_offset;
			else if (pass == 1 && module && entry.r_offset == module + MODULE_DATA_TEXT)
				return entry.r_addend;
		}
	return 0;
}

static uint64_t text_from_module_data(const struct go_table *t)
{
	Elf64_Phdr load;
	for (uint32_t i = 0; elf_file_segment(t->elf, i, &load); i++) {
		const unsigned char *bytes = elf_file_range(t->elf, load.p_offset, load.p_filesz);
		if (load.p_type != PT_LOAD || (load.p_flags & PF_X) || !bytes)
			continue;
		uint64_t at = -load.p_vaddr & 7, pointer;
		for (; at + MODULE_DATA_TEXT + 8 <= load.p_filesz; at += 8) {
			memcpy(&pointer, bytes + at, sizeof(pointer));
			if (pointer != t->address)
				continue;
			memcpy(&pointer, bytes + at + MODULE_DATA_TEXT, sizeof(pointer));
			if (executable(t->elf, pointer))
				return pointer;
		}
	}
	return text_from_relocations(t);
}

static bool open_table(const struct elf_file *elf, struct go_table *ret)
{
	Elf64_Shdr section;
	if (!find_section(elf, &section) || (section.sh_flags & SHF_COMPRESSED))
		return false;
	*ret = (struct go_table){.elf = elf, .size = section.sh_size, .address = section.sh_addr};
	ret->bytes = elf_file_range(elf, section.sh_offset, section.sh_size);
	if (!ret->bytes)
		return false;
	struct cursor c = cursor_over(ret->bytes, ret->size);
	ret->magic = cursor_u32(&c);
	cursor_u16(&c); /* padding */
	uint8_t quantum = cursor_u8(&c), pointer_size = cursor_u8(&c);
	ret->function_count = cursor_u64(&c);
	cursor_u64(&c); /* number of files */
	ret->text = cursor_u64(&c);
	ret->names_offset = cursor_u64(&c);
	cursor_take(&c, 2 * 8); /* compilation units, files */
	ret->pc_offset = cursor_u64(&c);
	ret->functions_offset = cursor_u64(&c);
	if (c.failed || quantum != 1 || pointer_size != 8 ||
	    (ret->magic != MAGIC_1_18 && ret->magic != MAGIC_1_20) ||
	    ret->function_count > ret->size / 8)
		return false;
	if (!executable(elf, ret->text))
		ret->text = text_from_symbol(elf);
	if (!executable(elf, ret->text))
		ret->text = text_from_module_data(ret);
	return executable(elf, ret->text);
}

static bool read_function(const struct go_table *t, uint64_t i, struct go_function *ret)
{
	struct cursor c = table_at(t, t->functions_offset + 8 * i);
	uint32_t start = cursor_u32(&c);
	uint32_t record = cursor_u32(&c);
	uint32_t end = cursor_u32(&c); /* start of the next one */
	if (c.failed || end <= start)
		return false;
	c = table_at(t, t->functions_offset + record);
	if (cursor_u32(&c) != start)
		return false;
	*ret = (struct go_function){.address = t->text + start, .size = end - start};
	ret->name = cursor_u32(&c);
	cursor_take(&c, 2 * 4); /* args, deferreturn */
	ret->pcsp = cursor_u32(&c);
	/* pcfile, pcln, npcdata, cuOffset, startLine (since 1.20), funcID */
	cursor_take(&c, (t->magic == MAGIC_1_20 ? 5 : 4) * 4 + 1);
	ret->flags = cursor_u8(&c);
	size_t available = 0;
	const unsigned char *code = elf_file_at_address(t->elf, ret->address, &available);
	ret->code = code && available >= PROLOGUE_SIZE ? code : NULL;
	return !c.failed;
}

/* The kernel calls runtime.sigtramp for a signal. The runtime's traceback stops there, we need not:
 * it returns to a trampoline whose frame leads to the interrupted code. */
static bool is_signal_handler(const struct go_table *t, const struct go_function *f)
{
	static const char wanted[] = "runtime.sigtramp";
	if (f->name > t->size || t->names_offset > t->size - f->name)
		return false;
	struct cursor c = table_at(t, t->names_offset + f->name);
	const unsigned char *name = cursor_take(&c, sizeof(wanted));
	return name && !memcmp(name, wanted, sizeof(wanted));
}

static bool saves_frame_pointer(const struct go_function *f)
{
	if (!(f->flags & FLAG_ASSEMBLY))
		return true;
	size_t size = MIN_OF(f->size, (uint64_t)PROLOGUE_SIZE);
	for (size_t i = 0; f->code && i + 4 <= size; i++) {
		const unsigned char *code = f->code + i;
		/* push %rbp; mov %rsp,%rbp, or mov %rbp,N(%rsp) with 8 or 32 bits of N */
		if (!memcmp(code, "\x55\x48\x89\xe5", 4) || !memcmp(code, "\x48\x89\x6c\x24", 4) ||
		    !memcmp(code, "\x48\x89\xac\x24", 4))
			return true;
	}
	return false;
}

/* Assembly that pops more than it pushed has a negative delta: its return address is gone. */
static struct unwind_rule frame_rule(int32_t delta, bool saves_fp)
{
	struct unwind_rule rule = {.kind = RULE_NONE};
	if (delta < 0 || delta > INT32_MAX - 8)
		return rule;
	rule.kind = RULE_CFA_SP;
	rule.cfa_offset = delta + 8;
	if (saves_fp && delta >= 8) {
		rule.flags = RULE_FP_AT_CFA;
		rule.fp_offset = -16;
	}
	return rule;
}

/* The pairs of a pc table, runtime.step: zigzag delta of the value, delta of the pc it holds up to. */
static int add_rows(const struct go_table *t, const struct go_function *f, struct unwind_rows *rows)
{
	struct cursor c = table_at(t, t->pc_offset + f->pcsp);
	uint64_t pc = f->address;
	bool saves = saves_frame_pointer(f);
	int32_t delta = -1;
	int r = 0;
	while (pc < f->address + f->size && r == 0) {
		uint32_t change = cursor_uleb(&c);
		if (c.failed || (!change && pc > f->address))
			break;
		delta = (uint32_t)delta + (-(change & 1) ^ (change >> 1));
		r = unwind_rows_add(rows, pc, frame_rule(delta, saves));
		pc += cursor_uleb(&c);
	}
	return r;
}

static int add_function(const struct go_table *t, const struct go_function *f,
			struct unwind_rows *rows)
{
	static const struct unwind_rule end = {.kind = RULE_END}, signal = {.kind = RULE_SIGNAL};
	static const struct unwind_rule frame_pointer = {.kind = RULE_FRAME_POINTER,
							.flags = RULE_ANY_STACK};
	if (f->size <= MAX_SIGNAL_RETURN && code_is_signal_return(t->elf, f->address))
		return unwind_rows_add_range(rows, f->address - 1, f->size + 1, UNWIND_FROM_CODE,
					     signal);
	if ((f->flags & FLAG_TOP_FRAME) && !is_signal_handler(t, f))
		return unwind_rows_add_range(rows, f->address, f->size, UNWIND_FROM_GO, end);
	/* Stacks are switched here: what is left of the caller is its frame pointer. */
	if ((f->flags & FLAG_WRITES_SP) || !f->pcsp)
		return unwind_rows_add_range(rows, f->address, f->size, UNWIND_FROM_GO,
					     frame_pointer);
	if (!unwind_rows_begin(rows, f->address, f->size, UNWIND_FROM_GO))
		return 0;
	int r = add_rows(t, f, rows);
	return r < 0 ? r : unwind_rows_end(rows);
}

int unwind_go_read(const struct elf_file *elf, struct unwind_rows *rows, uint64_t *functions)
{
	struct go_table table;
	if (elf->machine != EM_X86_64 || !open_table(elf, &table))
		return 0;
	int r = 0;
	for (uint64_t i = 0; i < table.function_count && r == 0; i++) {
		struct go_function function;
		if (!read_function(&table, i, &function))
			continue;
		(*functions)++;
		r = add_function(&table, &function, rows);
	}
	return r;
}
