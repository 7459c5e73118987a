/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flame graph as one HTML page that needs nothing else: program, style and data are inside, and its
 * content security policy lets it reach nothing outside. The page's own sources are in format/flame/.
 */
#pragma once

#include "base/text.h"
#include "profile/call_tree.h"

/* One sample type as a tree: what the page draws at a time. */
struct flame_view {
	const char *type; /* "cpu" */
	const char *unit; /* "nanoseconds", "count", "bytes", … */
	const struct call_tree *tree;
};

/* Borrowed for the call. Strings may be NULL when not known, and need not be valid UTF-8. */
struct flame_page {
	const char *title;
	const char *host;
	int64_t time_ns;     /* start, CLOCK_REALTIME; 0: not known */
	int64_t duration_ns; /* 0: not known */
	const char *const *comments; /* facts on the recording, a line each */
	size_t comment_count;
	const struct flame_view *views;
	size_t view_count; /* at least 1 */
	size_t first_view; /* shown first */
	unsigned group_levels; /* outermost frames of each stack that say whose it is */
	bool is_diff;	   /* the trees are pairs: self_b and total_b count */
	const char *name_a, *name_b; /* of the two profiles of a difference */
};

/* Appends the data alone, a JSON object: what a page that is served draws. Returns as
 * flame_page_write(). */
int flame_page_write_data(const struct flame_page *page, struct text *out);

/* Appends the page. Returns 0, -EINVAL for a page without views, or -ENOMEM. */
int flame_page_write(const struct flame_page *page, struct text *out);
