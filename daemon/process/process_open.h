/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files whose names other processes chose; see process_open.c. All of it may block for as long as
 * their file systems like. `proc_path` is "/proc" or a test's copy of it. */
#pragma once

#include "base/attributes.h"

/* Opens a regular file: O_RDONLY|O_CLOEXEC|O_NONBLOCK. -EINVAL when it is anything else, or -errno. */
int open_regular(const char *path);

/* Same, with `path` looked up inside the root of process `pid`, which symbolic links cannot leave.
 * Without `follow_last` the file itself may not be a symbolic link (-EINVAL). */
int open_regular_in_root(const char *proc_path, uint32_t pid, const char *path,
			 bool follow_last);

/* Opens the file behind a mapping of a process: /proc/PID/map_files (needs CAP_CHECKPOINT_RESTORE or
 * CAP_SYS_ADMIN), else the path through /proc/PID/root, else (when the process is gone) the plain path. A `path`
 * of NULL: the one in /proc/PID/maps at `start`, also tried as it is, since in a chroot it is ours. The caller compares what it got
 * (fstat) with what it wanted. Returns a descriptor (O_RDONLY|O_CLOEXEC|O_NONBLOCK, a regular file)
 * or -errno. */
int process_open_mapping(const char *proc_path, uint32_t pid, uint64_t start, uint64_t end,
			 const char *path);
