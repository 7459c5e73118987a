/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the two printed forms: the settings in force, and the shipped file that documents every key. */
#include "service/setting.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 96

static void add_indent(struct text *out, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		text_add_string(out, "  ");
}

static void add_quoted(struct text *out, const char *string)
{
	text_add_char(out, '"');
	text_add_json(out, string);
	text_add_char(out, '"');
}

/* Is the key's part before `end` a section, or in one, that is open? */
static bool is_open(const char *key, const char *end, const char *section)
{
	size_t length = (size_t)(end - key);
	return strncmp(section, key, length) == 0 && (!section[length] || section[length] == '.');
}

/* Opens those of a key's sections in which the key before was not. Returns how deep the key stands. */
static unsigned enter_section(const char *key, char *section, size_t size, unsigned depth,
			      const char *mark, struct text *out)
{
	const char *name = key;
	for (const char *dot; (dot = strchr(name, '.')); name = dot + 1, depth++) {
		if (is_open(key, dot, section))
			continue;
		add_indent(out, depth);
		text_add(out, "%s%.*s:\n", mark, (int)(dot - name), name);
	}
	snprintf(section, size, "%.*s", name > key ? (int)(name - key - 1) : 0, key);
	return depth;
}

static const char *last_part(const char *key)
{
	const char *dot = strrchr(key, '.');
	return dot ? dot + 1 : key;
}

static void write_value(const struct setting *setting, const void *target, struct text *out)
{
	const struct setting_texts *texts = (const void *)((const char *)target + setting->offset);
	const struct sink_pairs *pairs = (const void *)((const char *)target + setting->offset);
	if (setting_is_scalar(setting)) {
		setting_write(setting, target, out);
		return;
	}
	text_add_char(out, setting->kind == SETTING_TEXTS ? '[' : '{');
	for (size_t i = 0; setting->kind == SETTING_TEXTS && i < texts->count; i++) {
		text_add_string(out, i ? ", " : "");
		add_quoted(out, texts->items[i]);
	}
	for (size_t i = 0; setting->kind == SETTING_PAIRS && i < pairs->count; i++) {
		text_add_string(out, i ? ", " : "");
		add_quoted(out, pairs->items[i].name);
		text_add_string(out, ": ");
		add_quoted(out, setting->traits & SETTING_SECRET ? "(secret)"
								 : pairs->items[i].value);
	}
	text_add_char(out, setting->kind == SETTING_TEXTS ? ']' : '}');
}

static void write_settings(const struct setting *table, const void *target, unsigned depth,
			   struct text *out)
{
	char section[64] = "";
	for (const struct setting *setting = table; setting->kind; setting++) {
		unsigned at = enter_section(setting->key, section, sizeof(section), depth, "", out);
		add_indent(out, at);
		text_add(out, "%s: ", last_part(setting->key));
		write_value(setting, target, out);
		text_add_char(out, '\n');
	}
}

void configuration_print(const struct configuration *configuration, struct text *out)
{
	write_settings(configuration_settings, configuration, 0, out);
	text_add_string(out, configuration->strategies.count ? "strategies:\n" : "strategies: []\n");
	for (size_t i = 0; i < configuration->strategies.count; i++) {
		text_add_string(out, "  -\n");
		write_settings(strategy_settings, &configuration->strategies.items[i], 2, out);
	}
	text_add_string(out, configuration->exporters.count ? "exporters:\n" : "exporters: []\n");
	for (size_t i = 0; i < configuration->exporters.count; i++) {
		text_add_string(out, "  -\n");
		write_settings(exporter_settings, &configuration->exporters.items[i], 2, out);
	}
}

/* ---- Reference ------------------------------------------------------------------------------------ */

static void write_comment(const char *text, unsigned depth, struct text *out)
{
	for (const char *line = text;;) {
		size_t length = strcspn(line, "\n");
		add_indent(out, depth);
		text_add(out, "# %.*s\n", (int)length, line);
		if (!line[length])
			return;
		line += length + 1;
	}
}

/* "Hz; a whole number from 1 to 10000; default 99; a change needs a restart" */
static void write_facts(const struct setting *setting, unsigned depth, struct text *out)
{
	struct text facts = {0};
	setting_write_range(setting, &facts);
	if (setting->unit)
		text_add(&facts, " (%s)", setting->unit);
	if (setting->initial)
		text_add(&facts, "; default %s", setting->initial);
	if (setting->traits & SETTING_NEEDS_RESTART)
		text_add_string(&facts, "; a change needs a restart");
	if (facts.bytes)
		write_comment(facts.bytes, depth, out);
	text_free(&facts);
}

static const char *empty_value(const struct setting *setting)
{
	switch (setting->kind) {
	case SETTING_TEXTS:
		return "[]";
	case SETTING_PAIRS:
		return "{}";
	default:
		return "\"\"";
	}
}

static void write_table(const struct setting *table, unsigned depth, const char *mark,
			struct text *out)
{
	char section[64] = "";
	for (const struct setting *setting = table; setting->kind; setting++) {
		if (depth == 0 || section[0])
			text_add_string(out, depth == 0 ? "\n" : "");
		unsigned at = enter_section(setting->key, section, sizeof(section), depth, mark,
					    out);
		write_comment(setting->what, at, out);
		write_facts(setting, at, out);
		add_indent(out, at);
		text_add(out, "#%s: %s\n", last_part(setting->key),
			 setting->initial ? setting->initial : empty_value(setting));
	}
}

void configuration_print_reference(struct text *out)
{
	text_add_string(
		out,
		"# Bolometer's configuration: every key, with what it takes and its default.\n"
		"#\n"
		"# Durations are 250ms, 10s, 5m, 1h; sizes 64MiB, 1GiB, 500MB. A key can also be set\n"
		"# on the command line (--set sampling.frequency=19) and in the environment\n"
		"# (BOLOMETER_SAMPLING_FREQUENCY=19); the command line comes first, this file last.\n"
		"# 'bolometer check-config FILE' says what is wrong with a file; after a change,\n"
		"# 'systemctl reload bolometer'.\n");
	write_table(configuration_settings, 0, "", out);
	text_add_string(
		out,
		"\n# Which samples are taken: for each sample the first of these whose `match` and `event`\n"
		"# fit decides; all are taken where none does.\n"
		"strategies:\n"
		"#  - strategy: never\n"
		"#    match: {exe: \"*-agent\"}\n"
		"#  - strategy: adaptive\n"
		"#    samples: 40000\n"
		"#\n"
		"# Every key of a strategy:\n");
	write_table(strategy_settings, 2, "#", out);
	text_add_string(
		out,
		"\n# Where profiles go: any number, each with its own queue. Without one here, the\n"
		"# variables OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS ... make one.\n"
		"exporters:\n"
		"#  - type: otlp-grpc\n"
		"#    endpoint: http://localhost:4317\n"
		"#  - type: pprof-directory\n"
		"#    directory: /var/lib/bolometer/profiles\n"
		"#\n"
		"# Every key of an exporter:\n");
	write_table(exporter_settings, 2, "#", out);
}
