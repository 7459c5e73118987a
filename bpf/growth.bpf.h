/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where memory grows: every so many page faults of a CPU become a sample that weighs the bytes they took.
 *
 * The event is the kernel's count of finished minor faults (PERF_COUNT_SW_PAGE_FAULTS_MIN): at that
 * moment the page is there and the instruction that wanted it has not run again, so a page that the
 * kernel has just made for the process is still all zero. That tells, without a look into the kernel's
 * page tables:
 *	new	zero, in private memory without a file: memory that the process did not have before
 *	copied	not zero there: a page written to after a fork (now the process's own)
 *	file	in a mapping of a file, or shared: not the process's growth
 * and how much came at once: a large page is zero as far as it reaches, where small ones would be missing
 * or in use. A first read of memory that was never written maps the kernel's page of zeros and counts too.
 *
 * Why not the change of the process's resident size since its last sample: that puts what all places
 * touched in between on the one that is met, and what was given back between two samples cancels what
 * came. The bytes of each fault, times the faults it stands for, are unbiased for every place.
 *
 * Cost. The daemon sets the event's period, from one fault upwards, so that a CPU runs this program some
 * hundred times a second: a large page is one fault, and where faults are few none must be
 * missed. A run stands for one period of faults. When the period changes, the kernel runs the program at
 * the next fault whatever came before: this run stands for nothing (were it to stand for the faults since
 * the last one, slow faults, which are large ones, would get the weight of fast ones before them). Where
 * runs still come fast, of each block of 2^n one is taken, at random, and weighs 2^n times as much: the
 * number of walks a second is bounded, and the sum stays right to one block. When many come at once the
 * daemon is woken to raise the period.
 */
#pragma once

#include "interrupted_stack.bpf.h"
#include "sample.bpf.h"
#include "select.bpf.h"

#define VM_SHARED 0x8
#define VM_HUGEPAGE 0x20000000
#define VM_NOHUGEPAGE 0x40000000
#define MAX_PAGE_ORDER 13 /* a PMD of 64 KiB pages on arm64: 512 MiB */
#define BLOCK_PROBES 16	  /* places of a large page that are looked at */
#define PROBE_WORDS 8	  /* and how many words at each */
#define RATE_WINDOW_NS 100000000ULL
#define MAX_RATE_SHIFT 20
#define HURRY_RUNS 128 /* in a window, five times as many as the daemon aims at: it is told then */

/* Which of the candidates of one size on one CPU are taken. */
struct growth_share {
	u64 window_start; /* CLOCK_MONOTONIC ns */
	u32 candidates;	  /* in the window, taken or not */
	u32 shift;	  /* one of 2^shift is taken */
	u32 position, chosen; /* in the block of 2^shift, and which of it is taken */
};

struct growth_rate {
	u64 faults;	  /* the event's counter at the last run */
	u64 window_start; /* CLOCK_MONOTONIC ns */
	u32 runs;	  /* in the window */
	u32 period;	  /* that the last run ended */
	struct growth_share small, large; /* pages: one large is worth hundreds of small ones */
	u64 padding[7];	  /* two lines of cache each */
};

/* Key: CPU number. Size: possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct growth_rate);
} growth_rates SEC(".maps");

/* Key: CPU number. Size: possible CPUs. Value: faults between two runs, which the daemon tells before it
 * tells the event. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} growth_periods SEC(".maps");

/* Samples that a CPU takes in RATE_WINDOW_NS; of large pages more, the kernel takes long to clear one. */
const volatile u32 small_limit = 4;
const volatile u32 large_limit = 32;

/* By order: are large pages given out everywhere, or where madvise() asked for them? Set by the daemon. */
volatile u32 large_orders_always SETTING;
volatile u32 large_orders_advised SETTING;

/* Of how many candidates, 2^shift, one may be taken so that a window has no more than the limit. */
static __always_inline u32 shift_for(u64 candidates, u32 limit)
{
	u32 shift = 0;

	for (u32 i = 0; i < MAX_RATE_SHIFT; i++)
		if (candidates >> shift > limit)
			shift++;
	return shift;
}

/* The faults since the last run. The counter begins anew when the event does. */
static __always_inline u64 take_faults(struct bpf_perf_event_data *ctx, struct growth_rate *rate)
{
	struct bpf_perf_event_value value = {};

	if (bpf_perf_prog_read_value((void *)ctx, (void *)&value, sizeof(value)))
		return 1;
	u64 before = value.counter >= rate->faults ? rate->faults : 0;
	rate->faults = value.counter;
	return value.counter - before;
}

/* How many faults a run stands for that comes so many after the last one: a period that it ends, or 0 for
 * the one with which a change of the period has come about. */
static __always_inline u64 end_period(struct growth_rate *rate, u64 faults, u32 period)
{
	if (period != rate->period && faults != rate->period) {
		rate->period = period;
		return period == 1;
	}
	return faults >= rate->period ? rate->period : 0;
}

/* Tells the daemon, at 128 runs of a window, at 256, 512 and so on. */
static __always_inline void ask_for_longer_period(u32 cpu, u64 now, u32 runs)
{
	if (runs < HURRY_RUNS || runs & (runs - 1))
		return;
	struct record_fast_faults *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return; /* it looks several times a second by itself */
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_FAST_FAULTS;
	record->header.size = sizeof(*record);
	record->header.time = now;
	record->cpu = cpu;
	record->padding = 0;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}

static __always_inline void note_run(u32 cpu, struct growth_rate *rate, u64 now)
{
	if (now - rate->window_start >= RATE_WINDOW_NS) {
		rate->window_start = now;
		rate->runs = 0;
	}
	ask_for_longer_period(cpu, now, ++rate->runs);
}

/* Is this candidate taken? scratch->shift: it stands for 2^shift of them. */
static __always_inline bool take_growth(struct scratch *s, struct growth_share *share, u32 limit,
					u64 now)
{
	u64 elapsed = now - share->window_start;
	bool is_new_window = elapsed >= RATE_WINDOW_NS;

	/* The share changes between two blocks only: the weights of one are the same. */
	if (share->position == 0) {
		if (is_new_window) {
			u32 shift = shift_for(share->candidates * RATE_WINDOW_NS / elapsed, limit);
			u32 lower = share->shift ? share->shift - 1 : 0;
			share->shift = shift > lower ? shift : lower;
		} else if (share->candidates >> (share->shift & 31) > 4 * limit &&
			   share->shift < MAX_RATE_SHIFT) {
			share->shift++;
		}
		share->chosen = bpf_get_prandom_u32() & ((1U << (share->shift & 31)) - 1);
	}
	if (is_new_window) {
		share->window_start = now;
		share->candidates = 0;
	}
	share->candidates++;
	s->shift = share->shift & 31;
	bool is_taken = share->position == share->chosen;
	share->position = (share->position + 1) & ((1U << s->shift) - 1);
	return is_taken;
}

#define PAGE_PIECE_SIZE 512 /* bytes of a page looked at at once */
_Static_assert(PAGE_PIECE_SIZE <= STACK_WINDOW_SIZE, "a piece in the window");

/* Are the first `words` of the window zero, of those of a piece? */
__noinline int is_window_zero(u32 walk, u32 words)
{
	struct scratch *s = scratch_of(walk);
	u64 any = 0;

	if (!s)
		return 0;
	for (u32 i = 0; i < PAGE_PIECE_SIZE / 8; i++)
		if (i < words)
			any |= s->window[i];
	return any == 0;
}

/* Is the page at an address (of its start) there and zero, as far as the smallest page of any kernel
 * reaches? */
__noinline int is_page_zero(u32 walk, u64 page)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	for (u32 i = 0; i < (1U << PAGE_SHIFT_MIN) / PAGE_PIECE_SIZE; i++) {
		if (bpf_probe_read_user(s->window, PAGE_PIECE_SIZE,
					(void *)(page + i * PAGE_PIECE_SIZE)))
			return 0;
		if (!is_window_zero(walk, PAGE_PIECE_SIZE / 8))
			return 0;
	}
	return 1;
}

