/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the conversion between the text of a value and the field: one form in, the same form out. */
#include "service/setting.h"

#include "base/clock.h"
#include "base/nearest_word.h"

#include <errno.h>
#include <string.h>

#define FIELD(type, setting, target) ((type *)((char *)(target) + (setting)->offset))
#define VALUE(type, setting, target) (*(const type *)((const char *)(target) + (setting)->offset))
#define SHOWN_VALUE 80 /* bytes of a wrong value in a message */

/* ---- Ranges --------------------------------------------------------------------------------------- */

static void write_number(const struct setting *setting, uint64_t number, struct text *out)
{
	static const struct {
		uint64_t factor;
		const char *unit;
	} sizes[] = {{1ULL << 40, "TiB"}, {1ULL << 30, "GiB"}, {1ULL << 20, "MiB"}, {1024, "KiB"}},
	  times[] = {{3600 * NS_PER_SECOND, "h"}, {60 * NS_PER_SECOND, "m"}, {NS_PER_SECOND, "s"},
		     {NS_PER_MS, "ms"}, {1000, "us"}};
	for (size_t i = 0; setting->kind == SETTING_SIZE && i < ARRAY_LENGTH(sizes); i++)
		if (number && number % sizes[i].factor == 0) {
			text_add(out, "%llu%s", (unsigned long long)(number / sizes[i].factor),
				 sizes[i].unit);
			return;
		}
	for (size_t i = 0; setting->kind == SETTING_DURATION && i < ARRAY_LENGTH(times); i++)
		if (number && number % times[i].factor == 0) {
			text_add(out, "%llu%s", (unsigned long long)(number / times[i].factor),
				 times[i].unit);
			return;
		}
	if (setting->kind == SETTING_SHARE)
		text_add(out, "%g%%", (double)number / 1e4);
	else if (setting->kind == SETTING_DURATION)
		text_add(out, "%.9fs", (double)number / 1e9);
	else
		text_add(out, "%llu", (unsigned long long)number);
}

static void write_choices(const struct setting *setting, struct text *out)
{
	for (size_t i = 0; setting->choices[i]; i++)
		text_add(out, "%s%s", i ? (setting->choices[i + 1] ? ", " : " or ") : "",
			 setting->choices[i]);
}

/* What stands for 0 where 0 is outside the range. */
static const char *zero_word(const struct setting *setting)
{
	bool is_auto = setting->kind == SETTING_SIZE &&
		       (setting->traits & SETTING_ZERO_IS_NONE) != SETTING_ZERO_IS_NONE;
	return is_auto ? "auto" : "none";
}

void setting_write_range(const struct setting *setting, struct text *out)
{
	static const char *const forms[] = {[SETTING_NUMBER] = "a whole number",
					    [SETTING_SIZE] = "a size",
					    [SETTING_DURATION] = "a duration",
					    [SETTING_SHARE] = "a share"};
	switch (setting->kind) {
	case SETTING_FLAG:
		text_add_string(out, "true or false");
		break;
	case SETTING_NUMBER:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_SHARE:
		text_add(out, "%s from ", forms[setting->kind]);
		write_number(setting, setting->low, out);
		text_add_string(out, " to ");
		write_number(setting, setting->high, out);
		if (setting->traits & SETTING_ZERO_IS_AUTO)
			text_add(out, ", or %s", zero_word(setting));
		break;
	case SETTING_CHOICE:
		write_choices(setting, out);
		break;
	case SETTING_TEXT:
		text_add_string(out, "a text");
		break;
	case SETTING_TEXTS:
		text_add_string(out, "a list of texts");
		break;
	default:
		text_add_string(out, "names with values");
	}
}

/* ---- Reading -------------------------------------------------------------------------------------- */

static int refuse(const struct setting *setting, const char *value, struct text *problem)
{
	if (setting->traits & SETTING_SECRET)
		text_add_string(problem, "not ");
	else
		text_add(problem, "'%.*s%s' is not ", SHOWN_VALUE, value,
			 strlen(value) > SHOWN_VALUE ? "..." : "");
	setting_write_range(setting, problem);
	return -EINVAL;
}

static int parse_flag(const struct setting *setting, void *target, const char *value,
		      struct text *problem)
{
	/* The YAML 1.1 words too: a person who writes "on" means it. */
	static const char *const words[][2] = {
		{"true", "false"}, {"yes", "no"}, {"on", "off"}, {"1", "0"}};
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		for (int no = 0; no < 2; no++)
			if (strcasecmp(value, words[i][no]) == 0) {
				*FIELD(bool, setting, target) = !no;
				return 0;
			}
	return refuse(setting, value, problem);
}

static int parse_number(const struct setting *setting, void *target, const char *value,
			struct text *problem)
{
	uint64_t number;
	int r;
	if (setting->traits & SETTING_ZERO_IS_AUTO && strcmp(value, zero_word(setting)) == 0) {
		*FIELD(uint64_t, setting, target) = 0;
		return 0;
	}
	if (setting->kind == SETTING_NUMBER)
		r = text_parse_u64(value, setting->low, setting->high, &number);
	else if (setting->kind == SETTING_SIZE)
		r = text_parse_size(value, &number);
	else if (setting->kind == SETTING_SHARE)
		r = text_parse_share(value, &number);
	else
		r = text_parse_duration(value, &number);
	if (r < 0 || number < setting->low || number > setting->high)
		return refuse(setting, value, problem);
	*FIELD(uint64_t, setting, target) = number;
	return 0;
}

