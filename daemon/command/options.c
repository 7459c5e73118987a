/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the walk over argv and the conversion of values; see options.h for the forms. */
#include "command/options.h"

#include "base/nearest_word.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct parse {
	const struct option_spec *specs;
	char *target;
	int argc;
	char **argv;
	int next; /* index of the argument to look at */
	struct option_words *words;
	struct text *error;
};

void option_words_free(struct option_words *words)
{
	array_free(&words->list);
	words->rest = NULL;
}

static bool takes_value(const struct option_spec *spec)
{
	return spec->kind != OPTION_FLAG && spec->kind != OPTION_UNFLAG;
}

static const struct option_spec *find_long(const struct parse *p, const char *name, size_t length)
{
	for (const struct option_spec *spec = p->specs; spec->kind; spec++)
		if (spec->name && strlen(spec->name) == length &&
		    memcmp(spec->name, name, length) == 0)
			return spec;
	return NULL;
}

static const struct option_spec *find_letter(const struct parse *p, char letter)
{
	for (const struct option_spec *spec = p->specs; spec->kind; spec++)
		if (spec->letter == letter)
			return spec;
	return NULL;
}

static int refuse(const struct parse *p, const struct option_spec *spec, const char *value,
		  const char *wanted)
{
	text_add(p->error, "--%s: '%s' is not %s", spec->name, value, wanted);
	return -EINVAL;
}

static int set_number(const struct parse *p, const struct option_spec *spec, const char *value)
{
	uint64_t *field = (uint64_t *)(p->target + spec->offset);
	int r = text_parse_u64(value, spec->low, spec->high, field);
	if (r == 0)
		return 0;
	_cleanup_free_ char *wanted =
		text_format("a whole number from %llu to %llu", (unsigned long long)spec->low,
			    (unsigned long long)spec->high);
	return wanted ? refuse(p, spec, value, wanted) : -ENOMEM;
}

