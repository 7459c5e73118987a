/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C libraries such as musl have no call frame information, nor have the start files of compilers and
 * much assembly. What is left of the executable sections when the described ranges are taken away, in
 * units of 16 bytes, is followed from where functions start:
 *
 * - for certain: at symbols of functions, at the entry, at .init and .fini, and where calls lead to;
 * - possibly: where the code takes an address (lea), or a relocation or .init_array holds it.
 *
 * Most files have a few hundred such bytes, so only what costs little is done for all of them; described
 * code is searched for calls only when it is not much larger than what nobody described. Large stretches
 * in large files are not followed; where they keep frame pointers, these lead to the callers.
 */
#include "binary/unwind_gaps.h"

#include "binary/symbol_list.h"
#include "binary/symbol_table.h"
#include "binary/unwind_frame_setup.h"
#include "binary/unwind_flow.h"
#include "binary/x86_decode.h"

#include <errno.h>
#include <string.h>

#define UNIT_SHIFT 4
#define UNIT (1U << UNIT_SHIFT)
#define LEAST_GAP UNIT
#define ENTRY_SIZE 64 /* longest entry considered */
/* Described code this many times larger than the rest is not searched for calls into the rest. */
#define SEARCH_RATIO 16
/* Less code than the start files of a compiler are not worth reading names for. */
#define FEW_BYTES (256U << 10) /* libraries with loops in assembly have about as much */
#define LEAST_FOR_NAMES 1024
/* A file with more of such code is left alone: its frames would be few among many, and its table late for
 * all. musl has 400 KiB. */
#define MAX_CODE (512U << 10)
#define ANY_CODE (64U << 20) /* for UNWIND_GAPS_ALL: some GB of memory */

struct gaps {
	const struct elf_file *elf;
	struct unwind_rows *rows;
	uint64_t *described; /* a bit for each unit, by offset from rows->base */
	uint32_t units;
	uint64_t described_size;
	bool all; /* follow code that is not worth it too */
	struct flow flow;
};

static bool is_description(const struct unwind_range *range)
{
	return range->source != UNWIND_FROM_CODE && range->source != UNWIND_FROM_ENTRY;
}

/* The executable code's end, as ranges count. */
static uint32_t end_of_code(const struct unwind_rows *rows)
{
	uint64_t end = 0;
	for (size_t i = 0; i < rows->segments.count; i++) {
		const struct unwind_segment *segment = &rows->segments.items[i];
		end = MAX_OF(end, segment->offset + segment->size - rows->base);
	}
	return MIN_OF(end, (uint64_t)UINT32_MAX);
}

static inline void mark_units(uint64_t *bits, uint32_t first, uint32_t last)
{
	uint64_t from = ~0ULL << first % 64, to = ~0ULL >> (63 - last % 64);
	uint32_t word = first / 64, last_word = last / 64;
	for (; word < last_word; word++) {
		bits[word] |= from;
		from = ~0ULL;
	}
	bits[word] |= from & to;
}

/* The first unit from `unit` on that is described, or is not; g->units when there is none. */
static uint64_t next_unit(const struct gaps *g, uint64_t unit, bool described)
{
	uint64_t flip = described ? 0 : ~0ULL;
	if (unit >= g->units)
		return g->units;
	uint64_t word = unit / 64, words = g->units / 64 + 1UL;
	uint64_t bits = (g->described[word] ^ flip) & ~0ULL << unit % 64;
	while (!bits && ++word < words)
		bits = g->described[word] ^ flip;
	return bits ? MIN_OF(word * 64 + (unsigned)__builtin_ctzll(bits), (uint64_t)g->units) : g->units;
}