static int parse_choice(const struct setting *setting, void *target, const char *value,
			struct text *problem)
{
	size_t count = 0;
	for (; setting->choices[count]; count++)
		if (strcmp(value, setting->choices[count]) == 0) {
			*FIELD(int, setting, target) = (int)(setting->low + count);
			return 0;
		}
	int r = refuse(setting, value, problem);
	const char *near = nearest_word(value, setting->choices, count);
	if (near)
		text_add(problem, "; did you mean %s?", near);
	return r;
}

static int parse_text(const struct setting *setting, void *target, const char *value)
{
	char *copy = *value ? strdup(value) : NULL;
	if (*value && !copy)
		return -ENOMEM;
	free(*FIELD(char *, setting, target));
	*FIELD(char *, setting, target) = copy;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. Returns false for a % that no two hexadecimal digits follow, and for %00. */
static bool decode_percent(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return true;
}

static char *trim(char *text)
{
	text += strspn(text, " \t");
	for (size_t length = strlen(text); length && strchr(" \t", text[length - 1]);)
		text[--length] = '\0';
	return text;
}

int setting_parse_pairs(const char *value, struct sink_pairs *into, struct text *problem)
{
	_cleanup_free_ char *copy = strdup(value);
	char *rest = copy;
	int r = copy ? 0 : -ENOMEM;
	for (char *word; r == 0 && (word = strsep(&rest, ","));) {
		if (!*trim(word))
			continue;
		char *equals = strchr(word, '=');
		if (equals)
			*equals = '\0';
		char *name = trim(word), *content = equals ? trim(equals + 1) : NULL;
		if (!content || !*name || strchr(content, ';') || !decode_percent(name) ||
		    !decode_percent(content)) {
			text_add_string(problem, "not a list such as name=value,name2=value2 with "
						 "%-encoded values");
			return -EINVAL;
		}
		r = sink_pairs_add(into, name, content);
	}
	return r;
}

static int parse_pairs(const struct setting *setting, void *target, const char *value,
		       struct text *problem)
{
	struct sink_pairs pairs = {0}, *field = FIELD(struct sink_pairs, setting, target);
	int r = setting_parse_pairs(value, &pairs, problem);
	if (r == 0) {
		struct sink_pairs old = *field;
		*field = pairs;
		pairs = old;
	}
	setting_free_pairs(&pairs);
	return r;
}

static int parse_texts(const struct setting *setting, void *target, const char *value)
{
	struct setting_texts texts = {0}, *field = FIELD(struct setting_texts, setting, target);
	_cleanup_free_ char *copy = strdup(value);
	char *rest = copy;
	int r = copy ? 0 : -ENOMEM;
	for (char *word; r == 0 && (word = strsep(&rest, ","));)
		if (*trim(word))
			r = setting_texts_add(&texts, trim(word));
	if (r == 0) {
		struct setting_texts old = *field;
		*field = texts;
		texts = old;
	}
	setting_free_texts(&texts);
	return r;
}

int setting_parse(const struct setting *setting, void *target, const char *value,
		  struct text *problem)
{
	switch (setting->kind) {
	case SETTING_FLAG:
		return parse_flag(setting, target, value, problem);
	case SETTING_NUMBER:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_SHARE:
		return parse_number(setting, target, value, problem);
	case SETTING_CHOICE:
		return parse_choice(setting, target, value, problem);
	case SETTING_TEXT:
		return parse_text(setting, target, value);
	case SETTING_TEXTS:
		return parse_texts(setting, target, value);
	case SETTING_PAIRS:
		return parse_pairs(setting, target, value, problem);
	case SETTING_END:
		break;
	}
	return -EINVAL;
}

/* ---- Writing -------------------------------------------------------------------------------------- */

void setting_write(const struct setting *setting, const void *target, struct text *out)
{
	const char *text;
	uint64_t number;
	int choice;
	switch (setting->kind) {
	case SETTING_FLAG:
		text_add_string(out, VALUE(bool, setting, target) ? "true" : "false");
		break;
	case SETTING_NUMBER:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_SHARE:
		number = VALUE(uint64_t, setting, target);
		if (setting->traits & SETTING_ZERO_IS_AUTO && !number)
			text_add_string(out, zero_word(setting));
		else
			write_number(setting, number, out);
		break;
	case SETTING_CHOICE:
		choice = VALUE(int, setting, target) - (int)setting->low;
		text_add_string(out, choice < 0 ? "" : setting->choices[choice]);
		break;
	case SETTING_TEXT:
		text = VALUE(char *, setting, target);
		text_add_char(out, '"');
		text_add_json(out, text ? text : "");
		text_add_char(out, '"');
		break;
	default:
		break;
	}
}
