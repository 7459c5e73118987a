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
 * the last one, slow faults, which are large ones, would get the weight of fast ones before them). When many come
 * at once the daemon is woken to raise the period.
 *
 * Of the runs, of each block of 2^n one is taken, at random, and weighs 2^n times as much: the number of walks a
 * second is bounded, and the sum stays right to one block. n changes between blocks and by what was before alone, so
 * that each fault counts once in the mean whatever the bound is. The period is short and the bound wide at first, not
 * so in the long run (daemon/collect/growth_pace.h).
 *
 * A run without a sample comes some milliseconds after the last one, to a cold cache: what it costs are lines that it
 * touches, not instructions. So it keeps to little code, finds the mapping of its fault in what it remembers of the
 * last one, and its functions' variables stay below 64 bytes (see on_cpu_tick()).
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
	u16 wanted;	  /* what the shift ought to be by now */
	u16 shift;	  /* one of 2^shift is taken */
	u32 position, chosen; /* in the block of 2^shift, and which of it is taken */
};

/* The mapping of the last fault of a CPU: the next one is mostly in it too. */
struct growth_area {
	struct mm_struct *mm;
	u64 version; /* of the process and its mappings, see area_version() */
	u64 start, end;
	u64 flags;
};

struct growth_rate {
	u64 faults;	  /* the event's counter at the last run */
	u64 window_start; /* CLOCK_MONOTONIC ns */
	u32 runs;	  /* in the window */
	u32 period;	  /* that the last run ended */
	struct growth_share small, large; /* pages: one large is worth hundreds of small ones */
	struct growth_area area;
	u32 weight;	 /* faults that this run stands for */
	u32 small_limit; /* as of growth_paces */
	u64 padding;
};

_Static_assert(sizeof(struct growth_rate) == 2 * CACHE_LINE, "a CPU writes to no other's lines");

/* Key: CPU number. Size: possible CPUs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct growth_rate);
} growth_rates SEC(".maps");

/* Key: CPU number. Size: possible CPUs. The daemon tells it before it tells the event. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct growth_pace_setting);
} growth_paces SEC(".maps");

/* Samples of large pages that a CPU takes in RATE_WINDOW_NS: many, the kernel takes long to clear one. */
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
static __noinline u64 take_faults(struct bpf_perf_event_data *ctx, struct growth_rate *rate)
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

/* Tells the daemon that runs come too fast. */
static __noinline int ask_for_longer_period(u32 cpu, u64 now)
{
	struct record_fast_faults *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record)
		return 0; /* it looks several times a second by itself */
	record->header.version = WIRE_VERSION;
	record->header.kind = RECORD_FAST_FAULTS;
	record->header.size = sizeof(*record);
	record->header.time = now;
	record->cpu = cpu;
	record->padding = 0;
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
	return 1;
}

static __always_inline void note_run(u32 cpu, struct growth_rate *rate, u64 now)
{
	if (now - rate->window_start >= RATE_WINDOW_NS) {
		rate->window_start = now;
		rate->runs = 0;
	}
	u32 runs = ++rate->runs;
	/* At 128, at 256, 512 and so on. */
	if (runs >= HURRY_RUNS && !(runs & (runs - 1)))
		ask_for_longer_period(cpu, now);
}

/* A window is over: it says what the shift ought to be. Up at once, down by one; a block may be longer than many
 * windows, and what they say must not wait for one of them to begin with a block. */
static __noinline int end_window(struct growth_share *share, u32 limit, u64 elapsed)
{
	u32 shift = shift_for(share->candidates * RATE_WINDOW_NS / elapsed, limit);
	u32 lower = share->wanted ? share->wanted - 1 : 0;

	share->wanted = shift > lower ? shift : lower;
	share->candidates = 0;
	return 0;
}

