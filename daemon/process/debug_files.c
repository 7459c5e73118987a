/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places are those of the GDB manual, "Debugging Information in Separate Files": with D the
 * directory of the binary and L its debuglink, /usr/lib/debug/.build-id/ab/cdef.debug, D/L, D/.debug/L
 * and /usr/lib/debug/D/L. Each is tried in the root of the process, where symbolic links cannot
 * leave it, and then in ours.
 */
#include "process/debug_files.h"

#include "process/process_open.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEBUG_ROOT "/usr/lib/debug"

enum place { BY_BUILD_ID, BESIDE, IN_DEBUG_DIRECTORY, BELOW_DEBUG_ROOT, PLACE_COUNT };

/* Formats a path. False when it does not fit. */
static bool make_path(char path[static PATH_MAX], const char *format, ...) _printf_(2, 3);
static bool make_path(char path[static PATH_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(path, PATH_MAX, format, arguments);
	va_end(arguments);
	return length > 0 && length < PATH_MAX;
}

static bool build_id_path(const uint8_t *id, size_t size, char path[static PATH_MAX])
{
	char hex[2 * BUILD_ID_MAX + 1];
	if (size < 2 || size > BUILD_ID_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	return make_path(path, DEBUG_ROOT "/.build-id/%.2s/%s.debug", hex, hex + 2);
}

/* Length of the directory of an absolute path, without the last slash; 0 for none. */
static int directory_length(const char *path)
{
	const char *slash = path && path[0] == '/' ? strrchr(path, '/') : NULL;
	return slash ? (int)MIN_OF(slash - path, PATH_MAX) : 0;
}

static bool place_path(const struct debug_search *s, enum place place, char path[static PATH_MAX])
{
	const char *link = s->facts->debuglink;
	int directory = directory_length(s->path);
	if (place == BY_BUILD_ID)
		return build_id_path(s->facts->build_id, s->facts->build_id_size, path);
	if (!link[0] || !s->path || s->path[0] != '/')
		return false;
	if (place == BESIDE)
		return make_path(path, "%.*s/%s", directory, s->path, link);
	if (place == IN_DEBUG_DIRECTORY)
		return make_path(path, "%.*s/.debug/%s", directory, s->path, link);
	return make_path(path, DEBUG_ROOT "%.*s/%s", directory, s->path, link);
}

static int open_in(const struct debug_search *s, bool in_process, const char *path)
{
	if (!in_process)
		return open_regular(path);
	return s->pid ? open_regular_in_root(s->proc_path, s->pid, path, true) : -ENOENT;
}

int debug_search_next(struct debug_search *s)
{
	while (s->next < 2 * PLACE_COUNT) {
		unsigned int attempt = s->next++;
		s->found_in_process = attempt % 2 == 0;
		if (!place_path(s, attempt / 2, s->found))
			continue;
		int fd = open_in(s, s->found_in_process, s->found);
		if (fd >= 0)
			return fd;
	}
	s->found[0] = '\0';
	return -ENOENT;
}

/* A path relative to the file that refers to it. */
static bool relative_to(const char *file, const char *path, char ret[static PATH_MAX])
{
	if (path[0] == '/')
		return make_path(ret, "%s", path);
	return file && file[0] == '/' &&
	       make_path(ret, "%.*s/%s", directory_length(file), file, path);
}

int debug_search_supplementary(const struct debug_search *s, const uint8_t *id, size_t id_size,
			       const char *path)
{
	char full[PATH_MAX];
	for (unsigned int attempt = 0; attempt < 4; attempt++) {
		bool in_process = attempt % 2 == 0;
		bool made = attempt < 2 ? build_id_path(id, id_size, full)
					: relative_to(s->found[0] ? s->found : s->path, path, full);
		int fd = made ? open_in(s, in_process, full) : -ENOENT;
		if (fd >= 0)
			return fd;
	}
	return -ENOENT;
}
