/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wall clock that jumps, for one process and its children: preloaded, it adds to CLOCK_REALTIME the seconds
 * that stand as text in the file JUMPING_CLOCK names.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long jump(void)
{
	const char *path = getenv("JUMPING_CLOCK");
	char text[32] = "";
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof(text) - 1);

	if (file >= 0)
		close(file);
	return length > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && clock == CLOCK_REALTIME)
		ret->tv_sec += jump();
	return r;
}
