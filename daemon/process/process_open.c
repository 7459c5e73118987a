/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the files of other processes. Their names are chosen by those processes, so a name may lead
 * to a fifo, a device or out of a container: every file is looked up without opening it (O_PATH),
 * checked to be regular, and only then opened through the kernel's own /proc/self/fd.
 */
#include "process/process_open.h"

#include "base/file.h"
#include "process/proc_text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_RACES 64
#define MAPS_LIMIT (16UL << 20) /* bytes: a hundred thousand mappings with long paths */

/* Opens for reading what an O_PATH descriptor found, if it is a regular file. */
static int reopen_regular(int path_fd)
{
	struct stat st;
	char link[64];
	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	int fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int open_regular(const char *path)
{
	_cleanup_fd_ int found = open(path, O_PATH | O_CLOEXEC);
	return found < 0 ? -errno : reopen_regular(found);
}

/* A path with ".." that must stay below a root fails with EAGAIN while anybody renames or mounts anything, and may
 * be tried again: openat2(2). Returns the descriptor or -errno. */
static int openat2_again(int root, const char *path, const struct open_how *how)
{
	long fd = -1;
	for (int i = 0; i < MAX_RACES && fd < 0; i++) {
		fd = syscall(SYS_openat2, root, path, how, sizeof(*how));
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

int open_regular_in_root(const char *proc_path, uint32_t pid, const char *path,
			 bool follow_last)
{
	char root_path[PATH_MAX];
	snprintf(root_path, sizeof(root_path), "%s/%u/root", proc_path, pid);
	_cleanup_fd_ int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (follow_last ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_fd_ int found = openat2_again(root, path, &how);
	return found < 0 ? found : reopen_regular(found);
}

static int open_map_file(const char *proc_path, uint32_t pid, uint64_t start, uint64_t end)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%u/map_files/%llx-%llx", proc_path, pid,
		 (unsigned long long)start, (unsigned long long)end);
	return open_regular(path);
}

/* What /proc/PID/maps says of the mapping at an address, as maps_line's path. In files on overlayfs the kernel's
 * own structures have another device than side-band and maps: then nobody knew the path. NULL: none; the caller
 * frees. */
static char *path_of_mapping(const char *proc_path, uint32_t pid, uint64_t address)
{
	char name[PATH_MAX];
	_cleanup_free_ char *text = NULL;
	struct slice rest = {0}, line;
	struct maps_line mapping;
	snprintf(name, sizeof(name), "%s/%u/maps", proc_path, pid);
	if (read_whole_file(name, MAPS_LIMIT, &text, &rest.length) < 0)
		return NULL;
	rest.bytes = text;
	while (slice_next_line(&rest, &line)) {
		if (maps_line_parse(line, &mapping) < 0 || address < mapping.start ||
		    address >= mapping.end)
			continue;
		char *path = strndup(mapping.path.bytes, mapping.path.length);
		if (path)
			path[maps_path_unescape(path, mapping.path.length)] = '\0';
		return path;
	}
	return NULL;
}

static bool pid_exists(const char *proc_path, uint32_t pid)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%u", proc_path, pid);
	return access(path, F_OK) == 0;
}

int process_open_mapping(const char *proc_path, uint32_t pid, uint64_t start, uint64_t end,
			 const char *path)
{
	int fd = open_map_file(proc_path, pid, start, end);
	if (fd >= 0)
		return fd;
	_cleanup_free_ char *read_path = path ? NULL : path_of_mapping(proc_path, pid, start);
	if (!path)
		path = read_path;
	size_t length = path ? path_length_without_deleted(path, strlen(path)) : 0;
	if (length == 0 || path[0] != '/' || length >= PATH_MAX)
		return fd;
	char name[PATH_MAX];
	memcpy(name, path, length);
	name[length] = '\0';
	fd = open_regular_in_root(proc_path, pid, name, true);
	if (fd >= 0 || (!read_path && pid_exists(proc_path, pid)))
		return fd;
	return open_regular(name);
}
