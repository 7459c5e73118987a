/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From collected rows to the finished table that bpf/wire_unwind.h describes.
 */
#pragma once

#include "binary/unwind_rows.h"
#include "binary/unwind_table.h"

/* A table as the artifact stores it. Free with unwind_image_free(). */
struct unwind_image {
	struct unwind_table_header header;
	char *body;
	size_t body_size;
};

/* Larger bodies are refused: four times the table of the largest browser. */
#define UNWIND_MAX_BODY (64U << 20)

/* Consumes the rows (they are sorted in place). `outside` is the rule for code that no range
 * covers. Returns 0, -ENODATA when there are no rows, -E2BIG or -ENOMEM. */
int unwind_layout(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
		  struct unwind_image *ret);

/* Also of one that unwind_layout() did not fill. */
void unwind_image_free(struct unwind_image *image);
