/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/memory_watch.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>

void memory_watch_add(struct memory_watch *watch, uint32_t pid, bool is_unborn)
{
	if (watch->count < MEMORY_WATCH_PROCESSES)
		watch->processes[watch->count++] = (struct watched_memory){.pid = pid, .is_unborn = is_unborn};
}

void memory_watch_update(struct memory_watch *watch, const char *proc_path)
{
	host_memory_read(proc_path, &watch->host); /* unreadable: zeros, no comments */
	for (size_t i = 0; i < watch->count; i++) {
		struct watched_memory *process = &watch->processes[i];
		struct memory_usage now;
		/* Its number may become another's: once gone, it is not asked for again. */
		if (process->has_ended)
			continue;
		if (process->is_unborn) {
			process->is_unborn = false;
			process->has_first = true;
			continue;
		}
		int r = memory_usage_read(proc_path, process->pid, &now);
		process->has_ended = r == -ESRCH;
		if (r < 0)
			continue;
		if (!process->has_first)
			process->first = now;
		process->has_first = true;
		process->last = now;
		process->is_known = true;
	}
}

size_t memory_watch_sum(const struct memory_watch *watch, struct memory_usage *ret_first,
			struct memory_usage *ret_last)
{
	size_t known = 0;
	*ret_first = *ret_last = (struct memory_usage){0};
	for (size_t i = 0; i < watch->count; i++) {
		if (!watch->processes[i].is_known)
			continue;
		memory_usage_add(ret_first, &watch->processes[i].first);
		memory_usage_add(ret_last, &watch->processes[i].last);
		known++;
	}
	return known;
}

uint64_t memory_watch_pss(const struct memory_watch *watch)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < watch->count; i++)
		if (!watch->processes[i].has_ended)
			bytes += process_memory(watch->processes[i].pid);
	return bytes;
}

static void add(struct profile *profile, bool *failed, const char *name, uint64_t value)
{
	char text[128];
	snprintf(text, sizeof(text), "%s=%llu", name, (unsigned long long)value);
	if (array_add(&profile->comments, profile_string(profile, text, failed)) < 0)
		*failed = true;
}

int memory_watch_add_comments(const struct memory_watch *watch, uint64_t pss, struct profile *profile)
{
	struct memory_usage first, last;
	bool failed = false;
	add(profile, &failed, "host_memory_bytes", watch->host.total);
	add(profile, &failed, "host_available_bytes", watch->host.available);
	add(profile, &failed, "host_anonymous_bytes", watch->host.anonymous);
	add(profile, &failed, "host_shared_bytes", watch->host.shared);
	add(profile, &failed, "host_swap_used_bytes", watch->host.swap_used);
	size_t known = memory_watch_sum(watch, &first, &last);
	if (known) {
		add(profile, &failed, "memory_processes", known);
		add(profile, &failed, "rss_anonymous_first_bytes", first.anonymous);
		add(profile, &failed, "rss_anonymous_bytes", last.anonymous);
		add(profile, &failed, "rss_file_bytes", last.file);
		add(profile, &failed, "rss_shared_bytes", last.shared);
		add(profile, &failed, "swapped_bytes", last.swapped);
	}
	if (pss)
		add(profile, &failed, "pss_bytes", pss);
	return failed ? -ENOMEM : 0;
}
