/* SPDX-License-Identifier: Apache-2.0 */
/* What was seen in windows, scaled to all that each process did. */
#include "collect/heap_windows_state.h"

#include "base/clock.h"
#include "base/hash.h"
#include "process/memory_usage.h"
#include "process/process_state.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* With the lock held. */
static void note_cpu(struct heap_windows *w, struct window_process *p)
{
	double cpu = (double)process_cpu_ns((pid_t)p->pid);
	if (cpu > p->cpu)
		w->statistics.cpu_ns += cpu - p->cpu;
	p->cpu = fmax(cpu, p->cpu);
	if (cpu > 0)
		p->wall = monotonic_ns();
}

/* What there is to estimate changes as often as windows are. */
static void note_memory(struct window_process *p, uint64_t now)
{
	struct memory_usage usage;
	if ((p->stays && !p->places.count) || now - p->memory_read_ns < p->period_ns)
		return;
	p->memory_read_ns = now;
	if (memory_usage_read("/proc", p->pid, &usage) == 0)
		heap_windows_note_memory(p, usage.anonymous + usage.swapped);
}

/* With the lock held. Of those that live, as one that ends cannot be asked any more. */
static void note_living(struct heap_windows *w)
{
	uint64_t now = monotonic_ns();
	for (size_t i = 0; i < w->processes.count; i++) {
		struct window_process *p = w->processes.items[i];
		if (p->has_ended)
			continue;
		note_cpu(w, p);
		note_memory(p, now);
	}
}

void heap_windows_note_start(const struct heap_windows *w, struct window_process *p)
{
	uint64_t start = *(volatile uint64_t *)&w->counts[p->index].process_start;
	if (!p->is_closed && start) /* its entry may be another's after that */
		p->process_start = start;
}

static struct heap_phase_state state_of(const struct window_process *p)
{
	return (struct heap_phase_state){p->phase, p->cpu - p->cpu_begin, p->cost,
					 (double)(p->wall - p->wall_begin)};
}

static struct heap_phase_scale scale_of(const struct window_process *p)
{
	return heap_phase_scale(&p->phase, p->cpu - p->cpu_begin, p->cost, (double)(p->wall - p->wall_begin));
}

/* How much more the process went on than while survivors were watched for. */
static double survivor_factor(const struct window_process *p)
{
	return scale_of(p).with_frees_factor;
}

static void add_errors(struct window_errors *errors, const struct window_process *p)
{
	struct heap_phase_state now = state_of(p);
	struct heap_phase_scale scale = heap_phase_scale_between(&p->told, &now);
	errors->objects_low += p->factor * scale.objects_low;
	errors->objects_high += p->factor * scale.objects_high;
	errors->bytes_low += p->factor * scale.bytes_low;
	errors->bytes_high += p->factor * scale.bytes_high;
}

/* CPU time of a phase whose windows found the process asleep or waiting, all of them; with the lock held. What came where
 * probes stay is seen without windows. */
static double unmet_ns(const struct window_process *p)
{
	return p->phase.windows && !heap_phase_has_met(&p->phase) ? p->cpu - p->cpu_begin : 0;
}

static void end_phase(struct heap_windows *w, struct window_process *p)
{
	double factor = survivor_factor(p);
	w->statistics.unmet_ns += unmet_ns(p);
	for (size_t i = 0; i < p->places.count; i++) {
		p->places.items[i].final_bytes += factor * p->places.items[i].bytes;
		p->places.items[i].bytes = 0;
	}
	heap_windows_forget_seen(p);
	add_errors(&w->final_errors, p);
	p->phase = (struct heap_phase){0};
	p->told = (struct heap_phase_state){0};
	p->cpu_begin = p->cpu;
	p->wall_begin = p->wall;
	p->cost = 0;
}

/* What it held when it ended stays held, as of programs whose probes stay. */
static void keep_final(struct heap_windows *w, const struct window_process *p, struct heap_ended *ended)
{
	struct heap_totals totals = {0};
	for (size_t i = 0; i < p->places.count; i++) {
		const struct window_place *place = &p->places.items[i];
		if (!place->outlived && !place->watched)
			continue;
		struct heap_total total = {.key = place->site, .outliving = heap_windows_conclude(place, 0, 0)};
		w->statistics.survivors_lost += array_add(&totals.list, total) < 0;
	}
	heap_windows_judge(p, &totals);
	for (size_t i = 0; i < totals.list.count; i++)
		heap_ended_add(ended, &totals.list.items[i]);
	array_free(&totals.list);
}

static void forget_process(struct heap_windows *w, size_t at, struct heap_ended *ended)
{
	struct window_process *p = w->processes.items[at];
	end_phase(w, p);
	keep_final(w, p, ended);
	memmove(w->processes.items + at, w->processes.items + at + 1,
		(w->processes.count - at - 1) * sizeof(p));
	w->processes.count--;
	heap_windows_free_process(w, p);
}

