/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host without room for the rings of perf events, for one process: preloaded, it refuses as many of their mappings
 * as the file REFUSED_RINGS says, as the kernel does past kernel.perf_event_mlock_kb, and counts there what is left.
 */
#undef _FILE_OFFSET_BITS /* both names of mmap() are meant, each by its own */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_perf_event(int fd)
{
	char path[64], target[64] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "perf_event");
}

/* Takes one refusal from the file, if one is left. */
static int is_refused(void)
{
	const char *path = getenv("REFUSED_RINGS");
	char text[32] = "";
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	long left = file >= 0 && read(file, text, sizeof(text) - 1) > 0 ? atol(text) : 0;

	if (left > 0) {
		int length = snprintf(text, sizeof(text), "%-10ld", left - 1);
		left = pwrite(file, text, (size_t)length, 0) == length;
	}
	if (file >= 0)
		close(file);
	return left > 0;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && is_perf_event(fd) && is_refused()) {
		errno = EPERM;
		return MAP_FAILED;
	}
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	return mmap(address, length, protection, flags, fd, offset);
}