static int mark_described(struct gaps *g)
{
	const struct unwind_rows *rows = g->rows;
	g->units = (end_of_code(rows) >> UNIT_SHIFT) + 1;
	g->described = calloc(g->units / 64 + 1, sizeof(*g->described));
	if (!g->described)
		return -ENOMEM;
	/* Ranges that overlap a lot must not cost more than the file is large: 64 GiB of bits. */
	uint64_t budget = 1ULL << 32;
	for (size_t i = 0; i < rows->ranges.count; i++) {
		const struct unwind_range *range = &rows->ranges.items[i];
		uint32_t size = range->end - range->start;
		if (!is_description(range) || !size || size > budget)
			continue;
		budget -= size;
		g->described_size += size;
		mark_units(g->described, range->start >> UNIT_SHIFT,
			   MIN_OF((range->end - 1) >> UNIT_SHIFT, g->units - 1));
	}
	return 0;
}

/* The gaps of one section or segment. */
static int add_gaps(struct gaps *g, uint64_t address, uint64_t offset, uint64_t size)
{
	const unsigned char *bytes = elf_file_range(g->elf, offset, size);
	int r = 0;
	if (!bytes || offset < g->rows->base)
		return 0;
	/* Positions count from rows->base here. */
	uint64_t first = offset - g->rows->base, last = first + size;
	uint64_t unit = next_unit(g, first >> UNIT_SHIFT, false);
	while (unit < g->units && unit << UNIT_SHIFT < last && r == 0) {
		uint64_t stop = next_unit(g, unit, true);
		uint64_t start = MAX_OF(unit << UNIT_SHIFT, first), end = MIN_OF(stop << UNIT_SHIFT, last);
		if (end - start >= LEAST_GAP)
			r = flow_add_code(&g->flow, address + (start - first), bytes + (start - first), end - start);
		unit = next_unit(g, stop, false);
	}
	return r;
}

static bool is_code(const Elf64_Shdr *section)
{
	return (section->sh_flags & SHF_EXECINSTR) && (section->sh_flags & SHF_ALLOC) &&
	       section->sh_type == SHT_PROGBITS;
}

static int compare_code(const void *a, const void *b)
{
	const struct flow_code *x = a, *y = b;
	return x->address < y->address ? -1 : x->address > y->address;
}

/* By address, and none twice: sections of damaged files overlap. Positions stay as they are. */
static void order_code(struct flow *flow)
{
	size_t kept = 0;
	if (!flow->code.count)
		return;
	qsort(flow->code.items, flow->code.count, sizeof(*flow->code.items), compare_code);
	for (size_t i = 1; i < flow->code.count; i++) {
		const struct flow_code *last = &flow->code.items[kept];
		const struct flow_code *code = &flow->code.items[i];
		if (code->address - last->address >= last->size && code->address + code->size > code->address)
			flow->code.items[++kept] = *code;
	}
	flow->code.count = kept + 1;
}

static int find_gaps(struct gaps *g)
{
	Elf64_Shdr section;
	int r = 0;
	bool any = false;
	for (uint32_t i = 0; r == 0 && elf_file_section(g->elf, i, &section); i++) {
		if (!is_code(&section))
			continue;
		any = true;
		r = add_gaps(g, section.sh_addr, section.sh_offset, section.sh_size);
	}
	for (size_t i = 0; r == 0 && !any && i < g->rows->segments.count; i++) {
		const struct unwind_segment *segment = &g->rows->segments.items[i];
		r = add_gaps(g, segment->address, segment->offset, segment->size);
	}
	order_code(&g->flow);
	return r;
}

/* ---- Starts --------------------------------------------------------------------------------------- */

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

static int add_symbols(struct gaps *g, uint32_t type)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	if (g->flow.size < LEAST_FOR_NAMES)
		return 0;
	int r = symbol_table_open(g->elf, type, &table);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (size_t i = 0; i < table.count && r == 0; i++) {
		Elf64_Sym symbol = symbol_table_get(&table, i);
		unsigned kind = ELF64_ST_TYPE(symbol.st_info);
		if ((kind == STT_FUNC || kind == STT_GNU_IFUNC) && symbol.st_shndx != SHN_UNDEF &&
		    flow_has(&g->flow, symbol.st_value) && !is_cold_part(&table, &symbol)) {
			const char *name;
			size_t length = symbol_table_name(&table, &symbol, &name);
			if (is_never(name, length))
				r = flow_add_never(&g->flow, symbol.st_value);
			if (r == 0)
				r = flow_add_start(&g->flow, symbol.st_value, true);
		}
	}
	return r;
}

