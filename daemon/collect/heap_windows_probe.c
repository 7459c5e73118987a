/* SPDX-License-Identifier: Apache-2.0 */
/* Opening windows, planning the next ones, looking at probes that stay, and changing between both. */
#include "collect/heap_windows_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "collect/task_clock.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define SHORTEST_WINDOW_NS (100 * 1000ULL)
#define LONGEST_WINDOW_NS (200 * NS_PER_MS)
#define SURVIVOR_WINDOW_NS (2 * NS_PER_MS) /* and as long again to see what is freed */
#define SLICE_NS NS_PER_MS
#define LONGEST_SLICE_NS (8 * NS_PER_MS)
#define LEAST_ROOM_NS (WINDOW_NS + SLICE_NS) /* what a longer window costs at most where it is looked at most often */
#define FEW_HITS 50	/* in a window: the next one may be longer */
#define QUIET_WINDOWS 3	/* one after another, of a process that had others: then the next one is */
#define BUSY 0.2 /* CPUs */
#define JUDGED_ARMED_NS (50 * NS_PER_MS) /* of windows, before all calls are taken to be few */
#define LOOK_NS (50 * NS_PER_MS)   /* at probes that stay */
#define JUDGE_LOOKS 10
#define BURST_NS (5 * NS_PER_MS) /* of cost since the last judgement: judged at once */
#define NEGLIGIBLE_NS (20 * 1000ULL) /* of cost between two judgements */

static struct heap_process read_counts(const struct heap_windows *w, const struct window_process *p)
{
	return *(volatile struct heap_process *)&w->counts[p->index];
}

static void set_mode(struct heap_windows *w, const struct window_process *p, uint64_t mode)
{
	__atomic_store_n(&w->counts[p->index].mode, mode, __ATOMIC_SEQ_CST);
}

static double cost_between(const struct heap_windows *w, const struct window_process *p,
			   const struct heap_process *from, const struct heap_process *to)
{
	struct heap_hits hits = {.calls = (double)(to->calls - from->calls + to->frees - from->frees),
				 .returns = (double)(to->returns - from->returns),
				 .walk_ns = (double)(to->walk_ns - from->walk_ns)};
	return heap_prices_cost(&w->prices, &hits, p->is_stepped);
}

static uint64_t draw(struct heap_windows *w)
{
	return w->random = hash_mix(w->random + 0x9e3779b97f4a7c15ULL);
}

/* ---- Probes ---------------------------------------------------------------------------------- */

static bool is_attached(const struct window_process *p)
{
	return p->files.count && p->files.items[0].attached.calls >= 0;
}

/* At one moment for all functions, as the kernel takes their probes away one after another. */
void heap_windows_rest(struct heap_windows *w, const struct window_process *p)
{
	if (is_attached(p)) /* else its entry may be another's by now */
		set_mode(w, p, HEAP_MODE_RESTING);
}

void heap_windows_detach(struct heap_windows *w, struct window_process *p)
{
	struct closing_links closing = {0};
	heap_windows_rest(w, p);
	for (size_t i = 0; i < p->files.count; i++)
		heap_points_leave(&p->files.items[i].attached, &closing);
	closing_links_close(&closing);
	__atomic_fetch_add(&w->helpers_ns, closing.helpers_ns, __ATOMIC_RELAXED);
}

static int attach(struct heap_windows *w, struct window_process *p, bool frees)
{
	int r = 0;
	for (size_t i = 0; i < p->files.count && r == 0; i++) {
		struct window_file *f = &p->files.items[i];
		if (f->attached.calls >= 0)
			continue;
		r = heap_points_attach(w->options.programs, f->file, p->pid, &f->points, frees, &f->attached);
	}
	if (r < 0)
		heap_windows_detach(w, p);
	p->was_attached |= r == 0;
	return r;
}

static void sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* For so long; a window that is longer than usual since hits were few ends when they are not. (That it ends by what
 * is seen in it would bias a rate; the sums of many windows it does not, as each is weighed by its progress.) It is looked at
 * the more often the less room there is for what it may cost between two looks. */
