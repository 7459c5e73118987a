/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the memory of struct text; see text.h for the contract. */
#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static bool text_reserve(struct text *t, size_t more)
{
	if (t->failed)
		return false;
	if (t->length + more + 1 <= t->capacity)
		return true;
	size_t capacity = MAX_OF(t->capacity * 2, t->length + more + 64);
	char *bytes = realloc(t->bytes, capacity);
	if (!bytes) {
		t->failed = true;
		return false;
	}
	t->bytes = bytes;
	t->capacity = capacity;
	return true;
}

char *text_room(struct text *t, size_t size)
{
	return text_reserve(t, size) ? t->bytes + t->length : NULL;
}

void text_add_bytes(struct text *t, const void *bytes, size_t size)
{
	if (!text_reserve(t, size))
		return;
	if (size)
		memcpy(t->bytes + t->length, bytes, size);
	t->length += size;
	t->bytes[t->length] = '\0';
}

void text_add_string(struct text *t, const char *string)
{
	text_add_bytes(t, string, strlen(string));
}

void text_add_char(struct text *t, char c)
{
	text_add_bytes(t, &c, 1);
}

void text_add(struct text *t, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	int size = vsnprintf(NULL, 0, format, arguments);
	if (size >= 0 && text_reserve(t, (size_t)size)) {
		vsnprintf(t->bytes + t->length, (size_t)size + 1, format, again);
		t->length += (size_t)size;
	}
	va_end(again);
	va_end(arguments);
}

/* Length of the well-formed UTF-8 sequence at `p` (RFC 3629 table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80, high = p[0] == 0xed ? 0x9f : 0xbf;
		return p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xf4 ? 0x8f : 0xbf;
		return p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 &&
				       (p[3] & 0xc0) == 0x80
			       ? 4
			       : 0;
	}
	return 0;
}

/* Bytes from here on that stay as they are in JSON: nearly all of the names. */
static size_t plain_json(const unsigned char *p)
{
	size_t size = 0;
	while (p[size] >= 0x20 && p[size] < 0x7f && p[size] != '"' && p[size] != '\\' && p[size] != '<')
		size++;
	return size;
}

void text_add_json(struct text *t, const char *string)
{
	const unsigned char *p = (const unsigned char *)string;
	while (*p) {
		size_t plain = plain_json(p);
		text_add_bytes(t, p, plain);
		p += plain;
		if (!*p)
			break;
		size_t length = utf8_sequence(p);
		if (length == 0) {
			text_add_string(t, "\xef\xbf\xbd");
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			text_add(t, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f || *p == '<') /* '<' keeps "</script>" out of pages */
			text_add(t, "\\u%04x", *p);
		else
			text_add_bytes(t, p, length);
		p += length;
	}
}

void text_add_utf8(struct text *t, const char *bytes, size_t size)
{
	const char *end = bytes + size;
	while (bytes < end) {
		const char *ascii = bytes;
		while (bytes < end && (unsigned char)*bytes < 0x80)
			bytes++;
		text_add_bytes(t, ascii, (size_t)(bytes - ascii));
		if (bytes == end)
			break;
		/* utf8_sequence() looks up to three bytes ahead: give it a padded copy at the end. */
		unsigned char window[4] = {0};
		memcpy(window, bytes, MIN_OF((size_t)(end - bytes), sizeof(window)));
		size_t length = utf8_sequence(window);
		if (length == 0)
			text_add_string(t, "\xef\xbf\xbd");
		else
			text_add_bytes(t, bytes, length);
		bytes += MAX_OF(length, 1u);
	}
}

char *text_take(struct text *t)
{
	if (t->failed || !text_reserve(t, 0)) {
		text_free(t);
		return NULL;
	}
	t->bytes[t->length] = '\0';
	char *bytes = t->bytes;
	*t = (struct text){0};
	return bytes;
}

void text_free(struct text *t)
{
	free(t->bytes);
	*t = (struct text){0};
}

char *text_format(const char *format, ...)
{
	char *string = NULL;
	va_list arguments;
	va_start(arguments, format);
	if (vasprintf(&string, format, arguments) < 0)
		string = NULL;
	va_end(arguments);
	return string;
}

bool text_matches(const char *pattern, const char *string)
{
	return fnmatch(pattern, string, 0) == 0;
}

const char *text_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

int text_parse_u64(const char *string, uint64_t low, uint64_t high, uint64_t *ret)
{
	if (*string < '0' || *string > '9')
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long long value = strtoull(string, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno == ERANGE || value < low || value > high)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* "30s" of "1m30s": a number and its unit, nanoseconds. Moves *string behind them. */
static int parse_duration_part(const char **string, double *ret_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3},
		     {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}};
	if (**string < '0' || **string > '9')
		return -EINVAL;
	char *end;
	double number = strtod(*string, &end);
	size_t length = strspn(end, "himnsu");
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (strlen(units[i].unit) != length || strncmp(end, units[i].unit, length) != 0)
			continue;
		*ret_ns = number * units[i].ns;
		*string = end + length;
		return 0;
	}
	return -EINVAL;
}

