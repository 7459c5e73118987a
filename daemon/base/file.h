/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors that close themselves, and whole-file reading and writing.
 */
#pragma once

#include "base/attributes.h"

#include <sys/stat.h>
#include <sys/types.h>

/* Closes if >= 0 and preserves errno. Always returns -1, so `fd = close_fd(fd);`. */
int close_fd(int fd);

static inline void close_fd_cleanup(int *fd)
{
	close_fd(*fd);
}

/* Declares an owned descriptor: `_cleanup_fd_ int fd = -1;` */
#define _cleanup_fd_ _cleanup_(close_fd_cleanup)

#define take_fd(fd)                 \
	({                          \
		int _taken = (fd);  \
		(fd) = -1;          \
		_taken;             \
	})

/* fstat() with what the kernel knows by now (size, times, place, mode, links): a file system is not asked, so it
 * cannot hang. Returns 0 or -errno. */
int stat_cached(int fd, struct stat *ret);

/* A device number as the kernel writes it in its own structures: major << 20 | minor. */
uint32_t device_key(dev_t device);

/* Reads exactly `size` bytes at `offset`. Returns 0, -ENODATA when the file is shorter, or -errno. */
int read_exactly_at(int fd, void *buffer, size_t size, uint64_t offset);

/* Writes all bytes. Returns 0 or -errno. */
int write_all(int fd, const void *buffer, size_t size);

/* Reads a whole file of at most `limit` bytes (regular or /proc) into a new NUL-terminated buffer
 * that the caller frees. Returns 0, -EFBIG past the limit, or -errno. */
int read_whole_file(const char *path, size_t limit, char **ret_bytes, size_t *ret_size);

/* Contents of ROOT/PATH, of at most 64 KiB, NUL-terminated, or NULL when it cannot be read. The caller frees. */
char *read_small_file(const char *root, const char *path);

/* Same from an open descriptor, from its current position. */
int read_whole_fd(int fd, size_t limit, char **ret_bytes, size_t *ret_size);

/* Memory of a process, bytes: its proportional set size, or where that may not be read, what it has for
 * itself alone. The kernel walks all its pages to tell the former. 0 when it has ended. */
uint64_t process_memory(uint32_t pid);

/* Writes `path` through a temporary file beside it and rename(2), so that a reader sees the old or
 * the new contents and never a part. Not synced. Returns 0 or -errno. */
int write_file_atomically(const char *path, const void *bytes, size_t size, mode_t mode);

/* Opens the directory `path` as this user's own: makes it, and those above it, when missing, refuses
 * one that belongs to or can be written by others (they could have put anything into it), and takes
 * away what others may read. Returns a descriptor that the caller closes, -EPERM, or -errno. */
int open_private_directory(const char *path);
