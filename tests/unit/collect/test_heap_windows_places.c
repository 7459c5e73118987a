/* SPDX-License-Identifier: Apache-2.0 */
/* A process through whose windows more and more places are met: those that nothing is left to say of are given up, and
 * what is known of the others is still theirs. */
#include "collect/heap_windows_state.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST 64

static struct heap_site_key site_of(uint64_t stack_id)
{
	return (struct heap_site_key){.stack_id = stack_id, .process_start = 7, .pid = 300};
}

static struct window_place *place_of(struct window_process *p, uint64_t stack_id)
{
	struct heap_site_key site = site_of(stack_id);
	ssize_t at = heap_windows_place_of(p, &site);
	return at < 0 ? NULL : &p->places.items[at];
}

static void free_process(struct window_process *p)
{
	array_free(&p->places);
	array_free(&p->cohorts);
	hash_free(&p->place_of_site);
}

/* Every fourth has something that outlived its window; samples were watched at all. */
static void fill(struct window_process *p)
{
	for (size_t i = 0; i < MOST; i++) {
		struct window_place *place = place_of(p, i);
		assert_non_null(place);
		place->watched = i + 1;
		if (i % 4)
			continue;
		place->outlived = 2;
		assert_int_equal(array_add(&p->cohorts, (struct cohort){.window = i, .place = i, .outlived = 2}), 0);
	}
}

static void test_thinned(void **state)
{
	struct window_process p = {.most_places = MOST};
	struct heap_ended ended = {.limit = MOST};
	struct heap_site_key more = site_of(MOST);
	assert_false(heap_windows_are_many_places(&p));
	fill(&p);
	assert_true(heap_windows_are_many_places(&p));
	assert_int_equal(heap_windows_place_of(&p, &more), -ENOMEM);
	heap_windows_thin_places(&p, &ended);
	assert_int_equal(p.places.count, MOST / 4);
	assert_false(heap_windows_are_many_places(&p));
	for (size_t i = 0; i < p.cohorts.count; i++) {
		const struct window_place *place = &p.places.items[p.cohorts.items[i].place];
		assert_int_equal(place->site.stack_id, p.cohorts.items[i].window);
		assert_int_equal(place->watched, place->site.stack_id + 1);
		assert_ptr_equal(place, place_of(&p, place->site.stack_id));
	}
	assert_int_equal(ended.list.count, MOST - MOST / 4);
	for (size_t i = 0; i < ended.list.count; i++)
		assert_int_equal(ended.list.items[i].outliving.watched, ended.list.items[i].key.stack_id + 1);
	assert_true(heap_windows_place_of(&p, &more) >= 0);
	heap_ended_free(&ended);
	free_process(&p);
}

/* What is known worst of the shares is still told. */
static void test_share_error(void **state)
{
	struct window_process p = {.most_places = MOST};
	struct heap_ended ended = {.limit = MOST};
	for (unsigned window = 0; window < 10; window++) {
		heap_share_sums_add(&p.shares, 1000);
		heap_share_add(&place_of(&p, 1)->share, window % 2 ? 800 : 200, 1000);
		heap_share_add(&place_of(&p, 2)->share, window % 2 ? 0 : 600, 1000);
		heap_share_add(&place_of(&p, 3)->share, 200, 1000);
	}
	double before = heap_windows_share_error(&p);
	assert_true(before > 0.1);
	heap_windows_thin_places(&p, &ended);
	assert_int_equal(p.places.count, 2);
	assert_float_equal(heap_windows_share_error(&p), before, 0);
	assert_int_equal(ended.list.count, 0); /* nothing was watched */
	heap_ended_free(&ended);
	free_process(&p);
}

static void test_shared(void **state)
{
	struct heap_windows w = {0};
	struct window_process p = {0};
	heap_windows_share_places(&w, &p);
	assert_int_equal(p.most_places, HEAP_MOST_PLACES);
	w.processes.count = 16;
	heap_windows_share_places(&w, &p);
	assert_int_equal(p.most_places, 4096);
	w.processes.count = 1000;
	heap_windows_share_places(&w, &p);
	assert_int_equal(p.most_places, 1024);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_thinned),
		cmocka_unit_test(test_share_error),
		cmocka_unit_test(test_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