static void keep_open(struct heap_windows *w, const struct window_process *p, uint64_t length,
		      const struct heap_process *begin)
{
	uint64_t start = monotonic_ns(), end = start + length, now;
	double most = length > SURVIVOR_WINDOW_NS ? WINDOW_NS : 2.0 * SURVIVOR_WINDOW_NS;
	uint64_t longest = heap_spending_has_room(&p->spending, WINDOW_NS + LONGEST_SLICE_NS) ? LONGEST_SLICE_NS : SLICE_NS;
	while ((now = monotonic_ns()) < end && !__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		struct heap_process counts = read_counts(w, p);
		if (length > WINDOW_NS && cost_between(w, p, begin, &counts) > most)
			return;
		/* Each look is a wake-up, and a process that was quiet for long is so for a bit. */
		uint64_t slice = MAX_OF(MIN_OF((now - start) / 2, longest), SLICE_NS);
		sleep_until(MIN_OF(end, now + slice));
	}
}

/* The new ones first, so that nothing is missed: what both see counts once. Only of calls that are on their way at
 * that moment the return may be seen by none. */
void heap_windows_reattach(struct heap_windows *w, struct window_process *p)
{
	bool any = false;
	for (size_t i = 0; i < p->files.count; i++) {
		struct window_file *f = &p->files.items[i];
		struct heap_attached again;
		if (f->attached.calls < 0)
			continue;
		int r = heap_points_attach(w->options.programs, f->file, p->pid, &f->points, true, &again);
		if (r < 0) {
			log_debug("heap: process %u keeps its probes: %s", p->pid, strerror(-r));
			continue;
		}
		heap_points_detach(&f->attached);
		f->attached = again;
		any = true;
	}
	if (any)
		__atomic_store_n(&w->counts[p->index].window, ++p->number, __ATOMIC_SEQ_CST);
}

/* ---- Windows --------------------------------------------------------------------------------- */

struct opened {
	struct heap_process before, begin, end, after;
	double cpu;
	uint64_t begin_ns, armed_ns; /* CLOCK_MONOTONIC; how long it was open */
	struct window_ticks ticks;
};

/* A process's CPU time and the moment for which that holds. */
struct clock_reading {
	uint64_t cpu;
	double at;
};

/* Its CPU is asked for it, which takes some ten microseconds: it is as of their middle. */
static struct clock_reading read_clock(const struct task_clock *clock)
{
	uint64_t before = monotonic_ns(), cpu = task_clock_read(clock), after = monotonic_ns();
	return (struct clock_reading){cpu, (double)before + (double)(after - before) / 2};
}

/* CPU time used while the window was open, of that used between two readings around it. */
static double cpu_in_window(const struct clock_reading *begin, const struct clock_reading *end, uint64_t armed_ns)
{
	double between = end->at - begin->at;
	double cpu = end->cpu > begin->cpu ? (double)(end->cpu - begin->cpu) : 0;
	return between > 0 ? cpu * fmin((double)armed_ns / between, 1) : 0;
}

/* Returns 0 or -errno: not opened. */
static int open_window(struct heap_windows *w, struct window_process *p, bool survivors, uint64_t length,
		       struct opened *ret)
{
	struct task_clock clock;
	ret->before = read_counts(w, p);
	set_mode(w, p, HEAP_MODE_RESTING);
	task_clock_open(p->pid, heap_windows_tick_for(w, length), &clock);
	int r = attach(w, p, survivors);
	if (r < 0) {
		task_clock_close(&clock);
		return r;
	}
	__atomic_store_n(&w->counts[p->index].window, ++p->number, __ATOMIC_SEQ_CST);
	task_clock_start(&clock);
	struct clock_reading clock_begin = read_clock(&clock);
	ret->begin = read_counts(w, p);
	ret->begin_ns = monotonic_ns();
	w->counts[p->index].most = survivors ? WATCHED_SAMPLES : WINDOW_SAMPLES;
	w->counts[p->index].taken = 0;
	set_mode(w, p, survivors ? HEAP_MODE_SURVIVORS : HEAP_MODE_ALLOCATIONS);
	keep_open(w, p, length, &ret->begin);
	set_mode(w, p, survivors ? HEAP_MODE_FREES : HEAP_MODE_RESTING);
	ret->end = read_counts(w, p);
	ret->armed_ns = monotonic_ns() - ret->begin_ns;
	struct clock_reading clock_end = read_clock(&clock);
	task_clock_stop(&clock);
	ret->cpu = cpu_in_window(&clock_begin, &clock_end, ret->armed_ns);
	ret->ticks = heap_windows_count_ticks(w, &clock, &ret->end);
	if (survivors)
		keep_open(w, p, length, &ret->end);
	set_mode(w, p, HEAP_MODE_RESTING);
	task_clock_close(&clock);
	heap_windows_detach(w, p);
	ret->after = read_counts(w, p);
	return 0;
}

