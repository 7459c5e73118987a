/* SPDX-License-Identifier: Apache-2.0 */
/* The file formats a profile can be written in, told apart by a name's ending. */
#pragma once

#include <stddef.h>

enum file_format {
	FILE_FORMAT_PPROF,	/* .pb.gz .pprof .prof */
	FILE_FORMAT_PPROF_RAW,	/* .pb */
	FILE_FORMAT_OTLP,	/* .otlp */
	FILE_FORMAT_FOLDED,	/* .folded .collapsed */
	FILE_FORMAT_HTML,	/* .html .htm */
	FILE_FORMAT_SPEEDSCOPE, /* .speedscope.json */
	FILE_FORMAT_TEXT,	/* .txt */
	FILE_FORMAT_MAX
};

/* Returns the format, or -EINVAL for an ending that names none, and for a name that is nothing but an
 * ending. Capitals do not matter. */
int format_from_path(const char *path);

/* The ending that names of this format usually have: ".pb.gz". */
const char *format_ending(enum file_format format);

/* Returns the format that a person named ("html"), also by an ending without its dot ("txt"), or -EINVAL. */
int format_from_word(const char *word);

/* All words, for help and messages. */
#define FORMAT_WORDS "pprof, otlp, folded, html, speedscope, text"

/* For messages: "pprof", "flame graph". */
const char *format_name(enum file_format format);

/* All endings, for a message that refuses one: ".pb.gz, .pb, .folded". */
#define FORMAT_ENDINGS ".pb.gz, .pb, .otlp, .folded, .html, .speedscope.json, .txt"
