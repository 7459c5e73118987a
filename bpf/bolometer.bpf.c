/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs: a clock tick on every CPU becomes a sample, so do page faults (growth.bpf.h), and (with
 * --children) forks and ends keep the set of selected processes. New cgroups are announced with their
 * paths.
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
#include "left_out.bpf.h"
#include "select.bpf.h"
#include "unwind.bpf.h"

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

	s->executable_inode = BPF_CORE_READ(inode, i_ino);
	s->executable_device = BPF_CORE_READ(inode, i_sb, s_dev);
	s->executable_mm = mm;
	s->executable_exec_id = s->sample.exec_id;
	s->executable_start_time = s->sample.process_start;
	return 0;
}

/* The file the process runs, into the sample; read again only after an exec or in another process. */
static __always_inline void describe_executable(struct scratch *s, u32 walk)
{
	bool is_known = s->executable_exec_id == s->sample.exec_id &&
			s->executable_start_time == s->sample.process_start;

	/* At its end a process has given its memory back; it is still the program it was. */
	if (s->mm && (!is_known || s->executable_mm != s->mm)) {
		read_executable(walk);
		is_known = true;
	}
	s->sample.executable_inode = is_known ? s->executable_inode : 0;
	s->sample.executable_device = is_known ? s->executable_device : 0;
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
	describe_executable(s, walk);
}

static __always_inline void describe_sample(struct scratch *s, u32 cpu, u32 event, u64 time,
					    u64 weight)
{
	s->sample.header.version = WIRE_VERSION;
	s->sample.header.kind = RECORD_SAMPLE;
	s->sample.header.time = time;
	s->sample.weight = weight;
	s->sample.cpu = cpu;
	s->sample.event = event;
	s->sample.kernel_frames = 0;
	s->sample.user_frames = 0;
	s->hash = stack_seed;
	s->sample.end = STACK_END_COMPLETE;
}

/* Adds the kernel frames already in place to the stack's hash. */
__noinline int hash_kernel_stack(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	u32 count = s->sample.kernel_frames;
	u64 hash = s->hash;
	for (u32 i = 0; i < MAX_KERNEL_FRAMES; i++) {
		if (i >= count)
			break;
		hash = hash_frame(hash, s->frames[i]);
	}
	s->hash = hash;
	return 0;
}

static __always_inline void take_kernel_stack(struct bpf_perf_event_data *ctx, u32 walk,
					      struct scratch *s)
{
	long size = bpf_get_stack(ctx, s->frames, MAX_KERNEL_FRAMES * sizeof(u64), 0);

	u32 frames = size > 0 ? (u32)size / sizeof(u64) : 0;
	/* The kernel takes the user's address there for one of its own. The verifier of 6.1 follows a bound
	 * of the index itself only; where there are no frames that is beyond it. */
	u32 last = frames - 1;
	if (last < MAX_KERNEL_FRAMES && is_vsyscall(s->frames[last]))
		frames = last;
	s->sample.kernel_frames = frames;
	hash_kernel_stack(walk);
}

#if defined(__TARGET_ARCH_x86)
static __always_inline s64 system_call_at(void *registers, const struct user_registers *copy)
{
	return entry_system_call(copy);
}
#else
static __always_inline s64 system_call_at(void *registers, const struct user_registers *copy)
{
	return BPF_CORE_READ((struct pt_regs___with_syscall *)registers, syscallno);
}
#endif

/* Registers of a tick in kernel mode: those saved on the way in. Returns 0, or why there is nothing to walk from:
 * -(enum stack_end) - 1. Threads that the kernel made for a program (workers of io_uring and vhost) have its memory
 * and never were in user mode: copy_thread() leaves them registers of zeros. */
