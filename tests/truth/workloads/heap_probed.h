/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until the allocator is probed, which a process sees by the area the kernel then maps into it: at the first
 * call whose return is looked at, so at the first that is sampled. */
#pragma once

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

#define WAIT_NS 20000000000ULL

static int is_probed(void)
{
	static char maps[65536];
	int file = open("/proc/self/maps", O_RDONLY);
	size_t size = 0;
	ssize_t n;

	while (file >= 0 && (n = read(file, maps + size, sizeof(maps) - 1 - size)) > 0)
		size += (size_t)n;
	close(file);
	maps[size] = '\0';
	return strstr(maps, "[uprobes]") != NULL;
}

/* Whether it is. */
static NOINLINE int wait_for_probes(void)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + WAIT_NS;

	while (!is_probed() && clock_ns(CLOCK_MONOTONIC) < until) {
		void *volatile block = malloc(1 << 20); /* at usual intervals always sampled */
		free(block);
		usleep(10000);
	}
	/* The probes of calls come after those of returns. */
	usleep(500000);
	return is_probed();
}
