/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of `top` worked out by hand, and a walk through them with the keys a person presses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "command/top_browser.h"
#include "command/top_text.h"
#include "tests/unit/profile/stacks.h"

#include <errno.h>

#define MS 1000000LL

/* ---- Profiles -------------------------------------------------------------------------------------- */

static void add_label(struct profile *profile, const char *key, const char *text, int64_t number)
{
	bool failed = false;
	struct profile_label label = {.key = profile_string(profile, key, &failed),
				      .text = profile_string(profile, text, &failed),
				      .number = number};
	assert_false(failed);
	assert_int_equal(array_add(&profile->labels, label), 0);
}

/* Labels the sample as the recording does. */
static void label_sample(struct profile *profile, size_t sample, const char *process, int64_t pid,
			 const char *thread, int64_t tid, const char *container)
{
	size_t first = profile->labels.count;
	add_label(profile, "process.pid", "", pid);
	add_label(profile, "process.executable.name", process, 0);
	add_label(profile, "thread.id", "", tid);
	add_label(profile, "thread.name", thread, 0);
	if (container)
		add_label(profile, "container.id", container, 0);
	profile->samples.items[sample].first_label = (uint32_t)first;
	profile->samples.items[sample].label_count = (uint32_t)(profile->labels.count - first);
}

static void make_kernel(struct profile *profile, const char *name)
{
	for (size_t i = 0; i < profile->functions.count; i++)
		if (strcmp(profile_text(profile, profile->functions.items[i].name), name) == 0)
			profile->locations.items[i].type = FRAME_TYPE_KERNEL;
}

static void add_comment(struct profile *profile, const char *comment)
{
	bool failed = false;
	assert_int_equal(array_add(&profile->comments, profile_string(profile, comment, &failed)), 0);
	assert_false(failed);
}

/* Two processes; the second has two threads and runs in a container. 100 ms in one second. */
static struct profile *two_processes(void)
{
	struct profile *profile = TEST_PROFILE({"main;serve;parse", 40 * MS}, {"main;serve;read", 20 * MS},
					       {"main;parse", 10 * MS}, {"start;Serve;read", 30 * MS});
	label_sample(profile, 0, "web", 10, "worker-1", 11, "c0ffee");
	label_sample(profile, 1, "web", 10, "worker-2", 12, "c0ffee");
	label_sample(profile, 2, "web", 10, "worker-1", 11, "c0ffee");
	label_sample(profile, 3, "files", 20, "files", 20, NULL);
	make_kernel(profile, "read");
	profile->duration_ns = 1000 * MS;
	return profile;
}

/* ---- Tables ---------------------------------------------------------------------------------------- */

/* "name self total; …" in ms. */
static void expect_table(const struct profile *profile, struct top_question question,
			 const char *expected)
{
	struct top_table table;
	struct text seen = {0};
	assert_int_equal(top_table_build(profile, &question, &table), 0);
	for (size_t i = 0; i < table.rows.count; i++)
		text_add(&seen, "%s%s %lld %lld", i ? "; " : "", table.rows.items[i].name,
			 (long long)(table.rows.items[i].self / MS),
			 (long long)(table.rows.items[i].total / MS));
	assert_string_equal(seen.bytes ? seen.bytes : "", expected);
	text_free(&seen);
	top_table_free(&table);
}

static void functions(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	expect_table(profile, (struct top_question){.order = TOP_BY_SELF},
		     "parse 50 50; read 50 50; main 0 70; serve 0 60; Serve 0 30; start 0 30");
	expect_table(profile, (struct top_question){.order = TOP_BY_TOTAL},
		     "main 0 70; serve 0 60; parse 50 50; read 50 50; Serve 0 30; start 0 30");
	expect_table(profile, (struct top_question){.order = TOP_BY_NAME},
		     "Serve 0 30; main 0 70; parse 50 50; read 50 50; serve 0 60; start 0 30");
	expect_table(profile, (struct top_question){.filter = "SERVE"}, "serve 0 60; Serve 0 30");
	expect_table(profile, (struct top_question){.filter = "nothing"}, "");
}