__noinline int take_entry_registers(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	struct user_registers *copy;

	if (!s)
		return -STACK_END_NO_USER_REGISTERS - 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	void *saved = task_user_registers(task);
	/* The window is not in use yet: it holds the copy, the program's stack is too small. */
	_Static_assert(sizeof(struct user_registers) <= sizeof(s->window), "registers in window");
	copy = (struct user_registers *)s->window;
	if (bpf_probe_read_kernel(copy, sizeof(*copy), saved))
		return -STACK_END_NO_USER_REGISTERS - 1;
	take_registers(s, copy);
	if (!s->pc && !s->sp)
		return -STACK_END_NO_USER_REGISTERS - 1;
	s64 call = system_call_at(saved, copy);
	s->after_kernel_entry = call == SYSCALL_EXECVE || call == SYSCALL_EXECVEAT;
	/* A system call's address points behind its instruction, like a return address; that of a call
	 * that started a program is the program's first instruction, that of one the kernel emulates on the
	 * vsyscall page the function's. Of exceptions only a breakpoint's points behind it. */
	bool is_behind = call != -1 ? !s->after_kernel_entry && !is_vsyscall(s->pc)
				    : may_read_stack(s) && is_behind_breakpoint(s->pc);
	s->lookup_pc = is_behind ? s->pc - 1 : s->pc;
	return 0;
}

/* The same for a tick in user mode. */
static __always_inline int take_interrupted_registers(struct bpf_perf_event_data *ctx,
						      struct scratch *s)
{
	/* Each load of the context has to be one of a whole register at a known place. */
	const volatile struct user_registers *registers = (const void *)&ctx->regs;

	asm volatile("" : "+r"(registers)); /* not an address that was computed for another load */
	take_registers(s, registers);
	s->lookup_pc = s->pc;
	s->after_kernel_entry = 0;
	return 0;
}

/* Walks the user part of the stack if the task has one. */
static __always_inline void take_user_stack(struct bpf_perf_event_data *ctx, u32 walk,
					    struct scratch *s, struct task_struct *task, bool user_mode)
{
	if (!s->mm) {
		if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
			s->sample.flags |= SAMPLE_KERNEL_TASK;
		else
			s->sample.end = STACK_END_EXITING;
		return;
	}
	int r = user_mode ? take_interrupted_registers(ctx, s) : take_entry_registers(walk);
	if (r < 0)
		s->sample.end = -(r + 1);
	else
		unwind_user(walk, s);
	if (s->sample.end > STACK_END_IN_EXEC)
		push_frame(s, FRAME_WORD_END(s->sample.end));
}

/* Seeded 64-bit hash over the frame words, never 0. Addresses outside files mean nothing without their
 * process, so then its identity is part of the hash. */
static __always_inline u64 finish_stack_id(const struct scratch *s)
{
	u64 hash = s->hash;

	if (s->sample.flags & SAMPLE_HAS_ADDRESSES)
		hash = hash_frame(hash, s->sample.process_start ^ (u64)s->sample.pid << 40);
	hash *= 0xc4ceb9fe1a85ec53ULL;
	hash ^= hash >> 32;
	return hash ? hash : 1;
}

static __always_inline void count_sent(struct cpu_counters *c, const struct scratch *s)
{
	if (s->sample.event == EVENT_CPU) {
		c->values[COUNTER_SAMPLES]++;
		c->values[COUNTER_CAPTURED_NS] += s->sample.weight;
	} else if (s->sample.event == EVENT_ALLOCATION) {
		c->values[COUNTER_HEAP_STACKS]++;
	} else {
		c->values[COUNTER_GROWTH_SAMPLES]++;
		c->values[COUNTER_GROWTH_BYTES] += s->sample.weight;
	}
}

static __always_inline void count_lost(struct cpu_counters *c, const struct scratch *s)
{
	if (s->sample.event == EVENT_CPU) {
		c->values[COUNTER_LOST_RING_FULL]++;
		c->values[COUNTER_LOST_NS] += s->sample.weight;
	} else if (s->sample.event == EVENT_ALLOCATION) {
		c->values[COUNTER_HEAP_STACKS_LOST]++;
	} else {
		c->values[COUNTER_GROWTH_LOST]++;
		c->values[COUNTER_GROWTH_LOST_BYTES] += s->sample.weight;
	}
}

static __always_inline bool is_stack_sent(u64 id, u64 mark)
{
	u32 at = id & (STACKS_SENT_SIZE - 1);
	u64 *sent = bpf_map_lookup_elem(&stacks_sent, &at);

	return sent && *sent == mark;
}

