/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock guards what both threads touch: the list, and of each process what is below "guarded". All else of a
 * process is the thread's alone. Only the thread removes a process from the list or its probes.
 */
#include "collect/heap_windows.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/heap_phase.h"
#include "collect/heap_prices.h"
#include "collect/task_clock.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define PERIOD_NS NS_PER_SECOND
#define WINDOW_NS NS_PER_MS
#define SHORTEST_WINDOW_NS (100 * 1000ULL)
#define LONGEST_WINDOW_NS (200 * NS_PER_MS)
#define SURVIVOR_WINDOW_NS (5 * NS_PER_MS) /* and as long again to see what is freed */
#define SURVIVOR_WINDOWS 10		    /* one of so many, first the fifth */
#define SLICE_NS NS_PER_MS
#define FEW_HITS 50	/* in a window: the next one may be longer */
#define JUDGED_ARMED_NS (50 * NS_PER_MS) /* of windows, before all calls are taken to be few */
#define LOOK_NS (50 * NS_PER_MS)   /* at probes that stay */
#define JUDGE_LOOKS 10
#define BURST_NS (5 * NS_PER_MS) /* of cost since the last judgement: judged at once */
#define WINDOW_SAMPLES 50 /* aimed at */
#define NEGLIGIBLE_NS (20 * 1000ULL) /* of cost between two judgements */
#define PROCESSES 4096

struct window_file {
	int file;
	struct heap_points points;
	struct heap_attached attached;
};

struct survivor {
	struct heap_site_key site;
	double bytes, byte_variance;
};

struct window_process {
	uint32_t pid, index;
	bool stays; /* its probes do */
	bool is_stepped;
	ARRAY(struct window_file) files;
	uint64_t due_ns, window_ns, number, armed_ns;
	struct heap_process judged; /* counts at the last judgement */
	uint64_t judged_cpu;
	unsigned looks; /* since then */
	double recent_cost, recent_cpu; /* in windows since the last change, all hits as in one that looks at frees */

	/* guarded */
	ARRAY(struct window_file) added;
	bool has_ended, must_fold, was_windowed;
	struct heap_phase phase;
	double cpu_begin, cpu, cost; /* since the phase began */
	uint64_t wall_begin, wall; /* CLOCK_MONOTONIC ns; when the CPU time was last read */
	ARRAY(struct survivor) survivors; /* since the phase began */
	ARRAY(struct survivor) final;	  /* scaled */
};

struct heap_windows {
	struct heap_windows_options options;
	struct heap_prices prices;
	struct heap_process *counts; /* mapped */
	size_t counts_size;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool running, stop;
	uint64_t random;
	ARRAY(struct window_process *) processes;
	struct heap_windows_statistics statistics;
};

/* ---- Reading --------------------------------------------------------------------------------- */

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

static void detach(struct window_process *p)
{
	for (size_t i = 0; i < p->files.count; i++)
		heap_points_detach(&p->files.items[i].attached);
}

static int attach(const struct heap_windows *w, struct window_process *p, bool frees)
{
	int r = 0;
	for (size_t i = 0; i < p->files.count && r == 0; i++) {
		struct window_file *f = &p->files.items[i];
		if (f->attached.calls >= 0)
			continue;
		r = heap_points_attach(w->options.programs, f->file, p->pid, &f->points, frees, &f->attached);
	}
	if (r < 0)
		detach(p);
	return r;
}

