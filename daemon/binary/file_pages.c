/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler only calls madvise(). It may come between any two instructions of the thread that changes the list: a
 * part counts from when its size is written, last of all, and until that is zero again.
 */
#include "binary/file_pages.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#define PERIOD_US 20000
#define MAX_PARTS 8 /* a question's two files, each mapped up to twice, one of them in two parts */

static struct {
	void *volatile start;
	volatile size_t size; /* 0: a free place */
} parts[MAX_PARTS];

static void let_go(_unused_ int signal)
{
	int before = errno;
	for (size_t i = 0; i < MAX_PARTS; i++)
		if (parts[i].size)
			madvise(parts[i].start, parts[i].size, MADV_DONTNEED);
	errno = before;
}

int file_pages_start(void)
{
	struct sigaction action = {.sa_handler = let_go, .sa_flags = SA_RESTART};
	struct itimerval timer = {.it_interval = {.tv_usec = PERIOD_US}, .it_value = {.tv_usec = PERIOD_US}};
	if (sigaction(SIGPROF, &action, NULL) < 0 || setitimer(ITIMER_PROF, &timer, NULL) < 0)
		return -errno;
	return 0;
}

void file_pages_add(void *start, size_t size)
{
	size_t i = 0;
	while (i < MAX_PARTS && parts[i].size)
		i++;
	if (size < FILE_PAGES_LARGE || i == MAX_PARTS)
		return;
	parts[i].start = start;
	parts[i].size = size;
}

void file_pages_remove(const void *start, size_t size)
{
	for (size_t i = 0; i < MAX_PARTS; i++)
		if ((uintptr_t)parts[i].start - (uintptr_t)start < size)
			parts[i].size = 0;
}
