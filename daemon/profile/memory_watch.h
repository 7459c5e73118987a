/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes that were named have resident, at first and lately, to hold a profile of memory against:
 * looked up every second, so that something is known also of one that has ended.
 */
#pragma once

#include "process/memory_usage.h"
#include "profile/profile.h"

#define MEMORY_WATCH_PROCESSES 32 /* more are not looked at */

struct watched_memory {
	uint32_t pid;
	bool is_unborn; /* does not run yet: what it has is still its parent's */
	bool has_first, is_known, has_ended;
	struct memory_usage first, last;
};

struct memory_watch {
	struct watched_memory processes[MEMORY_WATCH_PROCESSES];
	size_t count;
	struct host_memory host;
};

/* Adds a process; past the limit it is left out. One that is unborn has nothing at first, whatever the next look,
 * which is before it runs, would see. */
void memory_watch_add(struct memory_watch *watch, uint32_t pid, bool is_unborn);

/* Looks at all of them now. */
void memory_watch_update(struct memory_watch *watch, const char *proc_path);

/* Sums over the processes of which something is known. Returns how many. */
size_t memory_watch_sum(const struct memory_watch *watch, struct memory_usage *ret_first,
			struct memory_usage *ret_last);

/* As comments "name=number". `pss`: proportional set size of those that live, bytes; 0: none. Returns 0 or
 * -ENOMEM. */
int memory_watch_add_comments(const struct memory_watch *watch, uint64_t pss, struct profile *profile);

/* Of the processes that have not ended; the kernel walks all their pages to tell. */
uint64_t memory_watch_pss(const struct memory_watch *watch);
