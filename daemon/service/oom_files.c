/* SPDX-License-Identifier: Apache-2.0 */
/* An exporter without a spool, to the directory that pprof-directory writes too. */
#include "service/oom_files.h"

#include "base/clock.h"
#include "base/log.h"
#include "export/exporter.h"
#include "export/pprof_directory.h"
#include "format/pprof.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MAX_AGE_NS (365ULL * 24 * 3600 * NS_PER_SECOND)

struct oom_files {
	struct exporter *exporter;
};

int oom_files_new(const char *directory, uint64_t max_bytes, struct oom_files **ret)
{
	char host[256] = "host";
	struct sink *sink = NULL;
	gethostname(host, sizeof(host) - 1);
	struct pprof_directory_options where = {
		.directory = directory, .host = host, .max_bytes = max_bytes, .max_age_ns = MAX_AGE_NS};
	struct exporter_options options = {
		.name = "memory.oom",
		.spool = {.max_bytes = max_bytes},
		.retry = {.initial_ns = NS_PER_SECOND, .max_ns = 30 * NS_PER_SECOND},
	};
	struct oom_files *files = calloc(1, sizeof(*files));
	int r = files ? pprof_directory_new(&where, &sink) : -ENOMEM;
	if (r == 0)
		r = exporter_new(&options, sink, &files->exporter);
	if (r < 0) {
		if (sink)
			sink->operations->free(sink);
		free(files);
		return r;
	}
	*ret = files;
	return 0;
}

struct oom_files *oom_files_free(struct oom_files *files, uint64_t timeout_ns)
{
	if (!files)
		return NULL;
	exporter_flush_start(files->exporter, timeout_ns);
	exporter_flush_wait(files->exporter);
	exporter_stop(files->exporter);
	exporter_free(files->exporter);
	free(files);
	return NULL;
}

static int add_profile(struct oom_files *files, enum profile_kind kind, const struct profile *profile)
{
	static const enum payload_kind kinds[] = {[PROFILE_KIND_CPU] = PAYLOAD_PPROF_OOM_CPU,
						  [PROFILE_KIND_GROWTH] = PAYLOAD_PPROF_OOM_GROWTH,
						  [PROFILE_KIND_HEAP] = PAYLOAD_PPROF_OOM_HEAP};
	struct text bytes = {0};
	int r = pprof_encode(profile, PPROF_RAW, &bytes);
	struct payload payload = {
		.kind = kinds[kind],
		.bytes = bytes.bytes,
		.size = bytes.length,
		.samples = profile->samples.count,
		.start_ns = (int64_t)realtime_ns(), /* named by when the process was killed */
		.end_ns = (int64_t)realtime_ns(),
	};
	if (r == 0)
		r = exporter_add(files->exporter, &payload);
	text_free(&bytes);
	return r;
}

void oom_files_add(struct oom_files *files, const struct recording_victim *victim)
{
	bool has_profile = false;
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		if (!victim->profiles[kind])
			continue;
		int r = add_profile(files, (enum profile_kind)kind, victim->profiles[kind]);
		has_profile |= r == 0;
		if (r < 0)
			log_error("the %s profile of process %u, killed for lack of memory, is lost: %s",
				  profile_kind_word((enum profile_kind)kind), victim->pid, strerror(-r));
	}
	log_info("process %u (%s) in %s was killed for lack of memory%s", victim->pid, victim->name,
		 victim->cgroup_path ? victim->cgroup_path : "an unknown cgroup",
		 has_profile ? ": its profiles are kept" : "; nothing is known of it");
}
