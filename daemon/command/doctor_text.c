/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's findings for people and for programs. */
#include "command/command.h"
#include "command/doctor.h"
#include "command/terminal.h"

#include <string.h>

static const char *const level_names[] = {"ok", "warn", "fail"};
static const enum colour level_colours[] = {COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED};

void doctor_write_text(const struct findings *findings, bool colour, struct text *out)
{
	int width = 0;
	for (size_t i = 0; i < findings->list.count; i++)
		width = MAX_OF(width, (int)strlen(findings->list.items[i].name));
	for (size_t i = 0; i < findings->list.count; i++) {
		const struct finding *f = &findings->list.items[i];
		text_add(out, "%s%-4s%s  %-*s  %s\n",
			 terminal_colour(colour, level_colours[f->level]), level_names[f->level],
			 terminal_colour(colour, COLOUR_NONE), width, f->name, f->text);
		if (f->lost[0])
			text_add(out, "      %*s  lost: %s\n", width, "", f->lost);
		if (f->fix[0])
			text_add(out, "      %*s  fix:  %s\n", width, "", f->fix);
	}
	text_add_string(out, doctor_status(findings) == STATUS_OK
				     ? "This host can be profiled.\n"
				     : "This host cannot be profiled by this user.\n");
}

static void add_member(struct text *out, const char *key, const char *value)
{
	if (!value[0])
		return;
	text_add(out, ", \"%s\": \"", key);
	text_add_json(out, value);
	text_add_char(out, '"');
}

void doctor_write_json(const struct doctor_facts *facts, const struct findings *findings,
		       struct text *out)
{
	text_add_string(out, "{\n  \"kernel\": \"");
	text_add_json(out, facts->kernel.release);
	text_add(out, "\",\n  \"possible\": %s,\n  \"findings\": [\n",
		 doctor_status(findings) == STATUS_OK ? "true" : "false");
	for (size_t i = 0; i < findings->list.count; i++) {
		const struct finding *f = &findings->list.items[i];
		text_add(out, "    {\"level\": \"%s\"", level_names[f->level]);
		add_member(out, "name", f->name);
		add_member(out, "text", f->text);
		add_member(out, "lost", f->lost);
		add_member(out, "fix", f->fix);
		text_add(out, "}%s\n", i + 1 < findings->list.count ? "," : "");
	}
	text_add_string(out, "  ]\n}\n");
}
