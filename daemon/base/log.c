/* SPDX-License-Identifier: Apache-2.0 */
/* One line per message, written with a single write(2) so that lines of processes and threads do not
 * mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static _Atomic enum log_level most_detailed = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	most_detailed = level;
}

enum log_level log_get_level(void)
{
	return most_detailed;
}

void log_message(enum log_level level, const char *format, ...)
{
	static const char *const prefixes[] = {"error: ", "warning: ", "", "debug: "};
	if (level > most_detailed)
		return;

	char line[2048];
	int length = snprintf(line, sizeof(line), "bolometer: %s", prefixes[level]);
	va_list arguments;
	va_start(arguments, format);
	int added = vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);
	va_end(arguments);
	if (added < 0)
		return;
	length = MIN_OF(length + added, (int)sizeof(line) - 2);
	line[length++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)length) < 0)
		return; /* nowhere left to say it */
}
