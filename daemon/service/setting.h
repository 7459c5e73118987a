/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of settings: a row for each key, and what can be done with a row: read a value from text,
 * write it as text, compare, free, exchange. Nothing here knows YAML or the environment.
 */
#pragma once

#include "base/text.h"
#include "service/configuration.h"

enum setting_kind {
	SETTING_END = 0,
	SETTING_FLAG,	  /* bool: true or false */
	SETTING_NUMBER,	  /* uint64_t */
	SETTING_SIZE,	  /* uint64_t bytes: 64MiB */
	SETTING_DURATION, /* uint64_t ns: 10s */
	SETTING_SHARE,	  /* uint64_t parts in a million: 0.5% */
	SETTING_CHOICE,	  /* an enum: low + the index of the word in `choices` */
	SETTING_TEXT,	  /* char *, NULL when empty */
	SETTING_TEXTS,	  /* struct setting_texts */
	SETTING_PAIRS,	  /* struct sink_pairs */
};

enum setting_trait {
	SETTING_NEEDS_RESTART = 1,
	SETTING_SECRET = 2,	 /* its values are never printed */
	SETTING_ZERO_IS_AUTO = 4, /* "auto" of a size, else "none" is 0, which is outside the range */
	SETTING_ZERO_IS_NONE = 8 | SETTING_ZERO_IS_AUTO, /* "none" of any kind is */
};

struct setting {
	enum setting_kind kind;
	const char *key;     /* "sampling.frequency" */
	size_t offset;	     /* of the field in its struct */
	const char *initial; /* the default as a file would give it; NULL: empty */
	const char *unit;    /* for people: "Hz"; NULL: none or part of the value */
	uint64_t low, high;  /* of numbers, sizes and durations; a choice's first value is `low` */
	const char *const *choices; /* the last one NULL */
	unsigned traits;
	const char *what; /* for people; lines end in \n but the last */
};

/* Of struct configuration, each struct strategy_configuration and each struct exporter_configuration. End with SETTING_END. */
extern const struct setting configuration_settings[];
extern const struct setting strategy_settings[];
extern const struct setting exporter_settings[];

const struct setting *setting_find(const struct setting *table, const char *key);

/* Sets a scalar, or the whole of a list ("a,b") or of pairs, from text. Returns 0, -ENOMEM, or -EINVAL
 * with *problem saying what is wrong (the value is not part of it when it is a secret); then the old
 * value stays. */
int setting_parse(const struct setting *setting, void *target, const char *value,
		  struct text *problem);

/* Appends the pairs of "a=b,c=d", names and values percent-encoded, as in W3C baggage
 * (w3.org/TR/baggage) without the properties after ';'. Returns as setting_parse(). */
int setting_parse_pairs(const char *value, struct sink_pairs *into, struct text *problem);

/* Appends a copy. Returns 0 or -ENOMEM. */
int setting_texts_add(struct setting_texts *texts, const char *value);

void setting_free_texts(struct setting_texts *texts);
void setting_free_pairs(struct sink_pairs *pairs); /* values are overwritten first */

/* Sets every row to its default; the struct is zero before. Returns 0 or -ENOMEM. */
int settings_set_defaults(const struct setting *table, void *target);
void settings_free(const struct setting *table, void *target);

bool setting_is_scalar(const struct setting *setting);
bool setting_equal(const struct setting *setting, const void *a, const void *b);
void setting_swap(const struct setting *setting, void *a, void *b);

/* The value of a scalar as a file would have it. */
void setting_write(const struct setting *setting, const void *target, struct text *out);

/* "a whole number from 1 to 10000": what the setting takes. */
void setting_write_range(const struct setting *setting, struct text *out);

/* ---- Problems: shared by all who find them -------------------------------------------------------- */

/* Where a value comes from. */
struct setting_origin {
	const char *source;
	unsigned line, column;
};

void problem_add(struct configuration_problems *problems, const struct setting_origin *origin,
		 const char *key, const char *format, ...) _printf_(4, 5);

/* Remembers where the value of a key, or a section, comes from. */
void problem_note_place(struct configuration_problems *problems, const struct setting_origin *origin, const char *key);

/* Where the value of a key comes from; `otherwise` if there is none, or the section it would stand in where that has no
 * line. Valid until the next place is noted. */
struct setting_origin problem_origin(const struct configuration_problems *problems, const char *key,
				     const struct setting_origin *otherwise);

/* Puts them into the order in which a reader of the file meets them; behind it those of no line, as they were added. */
void problems_sort(struct configuration_problems *problems);

/* Is something wrong with that key already told? */
bool problem_is_told(const struct configuration_problems *problems, const char *key);
