/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to line_unit.c: names of C++ functions that have no linkage name. gcc gives none to what no other unit can
 * call, lambdas above all: DWARF names each of them "operator()". Where such an entry stands in the tree says whose it
 * is: "app::run::{lambda:12}::operator()", 12 being the line of the lambda. A function around it goes by its
 * linkage name, made readable.
 *
 * An entry does not know its parent, so a unit's tree is searched downwards, once for all functions that are asked for;
 * what holds none of them is skipped.
 */
#pragma once

#include "base/array.h"
#include "base/text.h"

#include <elfutils/libdw.h>

struct line_scope_name {
	Dwarf_Off entry;
	size_t name; /* offset in the texts; SIZE_MAX: none */
};

/* Zero-initialise; line_scopes_free(). */
struct line_scopes {
	ARRAY(struct line_scope_name) wanted;
	struct text texts;
};

/* Wants the name of a function, or inlined call, of the C++ unit. Returns 0 or -ENOMEM. */
int line_scopes_want(struct line_scopes *scopes, Dwarf_Die *function);

/* Finds the names of those that are in this unit. Returns 0 (damaged parts are left out) or -ENOMEM. */
int line_scopes_find(struct line_scopes *scopes, Dwarf_Die *unit);

/* The name, NULL when none was found; valid until line_scopes_free(). */
const char *line_scopes_name(const struct line_scopes *scopes, Dwarf_Die *function);

void line_scopes_free(struct line_scopes *scopes);
