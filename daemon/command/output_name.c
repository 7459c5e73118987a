/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what the name of an output says: its format, and the text its %-signs stand for. */
#include "command/output.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	const char *extension;
} formats[OUTPUT_FORMAT_MAX] = {
	[OUTPUT_PPROF] = {"pprof", ".pb.gz"},
	[OUTPUT_FOLDED] = {"folded", ".folded"},
	[OUTPUT_HTML] = {"html", ".html"},
	[OUTPUT_SPEEDSCOPE] = {"speedscope", ".speedscope.json"},
	[OUTPUT_TEXT] = {"text", ".txt"},
};

static void add_time(struct text *text, time_t time)
{
	struct tm local;
	char buffer[32];
	localtime_r(&time, &local);
	strftime(buffer, sizeof(buffer), "%Y%m%d-%H%M%S", &local);
	text_add_string(text, buffer);
}

int output_expand(const char *pattern, const struct output_names *names, char **ret)
{
	struct text text = {0};
	text_add_string(&text, "");
	for (const char *p = pattern; *p; p++) {
		if (*p != '%') {
			text_add_char(&text, *p);
			continue;
		}
		switch (*++p) {
		case 'h':
			text_add_string(&text, names->host);
			break;
		case 'p':
			text_add(&text, "%u", names->pid);
			break;
		case 't':
			add_time(&text, names->start);
			break;
		case '%':
			text_add_char(&text, '%');
			break;
		default:
			text_free(&text);
			return -EINVAL;
		}
	}
	*ret = text_take(&text);
	return *ret ? 0 : -ENOMEM;
}

int output_format_of_name(const char *name, enum output_format *ret)
{
	for (size_t i = 0; i < OUTPUT_FORMAT_MAX; i++) {
		if (strcmp(formats[i].name, name) != 0)
			continue;
		*ret = (enum output_format)i;
		return 0;
	}
	return -EINVAL;
}

int output_format_of_path(const char *path, enum output_format *ret)
{
	size_t length = strlen(path);
	for (size_t i = 0; i < OUTPUT_FORMAT_MAX; i++) {
		size_t extension = strlen(formats[i].extension);
		if (length <= extension ||
		    strcmp(path + length - extension, formats[i].extension) != 0)
			continue;
		*ret = (enum output_format)i;
		return 0;
	}
	return -EINVAL;
}