/* Then it is not selected any more, and what it frees from now on is not seen. */
static bool is_running(const struct window_process *p)
{
	return !process_has_ended(p->pid);
}

/* Those that have ended and were never looked at through a window have nothing that is to be scaled. */
static void forget_unscaled(struct heap_windows *w, struct heap_ended *ended)
{
	for (size_t i = w->processes.count; i-- > 0;) {
		const struct window_process *p = w->processes.items[i];
		if (p->is_closed && !p->must_fold && !p->phase.windows && !is_running(p))
			forget_process(w, i, ended);
	}
}

/* Of the processes one whose totals are to be made final; their count: none. */
static size_t next_to_fold(const struct heap_windows *w, bool also_ended)
{
	size_t i = 0;
	while (i < w->processes.count && !w->processes.items[i]->must_fold &&
	       !(also_ended && w->processes.items[i]->is_closed))
		i++;
	return i;
}

/* All that is known of it has been made final. */
static void end_phase_at(struct heap_windows *w, size_t at, struct heap_ended *ended)
{
	struct window_process *p = w->processes.items[at];
	if (p->is_closed) {
		forget_process(w, at, ended);
		return;
	}
	end_phase(w, p);
	heap_windows_thin_places(p, ended);
	p->due_ns = monotonic_ns();
	p->must_fold = false;
}

/* What is known of it. Its numbers stay as they are, as the thread leaves it alone meanwhile: of another one that has its
 * pid by now nothing is taken. */
static void make_final(struct heap_windows *w, struct window_process *p, struct heap_table *table)
{
	struct heap_totals totals = {0};
	if (p->is_closed)
		heap_windows_end_following(w, p);
	if (p->process_start)
		heap_table_fold(table, p->pid, p->process_start, &totals);
	heap_windows_note_watched(w, p, &totals);
	array_free(&totals.list);
}

void heap_windows_update(struct heap_windows *w, struct heap_table *table)
{
	pthread_mutex_lock(&w->lock);
	note_living(w);
	forget_unscaled(w, &table->ended);
	/* Making final looks through the whole table: of those that have ended, one at a time. Only this thread
	 * changes the list. */
	size_t at = next_to_fold(w, true);
	while (at < w->processes.count) {
		struct window_process *p = w->processes.items[at];
		heap_windows_note_start(w, p);
		pthread_mutex_unlock(&w->lock);
		make_final(w, p, table);
		pthread_mutex_lock(&w->lock);
		end_phase_at(w, at, &table->ended);
		pthread_cond_signal(&w->changed);
		at = next_to_fold(w, false);
	}
	pthread_mutex_unlock(&w->lock);
}

/* Where it is selected for the second time, the first one's windows are still what its places come from. */
static struct window_process *find_scaled(struct heap_windows *w, const struct heap_site_key *site)
{
	for (size_t i = 0; i < w->processes.count; i++) {
		struct window_process *p = w->processes.items[i];
		heap_windows_note_start(w, p);
		if (p->pid == site->pid && p->process_start == site->process_start && p->phase.windows)
			return p;
	}
	return NULL;
}

/* Thousands of places ask for the same. */
static const struct heap_phase_scale *scale_of_places(struct window_process *p)
{
	struct known_scale *known = &p->known_scale;
	if (known->windows != p->phase.windows || known->wall_begin != p->wall_begin || known->wall != p->wall)
		*known = (struct known_scale){.scale = scale_of(p), .windows = p->phase.windows,
					      .wall_begin = p->wall_begin, .wall = p->wall};
	return &known->scale;
}

void heap_windows_scale(void *windows, struct heap_total *total)
{
	struct heap_windows *w = windows;
	pthread_mutex_lock(&w->lock);
	struct window_process *p = find_scaled(w, &total->key);
	if (p && !total->is_final) {
		heap_windows_add_seen(p, scale_of_places(p), total);
		heap_lifetimes_scale(&total->freed, &total->watched, total->objects, total->bytes);
	}
	pthread_mutex_unlock(&w->lock);
}

/* heap_site_mix() -> index + 1 */
static int index_places(const struct heap_totals *totals, struct hash *ret)
{
	int r = 0;
	for (size_t i = 0; i < totals->list.count && r == 0; i++)
		r = hash_put(ret, heap_site_mix(&totals->list.items[i].key), i + 1);
	return r;
}

static void add_outliving(const struct hash *places, struct heap_totals *totals, const struct window_process *p)
{
	double factor = survivor_factor(p);
	for (size_t i = 0; i < p->places.count; i++) {
		const struct window_place *place = &p->places.items[i];
		const uint64_t *at = hash_get(places, heap_site_mix(&place->site));
		struct heap_total *total = at ? &totals->list.items[*at - 1] : NULL;
		if (total)
			total->outliving = heap_windows_conclude(place, total->outliving.watched, factor);
	}
}

