/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One DWARF unit: its tree of entries is walked once. Every function and inlined call whose ranges
 * hold queried addresses is appended to the chains of those addresses; since parents are visited
 * before children, a chain grows from the function with machine code inwards. Functions that hold
 * none are skipped with all that is in them.
 *
 * DWARF is a graph with back-references made by a stranger: recursion is limited, and a sibling
 * must lie after the entry it follows, so that the walk ends. It ends for good where the tree is too deep: libdw skips
 * an entry with all that is in it byte by byte, on each level again. CPU time is limited by the child.
 */
#include "binary/line_unit.h"
#include "binary/line_answers.h"
#include "binary/line_scope.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define MAX_TREE_DEPTH 200
/* Of a unit; all of the largest program, optimised as one, has some million. */
#define MAX_ENTRIES (16U << 20)

/* A function or inlined call around a queried address. */
struct chain_link {
	Dwarf_Die die;
	int64_t outer; /* index of the link around this one, -1: none */
	int depth;     /* links around this one */
};

struct walk {
	const uint64_t *addresses;
	size_t count;
	int64_t *innermost; /* for each address: index of its innermost link, -1: none */
	ARRAY(struct chain_link) links;
	uint32_t entries_left;
	bool is_over; /* nothing further is looked at; what was found holds */
	int error;
};

size_t line_lower_bound(const uint64_t *addresses, size_t count, uint64_t wanted)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (addresses[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Puts the new link `added` innermost at the addresses of [low, high) whose innermost is `outer`.
 * Others belong to another function that claims the same bytes, and that came first. */
static bool claim_range(struct walk *w, uint64_t low, uint64_t high, int64_t outer, int64_t added)
{
	bool any = false;
	for (size_t i = line_lower_bound(w->addresses, w->count, low);
	     i < w->count && w->addresses[i] < high; i++) {
		if (w->innermost[i] != outer)
			continue;
		w->innermost[i] = added;
		any = true;
	}
	return any;
}

/* Returns the index of the new link, or `outer` when the entry's ranges hold no queried address. */
static int64_t claim(struct walk *w, Dwarf_Die *die, int64_t outer)
{
	int depth = outer >= 0 ? w->links.items[outer].depth + 1 : 0;
	if (depth >= LINE_MAX_INLINE_DEPTH)
		return outer;
	int64_t added = (int64_t)w->links.count;
	bool any = false;
	Dwarf_Addr base, low, high;
	ptrdiff_t cursor = 0;
	while ((cursor = dwarf_ranges(die, cursor, &base, &low, &high)) > 0)
		any |= claim_range(w, low, high, outer, added);
	if (!any)
		return outer;
	if (array_add(&w->links, (struct chain_link){*die, outer, depth}) < 0) {
		w->error = -ENOMEM;
		return outer;
	}
	return added;
}

/* Can code be inside an entry with this tag? */
static bool holds_functions(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_variant_part:
	case DW_TAG_variant:
		return true;
	default:
		return false;
	}
}

static void walk_children(struct walk *w, Dwarf_Die *parent, int64_t outer, int depth);

static void walk_entry(struct walk *w, Dwarf_Die *die, int64_t outer, int depth)
{
	int tag = dwarf_tag(die);
	if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) {
		int64_t inner = claim(w, die, outer);
		if (inner != outer)
			walk_children(w, die, inner, depth + 1);
	} else if (holds_functions(tag)) {
		walk_children(w, die, outer, depth + 1);
	}
}

static void walk_children(struct walk *w, Dwarf_Die *parent, int64_t outer, int depth)
{
	Dwarf_Die die;
	w->is_over |= depth > MAX_TREE_DEPTH;
	if (w->is_over || dwarf_child(parent, &die) != 0)
		return;
	for (;;) {
		walk_entry(w, &die, outer, depth);
		Dwarf_Die next;
		w->is_over |= w->error < 0 || w->entries_left-- == 0;
		if (w->is_over || dwarf_siblingof(&die, &next) != 0 ||
		    (const char *)next.addr <= (const char *)die.addr)
			return;
		die = next;
	}
}