static void who_ran(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	expect_table(profile, (struct top_question){.view = TOP_PROCESSES, .order = TOP_BY_TOTAL},
		     "web 50 70; files 0 30");
	expect_table(profile, (struct top_question){.view = TOP_THREADS, .order = TOP_BY_TOTAL},
		     "worker-1 50 50; files 0 30; worker-2 0 20");
	expect_table(profile, (struct top_question){.view = TOP_THREADS, .filter = "web"},
		     "worker-1 50 50; worker-2 0 20");
	expect_table(profile, (struct top_question){.view = TOP_PROCESSES, .filter = "20"},
		     "files 0 30");
	expect_table(profile, (struct top_question){.view = TOP_CONTAINERS},
		     "c0ffee 50 70; (host) 0 30");
}

static void hottest_function(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	struct top_table table;
	struct top_question question = {.view = TOP_PROCESSES};
	assert_int_equal(top_table_build(profile, &question, &table), 0);
	assert_string_equal(table.rows.items[0].hottest, "parse");
	assert_string_equal(table.rows.items[1].hottest, "read");
	top_table_free(&table);
}

static void scopes(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	expect_table(profile, (struct top_question){.scope = {TOP_PROCESSES, 20}},
		     "read 30 30; Serve 0 30; start 0 30");
	expect_table(profile, (struct top_question){.scope = {TOP_THREADS, 12}},
		     "read 20 20; main 0 20; serve 0 20");
	expect_table(profile,
		     (struct top_question){.view = TOP_THREADS,
					   .scope = {TOP_CONTAINERS, top_container_key("c0ffee")}},
		     "worker-1 50 50; worker-2 0 20");
	expect_table(profile, (struct top_question){.view = TOP_PROCESSES, .scope = {TOP_CONTAINERS, 0}},
		     "files 0 30");
}

static void neighbours(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	struct top_question question = {.function = "serve"};
	expect_table(profile, question, "main 60 60; serve 0 60; parse 40 40; read 20 20");
	question.filter = "read";
	expect_table(profile, question, "serve 0 60; read 20 20");
	struct top_table table;
	question.function_type = FRAME_TYPE_KERNEL;
	assert_int_equal(top_table_build(profile, &question, &table), -ENOENT);
	assert_int_equal(table.rows.count, 0);
	top_table_free(&table);
}

static void stacks_and_frames(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	struct top_question question = {.view = TOP_STACKS};
	expect_table(profile, question,
		     "parse <- serve <- main 40 40; read <- Serve <- start 30 30; "
		     "read <- serve <- main 20 20; parse <- main 10 10");
	question.filter = "start";
	expect_table(profile, question, "read <- Serve <- start 30 30");
	struct top_table table;
	assert_int_equal(top_table_build(profile, &question, &table), 0);
	question.stack = table.rows.items[0].id;
	top_table_free(&table);
	question.filter = NULL;
	expect_table(profile, question, "read 30 30; Serve 0 30; start 0 30");
	/* The same stack has the same key in another profile. */
	_cleanup_profile_ struct profile *other = TEST_PROFILE({"a;b", MS}, {"start;Serve;read", 2 * MS});
	make_kernel(other, "read");
	expect_table(other, question, "read 2 2; Serve 0 2; start 0 2");
	question.stack++;
	assert_int_equal(top_table_build(profile, &question, &table), -ENOENT);
	top_table_free(&table);
}

static void names_cannot_steer_a_terminal(void **state)
{
	_cleanup_profile_ struct profile *profile = TEST_PROFILE({"ma\033[2Jin\xff", MS});
	label_sample(profile, 0, "p\a", 1, "t\n", 1, "c\x9b");
	expect_table(profile, (struct top_question){0}, "ma?[2Jin\xef\xbf\xbd 1 1");
	expect_table(profile, (struct top_question){.view = TOP_PROCESSES}, "p? 1 1");
	expect_table(profile, (struct top_question){.view = TOP_THREADS}, "t? 1 1");
	expect_table(profile, (struct top_question){.view = TOP_CONTAINERS}, "c\xef\xbf\xbd 1 1");
}

static void without_labels_and_values(void **state)
{
	_cleanup_profile_ struct profile *profile = TEST_PROFILE({"main", MS});
	_cleanup_profile_ struct profile *empty = TEST_PROFILE();
	expect_table(profile, (struct top_question){.view = TOP_PROCESSES}, "(unknown) 1 1");
	for (enum top_view view = 0; view < TOP_VIEW_MAX; view++)
		expect_table(empty, (struct top_question){.view = view}, "");
	struct top_table table;
	struct top_question question = {0};
	empty->sample_types.count = 0;
	assert_int_equal(top_table_build(empty, &question, &table), -EINVAL);
	top_table_free(&table);
}

