/* SPDX-License-Identifier: Apache-2.0 */
/* Attaching to the host and leaving it: side-band, tracepoints, clock and page-fault events, in this order. */
#include "collect/collector_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

/* Are binaries opened before they are met? */
bool collector_wants_maps(const struct collector *c)
{
	return c->whole_host || c->only_by_pid;
}

static int add_sideband_cpu(void *userdata, int cpu)
{
	struct collector *c = userdata;
	int r = sideband_add_cpu(c->sideband, cpu);
	return r == -EEXIST || r == -ENODEV ? 0 : r;
}

static int on_cpu_begin(void *userdata, int cpu)
{
	return programs_start_clock(&((struct collector *)userdata)->programs, cpu);
}

static void on_cpu_change(void *userdata, int cpu, bool online)
{
	struct collector *c = userdata;
	int r = 0;
	if (online && c->is_following)
		r = add_sideband_cpu(c, cpu);
	else if (!online)
		sideband_remove_cpu(c->sideband, cpu);
	if (r < 0)
		log_warning("processes on CPU %d are not followed: %s", cpu, strerror(-r));
}

static int fail_perf_event(struct collect_failure *failure, int error)
{
	if (error == -EACCES || error == -EPERM)
		return collect_fail(
			failure, error,
			"perf_event_open is not permitted: %s. Run as root; or give CAP_PERFMON and set "
			"kernel.perf_event_paranoid to 2 or less (sysctl -w "
			"kernel.perf_event_paranoid=2)",
			strerror(-error));
	return collect_fail(failure, error,
			    "cannot open the clock events: %s. `bolometer doctor` says more",
			    strerror(-error));
}

/* Some 20 ns a sample, for knowing the larger part of our cost. */
static int enable_bpf_statistics(const struct collector *c)
{
	int fd = c->options.opener ? opener_enable_bpf_statistics(c->options.opener)
				   : bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (fd < 0)
		log_debug("the BPF programs' own time stays unknown: %s", strerror(-fd));
	return fd;
}

static void init_events(struct collector *c)
{
	struct bolometer_bpf *skeleton = c->programs.skeleton;
	struct cpu_event_kind ticks = {PERF_COUNT_SW_CPU_CLOCK, NS_PER_SECOND / c->options.frequency};

	cpu_events_init(&c->events, skeleton->progs.on_cpu_tick, ticks, c->options.opener, on_cpu_begin,
			on_cpu_change, c);
	/* Where there are no ticks, these events tell which CPUs come and go. */
	growth_events_init(&c->growth, &c->programs, c->options.opener,
			   c->options.no_ticks ? on_cpu_change : NULL, c);
}

int collector_attach_all(struct collector *c, struct collect_failure *failure)
{
	int r = c->is_following ? cpu_events_each_online(add_sideband_cpu, c) : 0;
	if (r < 0)
		return fail_perf_event(failure, r);
	if (c->options.on_oom)
		programs_watch_oom(&c->programs);
	r = programs_attach_tracepoints(&c->programs);
	if (r < 0)
		return collect_fail(failure, r, "cannot follow forks: %s", strerror(-r));
	init_events(c);
	c->statistics_fd = enable_bpf_statistics(c);
	r = c->options.no_ticks ? 0 : cpu_events_start(&c->events, c->loop);
	if (r == 0 && c->options.growth)
		r = growth_events_start(&c->growth, c->loop);
	return r < 0 ? fail_perf_event(failure, r) : 0;
}

/* The processes that came and went while nothing was attached, too. */
int collector_scan(struct collector *c, struct collect_failure *failure)
{
	int r = process_table_scan(c->processes, collector_wants_maps(c));
	return r < 0 ? collect_fail(failure, r, "cannot read /proc: %s", strerror(-r)) : 0;
}

static void stop_following(struct collector *c)
{
	c->is_following = false;
	collector_drain(c);
	sideband_close(c->sideband);
	generated_code_doubt(&c->generated_code, monotonic_ns());
}

int collector_set_following(struct collector *c, bool following, struct collect_failure *failure)
{
	if (following == c->is_following)
		return 0;
	if (!following) {
		stop_following(c);
		return 0;
	}
	c->is_following = true;
	if (!c->attached)
		return 0;
	int r = cpu_events_each_online(add_sideband_cpu, c);
	r = r < 0 ? fail_perf_event(failure, r) : collector_scan(c, failure);
	if (r < 0)
		stop_following(c);
	return r;
}

static void detach_all(struct collector *c)
{
	cpu_events_stop(&c->events);
	growth_events_stop(&c->growth);
	programs_detach_tracepoints(&c->programs);
	c->statistics_fd = close_fd(c->statistics_fd);
}

void collector_detach(struct collector *c)
{
	if (!c->attached)
		return;
	detach_all(c);
	c->attached = false;
	collector_pause_heap(c); /* not first: each process's probes take the kernel a while */
	collector_drain(c);
	sideband_close(c->sideband);
	generated_code_doubt(&c->generated_code, monotonic_ns());
}

int collector_attach(struct collector *c, struct collect_failure *failure)
{
	if (c->attached)
		return 0;
	c->attached = true;
	int r = collector_attach_all(c, failure);
	if (r == 0)
		r = collector_scan(c, failure);
	if (r < 0)
		collector_detach(c);
	return r;
}
