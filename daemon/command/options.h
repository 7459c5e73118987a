/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One option parser for all commands. A command describes its options in a table; parsing, the
 * error messages and `--help` all come from that table, so they cannot disagree.
 *
 * Accepted forms: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, flags bundled as -ab. Options and
 * words may be mixed; everything after "--" is left alone.
 */
#pragma once

#include "base/array.h"
#include "base/text.h"

enum option_kind {
	OPTION_END = 0,
	OPTION_HEADING,	    /* only for help: `help` is the heading */
	OPTION_FLAG,	    /* bool becomes true */
	OPTION_UNFLAG,	    /* bool becomes false: --no-labels */
	OPTION_YES_NO,	    /* bool */
	OPTION_NUMBER,	    /* uint64_t in [low, high] */
	OPTION_DURATION,    /* uint64_t ns, at least 1 */
	OPTION_SHARE,	    /* uint64_t parts in a million, at least 1: 0.5% */
	OPTION_SIZE,	    /* uint64_t bytes in [low, high]: 64MiB */
	OPTION_TEXT,	    /* const char *, points into argv */
	OPTION_TEXT_LIST,   /* struct option_texts, one more for each use */
	OPTION_NUMBER_LIST, /* struct option_numbers, comma-separated and repeatable */
};

struct option_texts {
	ARRAY(const char *) list;
};

struct option_numbers {
	ARRAY(uint32_t) list;
};

struct option_spec {
	enum option_kind kind;
	char letter;	   /* 0: none */
	const char *name;  /* without the dashes */
	const char *value; /* what help calls the value: "HZ" */
	size_t offset;	   /* of the field in the command's struct */
	const char *help;  /* one line, or several with \n */
	uint64_t low, high;
	const char *words; /* all values a text can have: "a, b"; NULL: free. For completions only */
};

/* One row of a table; further fields as designated initialisers: .low = 1, .high = 10. */
#define OPTION(kind_, letter_, name_, value_, offset_, help_, ...)                               \
	{                                                                                        \
		.kind = OPTION_##kind_, .letter = (letter_), .name = (name_), .value = (value_), \
		.offset = (offset_), .help = (help_), ##__VA_ARGS__                              \
	}
#define OPTIONS_UNDER(heading_)                            \
	{                                                  \
		.kind = OPTION_HEADING, .help = (heading_) \
	}
#define OPTIONS_END                \
	{                          \
		.kind = OPTION_END \
	}

/* What is left when the options are gone. The strings point into argv. */
struct option_words {
	ARRAY(char *) list; /* words before "--" */
	char **rest;	    /* NULL-terminated words after "--"; NULL when there was no "--" */
};

void option_words_free(struct option_words *words);

#define OPTIONS_HELP 1

/*
 * Fills the fields of `target` that `specs` describes from argv[1..]. Returns 0, OPTIONS_HELP when
 * --help or -h was given, -EINVAL with a message in *error, or -ENOMEM.
 */
int options_parse(const struct option_spec *specs, void *target, int argc, char **argv,
		  struct option_words *words, struct text *error);

/* Appends the option table for people, columns aligned. */
void options_describe(const struct option_spec *specs, struct text *out);
