/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what is told of a process that the kernel kills for lack of memory: its history, as profiles, and its heap. */
#include "profile/recording_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "profile/merge.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int build_of_process(struct recording *r, const struct aggregate_window *window,
			    const struct process *process, struct profile **ret)
{
	struct profile_builder_options options = {
		.symbolizer = r->symbolizer,
		.labels = r->options.labels,
		.link_labels = r->options.link_labels,
		.pod_names = r->pod_names,
		.period_ns = NS_PER_SECOND / r->options.frequency,
		.only = process,
		.realtime_offset_ns = (int64_t)(realtime_ns() - monotonic_ns()),
	};
	struct profile_builder_statistics built = {0};
	return profile_build(&r->aggregate, window, collector_binaries(r->collector), &options, &built,
			     ret);
}

/* What history has of a process in one kind; *ret stays NULL when that is nothing. */
static int build_history(struct recording *r, const struct history_kind *kind,
			 const struct process *process, uint64_t end_ns, struct profile **ret)
{
	_cleanup_profile_ struct profile *older = NULL, *newer = NULL;
	const struct profile *both[2];
	size_t count = 0;
	int error = 0;
	if (kind->older)
		error = build_of_process(r, kind->older, process, &older);
	if (error == 0 && kind->newer)
		error = build_of_process(r, kind->newer, process, &newer);
	if (error == 0 && older && older->samples.count)
		both[count++] = older;
	if (error == 0 && newer && newer->samples.count)
		both[count++] = newer;
	if (error < 0 || count == 0)
		return error;
	if (count == 2)
		error = profile_merge(both, count, ret);
	else
		*ret = both[0] == older ? take_pointer(older) : take_pointer(newer);
	if (error < 0)
		return error;
	(*ret)->time_ns = (int64_t)(kind->begin_ns + realtime_ns() - monotonic_ns());
	(*ret)->duration_ns = (int64_t)(end_ns - kind->begin_ns);
	return 0;
}

/* What it held is still in the tables: they are looked through for ended processes later. *ret stays NULL when nothing
 * is known of it. */
static int build_heap(struct recording *r, const struct process *process, uint64_t end_ns, struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = NULL;
	if (!recording_looks_at(r, PROFILE_KIND_HEAP))
		return 0;
	int error = recording_build_heap(r, process->pid, end_ns, &profile);
	if (error == 0 && profile->samples.count)
		*ret = take_pointer(profile);
	return error;
}

static int add_victim_comments(const struct recording_victim *victim, struct profile *profile)
{
	struct text line = {0};
	text_add(&line, "oom_victim=%u ", victim->pid);
	text_add_printable(&line, victim->name); /* a line end in it would begin a comment of its own */
	if (victim->cgroup_path) {
		text_add_string(&line, "\noom_cgroup=");
		text_add_printable(&line, victim->cgroup_path);
	}
	if (victim->anonymous_bytes)
		text_add(&line, "\nrss_anonymous_bytes=%llu\nrss_file_bytes=%llu\nrss_shared_bytes=%llu"
				"\nswapped_bytes=%llu",
			 (unsigned long long)victim->anonymous_bytes,
			 (unsigned long long)victim->file_bytes,
			 (unsigned long long)victim->shared_bytes,
			 (unsigned long long)victim->swapped_bytes);
	bool failed = line.failed || !line.bytes;
	for (char *at = line.bytes; at && !failed;) {
		char *end = strchr(at, '\n');
		if (end)
			*end = '\0';
		if (array_add(&profile->comments, profile_string(profile, at, &failed)) < 0)
			failed = true;
		at = end ? end + 1 : NULL;
	}
	text_free(&line);
	return failed ? -ENOMEM : 0;
}

void recording_on_victim(void *userdata, const struct record_oom_victim *record, const char *cgroup_path)
{
	struct recording *r = userdata;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct process *process = history_find_process(&r->history, record->pid, record->process_start);
	struct recording_victim victim = {
		.pid = process ? process->pid : record->pid,
		.name = process ? process->executable_name : record->comm,
		.cgroup_path = process && process->cgroup_path ? process->cgroup_path : cgroup_path,
		.file_bytes = record->file_pages * page,
		.anonymous_bytes = record->anonymous_pages * page,
		.shared_bytes = record->shared_pages * page,
		.swapped_bytes = record->swapped_pages * page,
	};
	int error = 0;
	r->victims++;
	r->victims_known += process != NULL;
	recording_prepare_names(r);
	recording_wait_for_code(r);
	for (int kind = 0; process && kind < PROFILE_KIND_COUNT && error == 0; kind++) {
		error = kind == PROFILE_KIND_HEAP
				? build_heap(r, process, record->header.time, &victim.profiles[kind])
				: build_history(r, &r->history.kinds[kind], process, record->header.time,
						&victim.profiles[kind]);
		if (error == 0 && victim.profiles[kind])
			error = add_victim_comments(&victim, victim.profiles[kind]);
	}
	if (error < 0)
		log_error("what is known of process %u, killed for lack of memory, is lost: %s",
			  victim.pid, strerror(-error));
	else
		r->options.on_victim(r->options.victim_userdata, &victim);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		profile_free(victim.profiles[kind]);
}
