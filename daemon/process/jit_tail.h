/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a file that others append to was read: by which file it was, where, and what stood before that place,
 * so that one that was replaced or written anew is noticed and read from its start.
 */
#pragma once

#include "base/attributes.h"

#include <sys/stat.h>

#define JIT_TAIL_LAST 64

struct jit_tail {
	dev_t device;
	ino_t inode;
	uint64_t offset;
	uint64_t seen; /* where the latest excerpt ended; what is behind the offset was not complete */
	uint32_t state;	     /* enum jit_state_flag: what the parser left */
	unsigned lost_count; /* readings at this offset that were lost */
	bool given_up;	     /* too many were */
	uint8_t last[JIT_TAIL_LAST]; /* the bytes before the offset, as far as known */
	size_t last_size;
};

/* `fd` is the file as it is now. May block. */
void jit_tail_follow(struct jit_tail *tail, int fd, const struct stat *st);

/* `used` bytes are done with; of them the first `size` stand in the file `excerpt`, from its start. */
void jit_tail_advance(struct jit_tail *tail, int excerpt, size_t size, uint64_t used);

/* As pread(), -errno on failure. */
ssize_t jit_read(int fd, void *buffer, size_t size, uint64_t offset);