/* Functions of .init_array and .fini_array in files whose code does not move. */
static int add_array(struct gaps *g, const Elf64_Shdr *section)
{
	const unsigned char *bytes = elf_file_range(g->elf, section->sh_offset, section->sh_size);
	int r = 0;
	for (uint64_t at = 0; bytes && section->sh_size - at >= 8 && r == 0; at += 8) {
		uint64_t address;
		memcpy(&address, bytes + at, sizeof(address));
		r = flow_add_start(&g->flow, address, false);
	}
	return r;
}

static int add_relocations(struct gaps *g, const Elf64_Shdr *section)
{
	const unsigned char *bytes = elf_file_range(g->elf, section->sh_offset, section->sh_size);
	Elf64_Rela entry;
	int r = 0;
	for (uint64_t at = 0; bytes && section->sh_size - at >= sizeof(entry) && r == 0;
	     at += sizeof(entry)) {
		memcpy(&entry, bytes + at, sizeof(entry));
		unsigned type = ELF64_R_TYPE(entry.r_info);
		if (type == R_X86_64_RELATIVE || type == R_X86_64_IRELATIVE)
			r = flow_add_start(&g->flow, entry.r_addend, false);
	}
	return r;
}

static int add_sections(struct gaps *g)
{
	Elf64_Shdr section;
	int r = 0;
	for (uint32_t i = 0; r == 0 && elf_file_section(g->elf, i, &section); i++) {
		const char *name = elf_file_section_name(g->elf, &section);
		if (!strcmp(name, ".init") || !strcmp(name, ".fini"))
			r = flow_add_start(&g->flow, section.sh_addr, true);
		else if (section.sh_type == SHT_INIT_ARRAY || section.sh_type == SHT_FINI_ARRAY)
			r = add_array(g, &section);
		else if (section.sh_type == SHT_RELA && (section.sh_flags & SHF_ALLOC))
			r = add_relocations(g, &section);
	}
	return r;
}

/* Where this code calls or takes addresses. */
static int search_code(struct gaps *g, const unsigned char *bytes, uint64_t address, uint64_t size)
{
	int r = 0;
	for (uint64_t at = 0; bytes && at < size && r == 0;) {
		struct x86_instruction i = x86_decode(bytes + at, size - at, address + at);
		bool call = i.effect == X86_CALL && i.has_target;
		/* A number is no address where code moves. */
		bool address_taken = i.takes_address && !(i.is_constant && g->elf->type == ET_DYN);
		if (!i.length)
			break;
		if (address_taken || call)
			r = flow_add_start(&g->flow, i.target, call);
		at += i.length;
	}
	return r;
}

/* The entry may share its unit with described code. It ends with a call. */
static int search_entry(struct gaps *g)
{
	size_t size;
	const unsigned char *bytes = elf_file_at_address(g->elf, g->elf->entry, &size);
	uint64_t end = 0;
	if (!bytes || !g->elf->entry)
		return 0;
	size = MIN_OF(size, (size_t)ENTRY_SIZE);
	while (end < size) {
		struct x86_instruction i = x86_decode(bytes + end, size - end, g->elf->entry + end);
		end += i.length;
		if (!i.length || i.effect == X86_CALL || i.effect == X86_JUMP)
			break;
	}
	return search_code(g, bytes, g->elf->entry, end);
}

/* Do the four bytes, being relative to what follows them, lead into a gap? */
static bool leads_into_gap(const struct gaps *g, const unsigned char *at, uint64_t address)
{
	int32_t value;
	memcpy(&value, at, sizeof(value));
	uint64_t target = address + sizeof(value) + (int64_t)value;
	return target - g->flow.block_base < g->flow.block_span && flow_has(&g->flow, target);
}

