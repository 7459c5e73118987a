/* SPDX-License-Identifier: Apache-2.0 */
#include "process/memory_usage.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of "Name:   12345 kB" in bytes. Returns false when no line has that name. */
static bool find_kilobytes(const char *text, const char *name, uint64_t *ret)
{
	size_t length = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) != 0 || line[length] != ':')
			continue;
		*ret = strtoull(line + length + 1, NULL, 10) * 1024;
		return true;
	}
	*ret = 0;
	return false;
}

bool memory_usage_parse(const char *status, struct memory_usage *ret)
{
	bool found = find_kilobytes(status, "RssAnon", &ret->anonymous);
	found |= find_kilobytes(status, "RssFile", &ret->file);
	found |= find_kilobytes(status, "RssShmem", &ret->shared);
	find_kilobytes(status, "VmSwap", &ret->swapped);
	return found;
}

int memory_usage_read(const char *proc_path, uint32_t pid, struct memory_usage *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	snprintf(path, sizeof(path), "%s/%u/status", proc_path, pid);
	int r = read_whole_file(path, 65536, &text, NULL);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return memory_usage_parse(text, ret) ? 0 : -ESRCH;
}

void memory_usage_add(struct memory_usage *sum, const struct memory_usage *more)
{
	sum->anonymous += more->anonymous;
	sum->file += more->file;
	sum->shared += more->shared;
	sum->swapped += more->swapped;
}

void host_memory_parse(const char *meminfo, struct host_memory *ret)
{
	uint64_t swap_total, swap_free;
	find_kilobytes(meminfo, "MemTotal", &ret->total);
	find_kilobytes(meminfo, "MemAvailable", &ret->available);
	find_kilobytes(meminfo, "AnonPages", &ret->anonymous);
	find_kilobytes(meminfo, "Shmem", &ret->shared);
	find_kilobytes(meminfo, "SwapTotal", &swap_total);
	find_kilobytes(meminfo, "SwapFree", &swap_free);
	ret->swap_used = swap_total > swap_free ? swap_total - swap_free : 0;
}

int host_memory_read(const char *proc_path, struct host_memory *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	snprintf(path, sizeof(path), "%s/meminfo", proc_path);
	int r = read_whole_file(path, 65536, &text, NULL);
	if (r == 0)
		host_memory_parse(text, ret);
	return r;
}
