/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the list of what is wrong, with where values come from, and its two forms: for people and for programs. */
#include "service/setting.h"

#include <stdio.h>
#include <string.h>

#define MAX_PROBLEMS 100

void problem_add(struct configuration_problems *problems, const struct setting_origin *origin,
		 const char *key, const char *format, ...)
{
	struct configuration_problem problem = {.line = origin->line, .column = origin->column};
	va_list arguments;
	if (problems->count >= MAX_PROBLEMS) {
		problems->more++;
		return;
	}
	va_start(arguments, format);
	if (vasprintf(&problem.message, format, arguments) < 0)
		problem.message = NULL;
	va_end(arguments);
	problem.source = strdup(origin->source);
	problem.key = key ? strdup(key) : NULL;
	if (problem.message && problem.source && (problem.key || !key) &&
	    array_add(problems, problem) == 0)
		return;
	free(problem.message);
	free(problem.source);
	free(problem.key);
	problems->failed = true;
}

bool problem_is_told(const struct configuration_problems *problems, const char *key)
{
	for (size_t i = 0; i < problems->count; i++)
		if (problems->items[i].key && strcmp(problems->items[i].key, key) == 0)
			return true;
	return false;
}

void problem_note_place(struct configuration_problems *problems, const struct setting_origin *origin, const char *key)
{
	struct configuration_place place = {.source = strdup(origin->source), .key = strdup(key),
					    .line = origin->line, .column = origin->column};
	if (place.source && place.key && array_add(&problems->places, place) == 0)
		return;
	free(place.source);
	free(place.key);
	problems->failed = true;
}

/* The last one of the key that has so many characters of this one. */
static const struct configuration_place *find_place(const struct configuration_problems *problems, const char *key,
						    size_t length)
{
	for (size_t i = problems->places.count; i-- > 0;) {
		const struct configuration_place *place = &problems->places.items[i];
		if (strncmp(place->key, key, length) == 0 && !place->key[length])
			return place;
	}
	return NULL;
}

struct setting_origin problem_origin(const struct configuration_problems *problems, const char *key,
				     const struct setting_origin *otherwise)
{
	size_t length = strlen(key);
	const struct configuration_place *place = find_place(problems, key, length);
	while (!place && !otherwise->line && length) {
		while (length && key[--length] != '.')
			;
		place = find_place(problems, key, length);
	}
	return place ? (struct setting_origin){place->source, place->line, place->column} : *otherwise;
}

/* Of those of no line, none is before another. */
static bool is_before(const struct configuration_problem *a, const struct configuration_problem *b)
{
	if (!a->line || !b->line)
		return a->line && !b->line;
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* By insertion: there are few, most in order, and those of one place stay as they are. */
void problems_sort(struct configuration_problems *problems)
{
	for (size_t i = 1; i < problems->count; i++) {
		struct configuration_problem moved = problems->items[i];
		size_t at = i;
		for (; at && is_before(&moved, &problems->items[at - 1]); at--)
			problems->items[at] = problems->items[at - 1];
		problems->items[at] = moved;
	}
}

void configuration_problems_free(struct configuration_problems *problems)
{
	for (size_t i = 0; i < problems->places.count; i++) {
		free(problems->places.items[i].source);
		free(problems->places.items[i].key);
	}
	array_free(&problems->places);
	for (size_t i = 0; i < problems->count; i++) {
		free(problems->items[i].source);
		free(problems->items[i].key);
		free(problems->items[i].message);
	}
	array_free(problems);
}

/* Keys and values come from a foreign file. */
void configuration_problems_write(const struct configuration_problems *problems, struct text *out)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct configuration_problem *problem = &problems->items[i];
		text_add_printable(out, problem->source);
		if (problem->line)
			text_add(out, ":%u:%u", problem->line, problem->column);
		text_add_string(out, ": ");
		if (problem->key) {
			text_add_printable(out, problem->key);
			text_add_string(out, ": ");
		}
		text_add_printable(out, problem->message);
		text_add_char(out, '\n');
	}
	if (problems->more)
		text_add(out, "and %zu more\n", problems->more);
}

static void add_member(struct text *out, const char *name, const char *value)
{
	text_add(out, ", \"%s\": \"", name);
	text_add_json(out, value);
	text_add_char(out, '"');
}

static void add_warnings(struct text *out, const char *lines)
{
	text_add_string(out, ", \"warnings\": [");
	for (const char *line = lines, *end; line && *line; line = *end ? end + 1 : end) {
		_cleanup_free_ char *one = strndup(line, strcspn(line, "\n"));
		end = line + strcspn(line, "\n");
		text_add(out, "%s\"", line == lines ? "" : ", ");
		text_add_json(out, one ? one : "");
		text_add_char(out, '"');
	}
	text_add_char(out, ']');
}

void configuration_problems_write_json(const char *file,
				       const struct configuration_problems *problems,
				       const char *warnings, struct text *out)
{
	text_add_string(out, "{\"file\": \"");
	text_add_json(out, file);
	text_add(out, "\", \"valid\": %s, \"problems\": [", problems->count ? "false" : "true");
	for (size_t i = 0; i < problems->count; i++) {
		const struct configuration_problem *problem = &problems->items[i];
		text_add(out, "%s\n  {\"source\": \"", i ? "," : "");
		text_add_json(out, problem->source);
		text_add_char(out, '"');
		if (problem->line)
			text_add(out, ", \"line\": %u, \"column\": %u", problem->line,
				 problem->column);
		if (problem->key)
			add_member(out, "key", problem->key);
		add_member(out, "message", problem->message);
		text_add_char(out, '}');
	}
	text_add(out, "], \"more\": %zu", problems->more);
	add_warnings(out, warnings);
	text_add_string(out, "}\n");
}