static double bytes_of(const struct heap_totals *totals, const struct window_process *p)
{
	double sum = 0;
	for (size_t i = 0; i < totals->list.count; i++)
		if (totals->list.items[i].key.pid == p->pid && totals->list.items[i].key.process_start == p->process_start)
			sum += totals->list.items[i].bytes;
	return sum;
}

/* Of all bytes, the process that is seen worst. */
static void judge_shares(const struct heap_windows *w, struct heap_totals *totals)
{
	double all = 0;
	for (size_t i = 0; i < totals->list.count; i++)
		all += totals->list.items[i].bytes;
	for (size_t i = 0; i < w->processes.count; i++) {
		const struct window_process *p = w->processes.items[i];
		if (p->factor != 1)
			all += (p->factor - 1) * bytes_of(totals, p);
	}
	for (size_t i = 0; i < w->processes.count; i++) {
		const struct window_process *p = w->processes.items[i];
		double bytes = p->shares.windows ? p->factor * bytes_of(totals, p) : 0;
		double error = bytes > 0 ? heap_windows_share_error(p) * bytes / all : 0;
		if (error <= totals->share_error)
			continue;
		totals->share_error = error;
		totals->share_seconds = (double)p->shares.opened * (double)p->period_ns / NS_PER_SECOND;
	}
}

int heap_windows_estimate(struct heap_windows *w, struct heap_totals *totals)
{
	struct hash places = {0};
	struct window_errors errors;
	int r = index_places(totals, &places);
	pthread_mutex_lock(&w->lock);
	totals->windows = w->statistics.windows;
	errors = w->final_errors;
	for (size_t i = 0; i < w->processes.count && r == 0; i++) {
		const struct window_process *p = w->processes.items[i];
		add_outliving(&places, totals, p);
		heap_windows_judge(p, totals);
		add_errors(&errors, p);
	}
	judge_shares(w, totals);
	pthread_mutex_unlock(&w->lock);
	totals->objects_low = errors.objects_low;
	totals->objects_high = errors.objects_high;
	totals->bytes_low = errors.bytes_low;
	totals->bytes_high = errors.bytes_high;
	hash_free(&places);
	return r;
}

static void begin_profile(struct window_process *p)
{
	p->told = state_of(p);
	heap_windows_begin_shares(p);
}

void heap_windows_next_profile(struct heap_windows *w)
{
	pthread_mutex_lock(&w->lock);
	w->final_errors = (struct window_errors){0};
	for (size_t i = 0; i < w->processes.count; i++)
		begin_profile(w->processes.items[i]);
	pthread_mutex_unlock(&w->lock);
}

static uint64_t cpu_of_thread(pthread_t thread)
{
	struct timespec cpu = {0};
	clockid_t clock;
	if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &cpu) < 0)
		return 0;
	return (uint64_t)cpu.tv_sec * NS_PER_SECOND + (uint64_t)cpu.tv_nsec;
}

void heap_windows_get_statistics(struct heap_windows *w, struct heap_windows_statistics *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->statistics;
	ret->period_ns = w->pace.period_ns;
	if (w->running)
		ret->own_ns = cpu_of_thread(w->thread) + __atomic_load_n(&w->helpers_ns, __ATOMIC_RELAXED);
	for (size_t i = 0; i < w->processes.count; i++) {
		const struct window_process *p = w->processes.items[i];
		ret->unmet_ns += unmet_ns(p);
		if (p->has_ended)
			continue;
		if (p->stays)
			ret->processes_always++;
		else
			ret->processes_in_windows++;
	}
	pthread_mutex_unlock(&w->lock);
}

void heap_windows_statistics_subtract(struct heap_windows_statistics *s, const struct heap_windows_statistics *earlier)
{
	s->windows -= earlier->windows;
	s->late -= earlier->late;
	s->unopened -= earlier->unopened;
	s->survivors_lost -= earlier->survivors_lost;
	s->unplaced -= earlier->unplaced;
	s->ticks_lost -= earlier->ticks_lost;
	s->missed -= earlier->missed;
	s->promoted -= earlier->promoted;
	s->demoted -= earlier->demoted;
	s->cost_ns -= earlier->cost_ns;
	s->cpu_ns -= earlier->cpu_ns;
	s->unmet_ns = fmax(s->unmet_ns - earlier->unmet_ns, 0); /* less by now, where a later window met one */
	s->own_ns -= earlier->own_ns;
}

void heap_windows_statistics_add(struct heap_windows_statistics *s, const struct heap_windows_statistics *earlier)
{
	s->windows += earlier->windows;
	s->late += earlier->late;
	s->unopened += earlier->unopened;
	s->survivors_lost += earlier->survivors_lost;
	s->unplaced += earlier->unplaced;
	s->ticks_lost += earlier->ticks_lost;
	s->missed += earlier->missed;
	s->promoted += earlier->promoted;
	s->demoted += earlier->demoted;
	s->cost_ns += earlier->cost_ns;
	s->cpu_ns += earlier->cpu_ns;
	s->unmet_ns += earlier->unmet_ns;
	s->own_ns += earlier->own_ns;
}