static const char *attribute_string(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

static const char *linkage_name(Dwarf_Die *die)
{
	const char *name = attribute_string(die, DW_AT_linkage_name);
	return name ? name : attribute_string(die, DW_AT_MIPS_linkage_name);
}

static const char *function_name(Dwarf_Die *die, const struct line_scopes *scopes)
{
	const char *name = linkage_name(die);
	if (!name)
		name = line_scopes_name(scopes, die);
	if (!name)
		name = attribute_string(die, DW_AT_name);
	return name ? name : "";
}

static bool is_cplusplus(Dwarf_Die *unit)
{
	switch (dwarf_srclang(unit)) {
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case 0x2b: /* DW_LANG_C_plus_plus_17 */
	case 0x2e: /* DW_LANG_C_plus_plus_20 */
		return true;
	default:
		return false;
	}
}

/* Scopes of the functions whose own name says too little. */
static int find_scopes(const struct walk *w, Dwarf_Die *unit, struct line_scopes *scopes)
{
	int r = 0;
	if (!is_cplusplus(unit))
		return 0;
	for (size_t i = 0; i < w->links.count && r == 0; i++)
		if (!linkage_name(&w->links.items[i].die))
			r = line_scopes_want(scopes, &w->links.items[i].die);
	return r == 0 ? line_scopes_find(scopes, unit) : r;
}

static uint32_t attribute_number(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0 || value > UINT32_MAX)
		return 0;
	return (uint32_t)value;
}

/* A place in the source. */
struct place {
	const char *file;
	uint32_t line, column;
};

static struct place place_of_address(Dwarf_Die *unit, uint64_t address)
{
	struct place place = {.file = ""};
	Dwarf_Line *row = dwarf_getsrc_die(unit, address);
	int line = 0, column = 0;
	if (!row)
		return place;
	const char *file = dwarf_linesrc(row, NULL, NULL);
	dwarf_lineno(row, &line);
	dwarf_linecol(row, &column);
	if (file)
		place.file = file;
	place.line = (uint32_t)MAX_OF(line, 0);
	place.column = (uint32_t)MAX_OF(column, 0);
	return place;
}

static struct place place_of_call(Dwarf_Die *unit, Dwarf_Die *inlined)
{
	struct place place = {.file = ""};
	Dwarf_Files *files;
	size_t count;
	uint32_t index = attribute_number(inlined, DW_AT_call_file);
	if (dwarf_getsrcfiles(unit, &files, &count) == 0 && index < count) {
		const char *file = dwarf_filesrc(files, index, NULL, NULL);
		if (file)
			place.file = file;
	}
	place.line = attribute_number(inlined, DW_AT_call_line);
	place.column = attribute_number(inlined, DW_AT_call_column);
	return place;
}

static int add_frame(struct line_output *o, Dwarf_Die *function, const struct line_scopes *scopes,
		     const struct place *place)
{
	int declared = 0;
	struct line_frame frame = {.function = function ? function_name(function, scopes) : "",
				   .file = place->file,
				   .line = place->line,
				   .column = place->column};
	if (function && dwarf_decl_line(function, &declared) == 0 && declared > 0)
		frame.start_line = (uint32_t)declared;
	return line_output_add_frame(o, &frame);
}

static int answer(struct walk *w, Dwarf_Die *unit, const struct line_scopes *scopes, size_t i,
		  bool with_inlines, struct line_output *o)
{
	struct place place = place_of_address(unit, w->addresses[i]);
	struct line_answer found;
	int64_t at = w->innermost[i];
	if (at < 0 && place.line == 0)
		return 0;
	int r = line_output_begin(o, w->addresses[i], &found);
	if (r == 0 && at < 0)
		r = add_frame(o, NULL, scopes, &place);
	for (; at >= 0 && r == 0; at = w->links.items[at].outer) {
		Dwarf_Die *die = &w->links.items[at].die;
		bool outermost = w->links.items[at].outer < 0;
		if (with_inlines || outermost)
			r = add_frame(o, die, scopes, &place);
		if (!outermost)
			place = place_of_call(unit, die);
	}
	return r < 0 ? r : line_output_end(o, &found);
}

int line_unit_answer(Dwarf *dwarf, Dwarf_Off unit_offset, const uint64_t *addresses, size_t count,
		     bool with_inlines, struct line_output *output)
{
	Dwarf_Die unit;
	if (!dwarf_offdie(dwarf, unit_offset, &unit))
		return 0;
	struct walk w = {.addresses = addresses, .count = count, .entries_left = MAX_ENTRIES};
	w.innermost = malloc(count * sizeof(*w.innermost));
	if (!w.innermost)
		return -ENOMEM;
	memset(w.innermost, 0xff, count * sizeof(*w.innermost)); /* all -1 */
	walk_children(&w, &unit, -1, 0);
	struct line_scopes scopes = {0};
	int r = w.error;
	if (r == 0)
		r = find_scopes(&w, &unit, &scopes);
	for (size_t i = 0; i < count && r == 0; i++)
		r = answer(&w, &unit, &scopes, i, with_inlines, output);
	line_scopes_free(&scopes);
	array_free(&w.links);
	free(w.innermost);
	return r;
}