/* e8: call */
static bool may_call_gap(const struct gaps *g, const unsigned char *bytes, uint64_t address, uint64_t size)
{
	const unsigned char *at = bytes, *stop = bytes + size - sizeof(int32_t);
	for (; at < stop && (at = memchr(at, 0xe8, stop - at)); at++)
		if (leads_into_gap(g, at + 1, address + (at + 1 - bytes)))
			return true;
	return false;
}

/* 8d behind a REX prefix with W: lea, whose next byte says that the address is relative. */
static bool may_take_address_in_gap(const struct gaps *g, const unsigned char *bytes, uint64_t address,
				    uint64_t size)
{
	const unsigned char *at = bytes + 1, *stop = bytes + size - 1 - sizeof(int32_t);
	for (; at < stop && (at = memchr(at, 0x8d, stop - at)); at++)
		if ((at[-1] & 0xf8) == 0x48 && (at[1] & 0xc7) == 0x05 &&
		    leads_into_gap(g, at + 2, address + (at + 2 - bytes)))
			return true;
	return false;
}

/* An address as it is, where code does not move. Longer ones are eight bytes of an instruction. */
static bool may_have_address_in_gap(const struct gaps *g, const unsigned char *bytes, uint64_t size)
{
	uint64_t lowest = g->flow.block_base, span = g->flow.block_span;
	if (lowest + span > INT32_MAX)
		return true;
	for (uint64_t at = 0; at + sizeof(int32_t) <= size; at++) {
		int32_t value;
		memcpy(&value, bytes + at, sizeof(value));
		if ((uint64_t)(int64_t)value - lowest < span && flow_has(&g->flow, value))
			return true;
	}
	return false;
}

/*
 * Can an instruction of this code name an address in a gap? Looking for the opcodes that can costs little
 * beside decoding, and nearly all functions name none. What looks like one may be another's operand: the
 * instructions themselves have to be asked then.
 */
static bool may_name_gap(const struct gaps *g, const unsigned char *bytes, uint64_t address, uint64_t size)
{
	if (size <= sizeof(int32_t))
		return false;
	return may_call_gap(g, bytes, address, size) || may_take_address_in_gap(g, bytes, address, size) ||
	       (g->elf->type != ET_DYN && may_have_address_in_gap(g, bytes, size));
}

static int search_function(struct gaps *g, uint64_t offset, uint64_t address, uint64_t size)
{
	const unsigned char *bytes = elf_file_range(g->elf, offset, size);
	return bytes && may_name_gap(g, bytes, address, size) ? search_code(g, bytes, address, size) : 0;
}

static int search_described(struct gaps *g)
{
	const struct unwind_rows *rows = g->rows;
	uint64_t budget = (uint64_t)g->flow.size * SEARCH_RATIO;
	int r = 0;
	if (g->described_size > budget)
		return 0;
	for (size_t i = 0; i < rows->ranges.count && r == 0; i++) {
		const struct unwind_range *range = &rows->ranges.items[i];
		uint64_t offset = rows->base + range->start;
		for (size_t j = 0; j < rows->segments.count && is_description(range) && r == 0; j++) {
			const struct unwind_segment *segment = &rows->segments.items[j];
			if (offset - segment->offset < segment->size)
				r = search_function(g, offset, segment->address + (offset - segment->offset),
						    range->end - range->start);
		}
	}
	return r;
}

/* Stubs that jump to functions of other files which do not return. */
static int add_never(struct gaps *g)
{
	struct symbol_list list;
	int r = 0;
	if (g->flow.size < LEAST_FOR_NAMES)
		return 0;
	symbol_list_init(&list, g->elf);
	symbol_plt_add(&list, g->elf);
	for (size_t i = 0; i < list.symbols.count && r == 0; i++) {
		const char *name = strings_get(&list.names, list.symbols.items[i].name);
		if (is_never(name, strlen(name)))
			r = flow_add_never(&g->flow, list.symbols.items[i].address);
	}
	symbol_list_free(&list);
	return r;
}

