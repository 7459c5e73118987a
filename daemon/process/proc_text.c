/* SPDX-License-Identifier: Apache-2.0 */
/* See proc_text.h. A `cursor` walks the text; every step checks the end. */
#include "process/proc_text.h"

#include <errno.h>
#include <string.h>

#define DELETED_SUFFIX " (deleted)"
#define PF_KTHREAD 0x00200000 /* linux/sched.h */

struct cursor {
	const char *at, *end;
};

static struct cursor cursor_of(struct slice slice)
{
	return (struct cursor){slice.bytes, slice.bytes + slice.length};
}

static struct slice cursor_rest(const struct cursor *c)
{
	return (struct slice){c->at, (size_t)(c->end - c->at)};
}

bool slice_next_line(struct slice *rest, struct slice *ret_line)
{
	if (rest->length == 0)
		return false;
	const char *newline = memchr(rest->bytes, '\n', rest->length);
	size_t length = newline ? (size_t)(newline - rest->bytes) : rest->length;
	*ret_line = (struct slice){rest->bytes, length};
	length += newline ? 1 : 0;
	rest->bytes += length;
	rest->length -= length;
	return true;
}

bool slice_equals(struct slice slice, const char *text)
{
	return strlen(text) == slice.length && !memcmp(slice.bytes, text, slice.length);
}

bool slice_ends_with(struct slice slice, const char *text)
{
	size_t length = strlen(text);
	return slice.length >= length &&
	       !memcmp(slice.bytes + slice.length - length, text, length);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* A number of at least one digit that fits 64 bits. */
static bool take_hex(struct cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	const char *start = c->at;
	for (int digit; c->at < c->end && (digit = hex_digit(*c->at)) >= 0; c->at++) {
		if (value >> 60)
			return false;
		value = value << 4 | (uint64_t)digit;
	}
	*ret = value;
	return c->at > start;
}

static bool take_decimal(struct cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	const char *start = c->at;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*c->at - '0'), &value))
			return false;
	*ret = value;
	return c->at > start;
}

