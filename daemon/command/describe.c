/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tool of the build, not installed: writes what the commands and the configuration say of themselves
 * as JSON on standard output. Manual pages and shell completions are made of it (docs/man), so neither
 * can differ from what the program takes.
 */
#include "command/command.h"
#include "service/setting.h"

#include <stdio.h>

static const char *const kinds[] = {
	[OPTION_FLAG] = "flag",
	[OPTION_UNFLAG] = "flag",
	[OPTION_YES_NO] = "choice",
	[OPTION_NUMBER] = "number",
	[OPTION_DURATION] = "duration",
	[OPTION_SHARE] = "share",
	[OPTION_SIZE] = "size",
	[OPTION_TEXT] = "text",
	[OPTION_TEXT_LIST] = "text",
	[OPTION_NUMBER_LIST] = "number",
};

/* "name": "value" and a comma; an absent value is an empty one. */
static void add_field(struct text *out, const char *name, const char *value)
{
	text_add(out, "\"%s\": \"", name);
	text_add_json(out, value ? value : "");
	text_add_string(out, "\", ");
}

static void describe_option(const struct option_spec *spec, struct text *out)
{
	char letter[2] = {spec->letter};
	text_add_char(out, '{');
	add_field(out, "name", spec->name);
	add_field(out, "letter", letter);
	add_field(out, "value", spec->value);
	add_field(out, "words", spec->kind == OPTION_YES_NO ? "yes, no" : spec->words);
	add_field(out, "help", spec->help);
	text_add(out, "\"kind\": \"%s\"}", spec->kind == OPTION_HEADING ? "heading" : kinds[spec->kind]);
}

static void describe_command(const struct command *command, struct text *out)
{
	text_add_char(out, '{');
	add_field(out, "name", command->name);
	add_field(out, "arguments", command->arguments);
	add_field(out, "summary", command->summary);
	add_field(out, "details", command->details);
	text_add_string(out, "\"options\": [");
	for (const struct option_spec *spec = command->options; spec->kind; spec++) {
		text_add_string(out, spec == command->options ? "\n" : ",\n");
		describe_option(spec, out);
	}
	text_add_string(out, "]}");
}

static void describe_setting(const struct setting *setting, struct text *out)
{
	struct text range = {0};
	setting_write_range(setting, &range);
	text_add_char(out, '{');
	add_field(out, "key", setting->key);
	add_field(out, "takes", range.bytes);
	add_field(out, "unit", setting->unit);
	add_field(out, "default", setting->initial);
	add_field(out, "what", setting->what);
	text_add(out, "\"restart\": %s}", setting->traits & SETTING_NEEDS_RESTART ? "true" : "false");
	text_free(&range);
}

static void describe_settings(const char *name, const struct setting *table, struct text *out)
{
	text_add(out, ",\n\"%s\": [", name);
	for (const struct setting *setting = table; setting->kind; setting++) {
		text_add_string(out, setting == table ? "\n" : ",\n");
		describe_setting(setting, out);
	}
	text_add_char(out, ']');
}

int main(void)
{
	struct text out = {0};
	size_t count;
	const struct command *const *commands = command_list(&count);
	text_add_char(&out, '{');
	add_field(&out, "version", BOLOMETER_VERSION);
	text_add_string(&out, "\"commands\": [");
	for (size_t i = 0; i < count; i++) {
		text_add_string(&out, i ? ",\n" : "\n");
		describe_command(commands[i], &out);
	}
	text_add_char(&out, ']');
	describe_settings("settings", configuration_settings, &out);
	describe_settings("strategy_settings", strategy_settings, &out);
	describe_settings("exporter_settings", exporter_settings, &out);
	text_add_string(&out, "}\n");
	return command_print(&out);
}
