/* SPDX-License-Identifier: Apache-2.0 */
/* See open_interval.h. */
#include "export/open_interval.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#define FILE_NAME "open-interval"
#define FILE_MAGIC 0x49434c42 /* "BLCI" */

struct contents {
	uint32_t magic;
	uint32_t checksum; /* CRC-32 of all behind it */
	int64_t start_ns, last_seen_ns;
	uint64_t is_open;
};

struct open_interval {
	int fd;
	struct contents contents;
};

static uint32_t checksum_of(const struct contents *contents)
{
	return (uint32_t)crc32_z(0, (const unsigned char *)&contents->start_ns,
				 sizeof(*contents) - offsetof(struct contents, start_ns));
}

static bool read_contents(int fd, struct contents *ret)
{
	return read_exactly_at(fd, ret, sizeof(*ret), 0) == 0 && ret->magic == FILE_MAGIC &&
	       ret->checksum == checksum_of(ret);
}

static int write_contents(struct open_interval *interval)
{
	struct contents *contents = &interval->contents;
	contents->magic = FILE_MAGIC;
	contents->checksum = checksum_of(contents);
	ssize_t n = pwrite(interval->fd, contents, sizeof(*contents), 0);
	if (n < 0)
		return -errno;
	return n == sizeof(*contents) ? 0 : -EIO;
}

int open_interval_take(const char *directory, struct open_interval **ret,
		       struct lost_interval *ret_lost)
{
	_cleanup_fd_ int at = open_private_directory(directory);
	if (at < 0)
		return at;
	_cleanup_fd_ int fd = openat(at, FILE_NAME,
				     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	struct open_interval *interval = calloc(1, sizeof(*interval));
	if (!interval)
		return -ENOMEM;
	struct contents found;
	bool was_open = read_contents(fd, &found) && found.is_open &&
			found.last_seen_ns >= found.start_ns;
	if (was_open)
		*ret_lost = (struct lost_interval){found.start_ns, found.last_seen_ns};
	interval->fd = take_fd(fd);
	*ret = interval;
	return was_open;
}

int open_interval_begin(struct open_interval *interval, int64_t start_ns)
{
	if (!interval)
		return 0;
	interval->contents = (struct contents){.start_ns = start_ns, .last_seen_ns = start_ns,
					       .is_open = true};
	return write_contents(interval);
}

int open_interval_heartbeat(struct open_interval *interval, int64_t now_ns)
{
	if (!interval || !interval->contents.is_open)
		return 0;
	/* A clock that was set back makes no gap of negative length. */
	if (now_ns > interval->contents.last_seen_ns)
		interval->contents.last_seen_ns = now_ns;
	return write_contents(interval);
}

struct open_interval *open_interval_close(struct open_interval *interval)
{
	if (!interval)
		return NULL;
	interval->contents.is_open = false;
	write_contents(interval); /* failed: the next start reports a gap that is none */
	close_fd(interval->fd);
	free(interval);
	return NULL;
}
