/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel side wrote, in order of time: for each sample the side-band records up to its time are
 * applied first, so a sample finds its process as it was then.
 */
#include "collect/collector_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/records.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* How often what the kernel side wrote is read, if it does not ask before. Where nothing new was met for a
 * while, a process that lives for less than the longer interval may be gone before it is looked at: it is the
 * first such process for a second, or for ten, and its binary, if it is new as well, makes the kernel side ask. */
#define DRAIN_INTERVAL_NS (200 * NS_PER_MS)
#define QUIET_DRAIN_INTERVAL_NS (500 * NS_PER_MS)
#define QUIET_DRAINS 5
#define STILL_DRAIN_INTERVAL_NS NS_PER_SECOND
#define STILL_DRAINS (QUIET_DRAINS + 18)
#define EXPIRE_INTERVAL_NS (2 * NS_PER_SECOND)

static void on_code(struct collector *c, const struct sideband_record *record)
{
	struct generated_code *code = &c->generated_code;
	if (record->kind == SIDEBAND_CODE_GOES)
		generated_code_remove(code, record->start, record->length, record->name, record->time);
	else if (generated_code_add(code, record->start, record->length, record->name, record->time) > 0)
		c->options.on_code_replaced(c->options.userdata, record->start, record->length);
}

static void on_sideband(void *userdata, const struct sideband_record *record)
{
	struct collector *c = userdata;
	if (record->kind == SIDEBAND_CODE_COMES || record->kind == SIDEBAND_CODE_GOES) {
		on_code(c, record);
		return;
	}
	c->met_news = true;
	process_table_apply(c->processes, record);
}

static void set_verdict(int map, const void *key, bool selected)
{
	uint32_t verdict = selected ? VERDICT_YES : VERDICT_NO;
	if (bpf_map_update_elem(map, key, &verdict, BPF_ANY) < 0)
		log_debug("verdict not stored: %s", strerror(errno));
}

/* Judges a sample that the BPF side could not, and tells it for the next ones. */
static bool decide(struct collector *c, const struct record_sample *sample,
		   const struct process *process)
{
	const struct selection *selection = c->selection;
	bool selected = true;
	if (selection->comm_patterns.count) {
		bool match = selection_matches_comm(selection, sample->comm);
		set_verdict(bpf_map__fd(c->programs.skeleton->maps.comm_verdicts), sample->comm,
			    match);
		selected = match;
	}
	if (selection->exe_patterns.count) {
		struct executable_key key = {sample->executable_inode, sample->executable_device, 0};
		bool match = selection_matches_executable(selection, process->executable_path);
		/* An unknown path is asked for again with the next sample; no file at all is the key
		 * of the kernel's own tasks, and of programs at their end, which differ. */
		bool is_lasting = sample->executable_inode ? process->executable_path != NULL
							   : process->kernel_task;
		if (is_lasting)
			set_verdict(
				bpf_map__fd(c->programs.skeleton->maps.executable_verdicts), &key,
				match);
		selected = selected && match;
	}
	return selected;
}

/* Its stack counts as sent: it is held for samples that are wanted, or else all are sent again. */
static void reject(struct collector *c, const struct record_sample *sample, const uint64_t *frames)
{
	if (sample->event == EVENT_CPU) {
		c->rejected++;
		c->rejected_ns += sample->weight;
	} else {
		c->rejected_growth++;
		c->rejected_growth_bytes += sample->weight;
	}
	if (!frames || held_stacks_keep(&c->held_stacks, sample, frames) == 0)
		return;
	held_stacks_clear(&c->held_stacks);
	programs_bump_stacks(&c->programs);
}

static void on_sample(struct collector *c, const struct ring_record *record)
{
	const struct record_sample *sample = record->sample;
	const uint64_t *frames = record->frames;
	char comm[COMM_SIZE];
	memcpy(comm, sample->comm, sizeof(comm));
	comm[COMM_SIZE - 1] = '\0';
	struct process *process =
		process_table_find(c->processes, sample->pid, sample->header.time,
				   sample->process_start, sample->exec_id, comm);
	if (!process) {
		c->bad_records++;
		return;
	}
	c->met_news |= (sample->flags & SAMPLE_UNDECIDED) != 0;
	if (sample->flags & SAMPLE_UNDECIDED && !decide(c, sample, process)) {
		reject(c, sample, frames);
		return;
	}
	process_table_resolve_cgroup(c->processes, process, sample->cgroup_id);
	if (c->options.environment)
		process_table_resolve_environment(c->processes, process);
	_cleanup_free_ uint64_t *held = frames ? NULL : held_stacks_take(&c->held_stacks, sample);
	c->options.on_sample(c->options.userdata, sample, held ? held : frames, record->trace, process);
}

/* The side-band is looked at anew only for samples younger than the last look. */
static void catch_up(struct collector *c, uint64_t time)
{
	if (time <= c->sideband_seen_ns && sideband_next_time(c->sideband) > time)
		return;
	c->sideband_seen_ns = monotonic_ns();
	sideband_drain(c->sideband, time, on_sideband, c);
}

