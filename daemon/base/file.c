/* SPDX-License-Identifier: Apache-2.0 */
/* See file.h. Every loop here restarts after EINTR. */
#include "base/file.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		close(fd);
		errno = saved;
	}
	return -1;
}

uint32_t device_key(dev_t device)
{
	return major(device) << 20 | minor(device);
}

static struct timespec to_timespec(struct statx_timestamp t)
{
	return (struct timespec){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

int stat_cached(int fd, struct stat *ret)
{
	struct statx known;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &known) < 0)
		return -errno;
	*ret = (struct stat){.st_dev = makedev(known.stx_dev_major, known.stx_dev_minor),
			     .st_ino = known.stx_ino,
			     .st_mode = known.stx_mode,
			     .st_nlink = known.stx_nlink,
			     .st_size = (off_t)known.stx_size,
			     .st_mtim = to_timespec(known.stx_mtime),
			     .st_ctim = to_timespec(known.stx_ctime)};
	return 0;
}

int read_exactly_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	char *p = buffer;
	while (size) {
		ssize_t n = pread(fd, p, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		p += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int write_all(int fd, const void *buffer, size_t size)
{
	const char *p = buffer;
	while (size) {
		ssize_t n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int read_whole_fd(int fd, size_t limit, char **ret_bytes, size_t *ret_size)
{
	_cleanup_free_ char *bytes = NULL;
	size_t used = 0, capacity = 0;
	for (;;) {
		if (used + 1 >= capacity) {
			capacity = capacity ? capacity * 2 : 4096;
			char *grown = realloc(bytes, capacity);
			if (!grown)
				return -ENOMEM;
			bytes = grown;
		}
		ssize_t n = read(fd, bytes + used, capacity - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > limit)
			return -EFBIG;
	}
	bytes[used] = '\0';
	*ret_bytes = take_pointer(bytes);
	if (ret_size)
		*ret_size = used;
	return 0;
}

int read_whole_file(const char *path, size_t limit, char **ret_bytes, size_t *ret_size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	return read_whole_fd(fd, limit, ret_bytes, ret_size);
}

#define SMALL_FILE 65536

char *read_small_file(const char *root, const char *path)
{
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	char *bytes = NULL;
	size_t size;
	return full && read_whole_file(full, SMALL_FILE, &bytes, &size) == 0 ? bytes : NULL;
}

static uint64_t proportional_set_size(uint32_t pid)
{
	char path[64];
	_cleanup_free_ char *bytes = NULL;
	snprintf(path, sizeof(path), "/proc/%u/smaps_rollup", pid);
	if (read_whole_file(path, 65536, &bytes, NULL) < 0)
		return 0;
	const char *line = strstr(bytes, "\nPss:");
	return line ? strtoull(line + 5, NULL, 10) * 1024 : 0;
}

uint64_t process_memory(uint32_t pid)
{
	char path[64];
	_cleanup_free_ char *bytes = NULL;
	unsigned long long resident, shared;
	uint64_t size = proportional_set_size(pid);
	snprintf(path, sizeof(path), "/proc/%u/statm", pid);
	if (size || read_whole_file(path, 256, &bytes, NULL) < 0 ||
	    sscanf(bytes, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
		return size;
	return (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
}

int write_file_atomically(const char *path, const void *bytes, size_t size, mode_t mode)
{
	_cleanup_free_ char *temporary = text_format("%s.%d.tmp", path, (int)getpid());
	if (!temporary)
		return -ENOMEM;
	_cleanup_fd_ int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
				   mode);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, bytes, size);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temporary);
	return r;
}

static int make_directories(const char *path)
{
	_cleanup_free_ char *part = strdup(path);
	if (!part)
		return -ENOMEM;
	for (char *slash = part + 1; part[0] && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST && errno != EROFS)
			return -errno;
		*slash = '/';
	}
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	/* A read-only file system may say so before it says that the directory is there. */
	return errno == EROFS && access(path, F_OK) == 0 ? 0 : -errno;
}

static int take_directory(int directory)
{
	struct stat st;
	if (fstat(directory, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return st.st_mode & 077 && fchmod(directory, 0700) < 0 ? -errno : 0;
}

int open_private_directory(const char *path)
{
	int r = make_directories(path);
	if (r < 0)
		return r;
	_cleanup_fd_ int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	r = take_directory(directory);
	return r < 0 ? r : take_fd(directory);
}
