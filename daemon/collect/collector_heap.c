/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes' allocators are probed, and what came of it. */
#include "collect/collector_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/heap_pace.h"
#include "collect/safe_mode.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Before the programs are loaded: of a kernel without them, the loader's words would be no help. */
int collector_require_heap(unsigned safe_mode, struct collect_failure *failure)
{
	if (safe_mode & SAFE_MODE_BIT(SAFE_MODE_RETURN_PROBES))
		return collect_fail(failure, -ENOTSUP,
				    "safe mode: allocators are not probed, since on kernels from 6.11 without "
				    "the fix cf6cb56ef244 (6.14) that ends programs in containers. Update the "
				    "kernel, or take the risk with --ignore-kernel-bugs; `record -e growth` "
				    "works without probes");
	int r = uprobe_trials_link(UPROBE_MULTI);
	if (r == 0)
		return 0;
	if (r == -EPERM || r == -EACCES)
		return collect_fail(failure, r,
				    "cannot set probes on allocators: %s. Run as root, or with the capabilities "
				    "BPF and PERFMON", strerror(-r));
	return collect_fail(failure, r,
			    "cannot set probes on allocators: %s; heap profiles need uprobe_multi links "
			    "(Linux 6.6 or newer); `record -e growth` works without",
			    strerror(-r));
}

static bool is_in_cgroups(const struct selection *selection, const struct hash *pids, const struct process *process)
{
	return !selection->cgroup_paths.count || hash_get(pids, process->pid);
}

static bool is_meant_for_heap_alone(const struct collector *c, const struct process *process)
{
	const struct selection *selection = c->options.heap_selection;
	return !selection || (selection_matches_executable(selection, process->executable_path) &&
			      is_in_cgroups(selection, &c->heap_cgroup_pids, process));
}

/* Does the selection mean the process? As the kernel side judges its samples, but by its main thread's
 * name. The host as a whole is meant without us. */
static bool is_selected_for_heap(void *userdata, struct process *process)
{
	const struct collector *c = userdata;
	const struct selection *selection = c->selection;
	uint32_t value, own = (uint32_t)getpid(), key = programs_pid_key(&c->programs, process->pid);
	if (selection->pids.count
		    ? bpf_map_lookup_elem(bpf_map__fd(c->programs.skeleton->maps.selected_pids), &key,
					  &value) < 0
		    : process->pid == own || process->parent_pid == own)
		return false;
	return selection_matches_comm(selection, process->comm) &&
	       selection_matches_executable(selection, process->executable_path) &&
	       is_in_cgroups(selection, &c->cgroup_pids, process) && is_meant_for_heap_alone(c, process);
}

static double weigh_heap(void *userdata, struct process *process)
{
	const struct collector *c = userdata;
	if (!c->options.weigh_heap)
		return 1;
	process_table_resolve_cgroup(c->processes, process, 0);
	return c->options.weigh_heap(c->options.userdata, process);
}

static bool process_runs(void *table, uint32_t pid, uint64_t start_time)
{
	return process_table_runs(table, pid, start_time);
}

static bool names_programs(const struct selection *selection)
{
	return selection && (selection->pids.count || selection->comm_patterns.count || selection->exe_patterns.count);
}

/* Who names programs wants to see how they begin. */
static uint64_t least_age(const struct collector *c)
{
	bool are_named = names_programs(c->selection) || names_programs(c->options.heap_selection);
	return are_named ? 0 : c->options.heap_age_ns;
}

static int begin_probing(struct collector *c)
{
	struct heap_windows_options windows = {.programs = &c->programs, .budget = c->options.heap_budget,
					       .are_rare = c->heap_is_rare,
					       .allowed = c->heap_allowed};
	struct heap_probes_options options = {
		.programs = &c->programs,
		.binaries = &c->binaries,
		.table = c->processes,
		.processes = c->options.heap_processes,
		.least_age_ns = least_age(c),
		.keep_places = c->options.heap_budget >= 1,
		.is_selected = is_selected_for_heap,
		.weigh = weigh_heap,
		.userdata = c,
	};
	int r = heap_windows_new(&windows, &c->heap_windows);
	if (r < 0)
		return r;
	options.windows = c->heap_windows;
	heap_probes_begin(&c->heap, &options, monotonic_ns());
	c->heap_table.runs = process_runs;
	c->heap_table.runs_userdata = c->processes;
	c->heap_table.scale = heap_windows_scale;
	c->heap_table.userdata = c->heap_windows;
	return 0;
}