/* ---- Facts ----------------------------------------------------------------------------------------- */

static void costs_are_in_the_comments(void **state)
{
	_cleanup_profile_ struct profile *profile = two_processes();
	struct top_facts facts;
	static const char *const comments[] = {
		"samples=100",	      "lost_ring_full=3", "lost_scratch=2",  "dropped_samples=1",
		"missed=7",	      "own_cpu_ns=5000",  "bpf_ns=500",	     "memory_bytes=4096",
		"end.complete=90",    "end.exiting=2",	  "end.no mapping=8", "unknown=1",
		"samples=not a number", "no equals sign",
	};
	top_facts_read(profile, &facts);
	assert_false(facts.has_costs); /* somebody else's profile */
	assert_int_equal(facts.cpu_ns, 100 * MS);
	assert_int_equal(facts.processes, 2);
	for (size_t i = 0; i < ARRAY_LENGTH(comments); i++)
		add_comment(profile, comments[i]);
	top_facts_read(profile, &facts);
	assert_true(facts.has_costs);
	assert_int_equal(facts.of_interval.samples, 100);
	assert_int_equal(facts.of_interval.lost, 6);
	assert_int_equal(facts.of_interval.missed, 7);
	assert_int_equal(facts.of_interval.stacks, 100);
	assert_int_equal(facts.of_interval.truncated, 8);
	assert_int_equal(facts.of_interval.own_cpu_ns, 5000);
	assert_int_equal(facts.memory_bytes, 4096);
}

/* ---- Keys ------------------------------------------------------------------------------------------ */

static void press(struct top_browser *browser, const char *keys)
{
	for (; *keys; keys++) {
		uint32_t key = (unsigned char)*keys;
		key = key == '\r' ? TOP_KEY_ENTER : key == '\033' ? TOP_KEY_ESCAPE
		    : key == '\b' ? TOP_KEY_BACKSPACE : key == '\t' ? TOP_KEY_NEXT_VIEW : key;
		assert_int_equal(top_browser_key(browser, key), TOP_GO_ON);
	}
}

static const char *selected(struct top_browser *browser)
{
	size_t cursor = top_browser_page(browser)->cursor;
	return cursor < browser->table.rows.count ? browser->table.rows.items[cursor].name : "";
}

static void start(struct top_browser *browser)
{
	struct top_question question = {.view = TOP_FUNCTIONS};
	assert_int_equal(top_browser_init(browser, &question, 2000 * MS), 0);
	top_browser_resize(browser, 3);
	top_browser_show(browser, two_processes());
}

static void walks_along_calls(void **state)
{
	struct top_browser browser;
	start(&browser);
	assert_string_equal(selected(&browser), "parse");
	press(&browser, "\r"); /* main, serve, > parse */
	assert_string_equal(selected(&browser), "parse");
	assert_int_equal(browser.table.rows.count, 3);
	press(&browser, "\r"); /* the function itself leads nowhere */
	assert_int_equal(browser.depth, 1);
	press(&browser, "k\r"); /* its caller with the least */
	assert_string_equal(selected(&browser), "main");
	assert_int_equal(browser.depth, 2);
	press(&browser, "\033\033");
	assert_int_equal(browser.depth, 0);
	assert_int_equal(browser.table.rows.count, 6);
	top_browser_free(&browser);
}

static void views_inside_a_process(void **state)
{
	struct top_browser browser;
	start(&browser);
	press(&browser, "2j");
	assert_string_equal(selected(&browser), "files");
	press(&browser, "\r");
	assert_int_equal(browser.table.rows.count, 3); /* functions of files only */
	press(&browser, "3");
	assert_int_equal(browser.table.rows.count, 1);
	assert_string_equal(selected(&browser), "files");
	press(&browser, "\t\t"); /* containers, stacks */
	assert_string_equal(selected(&browser), "read <- Serve <- start");
	press(&browser, "\r");
	assert_int_equal(browser.table.rows.count, 3);
	press(&browser, "\033\033");
	assert_int_equal(browser.table.rows.count, 2); /* processes again */
	top_browser_free(&browser);
}

