/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of a CFI section: common information (CIE) and, for each range of code, a frame
 * description (FDE) that refers to one. CIEs are decoded once and kept in a small cache, since
 * neighbours share them.
 */
#include "binary/cfi.h"

#include "binary/unwind_code.h"

#include <dwarf.h>
#include <errno.h>

#define CIE_CACHE 64
/* A CIE's instructions describe one row; a longer one is there to waste our time. */
#define MAX_CIE_PROGRAM 1024
#define BYTES_PER_ROW 6 /* in what compilers write */

struct reader {
	const struct elf_file *elf;
	const struct cfi_section *section;
	struct cfi_registers registers;
	struct unwind_rows *rows;
	struct cfi_statistics *statistics;
	struct cfi_rule_sets rule_sets;
	struct cfi_cie cies[CIE_CACHE];
};

/* An entry as its length and id words delimit it. */
struct entry {
	uint64_t offset; /* of the length word */
	bool wide;	 /* 64-bit DWARF */
	uint64_t id_offset;
	uint64_t id;
	struct cursor body; /* after the id */
};

static uint64_t read_address(struct cursor *c, const struct cfi_section *section)
{
	return section->is_32_bit ? cursor_u32(c) : cursor_u64(c);
}

static uint64_t read_signed_or_not(struct cursor *c, uint8_t format, const struct cfi_section *section)
{
	switch (format & 0x0f) {
	case DW_EH_PE_absptr:
		return read_address(c, section);
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return cursor_u64(c);
	case DW_EH_PE_uleb128:
		return cursor_uleb(c);
	case DW_EH_PE_sleb128:
		return cursor_sleb(c);
	case DW_EH_PE_udata2:
		return cursor_u16(c);
	case DW_EH_PE_sdata2:
		return (int16_t)cursor_u16(c);
	case DW_EH_PE_udata4:
		return cursor_u32(c);
	case DW_EH_PE_sdata4:
		return (int32_t)cursor_u32(c);
	default:
		c->failed = true;
		return 0;
	}
}

uint64_t cfi_encoded(struct cursor *c, uint8_t encoding, const struct cfi_section *section)
{
	uint64_t position = section->address + (c->at - section->bytes);
	uint64_t value = read_signed_or_not(c, encoding, section);
	switch (encoding & 0x70) {
	case DW_EH_PE_absptr:
		return value;
	case DW_EH_PE_pcrel:
		return section->is_32_bit ? (uint32_t)(value + position) : value + position;
	default: /* relative to text, data or function: nobody writes them on these machines */
		c->failed = true;
		return 0;
	}
}

/* Reads length and id at *offset and moves *offset past the entry. Returns 1, 0 at the end. */
static int next_entry(const struct cfi_section *section, uint64_t *offset, struct entry *ret)
{
	while (*offset < section->size) {
		struct cursor c = cursor_over(section->bytes + *offset, section->size - *offset);
		ret->offset = *offset;
		ret->wide = false;
		uint64_t length = cursor_u32(&c);
		if (length == UINT32_MAX) {
			length = cursor_u64(&c);
			ret->wide = true;
		}
		if (c.failed || length > cursor_left(&c))
			return 0;
		*offset = (c.at - section->bytes) + length;
		if (!length && section->ends_with_zero)
			return 0;
		/* Zero lengths end the parts that the linker put together. */
		if (length < 4)
			continue;
		ret->body = cursor_over(c.at, length);
		ret->id_offset = c.at - section->bytes;
		/* In .eh_frame the id has four bytes even where the length has eight. */
		bool wide_id = ret->wide && section->debug_frame;
		ret->id = wide_id ? cursor_u64(&ret->body) : cursor_u32(&ret->body);
		if (section->debug_frame && !wide_id && ret->id == UINT32_MAX)
			ret->id = UINT64_MAX;
		return 1;
	}
	return 0;
}

