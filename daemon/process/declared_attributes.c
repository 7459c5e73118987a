/* SPDX-License-Identifier: Apache-2.0 */
/* See declared_attributes.h. */
#include "process/declared_attributes.h"

#include <string.h>

#define SERVICE_NAME "OTEL_SERVICE_NAME="
#define ATTRIBUTES "OTEL_RESOURCE_ATTRIBUTES="
#define MAX_KEY 128

/* The value of the first variable that begins with `assignment`, as getenv() would find it. */
static struct slice find_variable(struct slice environment, const char *assignment)
{
	size_t length = strlen(assignment);
	while (environment.length > 0) {
		size_t entry = strnlen(environment.bytes, environment.length);
		if (entry >= length && !memcmp(environment.bytes, assignment, length))
			return (struct slice){environment.bytes + length, entry - length};
		entry = MIN_OF(entry + 1, environment.length);
		environment.bytes += entry;
		environment.length -= entry;
	}
	return (struct slice){0};
}

static struct slice trim(struct slice s)
{
	while (s.length && (*s.bytes == ' ' || *s.bytes == '\t')) {
		s.bytes++;
		s.length--;
	}
	while (s.length && (s.bytes[s.length - 1] == ' ' || s.bytes[s.length - 1] == '\t'))
		s.length--;
	return s;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends `from` with its %-escapes undone. Returns false when one of them is none. */
static bool decode(struct slice from, struct text *ret)
{
	for (size_t i = 0; i < from.length; i++) {
		char c = from.bytes[i];
		if (c == '%') {
			int high = from.length - i > 2 ? hex_digit(from.bytes[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_digit(from.bytes[i + 2]);
			if (low < 0 || (high == 0 && low == 0))
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		text_add_char(ret, c);
	}
	return !ret->failed;
}

/* Printable ASCII, and not what we know better than the process. */
static bool key_is_wanted(const char *key)
{
	static const char *const known_better[] = {"process.", "host.", "os.", "telemetry.",
						   "container.id"};
	size_t length = strlen(key);
	for (size_t i = 0; i < length; i++)
		if (key[i] <= ' ' || key[i] > '~')
			return false;
	for (size_t i = 0; i < ARRAY_LENGTH(known_better); i++)
		if (!strncmp(key, known_better[i], strlen(known_better[i])))
			return false;
	return length > 0 && length <= MAX_KEY;
}

/* Appends a pair if there is room for it. */
static void keep(struct text *to, size_t *count, const char *key, const struct text *value)
{
	size_t before = to->length;
	if (*count >= DECLARED_MAX_ATTRIBUTES || !value->length)
		return;
	text_add_bytes(to, key, strlen(key) + 1);
	text_add_utf8(to, value->bytes, value->length);
	text_add_char(to, '\0');
	if (to->length > DECLARED_MAX_BYTES)
		to->length = before;
	else
		++*count;
}

/* Appends one "key=value". Returns false when it is none. */
static bool take_pair(struct slice pair, bool service_is_named, struct text *to, size_t *count)
{
	const char *equals = memchr(pair.bytes, '=', pair.length);
	if (!equals)
		return false;
	size_t length = (size_t)(equals - pair.bytes);
	struct text key = {0}, value = {0};
	bool good = decode(trim((struct slice){pair.bytes, length}), &key) && key.length &&
		    decode(trim((struct slice){equals + 1, pair.length - length - 1}), &value);
	if (good && key_is_wanted(key.bytes) &&
	    !(service_is_named && !strcmp(key.bytes, "service.name")))
		keep(to, count, key.bytes, &value);
	text_free(&key);
	text_free(&value);
	return good;
}

static bool take_list(struct slice list, bool service_is_named, struct text *to, size_t *count)
{
	while (list.length > 0) {
		const char *comma = memchr(list.bytes, ',', list.length);
		size_t length = comma ? (size_t)(comma - list.bytes) : list.length;
		struct slice pair = trim((struct slice){list.bytes, length});
		if (pair.length && !take_pair(pair, service_is_named, to, count))
			return false;
		length += comma ? 1 : 0;
		list.bytes += length;
		list.length -= length;
	}
	return true;
}

void declared_attributes_parse(struct slice environment, struct text *ret)
{
	struct slice name = trim(find_variable(environment, SERVICE_NAME));
	struct text service = {0}, kept = {0};
	size_t count = 0;
	text_add_bytes(&service, name.bytes, name.length);
	keep(&kept, &count, "service.name", &service);
	size_t named = kept.length;
	if (!take_list(find_variable(environment, ATTRIBUTES), named > 0, &kept, &count))
		kept.length = named;
	if (kept.length && !kept.failed && !service.failed) {
		text_add_bytes(ret, kept.bytes, kept.length);
		text_add_char(ret, '\0');
	}
	text_free(&service);
	text_free(&kept);
}

bool declared_attributes_next(const char **at, const char **ret_key, const char **ret_value)
{
	if (!*at || !**at)
		return false;
	*ret_key = *at;
	*ret_value = *at + strlen(*at) + 1;
	*at = *ret_value + strlen(*ret_value) + 1;
	return true;
}
