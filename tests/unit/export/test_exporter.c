/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exporter before a destination that refuses, hangs, lies, asks for pauses, or is gone for an hour.
 * Each case ends with the equation: taken + recovered = sent + waiting + dropped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/export/fake_sink.h"
#include "tests/unit/export/scratch.h"

#include <string.h>
#include <unistd.h>

#define HOUR_NS (3600 * NS_PER_SECOND)

struct world {
	char *directory;
	struct fake_clock time;
	struct exporter_clock clock;
	struct exporter_options options;
	struct fake_sink *sink;
	struct exporter *exporter;
	int freed;
	uint64_t attempts_ns[64]; /* when the sink was called */
	_Atomic uint32_t attempts;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	world->directory = scratch_make();
	world->time.now_ns = NS_PER_SECOND;
	world->clock = fake_clock_of(&world->time);
	world->options = (struct exporter_options){.name = "test",
						   .spool = {.directory = world->directory},
						   .clock = &world->clock};
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	exporter_free(world->exporter);
	fake_sink_release(world->sink);
	scratch_remove(world->directory);
	free(world);
	return 0;
}

static void start(struct world *world, fake_answer answer)
{
	world->sink = fake_sink_new(answer, world, &world->freed);
	assert_int_equal(exporter_new(&world->options, &world->sink->sink, &world->exporter), 0);
}

static void add(struct world *world, uint32_t number)
{
	struct payload payload = make_payload(number, 100);
	assert_int_equal(exporter_add(world->exporter, &payload), 0);
	free((char *)payload.bytes);
}

static struct exporter_statistics statistics_of(struct world *world)
{
	struct exporter_statistics statistics;
	exporter_statistics(world->exporter, &statistics);
	return statistics;
}

/* Waits until nothing waits any more; fails after ten seconds of real time. */
static void settle(struct world *world)
{
	for (int i = 0; i < 10000; i++) {
		struct exporter_statistics statistics = statistics_of(world);
		if (!statistics.spool.waiting.payloads)
			return;
		usleep(1000);
	}
	fail_msg("the queue does not empty");
}

/* Waits until the sink was asked once; fails after ten seconds of real time. */
static void wait_for_attempt(struct world *world)
{
	for (int i = 0; i < 10000 && !world->attempts; i++)
		usleep(1000);
	assert_true(world->attempts);
}

/* Stops, so that nothing moves, and checks the equation. */
static struct exporter_statistics stop(struct world *world)
{
	exporter_stop(world->exporter);
	struct exporter_statistics statistics = statistics_of(world);
	check_balance(&statistics.spool);
	return statistics;
}

