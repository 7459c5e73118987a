/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives windows, and what of it the process may still hold.
 *
 * A sample that was not freed in its window stays in the kernel's table of objects alive. Each later window may show
 * that it is dead: its address is freed, or given out again. What turns over is found out in time; what leaks never is.
 * The share of the older half that is left is taken for all. A window sees little, and an address that a leak has got
 * meanwhile is never seen again: as a rule it is too much. It is held against the memory that the process has.
 *
 * What is held at least comes from what that memory has grown by since the first samples were followed. Places of
 * which the larger share is left explain both first; for the growth each with the lower end of its interval. Where that
 * is but a small part of what they have left, most of that is dead: then there is none. A process that has not grown
 * leaks nothing for certain.
 */
#include "collect/heap_windows_state.h"

#include "base/hash.h"
#include "base/interval.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MOST_FOLLOWED 1024 /* samples of a process; past it the oldest count as held for good */
#define LEAST_GROWTH 0.5 /* of what is left */
#define LATER_FREES 500 /* seen later, before that something is left says that it is alive */

/* ---- Memory ---------------------------------------------------------------------------------- */

/* With the lock held. */
void heap_windows_note_memory(struct window_process *p, uint64_t bytes)
{
	struct memory_readings *m = &p->readings;
	p->memory = bytes;
	if (!p->phase.windows && !m->count)
		return;
	if (m->skipped++ % (m->every + 1))
		return;
	if (m->count == ARRAY_LENGTH(m->bytes)) { /* from now on half as often */
		for (size_t i = 0; i < m->count / 2; i++)
			m->bytes[i] = m->bytes[2 * i];
		m->count /= 2;
		m->every = 2 * m->every + 1;
	}
	m->bytes[m->count++] = bytes;
}

/* At least: memory that comes and goes is no growth. */
static double growth_of(const struct memory_readings *m)
{
	size_t some = m->count / 8 + 1;
	uint64_t before = 0, after = UINT64_MAX;
	if (m->count < 4)
		return 0;
	for (size_t i = 0; i < some; i++) {
		before = MAX_OF(before, m->bytes[i]);
		after = MIN_OF(after, m->bytes[m->count - 1 - i]);
	}
	return after > before ? (double)(after - before) : 0;
}

/* ---- Windows --------------------------------------------------------------------------------- */

struct followed {
	struct heap_block_key key;
	struct heap_block block;
};

struct survey {
	uint32_t pid;
	ARRAY(struct followed) found;
};

static int on_block(void *userdata, const struct heap_block_key *key, const struct heap_block *block)
{
	struct survey *survey = userdata;
	struct followed found = {.block = *block};
	memcpy(&found.key, key, sizeof(found.key));
	return block->site.pid == survey->pid && block->window ? array_add(&survey->found, found) : 0;
}

static uint64_t window_of(const struct followed *f)
{
	return f->block.window & ~HEAP_OUTLIVED;
}

static int by_window(const void *a, const void *b)
{
	uint64_t first = window_of(a), second = window_of(b);
	return first < second ? -1 : first > second;
}

/* All that is in the table of the process, the oldest first. */
static int look(const struct heap_windows *w, const struct window_process *p, struct survey *ret)
{
	*ret = (struct survey){.pid = p->pid};
	int r = heap_table_each_block(w->options.programs, on_block, ret);
	if (r < 0)
		log_debug("heap: survivors of windows of process %u are not known: %s", p->pid, strerror(-r));
	if (ret->found.count)
		qsort(ret->found.items, ret->found.count, sizeof(*ret->found.items), by_window);
	return r;
}

static int add_to_cohort(struct window_process *p, uint64_t window, size_t place, uint64_t frees)
{
	for (size_t i = p->cohorts.count; i-- > 0 && p->cohorts.items[i].window == window;) {
		struct cohort *cohort = &p->cohorts.items[i];
		if (cohort->place != place)
			continue;
		cohort->outlived++;
		return 0;
	}
	return array_add(&p->cohorts, (struct cohort){window, place, 1, frees});
}

/* Seen up to now. */
static uint64_t frees_of(const struct heap_windows *w, const struct window_process *p)
{
	return *(volatile uint64_t *)&w->counts[p->index].frees;
}

