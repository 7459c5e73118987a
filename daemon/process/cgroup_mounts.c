/* SPDX-License-Identifier: Apache-2.0 */
/* See cgroup_mounts.h. */
#include "process/cgroup_mounts.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

#define MAX_MOUNTINFO (16U << 20)
#define MAX_MOUNTS 256

static struct slice take_field(struct slice *rest)
{
	const char *blank = memchr(rest->bytes, ' ', rest->length);
	struct slice field = {rest->bytes, blank ? (size_t)(blank - rest->bytes) : rest->length};
	size_t used = field.length + (blank ? 1 : 0);
	rest->bytes += used;
	rest->length -= used;
	return field;
}

static bool is_octal(const char *digits)
{
	return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' &&
	       digits[2] >= '0' && digits[2] <= '7';
}

/* Mount points write blanks, tabs, newlines and backslashes as \ooo. */
static char *unescape(struct slice field)
{
	char *text = malloc(field.length + 1);
	if (!text)
		return NULL;
	size_t to = 0;
	for (size_t from = 0; from < field.length; to++) {
		const char *c = field.bytes + from;
		if (field.length - from >= 4 && c[0] == '\\' && is_octal(c + 1)) {
			text[to] = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
			from += 4;
		} else {
			text[to] = field.bytes[from++];
		}
	}
	text[to] = '\0';
	return text;
}

/* The controllers among a v1 mount's options: all but the generic flags. */
static char *controllers_of(struct slice options)
{
	static const char *const flags[] = {"rw", "ro", "xattr", "noprefix", "clone_children",
					    "cpuset_v2_mode", "none"};
	struct text text = {0};
	while (options.length > 0) {
		const char *comma = memchr(options.bytes, ',', options.length);
		struct slice option = {options.bytes,
				       comma ? (size_t)(comma - options.bytes) : options.length};
		options.bytes += option.length + (comma ? 1 : 0);
		options.length -= option.length + (comma ? 1 : 0);
		bool generic = option.length > 14 && !memcmp(option.bytes, "release_agent=", 14);
		for (size_t i = 0; i < ARRAY_LENGTH(flags); i++)
			generic = generic || slice_equals(option, flags[i]);
		if (generic)
			continue;
		if (text.length)
			text_add_char(&text, ',');
		text_add_bytes(&text, option.bytes, option.length);
	}
	return text_take(&text);
}

static void mount_free(struct cgroup_mount *mount)
{
	free(mount->root);
	free(mount->directory);
	free(mount->controllers);
}

/* "36 35 98:0 /root /mount/point options tag:1 … - type source superoptions" */
static int parse_line(struct slice line, struct cgroup_mounts *mounts)
{
	for (int skipped = 0; skipped < 3; skipped++)
		take_field(&line);
	struct slice root = take_field(&line), directory = take_field(&line);
	while (line.length > 0 && !slice_equals(take_field(&line), "-"))
		;
	struct slice type = take_field(&line);
	bool unified = slice_equals(type, "cgroup2");
	if (!unified && !slice_equals(type, "cgroup"))
		return 0;
	take_field(&line);
	struct slice options = unified ? (struct slice){"", 0} : take_field(&line);
	struct cgroup_mount mount = {
		.unified = unified,
		.root = unescape(root),
		.directory = unescape(directory),
		.controllers = controllers_of(options),
	};
	if (mount.root && mount.directory && mount.controllers &&
	    array_add(&mounts->list, mount) == 0)
		return 0;
	mount_free(&mount);
	return -ENOMEM;
}

int cgroup_mounts_parse(struct slice mountinfo, struct cgroup_mounts *ret)
{
	struct slice line;
	*ret = (struct cgroup_mounts){0};
	while (ret->list.count < MAX_MOUNTS && slice_next_line(&mountinfo, &line)) {
		int r = parse_line(line, ret);
		if (r < 0) {
			cgroup_mounts_free(ret);
			return r;
		}
	}
	return 0;
}

int cgroup_mounts_read(const char *mountinfo_path, struct cgroup_mounts *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = read_whole_file(mountinfo_path, MAX_MOUNTINFO, &text, &size);
	return r < 0 ? r : cgroup_mounts_parse((struct slice){text, size}, ret);
}

void cgroup_mounts_free(struct cgroup_mounts *mounts)
{
	for (size_t i = 0; i < mounts->list.count; i++)
		mount_free(&mounts->list.items[i]);
	array_free(&mounts->list);
}