static void expect_in_order(struct world *world, uint32_t count)
{
	assert_int_equal(world->sink->count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(world->sink->received[i], i + 1);
}

static void note_attempt(struct world *world)
{
	if (world->attempts < ARRAY_LENGTH(world->attempts_ns))
		world->attempts_ns[world->attempts] = world->time.now_ns;
	world->attempts++;
}

static void test_all_arrive_in_order(void **state)
{
	struct world *world = *state;
	start(world, NULL);
	for (uint32_t i = 1; i <= 200; i++)
		add(world, i);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	expect_in_order(world, 200);
	assert_int_equal(statistics.spool.sent.samples, 20100);
	assert_int_equal(statistics.sends, 200);
	assert_int_equal(statistics.bytes_sent, 20000);
	assert_int_equal(statistics.retries, 0);
}

static void answer_with_many_codes(struct fake_sink *fake, const struct payload *payload,
				   struct sink_result *result)
{
	struct world *world = fake->userdata;
	snprintf(result->code, sizeof(result->code), "%u", 200 + world->attempts / 2);
	world->attempts++;
}

/* Each code is counted, and a backend that makes up codes finds an end. */
static void test_codes_are_counted(void **state)
{
	struct world *world = *state;
	start(world, answer_with_many_codes);
	for (uint32_t i = 1; i <= 40; i++)
		add(world, i);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	uint64_t sends = 0;
	assert_int_equal(statistics.answer_count, EXPORTER_MAX_ANSWERS);
	assert_string_equal(statistics.answers[0].code, "200");
	assert_int_equal(statistics.answers[0].sends, 2);
	assert_string_equal(statistics.answers[EXPORTER_MAX_ANSWERS - 1].code, "other");
	for (size_t i = 0; i < statistics.answer_count; i++)
		sends += statistics.answers[i].sends;
	assert_int_equal(sends, 40);
}

static void gone_for_an_hour(struct fake_sink *fake, const struct payload *payload,
			     struct sink_result *result)
{
	struct world *world = fake->userdata;
	if (world->time.now_ns < HOUR_NS) {
		note_attempt(world);
		result->outcome = SINK_RETRY;
		snprintf(result->message, sizeof(result->message), "connection refused");
	}
}

static void test_an_hour_of_outage(void **state)
{
	struct world *world = *state;
	start(world, gone_for_an_hour);
	for (uint32_t i = 1; i <= 360; i++)
		add(world, i);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	expect_in_order(world, 360);
	assert_int_equal(statistics.spool.sent.payloads, 360);
	assert_int_equal(statistics.retries, world->attempts);
	assert_int_equal(statistics.failures_in_a_row, 0);
	assert_int_equal(statistics.spool.maybe_repeated, 0);
	/* Pauses of 15 to 45 s, but for the first few. */
	assert_in_range(world->attempts, 3600 / 45, 3600 / 15 + 10);
	assert_string_equal(statistics.last_message, "connection refused");
}

static void ask_for_pauses(struct fake_sink *fake, const struct payload *payload,
			   struct sink_result *result)
{
	struct world *world = fake->userdata;
	note_attempt(world);
	if (world->attempts > 2)
		return;
	result->outcome = SINK_RETRY;
	result->retry_after_ns = world->attempts == 1 ? 120 * NS_PER_SECOND : UINT64_MAX;
}

static void test_pauses_asked_for(void **state)
{
	struct world *world = *state;
	start(world, ask_for_pauses);
	add(world, 1);
	settle(world);
	stop(world);
	assert_in_range(world->attempts_ns[1] - world->attempts_ns[0], 120 * NS_PER_SECOND,
			121 * NS_PER_SECOND);
	/* A lie is not believed for ever. */
	assert_in_range(world->attempts_ns[2] - world->attempts_ns[1], HOUR_NS,
			HOUR_NS + NS_PER_SECOND);
}

static void lose_answers(struct fake_sink *fake, const struct payload *payload,
			 struct sink_result *result)
{
	struct world *world = fake->userdata;
	check_payload(payload);
	note_attempt(world);
	if (world->attempts % 3 == 1) {
		result->outcome = SINK_RETRY;
		result->maybe_received = true;
	}
}

static void test_lost_answers(void **state)
{
	struct world *world = *state;
	start(world, lose_answers);
	for (uint32_t i = 1; i <= 100; i++)
		add(world, i);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	/* What came twice is what was counted. */
	assert_true(world->sink->count > 100);
	assert_int_equal(statistics.spool.maybe_repeated, world->sink->count - 100);
	assert_int_equal(statistics.spool.sent.payloads, 100);
}

static void refuse_some(struct fake_sink *fake, const struct payload *payload,
			struct sink_result *result)
{
	if (payload->samples % 2 == 0)
		result->outcome = SINK_REJECTED;
	else if (payload->samples % 5 == 0)
		result->rejected_profiles = 3;
}

static void test_refusals(void **state)
{
	struct world *world = *state;
	start(world, refuse_some);
	for (uint32_t i = 1; i <= 100; i++)
		add(world, i);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.dropped[DROP_REJECTED].payloads, 50);
	assert_int_equal(statistics.spool.dropped[DROP_REJECTED].samples, 2550);
	assert_int_equal(statistics.refusals_in_a_row, 1); /* the last one */
	assert_int_equal(statistics.spool.sent.payloads, 50);
	assert_int_equal(statistics.partial_successes, 10);
	assert_int_equal(statistics.rejected_profiles, 30);
}

static void take_at_most_9(struct fake_sink *fake, const struct payload *payload,
			   struct sink_result *result)
{
	check_payload(payload);
	if (payload->samples > 9)
		result->outcome = SINK_TOO_LARGE;
}

static uint64_t named_limit;

static void take_at_most_40000_bytes(struct fake_sink *fake, const struct payload *payload,
				     struct sink_result *result)
{
	if (payload->size > 40000) {
		result->outcome = SINK_TOO_LARGE;
		result->size_limit = named_limit;
	}
}

static int halve(const struct payload *payload, struct payload halves[2])
{
	uint32_t first = (uint32_t)payload->samples / 2;
	if (first == 0)
		return -E2BIG;
	halves[0] = make_payload(first, 50);
	halves[1] = make_payload((uint32_t)payload->samples - first, 50);
	return 0;
}

