/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what the %-signs in the name of an output stand for. */
#include "command/output.h"

#include <errno.h>

static void add_time(struct text *text, time_t time)
{
	struct tm local;
	char buffer[32];
	localtime_r(&time, &local);
	strftime(buffer, sizeof(buffer), "%Y%m%d-%H%M%S", &local);
	text_add_string(text, buffer);
}

/* A host's name may have any byte; it is no way into another directory. */
static void add_host(struct text *text, const char *host)
{
	for (const char *c = host; *c; c++)
		text_add_char(text, *c == '/' ? '_' : *c);
}

bool output_tells_kind(const char *pattern)
{
	for (const char *p = pattern; *p; p++) {
		if (*p != '%')
			continue;
		if (*++p == 'e')
			return true;
		if (!*p)
			return false;
	}
	return false;
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
			add_host(&text, names->host);
			break;
		case 'p':
			text_add(&text, "%u", names->pid);
			break;
		case 't':
			add_time(&text, names->start);
			break;
		case 'e':
			text_add_string(&text, names->kind);
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
