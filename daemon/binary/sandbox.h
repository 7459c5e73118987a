/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confines the calling process for good, so that it can only compute on descriptors it is given:
 * layers that each hold when another is missing (no Landlock before 5.13, no other user without
 * CAP_SETUID). seccomp is the one that must be there.
 */
#pragma once

#include "base/attributes.h"

/* Which of the optional layers this kernel and these privileges gave. */
enum sandbox_layer {
	SANDBOX_OTHER_USER = 1 << 0, /* runs as nobody */
	SANDBOX_LANDLOCK = 1 << 1,   /* no path can be opened, whatever the system call */
};

struct sandbox_limits {
	uint64_t memory;    /* bytes of writable memory of its own */
	uint64_t file_size; /* bytes it may write into one file */
};

/* Descriptors 0 to `highest_kept_fd` stay open, all others are closed. Returns 0 and the layers, or
 * -errno, after which the process must end: part of its rights may be gone. */
int sandbox_enter(const struct sandbox_limits *limits, int highest_kept_fd, uint32_t *ret_layers);

/* The same for a child that keeps capabilities (numbers of linux/capability.h) and the user, and may
 * make the system calls that `add_rules` allows in the libseccomp filter; every other one kills it. No
 * path can be opened where the kernel has Landlock. Returns 0 or -errno, as above. */
int sandbox_enter_with_capabilities(const int *capabilities, size_t count,
				    int (*add_rules)(void *filter), int highest_kept_fd);
