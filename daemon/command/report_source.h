/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listing of `report --source`: the source of some functions, each line beside what it cost. The files are read where
 * they were compiled, or below the directory that a person names; they are foreign by name and content: only regular
 * files of a bounded size are read, and what could steer a terminal is not passed on.
 */
#pragma once

#include "format/report_text.h"
#include "profile/source_lines.h"

struct source_request {
	const char *pattern;   /* of the functions' names */
	const char *directory; /* where sources are, or NULL: where they were compiled */
	bool json;
};

/* Appends the listing, view->rows functions at most; as JSON report_json_source(), without the source. Returns 0, -ENOENT when no function matches, -EINVAL for a
 * broken expression, with a message in *error, or -ENOMEM. */
int report_source(const struct source_request *request, const struct report_view *view, struct text *out,
		  struct text *error);