static bool take_char(struct cursor *c, char wanted)
{
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

static void skip_word(struct cursor *c)
{
	while (c->at < c->end && *c->at != ' ' && *c->at != '\n')
		c->at++;
}

int maps_line_parse(struct slice line, struct maps_line *ret)
{
	struct cursor c = cursor_of(line);
	uint64_t major, minor;
	if (!take_hex(&c, &ret->start) || !take_char(&c, '-') || !take_hex(&c, &ret->end) ||
	    !take_char(&c, ' ') || ret->end <= ret->start || c.end - c.at < 4)
		return -EINVAL;
	ret->executable = c.at[2] == 'x';
	c.at += 4;
	if (!take_char(&c, ' ') || !take_hex(&c, &ret->offset) || !take_char(&c, ' ') ||
	    !take_hex(&c, &major) || !take_char(&c, ':') || !take_hex(&c, &minor) ||
	    !take_char(&c, ' ') || !take_decimal(&c, &ret->inode))
		return -EINVAL;
	ret->device = (uint32_t)(major << 20 | (minor & 0xfffff));
	skip_blanks(&c);
	ret->path = cursor_rest(&c);
	return 0;
}

size_t maps_path_unescape(char *path, size_t length)
{
	size_t to = 0;
	for (size_t from = 0; from < length; to++) {
		if (length - from >= 4 && !memcmp(path + from, "\\012", 4)) {
			path[to] = '\n';
			from += 4;
		} else {
			path[to] = path[from++];
		}
	}
	return to;
}

size_t path_length_without_deleted(const char *path, size_t length)
{
	if (slice_ends_with((struct slice){path, length}, DELETED_SUFFIX))
		length -= strlen(DELETED_SUFFIX);
	return length;
}

static bool skip_fields(struct cursor *c, int count)
{
	while (count-- > 0) {
		skip_word(c);
		if (!take_char(c, ' '))
			return false;
	}
	return true;
}

int proc_stat_parse(struct slice text, struct proc_stat *ret)
{
	struct cursor c = cursor_of(text);
	uint64_t pid, parent, flags;
	if (!take_decimal(&c, &pid) || !take_char(&c, ' ') || !take_char(&c, '('))
		return -EINVAL;
	/* The name may hold anything; the fields behind it hold no parenthesis. */
	const char *close = memrchr(c.at, ')', (size_t)(c.end - c.at));
	if (!close)
		return -EINVAL;
	size_t length = MIN_OF((size_t)(close - c.at), sizeof(ret->comm) - 1);
	memset(ret->comm, 0, sizeof(ret->comm));
	memcpy(ret->comm, c.at, length);
	c.at = close + 1;
	if (!take_char(&c, ' ') || c.at == c.end)
		return -EINVAL;
	ret->state = *c.at++;
	/* Fields 4 (parent), 9 (flags) and 22 (start time). */
	if (!take_char(&c, ' ') || !take_decimal(&c, &parent) || !take_char(&c, ' ') ||
	    !skip_fields(&c, 4) || !take_decimal(&c, &flags) || !take_char(&c, ' ') ||
	    !skip_fields(&c, 12) || !take_decimal(&c, &ret->start_ticks))
		return -EINVAL;
	ret->pid = (uint32_t)pid;
	ret->parent_pid = (uint32_t)parent;
	ret->kernel_task = flags & PF_KTHREAD;
	return 0;
}

static bool take_prefix(struct cursor *c, const char *prefix)
{
	size_t length = strlen(prefix);
	if ((size_t)(c->end - c->at) < length || memcmp(c->at, prefix, length))
		return false;
	c->at += length;
	return true;
}

void proc_status_parse(struct slice text, struct proc_status *ret)
{
	struct slice line;
	*ret = (struct proc_status){0};
	while (slice_next_line(&text, &line)) {
		struct cursor c = cursor_of(line);
		uint64_t value = 0;
		if (take_prefix(&c, "Uid:")) { /* real, effective, saved, file system */
			skip_blanks(&c);
			if (!take_decimal(&c, &value))
				continue;
			skip_blanks(&c);
			if (!take_decimal(&c, &value))
				continue;
			ret->user_id = (uint32_t)value;
			ret->has_user_id = true;
		} else if (take_prefix(&c, "NSpid:")) { /* outermost first */
			for (skip_blanks(&c); take_decimal(&c, &value); skip_blanks(&c))
				ret->inner_pid = (uint32_t)value;
		}
	}
}

int cgroup_line_parse(struct slice line, struct cgroup_line *ret)
{
	struct cursor c = cursor_of(line);
	uint64_t hierarchy;
	if (!take_decimal(&c, &hierarchy) || !take_char(&c, ':'))
		return -EINVAL;
	/* "name=" may be followed by anything but a comma or colon. */
	const char *colon = memchr(c.at, ':', (size_t)(c.end - c.at));
	if (!colon)
		return -EINVAL;
	ret->controllers = (struct slice){c.at, (size_t)(colon - c.at)};
	c.at = colon + 1;
	ret->path = cursor_rest(&c);
	if (ret->path.length == 0 || ret->path.bytes[0] != '/')
		return -EINVAL;
	ret->path.length = path_length_without_deleted(ret->path.bytes, ret->path.length);
	ret->unified = hierarchy == 0 && ret->controllers.length == 0;
	return 0;
}

bool controllers_contain(struct slice controllers, const char *controller)
{
	struct slice rest = controllers;
	while (rest.length > 0) {
		const char *comma = memchr(rest.bytes, ',', rest.length);
		size_t length = comma ? (size_t)(comma - rest.bytes) : rest.length;
		if (slice_equals((struct slice){rest.bytes, length}, controller))
			return true;
		length += comma ? 1 : 0;
		rest.bytes += length;
		rest.length -= length;
	}
	return false;
}
