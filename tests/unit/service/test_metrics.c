/* SPDX-License-Identifier: Apache-2.0 */
/* The text that Prometheus reads, line by line, and the page's list of processes. */
#include "service/metrics.h"

#include "service/top_processes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fill(struct recording_statistics *s)
{
	*s = (struct recording_statistics){
		.samples = 90,
		.captured_ns = 1500000000,
		.dropped_samples = 7,
		.frames_of_type = {[FRAME_TYPE_NATIVE] = {.frames = 1000, .unnamed = 40}},
		.own_cpu_ns = 250000000,
		.memory_bytes = 5000,
		.map_bytes = 2000,
		.tracked_processes = 12,
		.paused_ns = 2500000000,
		.losses = {.parser_refused = 3},
	};
	durations_add(&s->names.symbols, 2 * NS_PER_MS);
	durations_add(&s->names.symbols, 5 * NS_PER_MS);
	durations_add(&s->names.symbols, 90 * NS_PER_SECOND);
	s->counters[COUNTER_SAMPLES] = 100;
	s->counters[COUNTER_IDLE] = 800;
	s->counters[COUNTER_LOST_RING_FULL] = 5;
	s->counters[COUNTER_LOST_SCRATCH] = 6;
	s->counters[COUNTER_TICKS] = (1ULL << 53) - 1;
	s->ends[STACK_END_NO_UNWIND_INFO] = 4;
}

static void write_all_metrics(struct text *out)
{
	struct recording_statistics recording;
	struct exporter_state exporters[] = {
		{.name = "collector",
		 .is_running = true,
		 .statistics = {.sends = 11,
				.answers = {{"200", 8}, {"503", 2}, {"timeout", 1}},
				.answer_count = 3,
				.retries = 2,
				.bytes_sent = 999}},
		{.name = "a\"b\\c\nd"},
	};
	struct map_usage map = {"binaries", 70, 8192};
	struct metrics_listener listener = {"health", {.requests = 8, .refused = 1}};
	fill(&recording);
	exporters[0].statistics.spool.taken.samples = 50;
	exporters[0].statistics.spool.recovered.samples = 1;
	exporters[0].statistics.spool.dropped[DROP_QUEUE_FULL].samples = 9;
	struct metrics metrics = {
		.version = "1.2.3",
		.start_time = 1795637178.5,
		.frequency = 99,
		.is_paused = true,
		.kill_switch = {[KILL_SIGNAL] = true},
		.kill_switch_activations = 4,
		.recording = &recording,
		.maps = &map,
		.map_count = 1,
		.exporters = exporters,
		.exporter_count = 2,
		.renewals = 6,
		.renewal_failures = 1,
		.reloads = 5,
		.reload_failures = 2,
		.listeners = &listener,
		.listener_count = 1,
	};
	metrics_write(&metrics, out);
	assert_false(out->failed);
}

static void has_line(const struct text *out, const char *line)
{
	char wanted[256];
	snprintf(wanted, sizeof(wanted), "\n%s\n", line);
	if (!strstr(out->bytes, wanted))
		fail_msg("no line %s in\n%s", line, out->bytes);
}

static void test_values(void **state)
{
	static const char *const lines[] = {
		"bolometer_build_info{version=\"1.2.3\"} 1",
		"bolometer_start_time_seconds 1795637178.5",
		"bolometer_sampling_enabled 0",
		"bolometer_kill_switch_active{reason=\"file\"} 0",
		"bolometer_kill_switch_active{reason=\"signal\"} 1",
		"bolometer_kill_switch_activations_total 4",
		"bolometer_sampling_paused_seconds_total 2.5",
		"bolometer_recording_renewals_total{result=\"success\"} 6",
		"bolometer_recording_renewals_total{result=\"failure\"} 1",
		"bolometer_config_reloads_total{result=\"success\"} 3",
		"bolometer_config_reloads_total{result=\"failure\"} 2",
		"bolometer_ticks_total{outcome=\"sample\"} 100",
		"bolometer_ticks_total{outcome=\"lost\"} 11",
		"bolometer_ticks_total{outcome=\"idle\"} 800",
		"bolometer_samples_total{event=\"cpu\"} 90",
		"bolometer_captured_seconds_total{event=\"cpu\"} 1.5",
		"bolometer_samples_lost_total{reason=\"ring_full\"} 5",
		"bolometer_samples_lost_total{reason=\"no_scratch\"} 6",
		"bolometer_samples_lost_total{reason=\"limit\"} 7",
		"bolometer_unwind_ends_total{reason=\"no_unwind_info\"} 4",
		"bolometer_unwind_ends_total{reason=\"complete\"} 0",
		"bolometer_frames_total{type=\"native\",symbolized=\"true\"} 960",
		"bolometer_frames_total{type=\"native\",symbolized=\"false\"} 40",
		"bolometer_frames_total{type=\"kernel\",symbolized=\"true\"} 0",
		"bolometer_losses_total{kind=\"parser_refused\"} 3",
		"bolometer_symbolization_seconds_bucket{of=\"symbols\",le=\"0.001\"} 0",
		"bolometer_symbolization_seconds_bucket{of=\"symbols\",le=\"0.005\"} 2",
		"bolometer_symbolization_seconds_bucket{of=\"symbols\",le=\"60\"} 2",
		"bolometer_symbolization_seconds_bucket{of=\"symbols\",le=\"+Inf\"} 3",
		"bolometer_symbolization_seconds_sum{of=\"symbols\"} 90.007",
		"bolometer_symbolization_seconds_count{of=\"symbols\"} 3",
		"bolometer_symbolization_seconds_count{of=\"lines\"} 0",
		"bolometer_process_cpu_seconds_total 0.25",
		"bolometer_process_proportional_memory_bytes 3000",
		"bolometer_bpf_map_bytes 2000",
		"bolometer_bpf_map_entries{map=\"binaries\"} 70",
		"bolometer_bpf_map_capacity{map=\"binaries\"} 8192",
		"bolometer_export_requests_total{exporter=\"collector\",code=\"200\"} 8",
		"bolometer_export_requests_total{exporter=\"collector\",code=\"timeout\"} 1",
		"bolometer_export_retries_total{exporter=\"a\\\"b\\\\c\\nd\"} 0",
		"bolometer_export_bytes_total{exporter=\"collector\",stage=\"wire\"} 999",
		"bolometer_export_samples_taken_total{exporter=\"collector\"} 51",
		"bolometer_export_samples_dropped_total{exporter=\"collector\",reason=\"queue_full\"} 9",
		"bolometer_exporter_running{exporter=\"collector\"} 1",
		"bolometer_http_requests_refused_total{listener=\"health\"} 1",
	};
	struct text out = {0};
	write_all_metrics(&out);
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++)
		has_line(&out, lines[i]);
	text_free(&out);
}

