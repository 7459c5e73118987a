/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock guards what both threads touch: the list, and of each process what is below "guarded". All else of a
 * process is the thread's alone. Only the thread removes probes; a process leaves the list when the thread is done
 * with it.
 */
#include "collect/heap_windows_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "process/process_state.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define PROCESSES 4096
#define CLOSING_THREADS 16

/* ---- Thread ---------------------------------------------------------------------------------- */

/* Returns whether files came. */
static bool take_added(struct heap_windows *w, struct window_process *p)
{
	bool any = p->added.count > 0;
	for (size_t i = 0; i < p->added.count; i++) {
		if (array_add(&p->files, p->added.items[i]) < 0) {
			close_foreign(p->added.items[i].file);
			w->statistics.unopened++;
		} else {
			p->is_stepped |= p->added.items[i].points.is_stepped;
		}
	}
	p->added.count = 0;
	return any;
}

static void close_files(struct heap_windows *w, struct window_process *p)
{
	heap_windows_end_staying(w, p);
	heap_windows_detach(w, p);
	for (size_t i = 0; i < p->files.count; i++)
		close_foreign(p->files.items[i].file);
	array_free(&p->files);
}

/* Those of all processes. Each waits some 30 ms for the kernel, and many can wait at once: whoever stops profiling does
 * not want to wait for all of them. */
struct closing {
	struct heap_windows *windows;
	size_t next; /* atomic */
};

static void *close_some(void *argument)
{
	struct closing *closing = argument;
	struct heap_windows *w = closing->windows;
	size_t at;
	while ((at = __atomic_fetch_add(&closing->next, 1, __ATOMIC_RELAXED)) < w->processes.count)
		close_files(w, w->processes.items[at]);
	return NULL;
}

static void close_all(struct heap_windows *w)
{
	pthread_t helpers[CLOSING_THREADS];
	struct closing closing = {.windows = w};
	size_t started = 0, wanted = MIN_OF(w->processes.count, (size_t)CLOSING_THREADS);
	/* At one moment for all processes. */
	for (size_t i = 0; i < w->processes.count; i++)
		heap_windows_rest(w, w->processes.items[i]);
	while (started + 1 < wanted && pthread_create(&helpers[started], NULL, close_some, &closing) == 0)
		started++;
	close_some(&closing);
	for (size_t i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
}

static size_t processes_in_windows(const struct heap_windows *w)
{
	size_t count = 0;
	for (size_t i = 0; i < w->processes.count; i++)
		count += !w->processes.items[i]->stays && !w->processes.items[i]->has_ended;
	return count;
}

static void set_pace(struct heap_windows *w)
{
	heap_pace_period(&w->pace, processes_in_windows(w), w->are_rare ? RARE_PERIOD_NS : PERIOD_NS);
}

static bool is_urgent(const struct window_process *p)
{
	return p->has_ended || p->must_renew || p->added.count;
}

static struct window_process *next_due(const struct heap_windows *w)
{
	struct window_process *next = NULL;
	for (size_t i = 0; i < w->processes.count; i++) {
		struct window_process *p = w->processes.items[i];
		if (p->must_fold || p->is_closed)
			continue;
		if (is_urgent(p))
			return p;
		if (!next || p->due_ns < next->due_ns)
			next = p;
	}
	return next;
}

static void wait_until(struct heap_windows *w, uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)};
	pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

static void *run(void *argument)
{
	struct heap_windows *w = argument;
	struct sched_param first = {.sched_priority = 1};
	/* A window must end in time, also where others want the CPU; the thread itself runs for microseconds. */
	if (pthread_setschedparam(pthread_self(), SCHED_RR, &first) != 0)
		log_debug("heap: windows are closed at the usual priority");
	heap_prices_measure(w->options.programs, &w->prices);
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		uint64_t now = monotonic_ns();
		set_pace(w);
		struct window_process *p = next_due(w);
		if (!p || (!is_urgent(p) && p->due_ns > now)) {
			wait_until(w, MIN_OF(p ? p->due_ns : UINT64_MAX, now + PERIOD_NS));
			continue;
		}
		bool files_came = take_added(w, p), has_ended = p->has_ended, must_renew = p->must_renew;
		bool is_missed = has_ended && !p->was_attached;
		p->must_renew = false;
		pthread_mutex_unlock(&w->lock);
		is_missed = is_missed && process_has_ended(p->pid); /* else it is deselected */
		if (has_ended)
			close_files(w, p);
		else if (must_renew)
			heap_windows_reattach(w, p);
		if (!has_ended && (files_came || !must_renew))
			heap_windows_work_on(w, p, files_came);
		pthread_mutex_lock(&w->lock);
		heap_windows_note_start(w, p);
		w->statistics.missed += is_missed;
		p->is_closed = has_ended;
	}
	pthread_mutex_unlock(&w->lock);
	close_all(w);
	/* Whoever reads that has joined us. */
	w->statistics.own_ns = thread_cpu_ns() + __atomic_load_n(&w->helpers_ns, __ATOMIC_RELAXED);
	return NULL;
}

/* ---- The other thread's side ----------------------------------------------------------------- */