static void filter_and_freeze(void **state)
{
	struct top_browser browser;
	start(&browser);
	press(&browser, "/servx\b");
	assert_true(browser.edits_filter);
	assert_int_equal(browser.table.rows.count, 2);
	press(&browser, "\r");
	assert_false(browser.edits_filter);
	press(&browser, " ");
	assert_true(browser.is_frozen);
	top_browser_show(&browser, TEST_PROFILE({"other", MS}));
	assert_int_equal(browser.table.rows.count, 2);
	press(&browser, "\033"); /* the frozen picture can still be walked through */
	assert_int_equal(browser.table.rows.count, 6);
	press(&browser, " ");
	top_browser_show(&browser, TEST_PROFILE({"other", MS}));
	assert_string_equal(selected(&browser), "other");
	assert_int_equal(top_browser_key(&browser, 'q'), TOP_QUIT);
	top_browser_free(&browser);
}

static void cursor_stays_on_its_row(void **state)
{
	struct top_browser browser;
	start(&browser);
	press(&browser, "j");
	assert_string_equal(selected(&browser), "read");
	struct profile *next = TEST_PROFILE({"x", 9 * MS}, {"y", 8 * MS}, {"z", 7 * MS}, {"read", MS});
	make_kernel(next, "read");
	top_browser_show(&browser, next);
	assert_string_equal(selected(&browser), "read");
	assert_int_equal(top_browser_page(&browser)->first, 1); /* and in sight */
	press(&browser, "g");
	assert_string_equal(selected(&browser), "x");
	press(&browser, "GG");
	assert_string_equal(selected(&browser), "read");
	top_browser_show(&browser, TEST_PROFILE({"x", MS}));
	assert_string_equal(selected(&browser), "x");
	top_browser_show(&browser, TEST_PROFILE());
	press(&browser, "\rjk\r");
	assert_string_equal(selected(&browser), "");
	top_browser_free(&browser);
}

static void subject_that_does_not_run(void **state)
{
	struct top_browser browser;
	start(&browser);
	press(&browser, "\r");
	top_browser_show(&browser, TEST_PROFILE({"other", MS}));
	assert_int_equal(browser.error, -ENOENT);
	assert_int_equal(browser.table.rows.count, 0);
	top_browser_show(&browser, two_processes());
	assert_int_equal(browser.error, 0);
	assert_int_equal(browser.table.rows.count, 3);
	top_browser_free(&browser);
}

static void interval_keys(void **state)
{
	struct top_browser browser;
	start(&browser);
	assert_int_equal(top_browser_key(&browser, '+'), TOP_SET_DELAY);
	assert_int_equal(browser.delay_ns, 5000 * MS);
	for (int i = 0; i < 20; i++)
		top_browser_key(&browser, '-');
	assert_int_equal(browser.delay_ns, 100 * MS);
	for (int i = 0; i < 20; i++)
		top_browser_key(&browser, '+');
	assert_int_equal(browser.delay_ns, 60000 * MS);
	top_browser_free(&browser);
}

static void pages_have_an_end(void **state)
{
	struct top_browser browser;
	start(&browser);
	press(&browser, "\r");
	for (int i = 0; i < 3 * TOP_PAGES; i++)
		press(&browser, "g\rG\r");
	assert_int_equal(browser.depth, TOP_PAGES - 1);
	press(&browser, "1");
	assert_int_equal(browser.depth, 0);
	top_browser_free(&browser);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions),
		cmocka_unit_test(who_ran),
		cmocka_unit_test(hottest_function),
		cmocka_unit_test(scopes),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(stacks_and_frames),
		cmocka_unit_test(names_cannot_steer_a_terminal),
		cmocka_unit_test(without_labels_and_values),
		cmocka_unit_test(costs_are_in_the_comments),
		cmocka_unit_test(walks_along_calls),
		cmocka_unit_test(views_inside_a_process),
		cmocka_unit_test(filter_and_freeze),
		cmocka_unit_test(cursor_stays_on_its_row),
		cmocka_unit_test(subject_that_does_not_run),
		cmocka_unit_test(interval_keys),
		cmocka_unit_test(pages_have_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