/* Its window is over. With the lock held. */
static int begin_to_follow(struct heap_windows *w, struct window_process *p, struct followed *f)
{
	double weight = 4294967296.0 / (double)heap_chance(f->block.size, f->block.interval);
	ssize_t place = heap_windows_place_of(p, &f->block.site);
	int r = place < 0 ? (int)place : add_to_cohort(p, f->block.window, (size_t)place, frees_of(w, p));
	if (r < 0)
		return r;
	p->places.items[place].bytes += (double)f->block.size * weight * p->window_weight;
	p->places.items[place].outlived++;
	f->block.window |= HEAP_OUTLIVED;
	return heap_table_change_block(w->options.programs, &f->key, &f->block);
}

/* Gives up the oldest windows, so that not more than so many samples are followed. With the lock held. */
static void forget_oldest(struct heap_windows *w, struct window_process *p, struct survey *survey)
{
	size_t most = MIN_OF((size_t)MOST_FOLLOWED, heap_table_room(w->options.programs) / 256 + 1), gone = 0, kept = 0;
	size_t count = survey->found.count;
	uint64_t first = count > most ? window_of(&survey->found.items[count - most - 1]) + 1 : 0;
	for (; gone < count && window_of(&survey->found.items[gone]) < first; gone++)
		heap_table_remove_block(w->options.programs, &survey->found.items[gone].key);
	for (size_t i = 0; i < p->cohorts.count; i++)
		if (p->cohorts.items[i].window >= first)
			p->cohorts.items[kept++] = p->cohorts.items[i];
	p->cohorts.count = kept;
	survey->found.count -= gone;
	if (gone)
		memmove(survey->found.items, survey->found.items + gone,
			survey->found.count * sizeof(*survey->found.items));
}

/* Up to which window half of what is followed was taken, and it had the time to be found dead; 0: none. */
static uint64_t older_until(const struct window_process *p, uint64_t frees)
{
	uint64_t all = 0, sum = 0, until = 0;
	for (size_t i = 0; i < p->cohorts.count; i++)
		all += p->cohorts.items[i].outlived;
	for (size_t i = 0; i < p->cohorts.count && 2 * sum < all; i++) {
		const struct cohort *cohort = &p->cohorts.items[i];
		if (frees < cohort->frees + LATER_FREES)
			break;
		until = cohort->window;
		sum += cohort->outlived;
	}
	return until;
}

/* With the lock held. */
static void count_alive(const struct heap_windows *w, struct window_process *p, const struct survey *survey)
{
	uint64_t until = older_until(p, frees_of(w, p));
	for (size_t i = 0; i < p->places.count; i++)
		p->places.items[i].older = p->places.items[i].alive = 0;
	for (size_t i = 0; i < p->cohorts.count; i++)
		if (p->cohorts.items[i].window <= until)
			p->places.items[p->cohorts.items[i].place].older += p->cohorts.items[i].outlived;
	for (size_t i = 0; i < survey->found.count && window_of(&survey->found.items[i]) <= until; i++) {
		ssize_t place = heap_windows_place_of(p, &survey->found.items[i].block.site);
		if (place >= 0)
			p->places.items[place].alive++;
	}
}

void heap_windows_mark_survivors(struct heap_windows *w, struct window_process *p)
{
	struct survey survey;
	uint64_t lost = look(w, p, &survey) < 0; /* one at least */
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < survey.found.count; i++) {
		struct followed *f = &survey.found.items[i];
		if (f->block.window & HEAP_OUTLIVED || begin_to_follow(w, p, f) == 0)
			continue;
		heap_table_remove_block(w->options.programs, &f->key); /* else it is lost once more after the next window */
		lost++;
	}
	forget_oldest(w, p, &survey);
	count_alive(w, p, &survey);
	w->statistics.survivors_lost += lost;
	pthread_mutex_unlock(&w->lock);
	array_free(&survey.found);
}

/* ---- A phase's end --------------------------------------------------------------------------- */

void heap_windows_end_following(struct heap_windows *w, struct window_process *p)
{
	struct survey survey;
	uint64_t lost = look(w, p, &survey) < 0; /* one at least */
	pthread_mutex_lock(&w->lock);
	count_alive(w, p, &survey);
	w->statistics.survivors_lost += lost;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < survey.found.count; i++)
		heap_table_remove_block(w->options.programs, &survey.found.items[i].key);
	array_free(&survey.found);
}

