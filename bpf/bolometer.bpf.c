/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs. A clock tick on every CPU becomes a sample, here; those of other events are in the files named at the
 * end.
 *
 * Time. Every tick, idle and unselected ones included, reads the clock (event_clock.bpf.h) and keeps the
 * reading for its CPU, so a sample weighs exactly the time since the tick before it. If more than one period
 * went by, nobody can say what ran in between: that time is counted as missed and the sample weighs one
 * period.
 */
#include "kernel_types.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "context.bpf.h"
#include "event_clock.bpf.h"
#include "fetch.bpf.h"
#include "interrupted_stack.bpf.h"
#include "left_out.bpf.h"
#include "sample.bpf.h"
#include "select.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Ticks before this one in which no program ran. Returns how many. */
__noinline int count_missed(u32 cpu, u64 elapsed)
{
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &cpu);
	const struct tick_settings *settings = tick_settings();

	if (!c || !settings)
		return 0;
	u64 period = settings->period_ns ? settings->period_ns : 1;
	u64 missed = (elapsed + period / 2) / period - 1;
	c->values[COUNTER_MISSED] += missed;
	c->values[COUNTER_MISSED_NS] += elapsed - period;
	return missed;
}

/* Returns the time since the CPU's previous tick, as far as this one may claim it. */
static __always_inline u64 take_tick(u32 cpu, struct cpu_clock *clock, u64 period, u64 now)
{
	u64 elapsed = now - clock->previous_tick, ticks = 1;

	clock->previous_tick = now;
	/* Most ticks come in time: no division for them. */
	if (elapsed >= period + period / 2) {
		ticks += count_missed(cpu, elapsed);
		elapsed = period;
	}
	clock->ticks += ticks;
	return elapsed;
}

/* Reads which file the process runs. */
__noinline int read_executable(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	struct mm_struct *mm = s->mm;
	struct file *file = BPF_CORE_READ(mm, exe_file);
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	s->known.executable_inode = BPF_CORE_READ(inode, i_ino);
	s->known.executable_device = BPF_CORE_READ(inode, i_sb, s_dev);
	s->known.executable_mm = mm;
	s->known.executable_exec_id = s->sample.exec_id;
	s->known.executable_start_time = s->sample.process_start;
	return 0;
}

/* The file the process runs, into the sample; read again only after an exec or in another process. */
static __always_inline void describe_executable(struct scratch *s, u32 walk)
{
	bool is_known = s->known.executable_exec_id == s->sample.exec_id &&
			s->known.executable_start_time == s->sample.process_start;

	/* At its end a process has given its memory back; it is still the program it was. */
	if (s->mm && (!is_known || s->known.executable_mm != s->mm)) {
		read_executable(walk);
		is_known = true;
	}
	s->sample.executable_inode = is_known ? s->known.executable_inode : 0;
	s->sample.executable_device = is_known ? s->known.executable_device : 0;
}

/* As bpf_get_current_pid_tgid(). */
static __always_inline u64 task_id(struct task_struct *task)
{
	if (has_typed_task())
		return (u64)(u32)task->tgid << 32 | (u32)task->pid;
	return bpf_get_current_pid_tgid();
}

/* Who is running, by number: all that selection by process needs. */
static __always_inline struct task_numbers number_task(u64 id)
{
	struct task_numbers numbers = {.pid = id >> 32, .tid = (u32)id, .host_pid = id >> 32};

	if (pid_namespace_inode) {
		struct bpf_pidns_info inner = {};
		if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &inner,
						sizeof(inner)) == 0) {
			numbers.pid = inner.tgid;
			numbers.tid = inner.pid;
			numbers.inner_pid = inner.tgid | SELECTED_INNER_PID;
		}
	}
	return numbers;
}

/* The thread's name. */
static __always_inline void copy_comm(struct scratch *s, const struct task_struct *task)
{
	const u64 *words = (const u64 *)task->comm;
	u64 *to = (u64 *)s->sample.comm;

	_Static_assert(COMM_SIZE == 2 * sizeof(u64), "two words");
	if (!has_typed_task()) {
		bpf_get_current_comm(s->sample.comm, sizeof(s->sample.comm));
		return;
	}
	to[0] = words[0];
	to[1] = words[1];
}