/* One at a moment drawn at random in each period; as often at first as later, or what a program does at its start would
 * weigh more. */
static void draw_moment(struct heap_windows *w, struct window_process *p, uint64_t length)
{
	uint64_t next = (monotonic_ns() / p->period_ns + 1) * p->period_ns;
	p->due_ns = next + draw(w) % (p->period_ns - MIN_OF(p->period_ns / 2, 2 * length));
}

/* Shorter after one that was late, longer where hardly anything happens. */
static uint64_t next_length(const struct window_process *p, uint64_t hits, bool was_late)
{
	uint64_t window = p->window_ns;
	if (was_late)
		return MAX_OF(window / 2, SHORTEST_WINDOW_NS);
	if (hits >= FEW_HITS)
		return window > WINDOW_NS ? WINDOW_NS : MIN_OF(window + window / 4, WINDOW_NS);
	return p->quiet_windows >= QUIET_WINDOWS || !p->was_busy ? MIN_OF(4 * window, LONGEST_WINDOW_NS) : window;
}

/* What calls cost is judged anew. */
static void forget_recent(struct window_process *p)
{
	p->armed_ns = 0;
	p->recent_cost = p->recent_cpu = p->usual_cpu = 0;
}

/* It waited for a CPU that others had: that it did nothing says nothing of it. */
static bool was_waiting(const struct window_process *p, const struct opened *o)
{
	double share = p->turns ? p->turn_shares[(p->turns - 1) % HEAP_TURNS] : 0;
	return share >= BUSY && o->cpu < BUSY / 4 * (double)o->armed_ns;
}

static uint64_t longest_window(const struct window_process *p)
{
	return heap_spending_has_room(&p->spending, LEAST_ROOM_NS) ? LONGEST_WINDOW_NS : WINDOW_NS;
}

static void plan_next(struct heap_windows *w, struct window_process *p, uint64_t length, const struct opened *o)
{
	uint64_t hits = o->end.calls - o->begin.calls;
	bool was_late = o->armed_ns > length + MAX_OF(length / 2, WINDOW_NS / 2) && hits > FEW_HITS;
	bool was_long = p->window_ns > WINDOW_NS;
	if (!was_waiting(p, o)) {
		p->quiet_windows = hits < FEW_HITS ? p->quiet_windows + 1 : 0;
		p->was_busy |= hits >= FEW_HITS;
		p->window_ns = next_length(p, hits, was_late);
	}
	p->window_ns = MIN_OF(p->window_ns, longest_window(p));
	pthread_mutex_lock(&w->lock);
	w->statistics.late += was_late;
	pthread_mutex_unlock(&w->lock);
	if (was_long != (p->window_ns > WINDOW_NS))
		forget_recent(p);
	/* As many as a usual window has. */
	double share = fmin((double)p->window_ns / (double)MAX_OF(o->armed_ns, (uint64_t)1), 4);
	uint64_t bytes = (uint64_t)((double)(o->end.bytes - o->begin.bytes) * share);
	w->counts[p->index].interval = MIN_OF(MAX_OF(bytes / WINDOW_SAMPLES, HEAP_EXACT_INTERVAL), HEAP_MAX_INTERVAL);
	draw_moment(w, p, length);
}

/* What all probes that stay cost, ns a second. With the lock held. */
static double all_staying(const struct heap_windows *w, double *ret_dearest)
{
	double sum = 0;
	*ret_dearest = 0;
	for (size_t i = 0; i < w->processes.count; i++) {
		const struct window_process *p = w->processes.items[i];
		double cost = p->stays && !p->has_ended ? p->staying : 0;
		sum += cost;
		*ret_dearest = fmax(*ret_dearest, cost);
	}
	return sum;
}

/* Have windows met the process asleep, or waiting, that runs at other times, or may run after a pause? They tell nothing of
 * what it does then. */
static bool is_unusual(const struct window_process *p)
{
	bool may_pause = p->turns < HEAP_TURNS && p->recent_cpu < NEGLIGIBLE_NS;
	return may_pause || p->recent_cpu + NEGLIGIBLE_NS < p->usual_cpu / 4;
}

