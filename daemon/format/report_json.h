/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports as JSON for programs: one object with the sample type and the totals, and a list. Values are
 * numbers in the sample type's unit; a tree is a list of nodes that name their parents, because
 * readers limit how deep objects nest.
 */
#pragma once

#include "format/report_text.h"
#include "profile/source_lines.h"

/* All append an object and a newline to *out, and return 0 or -ENOMEM. `view->rows` as for text. "file_total" is the total
 * before anything was left out; a difference has none. */

/* "functions": [{name, type, flat, cumulative}]; with the orders of change also flat_b,
 * cumulative_b and change, in parts of 1, or in the unit where values are compared. Of a grouped profile (profile/grouping.h), but not of a difference, also
 * "groups": [{level, name, total}], all of them; level 1 is outermost, a group of a deeper level is a part of the last
 * one before it that is less deep. */
int report_json_functions(const struct report_view *view, enum report_order order,
			  struct text *out);

/* "nodes": [{parent, name, type, inlined, self, total}], all of them; `parent` is a position in the list,
 * -1 for the root. */
int report_json_tree(const struct report_view *view, struct text *out);

/* "functions": [{name, type, flat, cumulative, callers: [{name, value}], callees: […]}] */
int report_json_neighbours(const struct report_view *view, const uint32_t *functions, size_t count,
			   struct text *out);

/* "functions": [{name, file, flat, cumulative, lines: [{line, flat, cumulative}]}]; line 0: not known */
int report_json_source(const struct report_view *view, const struct source_lines *lines, struct text *out);