int heap_windows_new(const struct heap_windows_options *options, struct heap_windows **ret)
{
	struct bpf_map *map = options->programs->skeleton->maps.heap_processes;
	long page = sysconf(_SC_PAGESIZE);
	pthread_condattr_t attributes;
	struct heap_windows *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->options = *options;
	w->are_rare = options->are_rare;
	w->pace.allowed = options->allowed;
	set_pace(w);
	w->counts_size = (bpf_map__max_entries(map) * sizeof(struct heap_process) + (size_t)page - 1) &
			 ~((size_t)page - 1);
	w->counts = mmap(NULL, w->counts_size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (w->counts == MAP_FAILED) {
		int r = -errno;
		free(w);
		return r;
	}
	if (getrandom(&w->random, sizeof(w->random), 0) < 0)
		w->random = monotonic_ns();
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	int r = -pthread_create(&w->thread, NULL, run, w);
	w->running = r == 0;
	if (r < 0) {
		heap_windows_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void heap_windows_set_rare(struct heap_windows *w, bool are_rare)
{
	pthread_mutex_lock(&w->lock);
	w->are_rare = are_rare;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void heap_windows_allow(struct heap_windows *w, double allowed)
{
	pthread_mutex_lock(&w->lock);
	w->pace.allowed = allowed;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

void heap_windows_stop(struct heap_windows *w)
{
	if (!w || !w->running)
		return;
	pthread_mutex_lock(&w->lock);
	__atomic_store_n(&w->stop, true, __ATOMIC_SEQ_CST); /* a window that is open ends */
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void heap_windows_free_process(struct heap_windows *w, struct window_process *p)
{
	for (size_t i = 0; i < p->added.count; i++)
		close_foreign(p->added.items[i].file);
	close_files(w, p);
	array_free(&p->added);
	array_free(&p->places);
	hash_free(&p->place_of_site);
	array_free(&p->cohorts);
	free(p);
}

struct heap_windows *heap_windows_free(struct heap_windows *w)
{
	if (!w)
		return NULL;
	heap_windows_stop(w);
	for (size_t i = 0; i < w->processes.count; i++)
		heap_windows_free_process(w, w->processes.items[i]);
	array_free(&w->processes);
	munmap(w->counts, w->counts_size);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

/* The latest with that number. */
struct window_process *heap_windows_find(const struct heap_windows *w, uint32_t pid)
{
	for (size_t i = w->processes.count; i-- > 0;)
		if (w->processes.items[i]->pid == pid)
			return w->processes.items[i];
	return NULL;
}

static struct window_process *add_process(struct heap_windows *w, uint32_t pid, uint32_t index)
{
	struct window_process *p = w->processes.count < PROCESSES ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	*p = (struct window_process){.pid = pid, .index = index, .window_ns = WINDOW_NS,
				     .stays = w->options.budget >= 1, .period_ns = w->pace.period_ns, .factor = 1,
				     .most_places = HEAP_MOST_PLACES};
	/* Its windows have other numbers than those of an earlier time: calls that were on their way when its probes
	 * were taken away are still known to the program, and would hide all that are made below them. */
	p->number = monotonic_ns() / 1000 * SURVIVOR_WINDOWS;
	p->turn_cpu = process_cpu_ns((pid_t)pid);
	p->cpu_begin = p->cpu = (double)p->turn_cpu;
	p->turn_ns = p->wall_begin = p->wall = monotonic_ns();
	p->due_ns = p->wall;
	heap_spending_begin(&p->spending, w->options.budget, p->turn_cpu, p->wall);
	/* Where there is a limit, many that come at once may not cost more than it at once. */
	if (!p->stays && isfinite(w->pace.allowed))
		p->due_ns = p->wall + hash_mix(p->wall ^ pid) % p->period_ns;
	/* At its first window little is known of it. */
	w->counts[index] = (struct heap_process){.interval = p->stays ? 0 : HEAP_LEAST_SIZE * WINDOW_SAMPLES,
						 .mode = HEAP_MODE_RESTING};
	if (array_add(&w->processes, p) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

int heap_windows_add(struct heap_windows *w, uint32_t pid, uint32_t index, int file,
		     const struct heap_points *points)
{
	struct window_file added = {.file = fcntl(file, F_DUPFD_CLOEXEC, 0), .points = *points,
				    .attached = HEAP_ATTACHED_NONE};
	if (added.file < 0)
		return -errno;
	pthread_mutex_lock(&w->lock);
	struct window_process *p = heap_windows_find(w, pid);
	if (!p || p->has_ended)
		p = add_process(w, pid, index);
	int r = p ? array_add(&p->added, added) : -ENOMEM;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (r < 0)
		close_foreign(added.file);
	return r;
}

void heap_windows_weigh(struct heap_windows *w, uint32_t pid, double factor)
{
	pthread_mutex_lock(&w->lock);
	struct window_process *p = heap_windows_find(w, pid);
	if (p)
		p->factor = factor;
	pthread_mutex_unlock(&w->lock);
}

void heap_windows_renew(struct heap_windows *w, uint32_t pid)
{
	pthread_mutex_lock(&w->lock);
	struct window_process *p = heap_windows_find(w, pid);
	if (p)
		p->must_renew = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

bool heap_windows_stays(struct heap_windows *w, uint32_t pid)
{
	pthread_mutex_lock(&w->lock);
	const struct window_process *p = heap_windows_find(w, pid);
	bool stays = p && p->stays;
	pthread_mutex_unlock(&w->lock);
	return stays;
}

void heap_windows_remove(struct heap_windows *w, uint32_t pid)
{
	pthread_mutex_lock(&w->lock);
	struct window_process *p = heap_windows_find(w, pid);
	if (p)
		p->has_ended = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}