/* Other groups may have the selected paths by now. */
void collector_refresh_cgroups(struct collector *c)
{
	struct programs_selection now = {0};
	struct collect_failure failure;
	if (!c->selection->cgroup_paths.count || !c->selection->cgroups_may_come)
		return;
	int r = selected_cgroups_resolve(c->selection, &now, &failure);
	if (r == 0 && selected_cgroups_note_changes(c->selection, &now, c->cgroup_ids))
		r = programs_select_cgroups(&c->programs, &now, &failure);
	if (r < 0)
		log_warning("%s", failure.text);
	selected_cgroups_free(&now);
}

static void on_new_cgroup(struct collector *c, const struct record_new_cgroup *cgroup)
{
	process_table_note_cgroup(c->processes, cgroup->id, cgroup->path);
	if (selected_cgroups_may_have(c->selection, cgroup->path))
		collector_refresh_cgroups(c);
}

static void on_oom_victim(struct collector *c, const struct record_oom_victim *victim)
{
	const char *path = NULL;
	if (victim->cgroup_id)
		path = process_table_cgroup_path(c->processes, victim->cgroup_id);
	if (c->options.on_oom)
		c->options.on_oom(c->options.userdata, victim, path);
}

int collector_on_record(void *userdata, void *data, size_t size)
{
	struct collector *c = userdata;
	struct ring_record record;
	if (ring_record_parse(data, size, &record) < 0) {
		c->bad_records++;
		return 0;
	}
	catch_up(c, ((const struct record_header *)data)->time);
	c->met_news |= record.sample == NULL;
	if (record.sample)
		on_sample(c, &record);
	else if (record.fast_faults)
		growth_events_hurry(&c->growth, record.fast_faults->cpu, monotonic_ns());
	else if (record.oom_victim)
		on_oom_victim(c, record.oom_victim);
	else if (record.new_binary)
		binaries_on_notice(&c->binaries, record.new_binary);
	else
		on_new_cgroup(c, record.new_cgroup);
	return 0;
}

/* ---- Draining -------------------------------------------------------------------------------- */

/* A tick is taken for several when more than a period and a half went by. The first one after a change
 * may come after parts of both, so until then the programs go by the longer period. */
static void settle_period(struct collector *c, uint64_t now)
{
	if (!c->settle_ns || now < c->settle_ns)
		return;
	programs_set_period(&c->programs, c->events.kind.period);
	c->settle_ns = 0;
}

/* Of what happened on a CPU whose events were dead the side-band did not tell either. */
static void revive_events(struct collector *c)
{
	int ticks = c->options.no_ticks ? 0 : cpu_events_revive(&c->events);
	int growth = c->options.growth ? cpu_events_revive(&c->growth.events) : 0;
	if (ticks < 0 || growth < 0)
		log_warning("a CPU that was offline for a moment is not sampled any more: %s",
			    strerror(ticks < 0 ? -ticks : -growth));
	if (ticks <= 0 && growth <= 0)
		return;
	log_info("%d CPUs were offline for a moment and are sampled again", MAX_OF(ticks, growth));
	if (c->is_following)
		process_table_scan(c->processes, collector_wants_maps(c));
}

static void drain(struct collector *c, bool everything)
{
	uint64_t now = monotonic_ns();
	settle_period(c, now);
	if (c->options.growth && c->attached)
		c->met_news |= growth_events_regulate(&c->growth, now);
	collector_update_heap(c, now, everything);
	ring_buffer__consume(c->ring);
	c->sideband_seen_ns = now;
	sideband_drain(c->sideband, now, on_sideband, c);
	contexts_update(c->contexts, now);
	if (sideband_take_loss(c->sideband))
		process_table_scan(c->processes, collector_wants_maps(c));
	if (now - c->last_expiry > EXPIRE_INTERVAL_NS) {
		process_table_expire(c->processes, now);
		if (c->options.heap)
			heap_table_expire(&c->heap_table, now);
		collector_refresh_cgroups(c);
		if (c->attached)
			revive_events(c);
		c->last_expiry = now;
	}
}

void collector_drain(struct collector *c)
{
	drain(c, true);
}

/* Waking up costs more than the samples of a steady host, so it wakes up less often. */
static int pace(struct collector *c)
{
	bool regulates = c->options.heap || c->settle_ns;
	c->quiet_drains = c->met_news || regulates ? 0 : c->quiet_drains + 1;
	c->met_news = false;
	uint64_t interval = c->quiet_drains < QUIET_DRAINS   ? DRAIN_INTERVAL_NS
			    : c->quiet_drains < STILL_DRAINS ? QUIET_DRAIN_INTERVAL_NS
							     : STILL_DRAIN_INTERVAL_NS;
	if (interval == c->drain_interval_ns)
		return 0;
	c->drain_interval_ns = interval;
	return loop_set_timer(c->timer, interval, interval);
}

static int on_drain(struct loop_source *source, uint32_t events, void *userdata)
{
	struct collector *c = userdata;
	drain(c, false);
	c->options.on_drained(c->options.userdata);
	return pace(c);
}

int collector_start_draining(struct collector *c)
{
	int r = loop_add_fd(c->loop, ring_buffer__epoll_fd(c->ring), EPOLLIN, on_drain, c,
			    &c->ring_source);
	c->drain_interval_ns = DRAIN_INTERVAL_NS;
	if (r == 0)
		r = loop_add_timer(c->loop, c->drain_interval_ns, c->drain_interval_ns, on_drain, c,
				   &c->timer);
	return r;
}
