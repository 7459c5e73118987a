/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier's words come in one message of up to megabytes, and why it refuses a program stands at their end.
 */
#include "collect/libbpf_log.h"

#include "base/log.h"

#include <bpf/libbpf.h>
#include <string.h>

#define MOST_LINES 200 /* of one message */

/* Where the last so many lines of a text begin. */
static const char *last_lines(const char *text, size_t count)
{
	const char *at = text + strlen(text);
	while (at > text && (at[-1] != '\n' || at[0] == '\0' || --count))
		at--;
	return at;
}

static int print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *text;
	if (log_get_level() < LOG_LEVEL_DEBUG || vasprintf(&text, format, arguments) < 0)
		return 0;
	for (const char *line = last_lines(text, MOST_LINES); *line;) {
		size_t length = strcspn(line, "\n");
		log_debug("%.*s", (int)length, line);
		line += length + (line[length] == '\n');
	}
	free(text);
	return 0;
}

void libbpf_log_begin(void)
{
	libbpf_set_print(print);
}