/* What all calls and frees would cost, were they always probed, has been low for long enough, and the host has room. */
static bool is_affordable(struct heap_windows *w, struct window_process *p)
{
	if (p->armed_ns < JUDGED_ARMED_NS || p->recent_cost > w->options.budget / 2 * p->recent_cpu ||
	    is_unusual(p) || !heap_spending_has_room(&p->spending, LEAST_ROOM_NS))
		return false;
	double dearest, wanted = p->recent_cost / (double)p->armed_ns * (double)NS_PER_SECOND;
	pthread_mutex_lock(&w->lock);
	bool has_room = heap_pace_can_stay(&w->pace, all_staying(w, &dearest) + wanted);
	if (has_room)
		p->staying = wanted;
	pthread_mutex_unlock(&w->lock);
	return has_room;
}

/* CPUs it used in the last turns. */
static double usual_share(const struct window_process *p)
{
	unsigned turns = MIN_OF(p->turns, (unsigned)HEAP_TURNS);
	double sum = 0;
	for (unsigned i = 0; i < turns; i++)
		sum += p->turn_shares[i];
	return turns ? sum / turns : 0;
}

/* Returns its stratum. */
static unsigned note_window(struct heap_windows *w, struct window_process *p, bool survivors, const struct opened *o)
{
	double ticks = fmin((double)(o->ticks.all + o->ticks.lost) * w->prices.tick, o->cpu / 2);
	double cost = cost_between(w, p, &o->begin, &o->end), all = cost_between(w, p, &o->before, &o->after) + ticks;
	struct heap_window_reading reading = {.cpu = o->cpu, .cost = cost, .tick_cost = ticks,
					      .wall = (double)o->armed_ns,
					      .objects = (double)(o->end.allocations - o->begin.allocations),
					      .bytes = (double)(o->end.bytes - o->begin.bytes),
					      .ticks = (double)o->ticks.all, .own_ticks = (double)o->ticks.own,
					      .weight = p->window_weight};
	log_debug("heap: process %u, window %llu at %.3f s: open for %.3f ms, %.3f ms CPU, %.3f ms of them for probes, and %.3f ms "
		  "around it, %llu of %llu ticks its own, %.0f objects",
		  p->pid, (unsigned long long)p->number, (double)o->begin_ns / 1e9, (double)o->armed_ns / 1e6, o->cpu / 1e6,
		  cost / 1e6, (all - cost) / 1e6, (unsigned long long)o->ticks.own, (unsigned long long)o->ticks.all, reading.objects);
	double calls = (double)(o->end.calls - o->begin.calls);
	struct heap_hits frees = {.calls = survivors ? 0 : calls};
	p->armed_ns += o->armed_ns;
	/* Without samples' walks: always probed, they are rare. */
	p->recent_cost += cost - (double)(o->end.walk_ns - o->begin.walk_ns) +
			  heap_prices_cost(&w->prices, &frees, p->is_stepped);
	p->recent_cpu += fmax(o->cpu - ticks - cost, 0);
	p->usual_cpu += usual_share(p) * (double)o->armed_ns;
	heap_spending_add(&p->spending, all, p->turn_cpu, monotonic_ns());
	pthread_mutex_lock(&w->lock);
	unsigned stratum = heap_phase_add(&p->phase, &reading, survivors);
	p->cost += all;
	w->statistics.windows++;
	w->statistics.ticks_lost += o->ticks.lost;
	w->statistics.cost_ns += all;
	pthread_mutex_unlock(&w->lock);
	return stratum;
}

/* What is known becomes final; then the other tier begins. */
static void change_tier(struct heap_windows *w, struct window_process *p)
{
	log_debug("heap: process %u: %s", p->pid, p->stays ? "windows from now on" : "all calls are affordable");
	bool was_staying = p->stays;
	heap_windows_end_staying(w, p);
	heap_windows_detach(w, p);
	forget_recent(p);
	/* A window that opened when probes had become dear would always meet what made them so. */
	p->due_ns = 0;
	if (p->stays)
		draw_moment(w, p, p->window_ns = WINDOW_NS);
	pthread_mutex_lock(&w->lock);
	p->must_fold = true;
	if (p->stays)
		w->statistics.demoted++;
	else
		w->statistics.promoted++;
	p->stays = !was_staying;
	if (was_staying)
		p->staying = 0;
	pthread_mutex_unlock(&w->lock);
}