static bool is_cie(const struct cfi_section *section, const struct entry *entry)
{
	return section->debug_frame ? entry->id == UINT64_MAX : entry->id == 0;
}

static void read_augmentation(struct reader *r, struct cursor *c, const char *letters,
			      struct cfi_cie *cie)
{
	if (letters[0] != 'z')
		return;
	uint64_t size = cursor_uleb(c);
	const unsigned char *bytes = cursor_take(c, size);
	if (!bytes)
		return;
	struct cursor data = cursor_over(bytes, size);
	cie->augmented = true;
	for (const char *letter = letters + 1; *letter; letter++) {
		if (*letter == 'R') {
			cie->encoding = cursor_u8(&data);
		} else if (*letter == 'S') {
			cie->signal = true;
		} else if (*letter == 'L') {
			cursor_u8(&data);
		} else if (*letter == 'P') {
			uint8_t encoding = cursor_u8(&data);
			/* Its value is of no interest, only its size. */
			read_signed_or_not(&data, encoding, r->section);
		} else if (*letter != 'B' && *letter != 'G') {
			break;
		}
	}
	c->failed |= data.failed;
}

static bool read_cie_fields(struct reader *r, struct cursor *c, struct cfi_cie *cie)
{
	uint8_t version = cursor_u8(c);
	const char *letters = (const char *)c->at;
	size_t length = strnlen(letters, cursor_left(c));
	if (!cursor_take(c, length + 1))
		return false;
	if (version != 1 && version != 3 && version != 4)
		return false;
	if (!strcmp(letters, "eh")) /* GCC 2's: a pointer to exception tables */
		read_address(c, r->section);
	if (version == 4 && (cursor_u8(c) != (r->section->is_32_bit ? 4 : 8) || cursor_u8(c) != 0))
		return false; /* address and segment size */
	cie->code_factor = cursor_uleb(c);
	cie->data_factor = cursor_sleb(c);
	uint64_t return_address = version == 1 ? cursor_u8(c) : cursor_uleb(c);
	read_augmentation(r, c, letters, cie);
	return !c->failed && return_address == r->registers.return_address &&
	       (letters[0] == 'z' || letters[0] == '\0' || !strcmp(letters, "eh"));
}

static int run(struct reader *r, const struct cfi_cie *cie, const struct cursor *code,
	       uint64_t address, struct unwind_rows *rows, struct cfi_state *state)
{
	struct cfi_program program = {.section = r->section, .registers = &r->registers,
				      .cie = cie, .machine = r->elf->machine,
				      .code = *code, .address = address,
				      .rule_sets = &r->rule_sets, .rows = rows};
	return cfi_run(&program, state);
}

static void read_cie(struct reader *r, struct entry *entry, struct cfi_cie *cie)
{
	*cie = (struct cfi_cie){.offset = entry->offset, .encoding = DW_EH_PE_absptr};
	cie->initial.cfa_register = UINT32_MAX;
	struct cursor *c = &entry->body;
	if (!is_cie(r->section, entry) || !read_cie_fields(r, c, cie) ||
	    cursor_left(c) > MAX_CIE_PROGRAM)
		return;
	struct cfi_state state = cie->initial;
	if (run(r, cie, c, 0, NULL, &state) < 0)
		return;
	cie->initial = state;
	cfi_make_rule(&state, r->elf->machine, &r->rule_sets, &cie->initial_made);
	cie->valid = true;
}

static const struct cfi_cie *find_cie(struct reader *r, uint64_t offset)
{
	struct cfi_cie *cie = &r->cies[(offset >> 2) % CIE_CACHE];
	if (cie->offset != offset || !cie->code_factor) {
		struct entry entry;
		if (!next_entry(r->section, &(uint64_t){offset}, &entry) || entry.offset != offset)
			return NULL;
		read_cie(r, &entry, cie);
	}
	return cie->valid ? cie : NULL;
}