void heap_windows_note_watched(struct heap_windows *w, struct window_process *p, const struct heap_totals *totals)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < totals->list.count; i++) {
		const struct heap_total *total = &totals->list.items[i];
		uint64_t watched = total->outliving.watched;
		ssize_t place = watched ? heap_windows_place_of(p, &total->key) : 0;
		if (place < 0)
			w->statistics.survivors_lost += watched;
		else if (watched)
			p->places.items[place].watched += watched;
	}
	pthread_mutex_unlock(&w->lock);
}

/* ---- Estimates ------------------------------------------------------------------------------- */

struct heap_outliving heap_windows_conclude(const struct window_place *place, uint64_t watched, double factor)
{
	double bytes = place->final_bytes + factor * place->bytes;
	watched = MAX_OF(watched + place->watched, place->outlived);
	if (!place->older) /* none had the time to be seen to die */
		return (struct heap_outliving){.bytes = bytes, .watched = watched, .samples = place->outlived};
	/* Of the older ones as many were watched for one that outlived its window. */
	double later = (double)place->alive / (double)place->older;
	double among = (double)watched * (double)place->older / (double)place->outlived;
	return (struct heap_outliving){bytes * later, bytes * later, (uint64_t)llround(among), place->alive};
}

static bool is_of(const struct heap_total *total, const struct window_process *p)
{
	return total->key.pid == p->pid && total->key.process_start == p->process_start;
}

/* What is left of one place, by the share that is left. */
struct place_left {
	struct heap_outliving *outliving;
	double low;
};

static int larger_share_first(const void *a, const void *b)
{
	const struct place_left *first = a, *second = b;
	return first->low < second->low ? 1 : -(first->low > second->low);
}

/* A process cannot hold more than it has, nor have begun to hold more than it has grown by: both are the places' of which
 * the larger share is left first. `before`: what is left of those; `equal`: of this one and those of the same share. */
static void judge_place(struct heap_outliving *o, double low, double before, double equal, double room, double growth)
{
	double left = fmax(room - before, 0), explained = before + equal;
	double share = (double)o->samples / (double)o->watched;
	o->least *= growth < LEAST_GROWTH * explained ? 0 : fmin(growth / explained, 1) * low / share;
	o->bytes = fmax(equal > left ? o->bytes * left / equal : o->bytes, o->least);
}

struct places_left {
	ARRAY(struct place_left) list;
	double held; /* for certain, by all places of the process */
};

static void collect_places(const struct window_process *p, struct heap_totals *totals, struct places_left *ret)
{
	*ret = (struct places_left){0};
	for (size_t i = 0; i < totals->list.count; i++) {
		struct heap_total *total = &totals->list.items[i];
		struct heap_outliving *o = &total->outliving;
		if (!is_of(total, p))
			continue;
		ret->held += total->held_bytes;
		if (!o->samples)
			continue;
		struct place_left left = {o, share_at_least((double)o->samples, (double)o->watched)};
		if (array_add(&ret->list, left) < 0)
			o->least = 0; /* it is not judged */
	}
	if (ret->list.count)
		qsort(ret->list.items, ret->list.count, sizeof(*ret->list.items), larger_share_first);
}

void heap_windows_judge(const struct window_process *p, struct heap_totals *totals)
{
	struct places_left places;
	if (!p->places.count)
		return;
	collect_places(p, totals, &places);
	const struct place_left *list = places.list.items;
	double room = p->memory ? fmax((double)p->memory - places.held, 0) : INFINITY;
	double growth = fmax(growth_of(&p->readings) - places.held, 0), before = 0, equal;
	for (size_t i = 0, end; i < places.list.count; i = end, before += equal) {
		equal = 0;
		for (end = i; end < places.list.count && list[end].low == list[i].low; end++)
			equal += list[end].outliving->bytes;
		for (size_t k = i; k < end; k++)
			judge_place(list[k].outliving, list[k].low, before, equal, room, growth);
	}
	totals->survived_bytes += p->factor * before;
	array_free(&places.list);
}
