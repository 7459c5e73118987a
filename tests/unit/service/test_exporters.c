/* SPDX-License-Identifier: Apache-2.0 */
/* Exporters through a reload whose queue somebody else has: nothing goes uncounted, and it is tried again. */
#include "service/exporters.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SPOOL "queue.otlp"

static uint32_t string(struct profile *p, const char *text)
{
	bool failed = false;
	uint32_t index = profile_string(p, text, &failed);
	assert_false(failed);
	return index;
}

/* One stack without frames, seen three times. */
static struct profile *make_profile(void)
{
	struct profile *p;
	assert_int_equal(profile_new(&p), 0);
	array_add(&p->sample_types,
		  (struct profile_value_type){string(p, "samples"), string(p, "count")});
	array_add(&p->sample_types,
		  (struct profile_value_type){string(p, "cpu"), string(p, "nanoseconds")});
	p->period_type = p->sample_types.items[1];
	array_add(&p->samples, (struct profile_sample){0});
	array_add(&p->values, 3);
	array_add(&p->values, 30);
	return p;
}

/* Of one exporter whose backend nobody is. */
static struct configuration configuration_of(char *directory, uint64_t spool_bytes)
{
	static struct exporter_configuration items[2];
	struct exporter_configuration *item = &items[spool_bytes & 1];
	*item = (struct exporter_configuration){
		.name = (char *)"queue",
		.type = EXPORTER_OTLP_HTTP,
		.sink = {.protocol = SINK_OTLP_HTTP, .endpoint = (char *)"http://127.0.0.1:1",
			 .proxy = (char *)""},
		.spool_bytes = spool_bytes,
	};
	struct configuration configuration = {.spool_directory = directory};
	configuration.exporters.items = item;
	configuration.exporters.count = 1;
	return configuration;
}

static struct exporter_state state_of(struct exporters *exporters)
{
	struct exporter_state state;
	exporters_get(exporters, 0, &state);
	return state;
}

static void expect_lost(struct exporters *exporters, bool is_running, uint64_t taken, uint64_t lost)
{
	struct exporter_state state = state_of(exporters);
	assert_int_equal(state.is_running, is_running);
	assert_int_equal(state.statistics.spool.taken.samples, taken);
	assert_int_equal(state.statistics.spool.dropped[DROP_NO_QUEUE].samples, lost);
}

/* Until the writer's thread has nothing in its hands: it would make anew what is taken away. */
static void wait_for_writer(struct exporters *exporters)
{
	while (state_of(exporters).statistics.handoff.payloads)
		usleep(1000);
}

/* Puts another directory, which is locked, in the place of the running exporter's. */
static int steal(const char *directory)
{
	char path[128], away[128];
	snprintf(path, sizeof(path), "%s/%s", directory, SPOOL);
	snprintf(away, sizeof(away), "%s/away", directory);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	return fd;
}

static void test_queue_that_is_gone(void **state)
{
	char directory[] = "/tmp/bolometer-exporters-XXXXXX", command[64];
	assert_non_null(mkdtemp(directory));
	struct configuration before = configuration_of(directory, 64 << 20);
	struct configuration after = configuration_of(directory, (64 << 20) + 1);
	struct profile *profile = make_profile();
	struct exporters *exporters;
	struct exporters_update *update;
	assert_int_equal(exporters_new(&before, &exporters), 0);
	exporters_add(exporters, PROFILE_KIND_CPU, profile);
	expect_lost(exporters, true, 3, 0);

	wait_for_writer(exporters);
	int thief = steal(directory);
	assert_int_equal(exporters_prepare(exporters, &after, &update), 0);
	exporters_commit(exporters, update);
	before = after; /* as the daemon does: the one in force stays in its place */
	expect_lost(exporters, false, 0, 0);
	exporters_add(exporters, PROFILE_KIND_CPU, profile);
	exporters_add(exporters, PROFILE_KIND_CPU, profile);
	expect_lost(exporters, false, 6, 6);

	close(thief);
	exporters_add(exporters, PROFILE_KIND_CPU, profile);
	expect_lost(exporters, true, 9, 6);
	assert_int_equal(state_of(exporters).statistics.spool.waiting.samples, 3);
	exporters_stop(exporters);
	exporters_free(exporters);
	profile_free(profile);
	snprintf(command, sizeof(command), "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_queue_that_is_gone)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