int collector_start_heap(struct collector *c)
{
	if (!c->options.heap)
		return 0;
	heap_table_init(&c->heap_table, &c->programs);
	c->heap_is_paused = c->options.detached;
	return c->heap_is_paused ? 0 : begin_probing(c);
}

void collector_set_heap_rare(struct collector *c, bool is_rare)
{
	c->heap_is_rare = is_rare;
	if (c->heap_windows)
		heap_windows_set_rare(c->heap_windows, is_rare);
}

void collector_allow_heap(struct collector *c, double allowed)
{
	c->heap_allowed = allowed;
	if (c->heap_windows)
		heap_windows_allow(c->heap_windows, allowed);
}

void collector_pause_heap(struct collector *c)
{
	if (!c->options.heap || c->heap_is_paused)
		return;
	heap_windows_stop(c->heap_windows);
	c->heap_is_paused = true;
}

void collector_get_heap_statistics(struct collector *c, struct heap_windows_statistics *ret)
{
	*ret = (struct heap_windows_statistics){0};
	if (c->heap_windows)
		heap_windows_get_statistics(c->heap_windows, ret);
	heap_windows_statistics_add(ret, &c->past_windows);
}

/* What was scaled by windows is final before they go. */
static int resume_heap(struct collector *c)
{
	struct heap_probes_statistics probes = c->heap.statistics;
	collector_get_heap_statistics(c, &c->past_windows);
	heap_table_fold(&c->heap_table, 0, 0, NULL);
	c->heap_table.scale = NULL;
	heap_probes_end(&c->heap);
	c->heap_windows = heap_windows_free(c->heap_windows);
	int r = begin_probing(c);
	c->heap.statistics = probes;
	c->heap_is_paused = r < 0;
	return r;
}

int collector_set_heap_paused(struct collector *c, bool paused)
{
	if (paused)
		collector_pause_heap(c);
	return paused || !c->heap_is_paused ? 0 : resume_heap(c);
}

static void read_cgroup_pids(const struct selection *selection, struct hash *ret)
{
	int r = selection->cgroup_paths.count ? selected_cgroups_read_pids(selection, ret) : 0;
	if (r < 0)
		log_warning("the processes of a selected cgroup are not all known: %s", strerror(-r));
}

static void look_at_heap(struct collector *c, uint64_t now)
{
	if (now - c->cgroup_pids_ns >= NS_PER_SECOND) {
		read_cgroup_pids(c->selection, &c->cgroup_pids);
		if (c->options.heap_selection)
			read_cgroup_pids(c->options.heap_selection, &c->heap_cgroup_pids);
		c->cgroup_pids_ns = now;
	}
	heap_probes_update(&c->heap, now);
	heap_windows_update(c->heap_windows, &c->heap_table);
}

void collector_update_heap(struct collector *c, uint64_t now, bool at_once)
{
	if (!c->options.heap || !c->running || c->heap_is_paused)
		return;
	heap_table_regulate(&c->heap_table);
	if (!at_once && now < c->heap_due_ns)
		return;
	uint64_t before = thread_cpu_ns();
	look_at_heap(c, now);
	c->heap_due_ns = now + heap_pace_pause(c->heap_allowed, thread_cpu_ns() - before);
}

int collector_read_heap(const struct collector *c, struct heap_totals *ret)
{
	int r = heap_table_read(&c->heap_table, ret);
	if (r == 0 && c->heap_windows)
		r = heap_windows_estimate(c->heap_windows, ret);
	ret->windows += c->past_windows.windows;
	if (r < 0)
		array_free(&ret->list);
	return r;
}

void collector_note_heap_told(struct collector *c)
{
	heap_table_forget_ended(&c->heap_table);
	if (c->heap_windows)
		heap_windows_next_profile(c->heap_windows);
}