static void test_too_large(void **state)
{
	struct world *world = *state;
	world->options.split = halve;
	start(world, take_at_most_9);
	add(world, 100);
	add(world, 7);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(world->sink->samples, 107);
	assert_int_equal(statistics.spool.sent.samples, 107);
	assert_int_equal(statistics.spool.splits, world->sink->count - 2);
	/* The halves kept the place of the whole. */
	assert_int_equal(world->sink->received[world->sink->count - 1], 7);
}

static uint64_t learned_from(struct world *world, uint64_t named)
{
	char *bytes = calloc(1, 100000);
	struct payload payload = {PAYLOAD_OTLP, bytes, 100000, 1, 0, 0};
	assert_non_null(bytes);
	named_limit = named;
	assert_int_equal(exporter_add(world->exporter, &payload), 0);
	free(bytes);
	settle(world);
	return exporter_size_limit(world->exporter);
}

static void test_size_limit_is_learned(void **state)
{
	struct world *world = *state;
	start(world, take_at_most_40000_bytes);
	assert_int_equal(exporter_size_limit(world->exporter), 0);
	assert_int_equal(learned_from(world, 0), 50000);
	assert_int_equal(learned_from(world, 40000), 40000);
	assert_int_equal(learned_from(world, 90000), 40000);
	assert_int_equal(learned_from(world, 1), 16384);
	exporter_lose(world->exporter, 11, DROP_MEMORY);
	struct exporter_statistics statistics;
	exporter_statistics(world->exporter, &statistics);
	assert_int_equal(statistics.spool.taken.samples, 4 + 11);
	assert_int_equal(statistics.spool.dropped[DROP_MEMORY].samples, 11);
	exporter_set_sink(world->exporter, &fake_sink_new(NULL, world, NULL)->sink);
	while (exporter_size_limit(world->exporter))
		usleep(1000);
}

static int halve_bytes(const struct payload *payload, struct payload halves[2])
{
	for (int i = 0; i < 2; i++) {
		halves[i] = *payload;
		halves[i].size = payload->size / 2;
		halves[i].samples = payload->samples / 2;
		halves[i].bytes = calloc(1, halves[i].size);
		assert_non_null(halves[i].bytes);
	}
	return 0;
}

static void refuse_and_count(struct fake_sink *fake, const struct payload *payload,
			     struct sink_result *result)
{
	take_at_most_40000_bytes(fake, payload, result);
	if (result->outcome == SINK_TOO_LARGE)
		note_attempt(fake->userdata);
}

/* What is as large as what was refused is split without asking: of 100,000 and of 50,000 bytes once each. */
static void test_what_was_refused_is_not_sent_again(void **state)
{
	struct world *world = *state;
	char *bytes = calloc(1, 100000);
	struct payload payload = {PAYLOAD_OTLP, bytes, 100000, 8, 0, 0};
	assert_non_null(bytes);
	named_limit = 0;
	world->options.split = halve_bytes;
	start(world, refuse_and_count);
	for (int i = 0; i < 3; i++)
		assert_int_equal(exporter_add(world->exporter, &payload), 0);
	free(bytes);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(world->attempts, 2);
	assert_int_equal(statistics.sends, 2 + 12);
	assert_int_equal(statistics.spool.splits, 9);
	assert_int_equal(statistics.spool.sent.samples, 24);
}

static void test_too_large_for_ever(void **state)
{
	struct world *world = *state;
	start(world, take_at_most_9);
	add(world, 100);
	add(world, 7);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.dropped[DROP_TOO_LARGE].samples, 100);
	assert_int_equal(statistics.spool.sent.samples, 7);
}

static void lie(struct fake_sink *fake, const struct payload *payload, struct sink_result *result)
{
	struct world *world = fake->userdata;
	note_attempt(world);
	if (world->attempts > 5)
		return;
	result->outcome = (enum sink_outcome)99;
	memset(result->message, 'x', sizeof(result->message));
}

static void test_nonsense_from_a_sink(void **state)
{
	struct world *world = *state;
	start(world, lie);
	add(world, 1);
	settle(world);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.retries, 5);
	assert_int_equal(strlen(statistics.last_message), 255);
	assert_int_equal(statistics.spool.sent.payloads, 1);
}

static void hang(struct fake_sink *fake, const struct payload *payload, struct sink_result *result)
{
	struct world *world = fake->userdata;
	world->attempts++;
	fake_sink_hang(fake);
	result->outcome = SINK_RETRY;
}

