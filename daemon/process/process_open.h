/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files whose names other processes chose; see process_open.c. */
#pragma once

#include "base/attributes.h"

/* Opens a regular file: O_RDONLY|O_CLOEXEC|O_NONBLOCK. -EINVAL when it is anything else, or -errno. */
int open_regular(const char *path);

/* Same, with `path` looked up inside the root of process `pid`, which symbolic links cannot leave.
 * Without `follow_last` the file itself may not be a symbolic link (-EINVAL). */
int open_regular_in_root(const char *proc_path, uint32_t pid, const char *path,
			 bool follow_last);
