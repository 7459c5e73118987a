/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links of probes on their way out. Closing one waits some 30 ms for the kernel, and takes its probes away before that:
 * of several that are closed one after another the last ones stay where the program runs into them all that time, for
 * each of the others. So all are closed at one moment, each by a thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLOSING_LINKS 16

struct closing_links {
	int links[CLOSING_LINKS]; /* owned */
	size_t count, next;	  /* atomic: `next` */
	uint64_t helpers_ns;	  /* atomic; CPU time of other threads than the caller's */
};

/* Takes *link, and leaves -1 there, which is none. Where there is no room for it, those there are go first. */
void closing_links_add(struct closing_links *closing, int *link);

/* Closes all, waits for that, and is empty again. */
void closing_links_close(struct closing_links *closing);
