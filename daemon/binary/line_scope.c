/* SPDX-License-Identifier: Apache-2.0 */
/* See line_scope.h. Recursion is limited, and siblings must lie behind one another, as in line_unit.c. */
#include "binary/line_scope.h"

#include "binary/demangle.h"

#include <dwarf.h>
#include <errno.h>
#include <string.h>

#define MAX_DEPTH 200
#define MAX_REFERENCES 4 /* from a call to what was inlined, from there to its declaration */
#define MAX_TEXTS (1U << 20) /* bytes: more has no unit of people */
#define MAX_PREFIX 8192 /* bytes: what is deeper is left out of the name */
#define GCC_LAMBDA "<lambda"

struct search {
	struct line_scopes *scopes;
	struct text prefix; /* of what is in the entry that is looked at: "app::run::" */
};

/* The entry that stands where the function was written: what was inlined, or its declaration in a class. */
static Dwarf_Off written_at(Dwarf_Die *function)
{
	Dwarf_Die die = *function, other;
	Dwarf_Attribute attribute;
	for (int i = 0; i < MAX_REFERENCES; i++) {
		if (!dwarf_formref_die(dwarf_attr(&die, DW_AT_abstract_origin, &attribute), &other) &&
		    !dwarf_formref_die(dwarf_attr(&die, DW_AT_specification, &attribute), &other))
			break;
		die = other;
	}
	return dwarf_dieoffset(&die);
}

static const char *attribute_text(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

/* gcc names the class of a lambda in a function not at all, of another one "<lambda(int)>". Few other types without a
 * name have functions without a linkage name. */
static void add_class(Dwarf_Die *die, struct text *out)
{
	const char *name = dwarf_diename(die);
	size_t length = name ? strlen(name) : 0;
	int line = 0;
	bool is_lambda = length > strlen(GCC_LAMBDA) && !strncmp(name, GCC_LAMBDA, strlen(GCC_LAMBDA));
	dwarf_decl_line(die, &line);
	if (is_lambda)
		text_add(out, "{%.*s:%d}", (int)length - 2, name + 1, line);
	else if (name)
		text_add_string(out, name);
	else
		text_add(out, "{lambda:%d}", line);
}

/* A linkage name says the scopes around it too. */
static void add_function(Dwarf_Die *die, struct text *out)
{
	const char *linkage = attribute_text(die, DW_AT_linkage_name);
	const char *name = attribute_text(die, DW_AT_name);
	if (linkage) {
		out->length = 0;
		demangle(linkage, out);
	} else {
		text_add_string(out, name ? name : "{unnamed}");
	}
}

/* Appends what names in this entry begin with. */
static void add_scope(Dwarf_Die *die, struct text *out)
{
	const char *name;
	if (out->length > MAX_PREFIX)
		return;
	switch (dwarf_tag(die)) {
	case DW_TAG_namespace:
		name = dwarf_diename(die);
		text_add_string(out, name ? name : "(anonymous namespace)");
		break;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		add_class(die, out);
		break;
	case DW_TAG_subprogram:
		add_function(die, out);
		break;
	default: /* blocks have no names */
		return;
	}
	text_add_string(out, "::");
}

static void set_name(struct search *s, struct line_scope_name *wanted, Dwarf_Die *die)
{
	const char *name = attribute_text(die, DW_AT_name);
	struct text *texts = &s->scopes->texts;
	if (!name || texts->length > MAX_TEXTS)
		return;
	wanted->name = texts->length;
	if (s->prefix.length)
		text_add_bytes(texts, s->prefix.bytes, s->prefix.length);
	text_add_string(texts, name);
	text_add_char(texts, '\0');
}

static void search_children(struct search *s, Dwarf_Die *parent, size_t low, size_t high, int depth);

/* `low` to `high`: those of the wanted that are this entry or in it. */
static void search_entry(struct search *s, Dwarf_Die *die, size_t low, size_t high, int depth)
{
	struct line_scope_name *wanted = s->scopes->wanted.items;
	if (wanted[low].entry == dwarf_dieoffset(die))
		set_name(s, &wanted[low++], die);
	if (low == high)
		return;
	_cleanup_free_ char *around = strndup(s->prefix.bytes ? s->prefix.bytes : "", s->prefix.length);
	add_scope(die, &s->prefix);
	search_children(s, die, low, high, depth + 1);
	s->prefix.length = 0;
	text_add_string(&s->prefix, around ? around : "");
	s->prefix.failed |= !around;
}

static void search_children(struct search *s, Dwarf_Die *parent, size_t low, size_t high, int depth)
{
	const struct line_scope_name *wanted = s->scopes->wanted.items;
	Dwarf_Die die, next;
	bool more = depth <= MAX_DEPTH && dwarf_child(parent, &die) == 0;
	while (more && low < high) {
		more = dwarf_siblingof(&die, &next) == 0 && (const char *)next.addr > (const char *)die.addr;
		while (low < high && wanted[low].entry < dwarf_dieoffset(&die))
			low++;
		size_t end = low;
		while (end < high && (!more || wanted[end].entry < dwarf_dieoffset(&next)))
			end++;
		if (end > low)
			search_entry(s, &die, low, end, depth);
		low = end;
		die = next;
	}
}

static int compare_entries(const void *a, const void *b)
{
	Dwarf_Off x = ((const struct line_scope_name *)a)->entry, y = ((const struct line_scope_name *)b)->entry;
	return x < y ? -1 : x > y;
}

static size_t first_at_least(const struct line_scopes *scopes, Dwarf_Off entry)
{
	size_t low = 0, high = scopes->wanted.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (scopes->wanted.items[middle].entry < entry)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int line_scopes_want(struct line_scopes *scopes, Dwarf_Die *function)
{
	return array_add(&scopes->wanted, (struct line_scope_name){written_at(function), SIZE_MAX});
}

/* Equal ones become one: each is found once. */
static void sort(struct line_scopes *scopes)
{
	struct line_scope_name *items = scopes->wanted.items;
	size_t kept = 0;
	qsort(items, scopes->wanted.count, sizeof(*items), compare_entries);
	for (size_t i = 0; i < scopes->wanted.count; i++)
		if (i == 0 || items[i].entry != items[kept - 1].entry)
			items[kept++] = items[i];
	scopes->wanted.count = kept;
}

int line_scopes_find(struct line_scopes *scopes, Dwarf_Die *unit)
{
	struct search s = {.scopes = scopes};
	if (!scopes->wanted.count)
		return 0;
	sort(scopes);
	search_children(&s, unit, 0, scopes->wanted.count, 0);
	bool failed = s.prefix.failed || scopes->texts.failed;
	text_free(&s.prefix);
	return failed ? -ENOMEM : 0;
}

const char *line_scopes_name(const struct line_scopes *scopes, Dwarf_Die *function)
{
	if (!scopes->wanted.count)
		return NULL;
	Dwarf_Off entry = written_at(function);
	size_t at = first_at_least(scopes, entry);
	if (at == scopes->wanted.count || scopes->wanted.items[at].entry != entry ||
	    scopes->wanted.items[at].name == SIZE_MAX)
		return NULL;
	return scopes->texts.bytes + scopes->wanted.items[at].name;
}

void line_scopes_free(struct line_scopes *scopes)
{
	array_free(&scopes->wanted);
	text_free(&scopes->texts);
}