/* Who it is, into the sample. Level by level: the loads of one level miss the cache together. */
static __always_inline void describe_task(struct scratch *s, u32 walk, struct task_struct *task,
					  struct task_numbers numbers)
{
	struct mm_struct *mm = READ_TYPED(task, mm);
	struct task_struct *leader = READ_TYPED(task, group_leader);
	bool is_cgroup_known = has_typed_task() && bpf_core_field_exists(task->cgroups);
	struct css_set *set = is_cgroup_known ? task->cgroups : 0;

	s->sample.pid = numbers.pid;
	s->sample.tid = numbers.tid;
	copy_comm(s, task);
	s->sample.exec_id = READ_TYPED(task, self_exec_id);
	struct cgroup *cgroup = is_cgroup_known ? set->dfl_cgrp : 0;
	s->mm = mm;
	s->sequence = mm ? mm_sequence(mm) : 0;
	s->sample.process_start = READ_TYPED(leader, start_time);
	s->sample.cgroup_id = is_cgroup_known ? cgroup->kn->id : bpf_get_current_cgroup_id();
	know_process(s, walk);
	describe_executable(s, walk);
}

/* Takes the sample of a tick if its task is selected and not left out; returns whether it is selected. */
static __noinline int sample_tick(struct bpf_perf_event_data *ctx, struct cpu_clock *clock,
				  struct task_struct *task, u32 walk, u64 weight)
{
	const struct tick_settings *settings = tick_settings();
	bool is_fetched = settings && is_surely_taken(settings);

	if (is_fetched)
		fetch_for_walk(walk);
	struct scratch *s = scratch_of(walk);
	if (!s || !settings) {
		count(walk, COUNTER_LOST_SCRATCH, 1);
		return true;
	}
	struct task_numbers numbers = number_task(task_id(task));
	if (!select_number(clock, settings, numbers) || !select_cgroup())
		return false;
	u64 time = monotonic_time_of_tick(walk, clock);
	if (settings->leaves_out && leave_out(walk, task, numbers.pid, time, weight))
		return true;
	if (!is_fetched)
		fetch_for_walk(walk);
	describe_sample(s, walk, EVENT_CPU, time, weight);
	describe_task(s, walk, task, numbers);
	enum selected selected = select_task(walk);
	if (selected == SELECTED_NO)
		return false;
	bool user_mode = interrupted_user_mode(ctx);
	s->sample.flags = (user_mode ? SAMPLE_USER_MODE : 0) |
			  (selected == SELECTED_UNDECIDED ? SAMPLE_UNDECIDED : 0);
	if (!user_mode)
		take_kernel_stack(ctx, walk, s);
	if (!settings->kernel_only)
		take_user_stack(ctx, walk, s, task, user_mode);
	if (may_have_context(numbers.pid))
		take_context(walk);
	send_sample(walk);
	return true;
}

/*
 * What every tick pays stands here alone, in a function of its own, that of unselected ones all of it. Its
 * variables stay below 64 bytes: from there on, since 6.13, the kernel gives a program a stack of its own,
 * which is cold.
 */
SEC("perf_event")
int on_cpu_tick(struct bpf_perf_event_data *ctx)
{
	u32 cpu = bpf_get_smp_processor_id(); /* and the number of its walk: WALK_EVENT */
	struct cpu_clock *clock = clock_of(cpu);
	const struct tick_settings *settings = tick_settings();

	if (!clock || !settings)
		return 0; /* there is an entry for each possible CPU */
	fetch_for_tick(clock, settings);
	u64 now = time_of_tick(ctx);
	struct task_struct *task = current_task();
	u64 id = task_id(task);
	if (is_clock_new(clock))
		compare_clocks(cpu, now);
	u64 weight = take_tick(cpu, clock, settings->period_ns, now);
	if ((u32)id == 0) {
		clock->idle++;
		clock->idle_ns += weight;
		return 0;
	}
	if (!is_mode_selected(settings, interrupted_user_mode(ctx)) ||
	    (IS_ON(SWITCH_SELECT_BY_PID) &&
	     is_known_refused(clock, current_generation(settings, IS_ON(SWITCH_SELECT_CHILDREN)), id >> 32)) ||
	    !sample_tick(ctx, clock, task, cpu, weight)) {
		clock->unselected++;
		clock->unselected_ns += weight;
	}
	return 0;
}

#include "cgroups.bpf.h"
#include "children.bpf.h"
#include "growth.bpf.h"
#include "heap.bpf.h"
#include "oom.bpf.h"