int text_parse_duration(const char *string, uint64_t *ret_ns)
{
	const char *rest = string;
	double sum = 0, part;
	do {
		if (parse_duration_part(&rest, &part) < 0)
			return -EINVAL;
		sum += part;
	} while (*rest);
	if (!(sum < 9e18)) /* also refuses NaN */
		return -ERANGE;
	*ret_ns = (uint64_t)sum;
	return 0;
}

int text_parse_share(const char *string, uint64_t *ret_ppm)
{
	char *end;
	if (*string < '0' || *string > '9')
		return -EINVAL;
	double number = strtod(string, &end);
	while (*end == ' ')
		end++;
	if (strcmp(end, "%") != 0)
		return -EINVAL;
	if (!(number <= 100)) /* also refuses NaN */
		return -ERANGE;
	*ret_ppm = (uint64_t)(number * 10000 + 0.5);
	return 0;
}

int text_parse_size(const char *string, uint64_t *ret_bytes)
{
	static const struct {
		const char *unit;
		double bytes;
	} units[] = {{"", 1},	     {"B", 1},		   {"KiB", 1024},	     {"MiB", 1048576},
		     {"GiB", 1073741824}, {"TiB", 1099511627776.0}, {"kB", 1e3}, {"KB", 1e3},
		     {"MB", 1e6},    {"GB", 1e9},	   {"TB", 1e12}};
	if (*string < '0' || *string > '9')
		return -EINVAL;
	char *end;
	double number = strtod(string, &end);
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (!(number * units[i].bytes < 9e18)) /* also refuses NaN */
			return -ERANGE;
		*ret_bytes = (uint64_t)(number * units[i].bytes);
		return 0;
	}
	return -EINVAL;
}

const char *text_duration(char *buffer, size_t size, uint64_t ns)
{
	if (ns >= 3600000000000ULL)
		snprintf(buffer, size, "%lluh%02llum%02llus", (unsigned long long)(ns / 3600000000000ULL),
			 (unsigned long long)(ns / 60000000000ULL % 60),
			 (unsigned long long)(ns / 1000000000ULL % 60));
	else if (ns >= 60000000000ULL)
		snprintf(buffer, size, "%llum%02llus", (unsigned long long)(ns / 60000000000ULL),
			 (unsigned long long)(ns / 1000000000ULL % 60));
	else if (ns >= 1000000000ULL)
		snprintf(buffer, size, "%.2f s", (double)ns / 1e9);
	else if (ns >= 1000000ULL)
		snprintf(buffer, size, "%.1f ms", (double)ns / 1e6);
	else if (ns >= 1000)
		snprintf(buffer, size, "%.1f us", (double)ns / 1e3);
	else
		snprintf(buffer, size, "%llu ns", (unsigned long long)ns);
	return buffer;
}

const char *text_size(char *buffer, size_t size, uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double number = (double)bytes;
	size_t unit = 0;
	while (number >= 1024 && unit + 1 < ARRAY_LENGTH(units)) {
		number /= 1024;
		unit++;
	}
	snprintf(buffer, size, unit ? "%.1f %s" : "%.0f %s", number, units[unit]);
	return buffer;
}

void text_add_printable(struct text *t, const char *string)
{
	size_t start = t->length;
	text_add_utf8(t, string, strlen(string));
	for (size_t i = start; i < t->length; i++) {
		unsigned char *byte = (unsigned char *)&t->bytes[i];
		if (*byte < 0x20 || *byte == 0x7f)
			*byte = '?';
		else if (byte[0] == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0)
			byte[0] = byte[1] = '?';
	}
}