static int add_starts(struct gaps *g)
{
	int r = flow_add_start(&g->flow, g->elf->entry, true);
	if (r == 0)
		r = search_entry(g);
	if (r == 0)
		r = add_never(g);
	if (r == 0)
		r = add_symbols(g, SHT_SYMTAB);
	if (r == 0)
		r = add_symbols(g, SHT_DYNSYM);
	if (r == 0)
		r = add_sections(g);
	return r < 0 ? r : search_described(g);
}

/* ---- Rows ----------------------------------------------------------------------------------------- */

/* The steps within one stretch of code; between them nothing is known. */
static int add_rows(struct gaps *g, const struct flow_code *code, size_t *next)
{
	static const struct unwind_rule none = {.kind = RULE_NONE};
	uint64_t end = code->address, stop = code->address + code->size;
	const struct flow_step *steps = g->flow.steps.items;
	size_t count = g->flow.steps.count;
	int r = 0;
	if (*next == count || steps[*next].address >= stop ||
	    !unwind_rows_begin(g->rows, code->address, code->size, UNWIND_FROM_FLOW))
		return 0;
	for (; *next < count && steps[*next].address < stop && r == 0; (*next)++) {
		const struct flow_step *step = &steps[*next];
		if (step->address > end)
			r = unwind_rows_add(g->rows, end, none);
		if (r == 0)
			r = unwind_rows_add(g->rows, step->address, flow_rule(step));
		end = MAX_OF(end, step->address + step->length);
	}
	if (r == 0 && end < stop)
		r = unwind_rows_add(g->rows, end, none);
	return r < 0 ? r : unwind_rows_end(g->rows);
}

/* Is it worth its time? All other tables wait meanwhile: a few gaps in any file, many only in one that
 * consists of them, as a C library without CFI does. */
static bool is_worth_following(const struct gaps *g)
{
	uint64_t code = 0;
	for (size_t i = 0; i < g->rows->segments.count; i++)
		code += g->rows->segments.items[i].size;
	return !g->flow.too_much && (g->all || g->flow.size <= FEW_BYTES || g->flow.size >= code / 4);
}

static int add_frame_pointers(struct gaps *g)
{
	int r = 0;
	for (size_t i = 0; i < g->flow.code.count && r == 0; i++) {
		const struct flow_code *code = &g->flow.code.items[i];
		if (unwind_keeps_frame_pointers(code->bytes, code->size))
			r = unwind_rows_add_range(g->rows, code->address, code->size,
						  UNWIND_FROM_FRAME_SETUP,
						  (struct unwind_rule){.kind = RULE_FRAME_POINTER});
	}
	return r;
}

static int follow_gaps(struct gaps *g)
{
	size_t next = 0;
	int r = flow_begin(&g->flow);
	if (r == 0)
		r = add_starts(g);
	if (r == 0)
		r = flow_follow(&g->flow);
	if (r < 0)
		return r;
	r = flow_sort(&g->flow);
	for (size_t i = 0; i < g->flow.code.count && r == 0; i++)
		r = add_rows(g, &g->flow.code.items[i], &next);
	return r;
}

static int read_gaps(struct gaps *g)
{
	int r = find_gaps(g);
	if (r < 0 || !g->flow.code.count)
		return r;
	return is_worth_following(g) ? follow_gaps(g) : add_frame_pointers(g);
}

int unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
		     struct unwind_rows *rows)
{
	bool all = effort == UNWIND_GAPS_ALL;
	struct gaps gaps = {.elf = elf,
			    .rows = rows,
			    .all = all,
			    .flow.max_size = all ? ANY_CODE : MAX_CODE,
			    .flow.least_past_max = UNWIND_LEAST_FRAME_SETUPS};
	if (elf->machine != EM_X86_64)
		return 0;
	int r = mark_described(&gaps);
	if (r == 0)
		r = read_gaps(&gaps);
	flow_free(&gaps.flow);
	free(gaps.described);
	return r;
}