/* Is this candidate taken? It stands for 2^share->shift of them. */
static __always_inline bool take_growth(struct growth_share *share, u32 limit, u64 now)
{
	u64 elapsed = now - share->window_start;

	if (elapsed >= RATE_WINDOW_NS) {
		end_window(share, limit, elapsed);
		share->window_start = now;
	}
	/* The share changes between two blocks only: the weights of one are the same. */
	if (share->position == 0) {
		if (share->candidates >> (share->wanted & 31) > 4 * limit && share->wanted < MAX_RATE_SHIFT)
			share->wanted++;
		share->shift = share->wanted;
		share->chosen = bpf_get_prandom_u32() & ((1U << (share->shift & 31)) - 1);
	}
	share->candidates++;
	bool is_taken = share->position == share->chosen;
	share->position = (share->position + 1) & ((1U << (share->shift & 31)) - 1);
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

/* Which state of which process's mappings it is; 0: the kernel does not tell, nothing may be remembered. A fault
 * holds its mapping: while this is the same, an address in the mapping is in no other. */
static __always_inline u64 area_version(struct mm_struct *mm, u32 pid)
{
	u64 sequence = mm_sequence(mm);

	return sequence ? sequence ^ (u64)pid << 33 : 0;
}

/* Finds the mapping of the fault at scratch->fault_address. Returns 0, or -1: it is gone. */
static __always_inline int find_area(u32 walk, struct scratch *s, struct growth_area *area, u32 pid)
{
	u64 version = area_version(s->mm, pid);

	if (version && area->version == version && area->mm == s->mm &&
	    s->fault_address >= area->start && s->fault_address < area->end)
		return 0;
	s->lookup_pc = s->fault_address; /* what is looked for, here */
	area->version = 0;
	if (read_area(walk) < 0)
		return -1;
	area->mm = s->mm;
	area->start = s->area_start;
	area->end = s->area_end;
	area->flags = s->area_flags | (s->area_file ? VM_SHARED : 0);
	area->version = version;
	return 0;
}

/* log2 of the pages, of these orders, that came with the fault at scratch->fault_address. */
__noinline int order_of_fault(u32 walk, u32 orders)
{
	for (u32 order = MAX_PAGE_ORDER; order > 0; order--)
		if (orders >> order & 1 && is_large_page_new(walk, order))
			return order;
	return 0;
}

/* The same in this mapping. */
static __always_inline u32 order_in_area(u32 walk, struct scratch *s, const struct growth_area *area)
{
	u32 orders = 0;

	if (!(area->flags & VM_NOHUGEPAGE))
		orders = large_orders_always;
	if (area->flags & VM_HUGEPAGE)
		orders |= large_orders_advised;
	if (!orders)
		return 0;
	s->area_start = area->start;
	s->area_end = area->end;
	return order_of_fault(walk, orders);
}

/* The sample of a fault whose turn it is, with its stack. Returns the counter that its faults belong to. A function of
 * its own: what every run pays stands apart from it. */
static __noinline u32 sample_growth(struct bpf_perf_event_data *ctx, u32 walk, u64 now)
{
	struct scratch *s = scratch_of(walk);
	struct task_struct *task = current_task();
	bool user_mode = interrupted_user_mode(ctx);

	if (!s)
		return COUNTER_GROWTH_THINNED;
	describe_task(s, walk, task, number_task(task_id(task)));
	enum selected selected = select_task(walk);
	if (selected == SELECTED_NO)
		return COUNTER_GROWTH_UNSELECTED;
	bool is_new = is_page_zero(walk, s->fault_address >> page_shift << page_shift);
	u64 bytes = 1ULL << page_shift << (is_new ? s->fault_order & 31 : 0);
	describe_sample(s, walk, is_new ? EVENT_GROWTH : EVENT_COPIED, now,
			s->fault_weight * bytes);
	s->sample.flags = (user_mode ? SAMPLE_USER_MODE : 0) |
			  (selected == SELECTED_UNDECIDED ? SAMPLE_UNDECIDED : 0);
	if (!user_mode)
		take_kernel_stack(ctx, walk, s);
	take_user_stack(ctx, walk, s, task, user_mode);
	send_sample(walk);
	return is_new ? COUNTER_GROWTH_NEW : COUNTER_GROWTH_COPIED;
}

/* Looks at the fault of a run. Returns 0 when a sample is to be taken, or the counter that its faults belong to. */
static __noinline u32 look_at_fault(struct bpf_perf_event_data *ctx, u32 walk, struct growth_rate *rate, u64 now)
{
	struct scratch *s = scratch_of(walk);
	struct task_struct *task = current_task();
	struct task_numbers numbers = number_task(task_id(task));

	if (!s)
		return COUNTER_GROWTH_THINNED;
	if (!select_process(numbers))
		return COUNTER_GROWTH_UNSELECTED;
	s->fault_address = ctx->addr;
	s->mm = READ_TYPED(task, mm);
	if (!s->mm || find_area(walk, s, &rate->area, numbers.host_pid) < 0 || rate->area.flags & VM_SHARED)
		return COUNTER_GROWTH_FILE;
	u32 order = order_in_area(walk, s, &rate->area);
	struct growth_share *share = order ? &rate->large : &rate->small;
	if (!take_growth(share, order ? large_limit : rate->small_limit, now))
		return COUNTER_GROWTH_THINNED;
	s->fault_order = order;
	s->fault_weight = (u64)rate->weight << (share->shift & 31);
	return 0;
}

SEC("perf_event")
int on_page_fault(struct bpf_perf_event_data *ctx)
{
	u32 cpu = bpf_get_smp_processor_id(); /* and the number of its walk: WALK_EVENT */
	struct growth_rate *rate = bpf_map_lookup_elem(&growth_rates, &cpu);
	struct growth_pace_setting *pace = bpf_map_lookup_elem(&growth_paces, &cpu);
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &cpu);

	if (!c || !rate || !pace)
		return 0; /* there is an entry for each possible CPU */
	u64 faults = take_faults(ctx, rate), now = bpf_ktime_get_ns();
	c->values[COUNTER_GROWTH_FAULTS] += faults;
	note_run(cpu, rate, now);
	rate->weight = end_period(rate, faults, pace->period);
	rate->small_limit = pace->small_limit;
	u32 counter = rate->weight ? look_at_fault(ctx, cpu, rate, now) : COUNTER_GROWTH_THINNED;
	if (!counter)
		counter = sample_growth(ctx, cpu, now);
	if (counter < COUNTER_MAX)
		c->values[counter] += faults;
	return 0;
}