static int add_numbers(const struct parse *p, const struct option_spec *spec, const char *value)
{
	struct option_numbers *field = (struct option_numbers *)(p->target + spec->offset);
	_cleanup_free_ char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	char *rest = copy;
	for (char *word; (word = strsep(&rest, ","));) {
		uint64_t number;
		if (text_parse_u64(word, spec->low, spec->high, &number) < 0)
			return refuse(p, spec, value, "a list of numbers such as 12 or 12,345");
		if (array_add(&field->list, (uint32_t)number) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int set_duration(const struct parse *p, const struct option_spec *spec, const char *value)
{
	uint64_t ns;
	if (text_parse_duration(value, &ns) < 0 || ns == 0)
		return refuse(p, spec, value, "a duration such as 10s, 250ms or 2m");
	*(uint64_t *)(p->target + spec->offset) = ns;
	return 0;
}

static int set_share(const struct parse *p, const struct option_spec *spec, const char *value)
{
	uint64_t ppm;
	if (text_parse_share(value, &ppm) < 0 || ppm == 0)
		return refuse(p, spec, value, "a share such as 0.5% or 2%, at most 100%");
	*(uint64_t *)(p->target + spec->offset) = ppm;
	return 0;
}

static int set_size(const struct parse *p, const struct option_spec *spec, const char *value)
{
	uint64_t bytes;
	char range[64], low[24], high[24];
	snprintf(range, sizeof(range), "a size from %s to %s", text_size(low, sizeof(low), spec->low),
		 text_size(high, sizeof(high), spec->high));
	if (text_parse_size(value, &bytes) < 0 || bytes < spec->low || bytes > spec->high)
		return refuse(p, spec, value, range);
	*(uint64_t *)(p->target + spec->offset) = bytes;
	return 0;
}

static int set_yes_no(const struct parse *p, const struct option_spec *spec, const char *value)
{
	bool yes = strcmp(value, "yes") == 0;
	if (!yes && strcmp(value, "no") != 0)
		return refuse(p, spec, value, "yes or no");
	*(bool *)(p->target + spec->offset) = yes;
	return 0;
}

static int set_value(const struct parse *p, const struct option_spec *spec, const char *value)
{
	void *field = p->target + spec->offset;
	switch (spec->kind) {
	case OPTION_FLAG:
	case OPTION_UNFLAG:
		*(bool *)field = spec->kind == OPTION_FLAG;
		return 0;
	case OPTION_YES_NO:
		return set_yes_no(p, spec, value);
	case OPTION_NUMBER:
		return set_number(p, spec, value);
	case OPTION_NUMBER_LIST:
		return add_numbers(p, spec, value);
	case OPTION_SHARE:
		return set_share(p, spec, value);
	case OPTION_SIZE:
		return set_size(p, spec, value);
	case OPTION_DURATION:
		return set_duration(p, spec, value);
	case OPTION_TEXT:
		if (!*value)
			return refuse(p, spec, value, "a value: it is empty");
		*(const char **)field = value;
		return 0;
	case OPTION_TEXT_LIST:
		if (!*value)
			return refuse(p, spec, value, "a value: it is empty");
		return array_add(&((struct option_texts *)field)->list, value);
	case OPTION_END:
	case OPTION_HEADING:
		break;
	}
	return -EINVAL;
}

/* The value of an option that has none attached: the next argument. */
static int take_next(struct parse *p, const struct option_spec *spec, const char **ret)
{
	if (p->next >= p->argc) {
		text_add(p->error, "--%s needs a value: %s", spec->name, spec->value);
		return -EINVAL;
	}
	*ret = p->argv[p->next++];
	return 0;
}

static int refuse_unknown(const struct parse *p, const char *name)
{
	ARRAY(const char *) names = {0};
	int r = array_add(&names, "help");
	for (const struct option_spec *spec = p->specs; spec->kind && r == 0; spec++)
		if (spec->name)
			r = array_add(&names, spec->name);
	const char *near = nearest_word(name, names.items, names.count);
	text_add(p->error, "unknown option '--%s'", name);
	if (near)
		text_add(p->error, "; did you mean '--%s'?", near);
	array_free(&names);
	return r < 0 ? r : -EINVAL;
}

static int parse_long(struct parse *p, const char *name)
{
	size_t length = strcspn(name, "=");
	const char *value = name[length] ? name + length + 1 : NULL;
	if (length == strlen("help") && memcmp(name, "help", length) == 0)
		return OPTIONS_HELP;
	const struct option_spec *spec = find_long(p, name, length);
	if (!spec) {
		_cleanup_free_ char *plain = strndup(name, length);
		return plain ? refuse_unknown(p, plain) : -ENOMEM;
	}
	if (!takes_value(spec) && value) {
		text_add(p->error, "--%s takes no value", spec->name);
		return -EINVAL;
	}
	if (takes_value(spec) && !value) {
		int r = take_next(p, spec, &value);
		if (r < 0)
			return r;
	}
	return set_value(p, spec, value);
}

static int parse_letters(struct parse *p, const char *letters)
{
	for (; *letters; letters++) {
		if (*letters == 'h')
			return OPTIONS_HELP;
		const struct option_spec *spec = find_letter(p, *letters);
		if (!spec) {
			text_add(p->error, "unknown option '-%c'", *letters);
			return -EINVAL;
		}
		const char *value = NULL;
		if (takes_value(spec)) {
			value = letters + 1;
			int r = *value ? 0 : take_next(p, spec, &value);
			return r < 0 ? r : set_value(p, spec, value);
		}
		int r = set_value(p, spec, value);
		if (r < 0)
			return r;
	}
	return 0;
}

int options_parse(const struct option_spec *specs, void *target, int argc, char **argv,
		  struct option_words *words, struct text *error)
{
	struct parse p = {.specs = specs,
			  .target = target,
			  .argc = argc,
			  .argv = argv,
			  .next = 1,
			  .words = words,
			  .error = error};
	while (p.next < argc) {
		char *argument = argv[p.next++];
		int r;
		if (strcmp(argument, "--") == 0) {
			words->rest = argv + p.next;
			return 0;
		}
		if (argument[0] == '-' && argument[1] == '-')
			r = parse_long(&p, argument + 2);
		else if (argument[0] == '-' && argument[1])
			r = parse_letters(&p, argument + 1);
		else
			r = array_add(&words->list, argument);
		if (r != 0)
			return r;
	}
	return 0;
}
