/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_tail.h. */
#include "process/jit_tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

ssize_t jit_read(int fd, void *buffer, size_t size, uint64_t offset)
{
	ssize_t n;
	do
		n = pread(fd, buffer, size, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Inode numbers are used again at once by some file systems, and a file may be rewritten in place:
 * what stood before the offset must stand there still. */
static bool continues(const struct jit_tail *tail, int fd, const struct stat *st)
{
	uint8_t last[JIT_TAIL_LAST];
	size_t size = tail->last_size;
	return tail->inode == st->st_ino && tail->device == st->st_dev &&
	       (uint64_t)st->st_size >= tail->offset &&
	       jit_read(fd, last, size, tail->offset - size) == (ssize_t)size &&
	       !memcmp(last, tail->last, size);
}

void jit_tail_follow(struct jit_tail *tail, int fd, const struct stat *st)
{
	if (!continues(tail, fd, st))
		*tail = (struct jit_tail){.device = st->st_dev, .inode = st->st_ino};
}

/* Appends what stands at the end of the first `used` bytes of the excerpt to the last bytes. */
static void remember(struct jit_tail *tail, int excerpt, size_t used)
{
	size_t fresh = MIN_OF(used, (size_t)JIT_TAIL_LAST);
	size_t kept = MIN_OF(tail->last_size, JIT_TAIL_LAST - fresh);
	memmove(tail->last, tail->last + tail->last_size - kept, kept);
	bool known = jit_read(excerpt, tail->last + kept, fresh, used - fresh) == (ssize_t)fresh;
	tail->last_size = known ? kept + fresh : 0;
}

void jit_tail_advance(struct jit_tail *tail, int excerpt, size_t size, uint64_t used)
{
	if (used <= size)
		remember(tail, excerpt, (size_t)used);
	else
		tail->last_size = 0; /* code that was not copied */
	tail->seen = tail->offset + size;
	tail->offset += used;
	tail->lost_count = 0;
}