/* Tried again after a period. One that has just ended has nothing to lose. */
static void note_unopened(struct heap_windows *w, struct window_process *p, int error)
{
	log_debug("heap: process %u is not probed: %s", p->pid, strerror(-error));
	p->due_ns = monotonic_ns() + PERIOD_NS;
	pthread_mutex_lock(&w->lock);
	w->statistics.unopened += error != -ESRCH;
	pthread_mutex_unlock(&w->lock);
}

/* A window stands for the progress around it: those of one pace are scaled together. */
static void follow_pace(struct heap_windows *w, struct window_process *p)
{
	pthread_mutex_lock(&w->lock);
	bool has_changed = p->period_ns != w->pace.period_ns;
	p->period_ns = w->pace.period_ns;
	heap_windows_share_places(w, p);
	p->must_fold |= (has_changed && heap_phase_has_met(&p->phase)) || heap_windows_are_many_places(p);
	pthread_mutex_unlock(&w->lock);
}

/* Others may have come since its first moment was drawn: it is drawn again, at their pace. */
static bool wait_for_room(struct heap_windows *w, struct window_process *p)
{
	uint64_t before = p->period_ns;
	if (p->was_attached)
		return false;
	follow_pace(w, p);
	if (p->period_ns <= before)
		return false;
	p->due_ns = monotonic_ns() + draw(w) % p->period_ns;
	return true;
}

/* Where more windows are due than there is time for, a process that has not run since its last turn gives way. A window
 * stands for the progress around it, of which there was none. Where there is time it gets its window: that it
 * allocates rarely, and may be looked at always, is to be found out. */
static bool gives_way(struct heap_windows *w, struct window_process *p)
{
	uint64_t cpu = process_cpu_ns((pid_t)p->pid), now = monotonic_ns();
	bool has_run = cpu != p->turn_cpu, is_late = now > p->due_ns + p->period_ns / 2;
	p->turn_shares[p->turns++ % HEAP_TURNS] =
		(double)(cpu - MIN_OF(p->turn_cpu, cpu)) / (double)MAX_OF(now - p->turn_ns, (uint64_t)1);
	p->turn_ns = now;
	p->turn_cpu = cpu;
	if (has_run || !is_late || !cpu)
		return false;
	draw_moment(w, p, p->window_ns);
	return true;
}

/* Windows have met it at work by chance so often that its budget is spent: the next one waits until that is earned, and
 * counts for those that were not. */
static bool is_put_off(struct heap_windows *w, struct window_process *p)
{
	heap_spending_add(&p->spending, 0, p->turn_cpu, p->turn_ns);
	if (heap_spending_has_room(&p->spending, 0))
		return false;
	p->put_off++;
	draw_moment(w, p, p->window_ns);
	return true;
}

/* Our CPU time up to now. On the thread itself. */
static uint64_t own_ns(const struct heap_windows *w)
{
	return thread_cpu_ns() + __atomic_load_n(&w->helpers_ns, __ATOMIC_RELAXED);
}

/* What a window took of both sides since `begin_ns` of our CPU time. */
static void note_price(struct heap_windows *w, const struct window_process *p, const struct opened *o, uint64_t begin_ns)
{
	double cost = (double)(own_ns(w) - begin_ns) + cost_between(w, p, &o->before, &o->after) +
		      (double)(o->ticks.all + o->ticks.lost) * w->prices.tick;
	pthread_mutex_lock(&w->lock);
	heap_pace_note_window(&w->pace, cost);
	pthread_mutex_unlock(&w->lock);
}

/* A longer one that looks also at frees may cost as much twice. */
static uint64_t length_of(const struct window_process *p, bool survivors)
{
	if (!survivors)
		return p->window_ns;
	bool has_room = heap_spending_has_room(&p->spending, 2 * LEAST_ROOM_NS);
	return has_room ? MAX_OF(p->window_ns, SURVIVOR_WINDOW_NS) : SURVIVOR_WINDOW_NS;
}

static double weight_of(uint64_t length, bool survivors)
{
	return fmin((double)(survivors ? SURVIVOR_WINDOW_NS : WINDOW_NS) / (double)length, 1);
}