/* A backend that hangs costs the caller nothing, and nothing is lost: the next run sends it all. */
static void test_hanging_backend(void **state)
{
	struct world *world = *state;
	world->options.clock = NULL;
	start(world, hang);
	add(world, 1);
	wait_for_attempt(world);
	for (uint32_t i = 2; i <= 500; i++)
		add(world, i);
	exporter_flush_start(world->exporter, 50 * NS_PER_MS);
	assert_int_equal(exporter_flush_wait(world->exporter), -ETIMEDOUT);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.waiting.payloads, 500);
	assert_int_equal(statistics.spool.in_memory.payloads, 0);
	exporter_free(world->exporter);
	fake_sink_release(world->sink);
	start(world, NULL);
	settle(world);
	statistics = stop(world);
	expect_in_order(world, 500);
	assert_int_equal(statistics.spool.recovered.payloads, 500);
}

static void test_new_sink_while_the_old_hangs(void **state)
{
	struct world *world = *state;
	world->options.clock = NULL;
	start(world, hang);
	add(world, 1);
	wait_for_attempt(world);
	struct fake_sink *old = world->sink;
	world->sink = fake_sink_new(NULL, world, &world->freed);
	exporter_set_sink(world->exporter, &world->sink->sink);
	for (uint32_t i = 2; i <= 50; i++)
		add(world, i);
	settle(world);
	stop(world);
	expect_in_order(world, 50);
	assert_int_equal(world->freed, 1);
	fake_sink_release(old);
}

static void refuse(struct fake_sink *fake, const struct payload *payload, struct sink_result *result)
{
	note_attempt(fake->userdata);
	result->outcome = SINK_RETRY;
}

/* Nobody waits five seconds at the end for a backend that is down. */
static void test_flush_of_a_dead_backend(void **state)
{
	struct world *world = *state;
	world->options.clock = NULL;
	start(world, refuse);
	add(world, 1);
	wait_for_attempt(world);
	exporter_flush_start(world->exporter, NS_PER_SECOND);
	assert_int_equal(exporter_flush_wait(world->exporter), -EAGAIN);
	/* One more attempt, unless the first one's answer came only after the flush began. */
	assert_in_range(world->attempts, 1, 2);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.waiting.payloads, 1);
}

static void test_flush_sends_all(void **state)
{
	struct world *world = *state;
	world->options.clock = NULL;
	start(world, NULL);
	for (uint32_t i = 1; i <= 100; i++)
		add(world, i);
	exporter_flush_start(world->exporter, 10 * NS_PER_SECOND);
	assert_int_equal(exporter_flush_wait(world->exporter), 0);
	expect_in_order(world, 100);
	stop(world);
}

static void test_end_without_a_disk(void **state)
{
	struct world *world = *state;
	world->options.spool.directory = NULL;
	start(world, hang);
	for (uint32_t i = 1; i <= 10; i++)
		add(world, i);
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.dropped[DROP_SHUTDOWN].samples, 55);
	assert_int_equal(statistics.spool.waiting.payloads, 0);
}

static void test_handover_is_bounded(void **state)
{
	struct world *world = *state;
	world->options.max_handoff_bytes = 99;
	start(world, NULL);
	add(world, 3); /* 100 bytes */
	struct exporter_statistics statistics = stop(world);
	assert_int_equal(statistics.spool.dropped[DROP_DISK].samples, 3);
	assert_int_equal(statistics.spool.taken.samples, 3);
}

static void test_two_exporters_one_directory(void **state)
{
	struct world *world = *state;
	struct exporter *second = NULL;
	start(world, NULL);
	struct fake_sink *other = fake_sink_new(NULL, world, &world->freed);
	assert_int_equal(exporter_new(&world->options, &other->sink, &second), -EBUSY);
	assert_int_equal(world->freed, 0);
	fake_sink_release(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_arrive_in_order),
		TEST(test_codes_are_counted),
		TEST(test_an_hour_of_outage),
		TEST(test_pauses_asked_for),
		TEST(test_lost_answers),
		TEST(test_refusals),
		TEST(test_too_large),
		TEST(test_size_limit_is_learned),
		TEST(test_what_was_refused_is_not_sent_again),
		TEST(test_too_large_for_ever),
		TEST(test_nonsense_from_a_sink),
		TEST(test_hanging_backend),
		TEST(test_new_sink_while_the_old_hangs),
		TEST(test_flush_of_a_dead_backend),
		TEST(test_flush_sends_all),
		TEST(test_end_without_a_disk),
		TEST(test_handover_is_bounded),
		TEST(test_two_exporters_one_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
