/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From ranges in any order to one ascending list of rule changes over the whole file.
 */
#pragma once

#include "binary/unwind_rows.h"

struct unwind_flat {
	ARRAY(struct unwind_row) rows; /* ascending offsets, neighbours differ */
	uint32_t raw_rows;	       /* rule changes before merging */
	ARRAY(uint32_t) uses;	       /* by rule: in how many of the rows it is */
};

/* Sorts ranges, resolves overlaps in favour of the better source, fills what no range covers with
 * `outside`, and with `merge` joins pushes and pops (enum rule_merge). Free with unwind_flat_free(), also
 * after an error. Returns 0, -ENOMEM, -E2BIG. */
int unwind_flatten(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
		   struct unwind_flat *ret);
void unwind_flat_free(struct unwind_flat *flat);