/* Are the first words of the page at an address there and zero? */
static __always_inline bool probe_page(u32 walk, struct scratch *s, u64 page)
{
	if (bpf_probe_read_user(s->window, PROBE_WORDS * 8, (void *)page))
		return false;
	return is_window_zero(walk, PROBE_WORDS);
}

/* Did the fault at scratch->fault_address bring a page of this order, not a small one? */
__noinline int is_large_page_new(u32 walk, u32 order)
{
	struct scratch *s = scratch_of(walk);

	if (!s || order > MAX_PAGE_ORDER)
		return 0;
	u64 page_size = 1ULL << page_shift, size = page_size << order;
	u64 page = s->fault_address & ~(page_size - 1), start = page & ~(size - 1);
	if (start < s->area_start || start + size > s->area_end)
		return 0;
	/* The two beside it first: where memory is touched in order, they decide. */
	if (!probe_page(walk, s, start + ((page + page_size - start) & (size - 1))) ||
	    !probe_page(walk, s, start + ((page - page_size - start) & (size - 1))))
		return 0;
	u64 stride = size / BLOCK_PROBES < page_size ? page_size : size / BLOCK_PROBES;
	for (u32 i = 0; i < BLOCK_PROBES; i++) {
		u64 in_stride = bpf_get_prandom_u32() & (stride - 1) & ~(page_size - 1);
		u64 at = start + ((i * stride + in_stride) & (size - 1));
		if (!probe_page(walk, s, at))
			return 0;
	}
	return 1;
}

