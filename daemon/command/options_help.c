/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what people read about options: the aligned table of --help. */
#include "command/options.h"

#include <stdio.h>
#include <string.h>

static void describe_names(const struct option_spec *spec, char *buffer, size_t size)
{
	char letter[8] = "    ";
	if (spec->letter)
		snprintf(letter, sizeof(letter), "-%c, ", spec->letter);
	snprintf(buffer, size, "%s--%s%s%s", letter, spec->name, spec->value ? " " : "",
		 spec->value ? spec->value : "");
}

static size_t names_width(const struct option_spec *specs)
{
	size_t width = 0;
	for (const struct option_spec *spec = specs; spec->kind; spec++) {
		char names[80];
		if (!spec->name)
			continue;
		describe_names(spec, names, sizeof(names));
		width = MAX_OF(width, strlen(names));
	}
	return width;
}

/* Continuation lines of a help text start under its first one. */
static void describe_help(const char *help, size_t indent, struct text *out)
{
	for (const char *line = help;;) {
		size_t length = strcspn(line, "\n");
		text_add(out, "%.*s\n", (int)length, line);
		if (!line[length])
			return;
		line += length + 1;
		text_add(out, "%*s", (int)indent, "");
	}
}

void options_describe(const struct option_spec *specs, struct text *out)
{
	size_t width = names_width(specs);
	for (const struct option_spec *spec = specs; spec->kind; spec++) {
		if (spec->kind == OPTION_HEADING) {
			text_add(out, "\n%s\n", spec->help);
			continue;
		}
		char names[80];
		describe_names(spec, names, sizeof(names));
		text_add(out, "  %-*s  ", (int)width, names);
		describe_help(spec->help, width + 4, out);
	}
}
