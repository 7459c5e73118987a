/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the interval: its end, at which its profiles go to the exporters and its figures are kept and told; and pauses,
 * in which none is open.
 */
#include "service/daemon_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

static void keep_figures(struct daemon *daemon, const struct recording_statistics *now,
			 int64_t duration_ns)
{
	const struct recording_statistics *last = &daemon->last;
	daemon->interval_figures = (struct interval_figures){
		.duration_ns = (uint64_t)duration_ns,
		.ticks = now->counters[COUNTER_TICKS] - last->counters[COUNTER_TICKS],
		.samples = now->samples - last->samples,
		.lost = recording_lost_samples(now) - recording_lost_samples(last),
		.captured_ns = now->captured_ns - last->captured_ns,
		.own_cpu_ns = now->own_cpu_ns - last->own_cpu_ns,
		.bpf_ns = now->bpf_ns - last->bpf_ns,
	};
	daemon->last = *now;
}

static void tell_loss(struct loss_watch *watch, const struct loss *interval, const char *cause)
{
	struct loss loss;
	if (!loss_watch_add(watch, interval, monotonic_ns(), &loss))
		return;
	log_warning("%.1f %% of the samples of %.0f s are lost (%llu of %llu): %s",
		    100 * (double)loss.lost / (double)(loss.kept + loss.lost), (double)loss.duration_ns / 1e9,
		    (unsigned long long)loss.lost, (unsigned long long)(loss.kept + loss.lost), cause);
}

static void tell_losses(struct daemon *daemon, const struct recording_statistics *now, uint64_t duration_ns)
{
	const struct recording_statistics *last = &daemon->last;
	struct loss interval = {
		.kept = now->samples + now->growth_samples - last->samples - last->growth_samples,
		.lost = recording_lost_to_ring(now) - recording_lost_to_ring(last),
		.duration_ns = duration_ns,
	};
	tell_loss(&daemon->ring_losses, &interval,
		  "the buffer between kernel and daemon was full, as this process got too little CPU time; lower "
		  "sampling.frequency or the host's load, or raise sampling.ring, which needs a restart");
	interval.lost = now->dropped_samples - last->dropped_samples;
	tell_loss(&daemon->limit_losses, &interval,
		  "an interval holds no more; raise limits.frames and limits.entries (or budget.memory, which lowers "
		  "them), or shorten the interval");
}

static void tell_status(struct daemon *daemon)
{
	const struct interval_figures *figures = &daemon->interval_figures;
	struct text exporters = {0};
	exporters_describe(daemon->exporters, &exporters);
	notifier_send(&daemon->notifier,
		      "STATUS=%llu Hz, %llu samples in the last interval, %llu lost; %s",
		      (unsigned long long)daemon->configuration.sampling.frequency,
		      (unsigned long long)figures->samples, (unsigned long long)figures->lost,
		      exporters.bytes ? exporters.bytes : "");
	text_free(&exporters);
}

int daemon_flush(struct daemon *daemon)
{
	struct profile *profiles[PROFILE_KIND_COUNT];
	struct recording_statistics now;
	if (daemon->is_paused)
		return 0;
	int r = recording_take_profiles(daemon->recording, profiles);
	if (r < 0) {
		log_error("the profile of this interval is lost: %s", strerror(-r));
		return r;
	}
	struct profile *profile = profiles[PROFILE_KIND_CPU];
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		if (profiles[kind])
			exporters_add(daemon->exporters, (enum profile_kind)kind, profiles[kind]);
	}
	open_interval_begin(daemon->open_interval, profile->time_ns + profile->duration_ns);
	recording_get_statistics(daemon->recording, &now);
	tell_losses(daemon, &now, (uint64_t)profile->duration_ns);
	keep_figures(daemon, &now, profile->duration_ns);
	tell_status(daemon);
	local_server_keep(daemon->local, profiles);
	/* The last interval's profiles are gone, and their pages, between what stays, would be kept. */
	malloc_trim(0);
	return 0;
}

int daemon_pause(struct daemon *daemon)
{
	if (daemon->is_paused)
		return 0;
	int r = recording_pause(daemon->recording);
	daemon_flush(daemon);
	daemon->is_paused = true;
	notifier_send(&daemon->notifier, "STATUS=sampling is off");
	log_info("sampling is off");
	return r;
}

void daemon_detach(struct daemon *daemon)
{
	recording_detach(daemon->recording);
	daemon_flush(daemon);
	daemon->is_paused = true;
	notifier_send(&daemon->notifier, "STATUS=detached by the kill switch");
}

int daemon_resume(struct daemon *daemon)
{
	uint64_t interval = daemon->configuration.interval_ns;
	if (!daemon->is_paused)
		return 0;
	if (!kill_switch_permits(&daemon->kill_switch))
		return -EBUSY;
	struct recording_failure failure = {0};
	int r = recording_resume(daemon->recording, &failure);
	if (r < 0) {
		log_error("sampling stays off: %s", failure.text);
		return r;
	}
	kill_switch_release(&daemon->kill_switch);
	daemon->is_paused = false;
	open_interval_begin(daemon->open_interval, (int64_t)realtime_ns());
	loop_set_timer(daemon->interval, interval, interval);
	notifier_send(&daemon->notifier, "STATUS=sampling is on again");
	log_info("sampling is on again");
	return 0;
}