/* Which mapping the fault at scratch->fault_address was in, and log2 of the pages that came with it; -1: in
 * a file or shared memory, or the mapping is gone. */
__noinline int order_of_fault(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	u32 orders = 0;

	if (!s)
		return -1;
	s->lookup_pc = s->fault_address; /* what is looked for, here */
	if (read_area(walk) < 0 || s->area_file || s->area_flags & VM_SHARED)
		return -1;
	if (!(s->area_flags & VM_NOHUGEPAGE))
		orders = large_orders_always;
	if (s->area_flags & VM_HUGEPAGE)
		orders |= large_orders_advised;
	if (!orders)
		return 0;
	for (u32 order = MAX_PAGE_ORDER; order > 0; order--)
		if (orders >> order & 1 && is_large_page_new(walk, order))
			return order;
	return 0;
}

/* The sample of a selected task, with its stack. */
static __always_inline void sample_growth(struct bpf_perf_event_data *ctx, u32 walk, struct scratch *s,
					  struct task_struct *task, u64 now, u64 faults, u32 order,
					  bool undecided)
{
	bool user_mode = interrupted_user_mode(ctx);
	bool is_new = is_page_zero(walk, s->fault_address >> page_shift << page_shift);
	u64 bytes = 1ULL << page_shift << (is_new ? order & 31 : 0);

	count(walk, is_new ? COUNTER_GROWTH_NEW : COUNTER_GROWTH_COPIED, faults);
	describe_sample(s, walk, is_new ? EVENT_GROWTH : EVENT_COPIED, now,
			s->fault_weight * bytes);
	s->sample.flags = (user_mode ? SAMPLE_USER_MODE : 0) | (undecided ? SAMPLE_UNDECIDED : 0);
	if (!user_mode)
		take_kernel_stack(ctx, walk, s);
	take_user_stack(ctx, walk, s, task, user_mode);
	send_sample(walk);
}

SEC("perf_event")
int on_page_fault(struct bpf_perf_event_data *ctx)
{
	u32 cpu = bpf_get_smp_processor_id(), walk = cpu; /* WALK_EVENT */
	struct growth_rate *rate = bpf_map_lookup_elem(&growth_rates, &cpu);
	u32 *period = bpf_map_lookup_elem(&growth_periods, &cpu);
	struct scratch *s = scratch_of(walk);

	if (!s || !rate || !period) {
		count(0, COUNTER_LOST_SCRATCH, 1);
		return 0;
	}
	u64 faults = take_faults(ctx, rate), now = bpf_ktime_get_ns();
	count(walk, COUNTER_GROWTH_FAULTS, faults);
	note_run(cpu, rate, now);
	u64 weight = end_period(rate, faults, *period);
	if (!weight) {
		count(walk, COUNTER_GROWTH_THINNED, faults);
		return 0;
	}
	struct task_numbers numbers = number_task(bpf_get_current_pid_tgid());
	if (!select_process(numbers)) {
		count(walk, COUNTER_GROWTH_UNSELECTED, faults);
		return 0;
	}
	s->fault_address = ctx->addr;
	struct task_struct *task = current_task();
	s->mm = READ_TYPED(task, mm);
	int order = s->mm ? order_of_fault(walk) : -1;
	if (order < 0) {
		count(walk, COUNTER_GROWTH_FILE, faults);
		return 0;
	}
	if (!(order ? take_growth(s, &rate->large, large_limit, now)
		    : take_growth(s, &rate->small, small_limit, now))) {
		count(walk, COUNTER_GROWTH_THINNED, faults);
		return 0;
	}
	describe_task(s, walk, task, numbers);
	enum selected selected = select_task(walk);
	if (selected == SELECTED_NO) {
		count(walk, COUNTER_GROWTH_UNSELECTED, faults);
		return 0;
	}
	s->fault_weight = weight << s->shift;
	sample_growth(ctx, walk, s, task, now, faults, order, selected == SELECTED_UNDECIDED);
	return 0;
}
