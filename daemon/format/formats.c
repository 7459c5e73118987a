/* SPDX-License-Identifier: Apache-2.0 */
/* See formats.h. */
#include "format/formats.h"

#include "base/attributes.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* Of several endings of a format the first is the usual one. */
static const struct {
	const char *ending;
	enum file_format format;
} endings[] = {
	{".pb.gz", FILE_FORMAT_PPROF},	    {".pprof", FILE_FORMAT_PPROF},
	{".prof", FILE_FORMAT_PPROF},	    {".pb", FILE_FORMAT_PPROF_RAW},
	{".otlp", FILE_FORMAT_OTLP},
	{".folded", FILE_FORMAT_FOLDED},    {".collapsed", FILE_FORMAT_FOLDED},
	{".html", FILE_FORMAT_HTML},	    {".htm", FILE_FORMAT_HTML},
	{".speedscope.json", FILE_FORMAT_SPEEDSCOPE}, {".txt", FILE_FORMAT_TEXT},
};

int format_from_path(const char *path)
{
	size_t length = strlen(path);
	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		size_t ending = strlen(endings[i].ending);
		if (length > ending && !strcasecmp(path + length - ending, endings[i].ending))
			return (int)endings[i].format;
	}
	return -EINVAL;
}

const char *format_ending(enum file_format format)
{
	size_t i = 0;
	while (endings[i].format != format) /* each has one */
		i++;
	return endings[i].ending;
}

int format_from_word(const char *word)
{
	static const struct {
		const char *word;
		enum file_format format;
	} words[] = {
		{"pprof", FILE_FORMAT_PPROF}, {"otlp", FILE_FORMAT_OTLP},
		{"folded", FILE_FORMAT_FOLDED},
		{"html", FILE_FORMAT_HTML},   {"speedscope", FILE_FORMAT_SPEEDSCOPE},
		{"text", FILE_FORMAT_TEXT},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(word, words[i].word) == 0)
			return (int)words[i].format;
	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++)
		if (strcasecmp(word, endings[i].ending + 1) == 0)
			return (int)endings[i].format;
	return -EINVAL;
}

const char *format_name(enum file_format format)
{
	static const char *const names[FILE_FORMAT_MAX] = {
		[FILE_FORMAT_PPROF] = "pprof",
		[FILE_FORMAT_PPROF_RAW] = "uncompressed pprof",
		[FILE_FORMAT_OTLP] = "OTLP profiles",
		[FILE_FORMAT_FOLDED] = "folded stacks",
		[FILE_FORMAT_HTML] = "flame graph",
		[FILE_FORMAT_SPEEDSCOPE] = "speedscope",
		[FILE_FORMAT_TEXT] = "text",
	};
	return names[format];
}