/*
 * The kernel enters a trampoline by returning to its first byte, and callers are looked up one byte
 * earlier, so the rule has to hold there already. glibc's CFI starts one byte (arm64: a nop) early.
 */
static int add_signal_frame(struct reader *r, uint64_t address, uint64_t size)
{
	uint64_t early = code_is_signal_return(r->elf, address);
	return unwind_rows_add_range(r->rows, address - early, size + early, UNWIND_FROM_EH_FRAME,
				     (struct unwind_rule){.kind = RULE_SIGNAL});
}

static bool is_signal_frame(struct reader *r, const struct cfi_cie *cie, uint64_t address)
{
	if (!cie->signal)
		return false;
	/* Other code says "signal frame" too, meaning only that its callers' pc is exact. */
	unsigned nop = r->elf->machine == EM_AARCH64 ? 4 : 1;
	return code_is_signal_return(r->elf, address) ||
	       code_is_signal_return(r->elf, address + nop);
}

static int add_rows(struct reader *r, const struct cfi_cie *cie, const struct cursor *code, uint64_t address)
{
	if (cfi_only_nops(code->at, code->end)) /* every fifth function moves nothing */
		return unwind_rows_add_bits(r->rows, address, cie->initial_made.bits);
	struct cfi_state state = cie->initial;
	return run(r, cie, code, address, r->rows, &state);
}

static int read_function(struct reader *r, const struct cfi_cie *cie, struct cursor *c)
{
	uint64_t address, size;
	if (cie->encoding == (DW_EH_PE_pcrel | DW_EH_PE_sdata4)) { /* what linkers write */
		address = r->section->address + (c->at - r->section->bytes);
		address += (int32_t)cursor_u32(c);
		size = (int32_t)cursor_u32(c);
	} else {
		address = cfi_encoded(c, cie->encoding, r->section);
		size = read_signed_or_not(c, cie->encoding, r->section);
	}
	if (cie->augmented)
		cursor_take(c, cursor_uleb(c));
	if (c->failed)
		return -EBADMSG;
	if (is_signal_frame(r, cie, address))
		return add_signal_frame(r, address, size);
	enum unwind_source source = r->section->debug_frame ? UNWIND_FROM_DEBUG_FRAME
							    : UNWIND_FROM_EH_FRAME;
	if (!unwind_rows_begin(r->rows, address, size, source))
		return 0;
	r->statistics->functions++;
	int result = add_rows(r, cie, c, address);
	if (result == 0)
		return unwind_rows_end(r->rows);
	if (result != -EBADMSG && result != -ENOTSUP)
		return result;
	r->statistics->bad_functions++;
	return unwind_rows_fail(r->rows);
}

static int read_entry(struct reader *r, struct entry *entry)
{
	if (is_cie(r->section, entry))
		return 0;
	/* .eh_frame counts back from the id word, .debug_frame from the section's start. */
	uint64_t offset = entry->id;
	if (!r->section->debug_frame &&
	    __builtin_sub_overflow(entry->id_offset, entry->id, &offset))
		return -EBADMSG;
	const struct cfi_cie *cie = find_cie(r, offset);
	return cie ? read_function(r, cie, &entry->body) : -EBADMSG;
}

int cfi_read(const struct elf_file *elf, const struct cfi_section *section,
	     struct unwind_rows *rows, struct cfi_statistics *statistics)
{
	_cleanup_free_ struct reader *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->elf = elf;
	r->section = section;
	r->rows = rows;
	r->statistics = statistics;
	if (!cfi_registers_of(elf->machine, &r->registers))
		return 0;
	int result = unwind_rows_expect(rows, section->size / BYTES_PER_ROW);
	if (result < 0)
		return result;
	struct entry entry;
	uint64_t offset = 0;
	while (next_entry(section, &offset, &entry)) {
		result = read_entry(r, &entry);
		if (result == -EBADMSG)
			statistics->bad_entries++;
		else if (result < 0)
			return result;
	}
	return 0;
}