static __always_inline void note_stack_sent(struct cpu_counters *c, u64 id, u64 mark)
{
	u32 at = id & (STACKS_SENT_SIZE - 1);
	u64 *sent = bpf_map_lookup_elem(&stacks_sent, &at);

	if (sent)
		*sent = mark;
	c->values[COUNTER_STACKS_SENT]++;
}

/* Sends the sample, with its stack unless the daemon has it. Returns whether it went. */
__noinline int send_sample(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &walk);

	if (!s || !c)
		return 0;
	u64 id = finish_stack_id(s);
	u64 mark = id + stack_epoch;
	u64 *recent = &s->recent_stacks[id & (RECENT_STACKS - 1)];
	bool known = *recent == mark || is_stack_sent(id, mark);
	u32 words = known ? 0 : s->sample.kernel_frames + s->sample.user_frames;
	if (words > MAX_SAMPLE_WORDS)
		words = MAX_SAMPLE_WORDS;
	if (!known)
		s->sample.flags |= SAMPLE_HAS_STACK;
	s->sample.stack_id = id;
	u64 size = sizeof(s->sample) + words * sizeof(u64);
	if (s->sample.flags & SAMPLE_HAS_TRACE)
		size += append_context(s, words);
	s->sample.header.size = size;
	/* Asking the ring touches what other CPUs write: each CPU asks now and then. */
	u64 wake = BPF_RB_NO_WAKEUP;
	s->unlooked_bytes += size;
	if (s->unlooked_bytes >= ring_look_bytes) {
		s->unlooked_bytes = 0;
		if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= ring_wake_bytes)
			wake = BPF_RB_FORCE_WAKEUP;
	}
	if (bpf_ringbuf_output(&ring, &s->sample, size, wake)) {
		count_lost(c, s);
		return 0;
	}
	*recent = mark;
	if (!known)
		note_stack_sent(c, id, mark);
	count_sent(c, s);
	return 1;
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

#include "growth.bpf.h"
#include "heap.bpf.h"
#include "oom.bpf.h"

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = BPF_CORE_READ((struct task_struct *)ctx->args[0], tgid);
	u32 child = BPF_CORE_READ((struct task_struct *)ctx->args[1], tgid);
	u32 *selected = bpf_map_lookup_elem(&selected_pids, &parent);

	if (!selected && pid_namespace_inode) {
		struct bpf_pidns_info inner = {};
		if (bpf_get_ns_current_pid_tgid(pid_namespace_device, pid_namespace_inode, &inner,
						sizeof(inner)) == 0) { /* the parent is the current task */
			u32 inner_pid = inner.tgid | SELECTED_INNER_PID;
			selected = bpf_map_lookup_elem(&selected_pids, &inner_pid);
		}
	}
	if (selected && child != parent) {
		u32 value = *selected;
		bpf_map_update_elem(&selected_pids, &child, &value, BPF_ANY);
		/* The child has not run yet. */
		struct tick_forks *forks = tick_forks();
		if (forks)
			__sync_fetch_and_add(&forks->generation, 1);
	}
	return 0;
}

/* Not at exit: giving its memory back is work of the process too. Its number is in use until then. */
SEC("raw_tp/sched_process_free")
int on_free(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx->args[0];
	u32 pid = BPF_CORE_READ(task, tgid);

	if ((u32)BPF_CORE_READ(task, pid) == pid)
		bpf_map_delete_elem(&selected_pids, &pid);
	return 0;
}

SEC("raw_tp/cgroup_mkdir")
int on_new_cgroup(struct bpf_raw_tracepoint_args *ctx)
{
	struct cgroup *cgroup = (struct cgroup *)ctx->args[0];

	/* Ids of v1 hierarchies are others. A kernel without cgroups has neither type nor tracepoint. */
	if (!bpf_core_type_exists(struct cgroup_root) || BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
		return 0;
	struct record_new_cgroup *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return 0; /* it can still be found by its id while it lives */
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_NEW_CGROUP;
	record->header.size = sizeof(*record);
	record->header.time = bpf_ktime_get_ns();
	record->id = BPF_CORE_READ(cgroup, kn, id);
	if (bpf_probe_read_kernel_str(record->path, sizeof(record->path), (void *)ctx->args[1]) < 0)
		record->path[0] = '\0';
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
