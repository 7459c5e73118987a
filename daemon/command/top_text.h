/* SPDX-License-Identifier: Apache-2.0 */
/* The words of `top`, the same on a screen and in a file: header lines, the head of a table, its rows. */
#pragma once

#include "base/text.h"
#include "command/top_facts.h"
#include "command/top_model.h"

#define TOP_HEADER_LINES 2

/* One header line, without a newline. */
void top_text_header(const struct top_facts *facts, const char *source, unsigned cpus,
		     unsigned line, struct text *out);

/* The names of the columns, without a newline. */
void top_text_columns(const struct top_question *question, struct text *out);

/* One row, without a newline. Shares are of the table's total; CPU is of one CPU. */
void top_text_row(const struct top_question *question, const struct top_table *table,
		  const struct top_row *row, const struct top_facts *facts, struct text *out);

/* Text for people, one block: header, columns, at most `rows` rows (0: all). */
void top_text_block(const struct top_question *question, const struct top_table *table,
		    const struct top_facts *facts, const char *source, unsigned cpus, size_t rows,
		    struct text *out);

/* One JSON object on one line: the question's view, or all. Returns 0, -EINVAL or -ENOMEM. */
int top_json_object(const struct profile *profile, const struct top_facts *facts,
		    const struct top_question *question, bool all_views, const char *source,
		    unsigned cpus, size_t rows, struct text *out);
