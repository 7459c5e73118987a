/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glibc's loader resolves a function at its first call with the stack aligned for the vector registers it saves: the
 * frame of _dl_runtime_resolve() is found by rbx alone. A walk keeps no such register, as nobody else asks for one. But
 * the function that was called keeps it: it saves it in its first instructions, at a known place below the caller's
 * stack pointer, before it calls or jumps anywhere. So each direct call in such a frame gets a rule of its own, for the
 * bytes of its instruction, which is where callers are looked up.
 *
 * It holds as long as what runs there is that function: not for one that may leave by a jump elsewhere.
 */
#include "binary/unwind_saves.h"

#include "binary/x86_decode.h"

#define MOST_CALLS 64 /* of a file: glibc's loader has seven */
/* Of code that is looked at: that loader's is some kilobytes. Ranges of a damaged file may overlap without end. */
#define MOST_BYTES (1UL << 20)

struct saves {
	const struct elf_file *elf;
	struct unwind_rows *rows;
	unsigned calls; /* looked at */
	uint64_t budget; /* bytes that may still be */
};

/* A function as it is described. */
struct function {
	const unsigned char *code;
	uint64_t address, size;
};

/* Of registers that functions have to keep: rbx, r12 to r15. DWARF has the same numbers for them as the hardware. */
static bool is_kept(unsigned number)
{
	return number == 3 || (number >= 12 && number <= 15);
}

static bool is_push_of(const unsigned char *code, size_t size, unsigned number)
{
	return number < 8 ? size >= 1 && code[0] == 0x50 + number
			  : size >= 2 && code[0] == 0x41 && code[1] == 0x50 + (number & 7);
}

static struct x86_instruction decode_at(const struct function *f, uint64_t at)
{
	return x86_decode(f->code + at, f->size - at, f->address + at);
}

/* Where it saves the register, from the caller's SP on: below 0; 0: it does not, before anything else can happen. */
static int16_t place_of_saved(const struct function *f, unsigned number)
{
	int64_t height = 8; /* the return address */
	for (uint64_t at = 0; at < f->size;) {
		struct x86_instruction i = decode_at(f, at);
		bool is_push = i.effect == X86_PUSH_FP || (i.effect == X86_ADD_SP && i.value <= 0);
		if (!i.length || i.written >> number & 1 ||
		    !(is_push || i.effect == X86_PLAIN || i.effect == X86_SET_FP_TO_SP))
			return 0;
		height += i.effect == X86_PUSH_FP ? 8 : is_push ? -(int64_t)i.value : 0;
		if (height > INT16_MAX)
			return 0;
		if (is_push_of(f->code + at, f->size - at, number))
			return (int16_t)-height;
		at += i.length;
	}
	return 0;
}

/* Is there no way out of it but returns, and calls? */
static bool stays_inside(const struct function *f)
{
	for (uint64_t at = 0; at < f->size;) {
		struct x86_instruction i = decode_at(f, at);
		bool jumps = i.effect == X86_JUMP || i.effect == X86_BRANCH;
		if (!i.length || (jumps && !(i.has_target && i.target - f->address < f->size)))
			return false;
		at += i.length;
	}
	return true;
}

static uint64_t address_of(const struct saves *s, uint32_t position)
{
	uint64_t offset = s->rows->base + position;
	for (size_t i = 0; i < s->rows->segments.count; i++) {
		const struct unwind_segment *segment = &s->rows->segments.items[i];
		if (offset - segment->offset < segment->size)
			return segment->address + (offset - segment->offset);
	}
	return 0;
}

/* As ranges count; UINT64_MAX: in none. */
static uint64_t position_of(const struct saves *s, uint64_t address)
{
	for (size_t i = 0; i < s->rows->segments.count; i++) {
		const struct unwind_segment *segment = &s->rows->segments.items[i];
		if (address - segment->address < segment->size)
			return segment->offset + (address - segment->address) - s->rows->base;
	}
	return UINT64_MAX;
}

/* From `start` to `end` of a range, both as it has them; without size where that is too much. */
static struct function code_between(struct saves *s, uint32_t start, uint32_t end)
{
	const unsigned char *code = elf_file_range(s->elf, s->rows->base + start, end - start);
	if (!code || end - start > s->budget)
		return (struct function){0};
	s->budget -= end - start;
	return (struct function){code, address_of(s, start), end - start};
}

/* The described function that starts at the address; without size: none. */
static struct function function_at(struct saves *s, uint64_t address)
{
	uint64_t position = position_of(s, address);
	for (size_t i = 0; i < s->rows->ranges.count; i++) {
		const struct unwind_range *range = &s->rows->ranges.items[i];
		if (range->source == UNWIND_FROM_EH_FRAME && range->start == position)
			return code_between(s, range->start, range->end);
	}
	return (struct function){0};
}

static int add_call(struct saves *s, uint64_t address, const struct x86_instruction *call, struct unwind_rule rule)
{
	unsigned number = RULE_NUMBER(rule.flags);
	struct function called = function_at(s, call->target);
	rule.fp_offset = place_of_saved(&called, number);
	if (!rule.fp_offset || !stays_inside(&called))
		return 0;
	return unwind_rows_add_range(s->rows, address, call->length, UNWIND_FROM_CODE, rule);
}

/* Code in which one rule holds. */
static int read_code(struct saves *s, const struct function *code, struct unwind_rule rule)
{
	int r = 0;
	for (uint64_t at = 0; at < code->size && r == 0;) {
		struct x86_instruction i = decode_at(code, at);
		if (!i.length)
			break;
		if (i.effect == X86_CALL && i.has_target && s->calls++ < MOST_CALLS)
			r = add_call(s, code->address + at, &i, rule);
		at += i.length;
	}
	return r;
}

static bool is_of_interest(struct unwind_rule rule)
{
	return rule.kind == RULE_CFA_REGISTER && is_kept(RULE_NUMBER(rule.flags)) &&
	       !(rule.flags & (RULE_FP_AT_CFA | RULE_FP_AT_FP));
}

static int read_range(struct saves *s, struct unwind_range range)
{
	int r = 0;
	for (uint32_t i = 0; i < range.row_count && r == 0; i++) {
		struct unwind_row row = s->rows->rows.items[range.first_row + i];
		struct unwind_rule rule = unwind_rule_of(s->rows->rules.items[row.rule]);
		if (!is_of_interest(rule))
			continue;
		bool is_last = i + 1 == range.row_count;
		uint32_t end = is_last ? range.end : s->rows->rows.items[range.first_row + i + 1].offset;
		struct function code = code_between(s, row.offset, end);
		r = read_code(s, &code, rule);
	}
	return r;
}

int unwind_saves_read(const struct elf_file *elf, struct unwind_rows *rows)
{
	struct saves s = {.elf = elf, .rows = rows, .budget = MOST_BYTES};
	bool any = false;
	for (size_t i = 0; i < rows->rules.count && elf->machine == EM_X86_64 && !any; i++)
		any = is_of_interest(unwind_rule_of(rows->rules.items[i]));
	int r = 0;
	/* What is added comes behind these, and is not looked at. */
	for (size_t i = 0, count = rows->ranges.count; any && i < count && r == 0 && s.calls < MOST_CALLS; i++)
		if (rows->ranges.items[i].source == UNWIND_FROM_EH_FRAME)
			r = read_range(&s, rows->ranges.items[i]);
	return r;
}
