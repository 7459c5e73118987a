/* SPDX-License-Identifier: Apache-2.0 */
/* See spool_segment.h. */
#include "export/spool_segment.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Read and checked in pieces that stay in the processor's cache between the two. */
#define READ_BYTES ((uint64_t)256 << 10)
#define NAME_FORMAT "%016" PRIx64 "-%016" PRIx64 ".spool"

void segment_name(const struct segment *segment, char name[static SEGMENT_NAME_SIZE])
{
	snprintf(name, SEGMENT_NAME_SIZE, NAME_FORMAT, segment->first_sequence, segment->nonce);
}

bool segment_parse_name(const char *name, struct segment *segment)
{
	char again[SEGMENT_NAME_SIZE];
	if (sscanf(name, "%16" SCNx64 "-%16" SCNx64, &segment->first_sequence, &segment->nonce) != 2)
		return false;
	segment_name(segment, again);
	return !strcmp(name, again);
}

int segment_create(int directory, uint64_t first_sequence, struct segment **ret)
{
	char name[SEGMENT_NAME_SIZE];
	_cleanup_free_ struct segment *segment = calloc(1, sizeof(*segment));
	if (!segment)
		return -ENOMEM;
	segment->first_sequence = first_sequence;
	if (getrandom(&segment->nonce, sizeof(segment->nonce), 0) != sizeof(segment->nonce))
		return -errno;
	segment_name(segment, name);
	segment->fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			     0600);
	if (segment->fd < 0)
		return -errno;
	*ret = take_pointer(segment);
	return 0;
}

int segment_open(int directory, const char *name, struct segment **ret)
{
	struct stat st;
	_cleanup_free_ struct segment *segment = calloc(1, sizeof(*segment));
	if (!segment)
		return -ENOMEM;
	if (!segment_parse_name(name, segment))
		return -EINVAL;
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	_cleanup_fd_ int fd = openat(directory, name, O_RDWR | flags);
	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM)) {
		fd = openat(directory, name, O_RDONLY | flags);
		segment->is_broken = true;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	segment->size = (uint64_t)st.st_size;
	segment->fd = take_fd(fd);
	*ret = take_pointer(segment);
	return 0;
}

struct segment *segment_free(struct segment *segment)
{
	if (!segment)
		return NULL;
	close_fd(segment->fd);
	array_free(&segment->unmarked);
	free(segment);
	return NULL;
}

/* pwritev(2) until all is written. Returns 0 or -errno. */
static int write_vector_at(int fd, struct iovec *parts, int count, uint64_t offset)
{
	while (count > 0) {
		ssize_t n = pwritev(fd, parts, count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		offset += (uint64_t)n;
		for (; count > 0 && (size_t)n >= parts->iov_len; parts++, count--)
			n -= (ssize_t)parts->iov_len;
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int segment_append(struct segment *segment, struct record_header *header, const void *bytes,
		   uint64_t *ret_offset)
{
	static const char zeros[RECORD_ALIGNMENT];
	record_seal(header, bytes, segment->nonce);
	uint64_t size = record_size(header);
	struct iovec parts[] = {
		{header, sizeof(*header)},
		{(void *)bytes, header->size},
		{(void *)zeros, size - sizeof(*header) - header->size},
	};
	int r = write_vector_at(segment->fd, parts, ARRAY_LENGTH(parts), segment->size);
	if (r < 0) {
		if (ftruncate(segment->fd, (off_t)segment->size) < 0)
			segment->is_broken = true;
		return r;
	}
	*ret_offset = segment->size;
	segment->size += size;
	segment->live++;
	segment->unsynced = true;
	return 0;
}

int segment_mark(struct segment *segment, uint64_t offset, uint32_t state_word)
{
	ssize_t n;
	do {
		n = pwrite(segment->fd, &state_word, sizeof(state_word),
			   (off_t)(offset + offsetof(struct record_header, state)));
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(state_word))
		return n < 0 ? -errno : -EIO;
	segment->unsynced = true;
	return 0;
}

bool segment_mark_done(struct segment *segment, uint64_t offset)
{
	if (segment_mark(segment, offset, record_state_word(RECORD_DONE, 0)) == 0)
		return true;
	array_add(&segment->unmarked, offset); /* out of memory: repeated after a restart */
	return false;
}

int segment_read(const struct segment *segment, uint64_t offset, const struct record_header *header,
		 char **ret_bytes)
{
	_cleanup_free_ char *bytes = malloc(header->size ? header->size : 1);
	if (!bytes)
		return -ENOMEM;
	uint32_t sum = 0;
	for (size_t done = 0, size; done < header->size; done += size) {
		size = MIN_OF(header->size - done, READ_BYTES);
		int r = read_exactly_at(segment->fd, bytes + done, size,
					offset + sizeof(*header) + done);
		if (r < 0)
			return r == -ENODATA ? -EBADMSG : r;
		sum = record_payload_checksum(sum, bytes + done, size);
	}
	if (sum != header->payload_checksum)
		return -EBADMSG;
	*ret_bytes = take_pointer(bytes);
	return 0;
}

void segment_read_ahead(const struct segment *segment, uint64_t offset,
			const struct record_header *header)
{
	posix_fadvise(segment->fd, (off_t)offset, (off_t)record_size(header), POSIX_FADV_WILLNEED);
}

int segment_sync(struct segment *segment)
{
	uint32_t done = record_state_word(RECORD_DONE, 0);
	while (segment->unmarked.count) {
		uint64_t offset = segment->unmarked.items[segment->unmarked.count - 1];
		int r = segment_mark(segment, offset, done);
		if (r < 0)
			return r;
		segment->unmarked.count--;
	}
	if (!segment->unsynced)
		return 0;
	if (fdatasync(segment->fd) < 0)
		return -errno;
	segment->unsynced = segment->notes_unsynced = false;
	return 0;
}

bool segment_is_unlinked(const struct segment *segment)
{
	struct stat st;
	return fstat(segment->fd, &st) == 0 && st.st_nlink == 0;
}
