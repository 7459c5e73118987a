/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory processes and the host have, as the kernel accounts it: what a profile of memory is held
 * against. Sources: proc(5), /proc/PID/status and /proc/meminfo.
 */
#pragma once

#include "base/attributes.h"

/* Bytes resident of a process, or the sum of several. */
struct memory_usage {
	uint64_t anonymous, file, shared, swapped;
};

struct host_memory {
	uint64_t total, available, anonymous, shared, swap_used; /* bytes */
};

/* Foreign text: the fields of /proc/PID/status; those that are missing are 0. Returns false when there is
 * none, as of a process that has given its memory back. */
bool memory_usage_parse(const char *status, struct memory_usage *ret);

/* Returns 0; -ESRCH when the process has ended or has no memory any more; or -errno. */
int memory_usage_read(const char *proc_path, uint32_t pid, struct memory_usage *ret);

/* Adds field by field. */
void memory_usage_add(struct memory_usage *sum, const struct memory_usage *more);

/* Foreign text: the fields of /proc/meminfo; those that are missing are 0. */
void host_memory_parse(const char *meminfo, struct host_memory *ret);
/* Returns 0 or -errno. */
int host_memory_read(const char *proc_path, struct host_memory *ret);