static void sleep_until(uint64_t ns)
{
	struct timespec until = {.tv_sec = (time_t)(ns / NS_PER_SECOND), .tv_nsec = (long)(ns % NS_PER_SECOND)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* For so long; a window that is longer than usual since hits were few ends when they are not. (That it ends by what
 * is seen in it would bias a rate; the sums of many windows it does not, as each is weighed by its progress.) */
static void keep_open(struct heap_windows *w, const struct window_process *p, uint64_t length,
		      const struct heap_process *begin)
{
	uint64_t end = monotonic_ns() + length, now;
	double most = length > SURVIVOR_WINDOW_NS ? WINDOW_NS : 2.0 * SURVIVOR_WINDOW_NS;
	while ((now = monotonic_ns()) < end) {
		struct heap_process counts = read_counts(w, p);
		if (length > WINDOW_NS && cost_between(w, p, begin, &counts) > most)
			return;
		sleep_until(MIN_OF(end, now + SLICE_NS));
	}
}

/* ---- Survivors ------------------------------------------------------------------------------- */

struct survey {
	const struct window_process *process;
	ARRAY(struct survivor) found;
	ARRAY(struct heap_block_key) keys;
};

static int on_block(void *userdata, const struct heap_block_key *key, const struct heap_block *block)
{
	struct survey *survey = userdata;
	struct heap_block_key k;
	memcpy(&k, key, sizeof(k));
	if (block->site.pid != survey->process->pid || !block->window)
		return 0;
	if (array_add(&survey->keys, k) < 0)
		return -ENOMEM;
	double weight = 4294967296.0 / (double)heap_chance(block->size, block->interval);
	double size = (double)block->size;
	struct survivor found = {.site = block->site, .bytes = size * weight,
				 .byte_variance = size * size * weight * (weight - 1)};
	return block->window == survey->process->number ? array_add(&survey->found, found) : 0;
}

static void add_survivors(struct heap_windows *w, struct window_process *p)
{
	struct survey survey = {.process = p};
	int r = heap_table_each_block(w->options.programs, on_block, &survey);
	if (r < 0)
		log_debug("heap: survivors of a window of process %u are not known: %s", p->pid, strerror(-r));
	for (size_t i = 0; i < survey.keys.count; i++)
		heap_table_remove_block(w->options.programs, &survey.keys.items[i]);
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < survey.found.count; i++)
		if (array_add(&p->survivors, survey.found.items[i]) < 0)
			break;
	pthread_mutex_unlock(&w->lock);
	array_free(&survey.found);
	array_free(&survey.keys);
}

/* ---- Windows --------------------------------------------------------------------------------- */

struct opened {
	struct heap_process before, begin, end, after;
	double cpu;
	uint64_t armed_ns;
};

/* Returns 0 or -errno: not opened. */
static int open_window(struct heap_windows *w, struct window_process *p, bool survivors, uint64_t length,
		       struct opened *ret)
{
	struct task_clock clock;
	ret->before = read_counts(w, p);
	set_mode(w, p, HEAP_MODE_RESTING);
	task_clock_open(p->pid, &clock);
	int r = attach(w, p, survivors);
	if (r < 0) {
		task_clock_close(&clock);
		return r;
	}
	__atomic_store_n(&w->counts[p->index].window, ++p->number, __ATOMIC_SEQ_CST);
	ret->begin = read_counts(w, p);
	uint64_t cpu = task_clock_read(&clock), begin = monotonic_ns();
	set_mode(w, p, survivors ? HEAP_MODE_SURVIVORS : HEAP_MODE_ALLOCATIONS);
	keep_open(w, p, length, &ret->begin);
	set_mode(w, p, survivors ? HEAP_MODE_FREES : HEAP_MODE_RESTING);
	ret->end = read_counts(w, p);
	ret->armed_ns = monotonic_ns() - begin;
	ret->cpu = (double)(task_clock_read(&clock) - cpu);
	if (survivors)
		keep_open(w, p, length, &ret->end);
	set_mode(w, p, HEAP_MODE_RESTING);
	task_clock_close(&clock);
	detach(p);
	ret->after = read_counts(w, p);
	return 0;
}

/* The next window: shorter after one that was late, longer where hardly anything happens. */
static void plan_next(struct heap_windows *w, struct window_process *p, uint64_t length, const struct opened *o)
{
	uint64_t hits = o->end.calls - o->begin.calls, window = p->window_ns;
	bool was_late = o->armed_ns > length + MAX_OF(length / 2, WINDOW_NS / 2) && hits > FEW_HITS;
	if (was_late)
		window = MAX_OF(window / 2, SHORTEST_WINDOW_NS);
	else if (hits < FEW_HITS)
		window = MIN_OF(4 * window, LONGEST_WINDOW_NS);
	else if (window > WINDOW_NS)
		window = MAX_OF(window / 4, WINDOW_NS);
	else
		window = MIN_OF(window + window / 4, WINDOW_NS);
	p->window_ns = window;
	pthread_mutex_lock(&w->lock);
	w->statistics.late += was_late;
	pthread_mutex_unlock(&w->lock);
	uint64_t bytes = o->end.bytes - o->begin.bytes;
	w->counts[p->index].interval = MIN_OF(MAX_OF(bytes / WINDOW_SAMPLES, HEAP_EXACT_INTERVAL), HEAP_MAX_INTERVAL);
	/* One at a moment drawn at random in each period; as often at first as later, or what a program does at its
	 * start would weigh more. */
	uint64_t next = (monotonic_ns() / PERIOD_NS + 1) * PERIOD_NS;
	p->due_ns = next + draw(w) % (PERIOD_NS - MIN_OF(PERIOD_NS / 2, 2 * length));
}

/* What all calls and frees would cost, were they always probed, has been low for long enough. */
static bool is_affordable(const struct heap_windows *w, const struct window_process *p)
{
	return p->armed_ns >= JUDGED_ARMED_NS && p->recent_cost <= w->options.budget / 2 * p->recent_cpu;
}

static void note_window(struct heap_windows *w, struct window_process *p, bool survivors, const struct opened *o)
{
	double cost = cost_between(w, p, &o->begin, &o->end), all = cost_between(w, p, &o->before, &o->after);
	struct heap_window_reading reading = {.cpu = o->cpu, .cost = cost, .wall = (double)o->armed_ns,
					      .objects = (double)(o->end.allocations - o->begin.allocations),
					      .bytes = (double)(o->end.bytes - o->begin.bytes)};
	log_debug("heap: process %u, window %llu: open for %.3f ms, %.3f ms CPU, %.3f ms of them for probes, %.0f objects",
		  p->pid, (unsigned long long)p->number, (double)o->armed_ns / 1e6, o->cpu / 1e6, cost / 1e6,
		  reading.objects);
	double calls = (double)(o->end.calls - o->begin.calls);
	struct heap_hits frees = {.calls = survivors ? 0 : calls};
	p->armed_ns += o->armed_ns;
	/* Without samples' walks: always probed, they are rare. */
	p->recent_cost += cost - (double)(o->end.walk_ns - o->begin.walk_ns) +
			  heap_prices_cost(&w->prices, &frees, p->is_stepped);
	p->recent_cpu += fmax(o->cpu - cost, 0);
	pthread_mutex_lock(&w->lock);
	double before = p->phase.progress;
	heap_phase_add(&p->phase, &reading);
	if (survivors)
		p->phase.survivor_progress += p->phase.progress - before;
	p->was_windowed = true;
	p->cost += all;
	w->statistics.windows++;
	w->statistics.cost_ns += all;
	pthread_mutex_unlock(&w->lock);
}

/* With the lock held. */
static void note_cpu(struct heap_windows *w, struct window_process *p)
{
	double cpu = (double)process_clock_read(p->pid);
	if (cpu > p->cpu)
		w->statistics.cpu_ns += cpu - p->cpu;
	p->cpu = fmax(cpu, p->cpu);
	if (cpu > 0)
		p->wall = monotonic_ns();
}

/* What is known becomes final; then the other tier begins. */
static void change_tier(struct heap_windows *w, struct window_process *p)
{
	log_debug("heap: process %u: %s", p->pid, p->stays ? "windows from now on" : "all calls are affordable");
	detach(p);
	set_mode(w, p, HEAP_MODE_RESTING);
	p->armed_ns = 0;
	p->recent_cost = p->recent_cpu = 0;
	pthread_mutex_lock(&w->lock);
	p->must_fold = true;
	if (p->stays)
		w->statistics.demoted++;
	else
		w->statistics.promoted++;
	p->stays = !p->stays;
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

static void look_through_window(struct heap_windows *w, struct window_process *p)
{
	bool survivors = p->number % SURVIVOR_WINDOWS == SURVIVOR_WINDOWS / 2 - 1;
	uint64_t length = survivors ? MAX_OF(p->window_ns, SURVIVOR_WINDOW_NS) : p->window_ns;
	struct opened opened = {0};
	int r = open_window(w, p, survivors, length, &opened);
	if (r < 0) {
		note_unopened(w, p, r);
		return;
	}
	note_window(w, p, survivors, &opened);
	if (survivors)
		add_survivors(w, p);
	plan_next(w, p, length, &opened);
	if (is_affordable(w, p))
		change_tier(w, p);
}

static bool is_attached(const struct window_process *p)
{
	return p->files.count && p->files.items[0].attached.calls >= 0;
}

static void begin_to_stay(struct heap_windows *w, struct window_process *p)
{
	/* Calls that were on their way when a window closed are not taken for some that go on. */
	if (!is_attached(p))
		__atomic_store_n(&w->counts[p->index].window, ++p->number, __ATOMIC_SEQ_CST);
	w->counts[p->index].interval = 0;
	set_mode(w, p, HEAP_MODE_ALL);
	int r = attach(w, p, true);
	p->judged = read_counts(w, p);
	p->judged_cpu = process_clock_read(p->pid);
	p->looks = 0;
	p->due_ns = monotonic_ns() + LOOK_NS;
	if (r < 0)
		note_unopened(w, p, r);
}

static void judge_staying(struct heap_windows *w, struct window_process *p)
{
	struct heap_process now = read_counts(w, p);
	double cost = cost_between(w, p, &p->judged, &now);
	p->due_ns = monotonic_ns() + LOOK_NS;
	if (++p->looks < JUDGE_LOOKS && cost < BURST_NS)
		return;
	uint64_t cpu = process_clock_read(p->pid);
	double used = (double)(cpu - p->judged_cpu);
	p->looks = 0;
	p->judged = now;
	p->judged_cpu = cpu;
	pthread_mutex_lock(&w->lock);
	p->cost += cost;
	w->statistics.cost_ns += cost;
	pthread_mutex_unlock(&w->lock);
	if (w->options.budget < 1 && cost > NEGLIGIBLE_NS && cost > w->options.budget * used)
		change_tier(w, p);
}

/* Returns whether files came. */
static bool take_added(struct heap_windows *w, struct window_process *p)
{
	bool any = p->added.count > 0;
	for (size_t i = 0; i < p->added.count; i++) {
		if (array_add(&p->files, p->added.items[i]) < 0)
			close_fd(p->added.items[i].file);
		else
			p->is_stepped |= p->added.items[i].points.is_stepped;
	}
	p->added.count = 0;
	return any;
}

static void work_on(struct heap_windows *w, struct window_process *p, bool files_came)
{
	if (!p->stays)
		look_through_window(w, p);
	else if (files_came || !is_attached(p))
		begin_to_stay(w, p);
	else
		judge_staying(w, p);
}

/* ---- Thread ---------------------------------------------------------------------------------- */

static void close_files(struct window_process *p)
{
	detach(p);
	for (size_t i = 0; i < p->files.count; i++)
		close_fd(p->files.items[i].file);
	array_free(&p->files);
}

static struct window_process *next_due(const struct heap_windows *w)
{
	struct window_process *next = NULL;
	for (size_t i = 0; i < w->processes.count; i++) {
		struct window_process *p = w->processes.items[i];
		if (p->must_fold || (p->has_ended && !p->files.count && !p->added.count))
			continue;
		if (p->has_ended || p->added.count)
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
		struct window_process *p = next_due(w);
		if (!p || (!p->has_ended && !p->added.count && p->due_ns > now)) {
			wait_until(w, MIN_OF(p ? p->due_ns : UINT64_MAX, now + PERIOD_NS));
			continue;
		}
		bool files_came = take_added(w, p), has_ended = p->has_ended;
		pthread_mutex_unlock(&w->lock);
		if (has_ended)
			close_files(p);
		else
			work_on(w, p, files_came);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->processes.count; i++)
		close_files(w->processes.items[i]);
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

void heap_windows_stop(struct heap_windows *w)
{
	if (!w || !w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	w->running = false;
}

static void free_process(struct window_process *p)
{
	for (size_t i = 0; i < p->added.count; i++)
		close_fd(p->added.items[i].file);
	close_files(p);
	array_free(&p->added);
	array_free(&p->survivors);
	array_free(&p->final);
	free(p);
}

struct heap_windows *heap_windows_free(struct heap_windows *w)
{
	if (!w)
		return NULL;
	heap_windows_stop(w);
	for (size_t i = 0; i < w->processes.count; i++)
		free_process(w->processes.items[i]);
	array_free(&w->processes);
	munmap(w->counts, w->counts_size);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

/* The latest with that number. */
static struct window_process *find_process(const struct heap_windows *w, uint32_t pid)
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
				     .stays = w->options.budget >= 1};
	p->cpu_begin = p->cpu = (double)process_clock_read(pid);
	p->wall_begin = p->wall = monotonic_ns();
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
	struct window_process *p = find_process(w, pid);
	if (!p || p->has_ended)
		p = add_process(w, pid, index);
	int r = p ? array_add(&p->added, added) : -ENOMEM;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (r < 0)
		close_fd(added.file);
	return r;
}

void heap_windows_remove(struct heap_windows *w, uint32_t pid)
{
	pthread_mutex_lock(&w->lock);
	struct window_process *p = find_process(w, pid);
	if (p)
		p->has_ended = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

/* ---- Estimates ------------------------------------------------------------------------------- */

static struct heap_phase_scale scale_of(const struct window_process *p)
{
	return heap_phase_scale(&p->phase, p->cpu - p->cpu_begin, p->cost, (double)(p->wall - p->wall_begin));
}

/* How much more the process went on than while survivors were watched for. */
static double survivor_factor(const struct window_process *p)
{
	struct heap_phase_scale scale = scale_of(p);
	return p->phase.survivor_progress > 0
		       ? scale.factor * p->phase.progress / p->phase.survivor_progress
		       : 0;
}

static void end_phase(struct window_process *p)
{
	double factor = survivor_factor(p);
	for (size_t i = 0; i < p->survivors.count; i++) {
		struct survivor scaled = p->survivors.items[i];
		scaled.bytes *= factor;
		scaled.byte_variance *= factor * factor;
		if (array_add(&p->final, scaled) < 0)
			break;
	}
	p->survivors.count = 0;
	p->phase = (struct heap_phase){0};
	p->cpu_begin = p->cpu;
	p->wall_begin = p->wall;
	p->cost = 0;
}

void heap_windows_update(struct heap_windows *w, struct heap_table *table)
{
	uint32_t folded = 0;
	do {
		folded = 0;
		pthread_mutex_lock(&w->lock);
		/* Also since one that ends cannot be asked any more. */
		for (size_t i = 0; i < w->processes.count; i++)
			if (!w->processes.items[i]->has_ended)
				note_cpu(w, w->processes.items[i]);
		for (size_t i = 0; i < w->processes.count && !folded; i++)
			if (w->processes.items[i]->must_fold)
				folded = w->processes.items[i]->pid;
		pthread_mutex_unlock(&w->lock);
		if (!folded)
			return;
		heap_table_fold(table, folded);
		pthread_mutex_lock(&w->lock);
		for (size_t i = 0; i < w->processes.count; i++) {
			struct window_process *p = w->processes.items[i];
			if (p->pid != folded || !p->must_fold)
				continue;
			end_phase(p);
			p->must_fold = false;
			p->due_ns = monotonic_ns();
		}
		pthread_cond_signal(&w->changed);
		pthread_mutex_unlock(&w->lock);
	} while (folded);
}

void heap_windows_scale(void *windows, struct heap_total *total)
{
	struct heap_windows *w = windows;
	pthread_mutex_lock(&w->lock);
	const struct window_process *p = find_process(w, total->key.pid);
	if (p && p->phase.windows && !total->is_final) {
		double factor = scale_of(p).factor;
		total->objects *= factor;
		total->bytes *= factor;
		total->object_variance *= factor * factor;
		total->byte_variance *= factor * factor;
	}
	pthread_mutex_unlock(&w->lock);
}

static uint64_t mix_key(const struct heap_site_key *key)
{
	return hash_mix(key->stack_id ^ hash_mix((uint64_t)key->pid << 32 | key->exec_id) ^ key->process_start);
}

static void add_estimate(const struct hash *index, struct heap_totals *totals, const struct survivor *s,
			 double factor)
{
	const uint64_t *at = hash_get(index, mix_key(&s->site));
	if (at)
		totals->list.items[*at - 1].estimated_bytes += s->bytes * factor;
}

static void add_errors(const struct window_process *p, struct heap_totals *totals)
{
	struct heap_phase_scale scale = scale_of(p);
	totals->objects_low += scale.objects_low;
	totals->objects_high += scale.objects_high;
	totals->bytes_low += scale.bytes_low;
	totals->bytes_high += scale.bytes_high;
}

int heap_windows_estimate(struct heap_windows *w, struct heap_totals *totals)
{
	struct hash index = {0};
	int r = 0;
	for (size_t i = 0; i < totals->list.count && r == 0; i++)
		r = hash_put(&index, mix_key(&totals->list.items[i].key), i + 1);
	pthread_mutex_lock(&w->lock);
	totals->windows = w->statistics.windows;
	for (size_t i = 0; i < w->processes.count && r == 0; i++) {
		const struct window_process *p = w->processes.items[i];
		for (size_t k = 0; k < p->final.count; k++)
			add_estimate(&index, totals, &p->final.items[k], 1);
		for (size_t k = 0; k < p->survivors.count; k++)
			add_estimate(&index, totals, &p->survivors.items[k], survivor_factor(p));
		add_errors(p, totals);
	}
	pthread_mutex_unlock(&w->lock);
	hash_free(&index);
	return r;
}

void heap_windows_get_statistics(struct heap_windows *w, struct heap_windows_statistics *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->statistics;
	for (size_t i = 0; i < w->processes.count; i++) {
		const struct window_process *p = w->processes.items[i];
		if (p->has_ended)
			continue;
		if (p->stays)
			ret->processes_always++;
		else
			ret->processes_in_windows++;
	}
	pthread_mutex_unlock(&w->lock);
}