/* Length of a histogram's name in that of its sample. */
static size_t without_suffix(const char *line, size_t length)
{
	static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
	for (size_t i = 0; i < ARRAY_LENGTH(suffixes); i++) {
		size_t size = strlen(suffixes[i]);
		if (length > size && strncmp(line + length - size, suffixes[i], size) == 0)
			return length - size;
	}
	return 0;
}

/* Every sample stands under the HELP and TYPE of its own family, each family comes once. */
static void test_families(void **state)
{
	bool is_histogram = false;
	struct text out = {0};
	char current[128] = "", seen[8192] = "";
	write_all_metrics(&out);
	char *rest = out.bytes;
	for (char *line; (line = strsep(&rest, "\n")) && *line;) {
		char name[128], type[16], marked[132];
		if (sscanf(line, "# HELP %127s", name) == 1) {
			snprintf(marked, sizeof(marked), " %s ", name);
			assert_null(strstr(seen, marked));
			assert_true(strlen(seen) + strlen(marked) < sizeof(seen));
			strcat(seen, marked);
			strcpy(current, name);
		} else if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
			size_t length = strlen(name);
			is_histogram = strcmp(type, "histogram") == 0;
			assert_string_equal(name, current);
			assert_int_equal(strcmp(type, "counter") == 0,
					 length > 6 && strcmp(name + length - 6, "_total") == 0);
		} else {
			size_t length = strcspn(line, "{ ");
			if (is_histogram)
				length = without_suffix(line, length);
			assert_int_equal(length, strlen(current));
			assert_memory_equal(line, current, length);
		}
	}
	text_free(&out);
}

/* ---- Processes ---------------------------------------------------------------------------------------- */

static void add_sample(struct profile *profile, int64_t pid, const char *name, int64_t value)
{
	bool failed = false;
	struct profile_label labels[] = {
		{.key = profile_string(profile, "process.pid", &failed), .number = pid},
		{.key = profile_string(profile, "process.executable.name", &failed),
		 .text = profile_string(profile, name, &failed)},
	};
	struct profile_sample sample = {.first_label = (uint32_t)profile->labels.count,
					.label_count = 2};
	assert_int_equal(array_add(&profile->labels, labels[0]), 0);
	assert_int_equal(array_add(&profile->labels, labels[1]), 0);
	assert_int_equal(array_add(&profile->samples, sample), 0);
	assert_int_equal(array_add(&profile->values, value), 0);
	assert_false(failed);
}

static void test_processes(void **state)
{
	struct profile *profile;
	struct text out = {0};
	assert_int_equal(profile_new(&profile), 0);
	assert_int_equal(array_add(&profile->sample_types, (struct profile_value_type){0}), 0);
	add_sample(profile, 7, "small", 1);
	add_sample(profile, 8, "large \"one\"", 10);
	add_sample(profile, 7, "small", 2);
	add_sample(profile, 7, "another program later", 4);
	assert_int_equal(top_processes_write(profile, 0, 2, &out), 0);
	assert_string_equal(
		out.bytes,
		"[{\"pid\":8,\"name\":\"large \\\"one\\\"\",\"container\":null,\"value\":10},"
		"{\"pid\":7,\"name\":\"another program later\",\"container\":null,\"value\":4}]");
	text_free(&out);
	assert_int_equal(top_processes_write(profile, 0, 9, &out), 0);
	assert_non_null(strstr(out.bytes, "\"name\":\"small\",\"container\":null,\"value\":3}]"));
	text_free(&out);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