static void look_through_window(struct heap_windows *w, struct window_process *p)
{
	bool survivors = p->number % SURVIVOR_WINDOWS == 1;
	uint64_t length = length_of(p, survivors);
	struct opened opened = {0};
	p->window_weight = weight_of(length, survivors) * (p->put_off + 1);
	p->put_off = 0;
	uint64_t begin_ns = own_ns(w);
	if (survivors) /* they are few, and each is followed for long */
		w->counts[p->index].interval = MAX_OF(w->counts[p->index].interval * length / p->window_ns *
							      WINDOW_SAMPLES / WATCHED_SAMPLES,
						      HEAP_EXACT_INTERVAL);
	int r = open_window(w, p, survivors, length, &opened);
	if (r < 0) {
		note_unopened(w, p, r);
		return;
	}
	heap_windows_take_places(w, p, note_window(w, p, survivors, &opened));
	if (survivors)
		heap_windows_mark_survivors(w, p);
	note_price(w, p, &opened, begin_ns);
	follow_pace(w, p);
	/* Before the plan: a window that was long enough to judge by makes the next one short, which begins anew. */
	bool may_stay = is_affordable(w, p);
	plan_next(w, p, length, &opened);
	if (may_stay)
		change_tier(w, p);
}

/* ---- Probes that stay ------------------------------------------------------------------------ */

/* One wake-up for all of them. */
static uint64_t next_look(void)
{
	return (monotonic_ns() / LOOK_NS + 1) * LOOK_NS;
}

static void begin_to_stay(struct heap_windows *w, struct window_process *p)
{
	/* Calls that were on their way when a window closed are not taken for some that go on. */
	if (!is_attached(p))
		__atomic_store_n(&w->counts[p->index].window, ++p->number, __ATOMIC_SEQ_CST);
	w->counts[p->index].interval = 0;
	w->counts[p->index].most = 0;
	/* At one moment for all functions: they are probed one after another, and a block of which the allocation is
	 * seen and the free is not would be in use for good. */
	int r = attach(w, p, true);
	set_mode(w, p, HEAP_MODE_ALL);
	p->judged = read_counts(w, p);
	p->judged_cpu = process_cpu_ns((pid_t)p->pid);
	p->judged_ns = monotonic_ns();
	p->looks = 0;
	p->due_ns = next_look();
	if (r < 0)
		note_unopened(w, p, r);
}

/* With the lock held. */
static void add_cost(struct heap_windows *w, struct window_process *p, double cost)
{
	p->cost += cost;
	w->statistics.cost_ns += cost;
}

void heap_windows_end_staying(struct heap_windows *w, struct window_process *p)
{
	if (!p->stays || !is_attached(p))
		return;
	heap_windows_detach(w, p);
	struct heap_process now = read_counts(w, p);
	double cost = cost_between(w, p, &p->judged, &now);
	heap_spending_add(&p->spending, cost, p->judged_cpu, monotonic_ns());
	pthread_mutex_lock(&w->lock);
	add_cost(w, p, cost);
	pthread_mutex_unlock(&w->lock);
	p->judged = now;
}

static void judge_staying(struct heap_windows *w, struct window_process *p)
{
	struct heap_process now = read_counts(w, p);
	double cost = cost_between(w, p, &p->judged, &now), dearest;
	p->due_ns = next_look();
	if (++p->looks < JUDGE_LOOKS && cost < BURST_NS)
		return;
	uint64_t cpu = process_cpu_ns((pid_t)p->pid);
	double used = (double)(cpu - p->judged_cpu), elapsed = (double)(monotonic_ns() - p->judged_ns);
	p->judged_ns += (uint64_t)elapsed;
	p->looks = 0;
	p->judged = now;
	p->judged_cpu = cpu;
	heap_spending_add(&p->spending, cost, cpu, monotonic_ns());
	pthread_mutex_lock(&w->lock);
	add_cost(w, p, cost);
	p->staying = elapsed > 0 ? cost / elapsed * (double)NS_PER_SECOND : 0;
	double staying = all_staying(w, &dearest);
	bool must_leave = heap_pace_must_leave(&w->pace, p->staying, dearest, staying);
	pthread_mutex_unlock(&w->lock);
	if (w->options.budget < 1 && cost > NEGLIGIBLE_NS && (must_leave || cost > w->options.budget * used))
		change_tier(w, p);
}

void heap_windows_work_on(struct heap_windows *w, struct window_process *p, bool files_came)
{
	if (!p->stays) {
		/* Else files came, in no window. */
		if (p->due_ns <= monotonic_ns() && !wait_for_room(w, p) && !gives_way(w, p) && !is_put_off(w, p))
			look_through_window(w, p);
	} else if (files_came || !is_attached(p))
		begin_to_stay(w, p);
	else
		judge_staying(w, p);
}
