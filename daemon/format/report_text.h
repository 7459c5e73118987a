/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports as text for people: tables of functions, the call tree, the neighbours of a function, the
 * difference of two profiles. Names come from foreign files: control characters are not passed on.
 */
#pragma once

#include "base/text.h"
#include "profile/report.h"

/* Borrowed for the calls. */
struct report_view {
	const struct profile *profile; /* A in a difference */
	size_t value;		       /* sample type */
	const struct report *report;
	size_t rows; /* at most so many; 0: all */
	int64_t file_total; /* of the file, of which the profile is a part; of a difference 0 */
};

/* All append to *out and return 0 or -ENOMEM. */

/* What is counted, how much of it, in how many samples. */
int report_text_header(const struct report_view *view, struct text *out);

/* The functions, the most costly first: by flat or by cumulative cost. */
int report_text_functions(const struct report_view *view, enum report_order order,
			  struct text *out);

/* The nodes of the call tree with the largest totals, indented, each below its caller. */
int report_text_tree(const struct report_view *view, struct text *out);

/* The call tree down to `levels` below its root, which is what profile_group_by() put there: each with its
 * total, the largest first. `by` is the heading. */
int report_text_groups(const struct report_view *view, unsigned levels, const char *by,
		       struct text *out);

/* One function between its callers and its callees. */
int report_text_neighbours(const struct report_view *view, uint32_t function, struct text *out);

/* The functions whose share (or value: compares_values) changed most; `order` is one of the changes. */
int report_text_difference(const struct report_view *view, enum report_order order,
			   struct text *out);

/* The whole report of a .txt file. */
int report_text_write(const struct profile *profile, struct text *out);

/* What part of the whole a value is, in percent. */
double report_share(const struct report_view *view, int64_t value);

/* "1.23 s", "4.5 MiB", "1234": a value in its sample type's unit, into the caller's buffer. */
const char *report_value(const struct report_view *view, int64_t value, char *buffer, size_t size);
