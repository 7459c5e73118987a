/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes and CPU time of OTLP messages, beside the pprof file of the same samples: raw, zstd, gzip; with
 * times and without.
 *
 * Usage: bench_otlp [FILE]     FILE: a pprof file, with 10 s of a whole host, instead of the made profile
 *
 * The made profile has 1,000 distinct stacks of 40 processes, 24 frames deep, symbols with lines; each was
 * seen once, as the target for CPU time has it. Functions and locations are as many as 1,000 stacks of a
 * host that builds software have.
 */
#include "base/clock.h"
#include "format/gzip.h"
#include "format/otlp.h"
#include "format/pprof.h"
#include "tests/bench/made_profile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

#define STACKS 1000
#define PROCESSES 40
#define FUNCTIONS 2000
#define DEPTH 24
#define ROUNDS 20
#define START 1700000000000000000
#define SECONDS 10
#define GZIP_LEVEL 1 /* as of pprof files */
#define ZSTD_LEVEL 3

/* Hex digits as a hash has them. */
static uint32_t digest(struct profile *p, uint64_t *state, int words)
{
	char text[65];
	for (int i = 0; i < words; i++)
		snprintf(text + 8 * i, 9, "%08x", draw(state, UINT32_MAX));
	return made_string(p, text);
}

static void add_function(struct profile *p, uint64_t *state, uint32_t i)
{
	char name[128], system_name[128], file[64];
	const char *w[4];
	for (int k = 0; k < 4; k++)
		w[k] = draw_word(state);
	snprintf(name, sizeof(name), "%s::%s_%s<%s>(int, char const*)", w[0], w[1], w[2], w[3]);
	snprintf(system_name, sizeof(system_name), "_ZN%s%s_%s%u%sEiPKc", w[0], w[1], w[2], i, w[3]);
	snprintf(file, sizeof(file), "/src/%s/%s_%u.cc", w[0], w[1], i / 20);
	array_add(&p->functions, (struct profile_function){
		.name = made_string(p, name), .system_name = made_string(p, system_name),
		.file = made_string(p, file), .start_line = draw(state, 3000)});
}

static void add_tables(struct profile *p, uint64_t *state)
{
	for (uint32_t i = 0; i < 60; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/usr/lib/x86_64-linux-gnu/lib%u.so.%u", i, i % 7);
		array_add(&p->mappings, (struct profile_mapping){.start = 0x1000,
			.limit = 0x100000 + 4096 * draw(state, 500), .offset = 0x1000,
			.file = made_string(p, path), .build_id = digest(p, state, 5),
			.htlhash = digest(p, state, 4), .has_functions = true,
			.has_filenames = true, .has_line_numbers = true});
	}
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		add_function(p, state, i);
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t line = draw(state, 3000);
			add_made_location(p, i, line, i / 50,
					  0x1000 + i % 50 * 1600 + draw(state, 1600));
		}
	}
}

static void add_attribute(struct profile *p, const char *key, const char *text, int64_t number)
{
	array_add(&p->resource_attributes, (struct profile_label){.key = made_string(p, key),
		.text = text ? made_string(p, text) : 0, .number = number});
	p->resources.items[p->resources.count - 1].attribute_count++;
}

static void add_resources(struct profile *p)
{
	for (uint32_t i = 0; i < PROCESSES; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/usr/sbin/program-%u", i);
		array_add(&p->resources, (struct profile_resource){
			.first_attribute = (uint32_t)p->resource_attributes.count});
		add_attribute(p, "process.pid", NULL, 4000 + 13 * i);
		add_attribute(p, "process.executable.path", path, 0);
		add_attribute(p, "process.executable.name", path + 10, 0);
	}
	array_add(&p->host_attributes, (struct profile_label){.key = made_string(p, "host.name"),
		.text = made_string(p, "server-17.example.org")});
}

static void add_label(struct profile *p, const char *key, const char *text, int64_t number)
{
	array_add(&p->labels, (struct profile_label){.key = made_string(p, key),
		.text = text ? made_string(p, text) : 0, .number = number});
	p->samples.items[p->samples.count - 1].label_count++;
}

static void add_sample(struct profile *p, uint64_t *state, uint32_t *stack, uint32_t i)
{
	uint32_t process = i * PROCESSES / STACKS;
	array_add(&p->samples, (struct profile_sample){
		.first_location = (uint32_t)p->stack_locations.count, .location_count = DEPTH,
		.first_label = (uint32_t)p->labels.count, .resource = process + 1,
		.first_timestamp = i, .timestamp_count = 1});
	add_made_stack(p, state, stack, DEPTH, FUNCTIONS * 2);
	char name[16];
	snprintf(name, sizeof(name), "program-%u", process);
	add_label(p, "process.pid", NULL, 4000 + 13 * process);
	add_label(p, "process.executable.name", name, 0);
	add_label(p, "thread.id", NULL, 4000 + 13 * process + i % 4);
	add_label(p, "thread.name", name, 0);
	array_add(&p->timestamps, START + (int64_t)draw(state, UINT32_MAX) * 2);
	array_add(&p->values, 1);
	array_add(&p->values, 10101010);
}

static struct profile *make_profile(void)
{
	struct profile *p;
	uint64_t state = 1;
	uint32_t stack[DEPTH] = {0};
	if (profile_new(&p) < 0)
		abort();
	add_cpu_types(p);
	p->time_ns = START;
	p->duration_ns = SECONDS * NS_PER_SECOND;
	add_tables(p, &state);
	add_resources(p);
	for (uint32_t i = 0; i < STACKS; i++)
		add_sample(p, &state, stack, i);
	if (profile_check(p) < 0)
		abort();
	return p;
}

/* Random times over the interval for each event, as the sampling clock gives them. */
static void add_times(struct profile *p)
{
	uint64_t state = 2, span = (uint64_t)MAX_OF(p->duration_ns, 1);
	int column = profile_find_sample_type(p, "samples");
	for (size_t i = 0; column >= 0 && i < p->samples.count; i++) {
		int64_t count = p->values.items[i * p->sample_types.count + (size_t)column];
		p->samples.items[i].first_timestamp = (uint32_t)p->timestamps.count;
		p->samples.items[i].timestamp_count = (uint32_t)count;
		for (int64_t k = 0; k < count; k++) {
			uint64_t at = (uint64_t)draw(&state, UINT32_MAX) << 16 | draw(&state, 65536);
			array_add(&p->timestamps, p->time_ns + (int64_t)(at % span));
		}
	}
}

static int append(void *userdata, const struct otlp_message *message)
{
	text_add_bytes(userdata, message->bytes, message->size);
	return 0;
}

static double ms_since(uint64_t start)
{
	return (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start) / 1e6;
}

struct row {
	size_t raw, zstd, gzip;
	double encode, zstd_time, gzip_time; /* ms of CPU, best of ROUNDS */
};

static void pack(const struct text *raw, struct row *row)
{
	size_t bound = ZSTD_compressBound(raw->length);
	_cleanup_free_ char *packed = malloc(bound);
	if (!packed)
		abort();
	uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	row->zstd = ZSTD_compress(packed, bound, raw->bytes, raw->length, ZSTD_LEVEL);
	row->zstd_time = fmin(row->zstd_time, ms_since(start));

	struct text out = {0};
	start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (gzip_compress(raw->bytes, raw->length, GZIP_LEVEL, &out) < 0)
		abort();
	row->gzip_time = fmin(row->gzip_time, ms_since(start));
	row->gzip = out.length;
	text_free(&out);
}

/* `options` NULL: as pprof. */
static struct row measure(const struct profile *profile, const struct otlp_options *options)
{
	struct row row = {.encode = INFINITY, .zstd_time = INFINITY, .gzip_time = INFINITY};
	struct text raw = {0};
	for (int i = 0; i < ROUNDS; i++) {
		raw.length = 0; /* its pages are there from the second round on: they are not the encoder's */
		struct otlp_statistics statistics;
		uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		if ((options ? otlp_encode(profile, options, append, &raw, &statistics)
			     : pprof_encode(profile, PPROF_RAW, &raw)) < 0)
			abort();
		row.encode = fmin(row.encode, ms_since(start));
		row.raw = raw.length;
		pack(&raw, &row);
	}
	text_free(&raw);
	return row;
}

static void print(const char *name, const struct row *row)
{
	printf("%-24s %9zu %9zu %9zu  %8.2f %8.2f %8.2f\n", name, row->raw, row->zstd, row->gzip,
	       row->encode, row->zstd_time, row->gzip_time);
}

int main(int argc, char **argv)
{
	_cleanup_profile_ struct profile *profile = argc > 1 ? read_profile(argv[1])
							      : make_profile();
	if (!profile) {
		fprintf(stderr, "no profile\n");
		return 1;
	}
	if (argc > 1)
		add_times(profile);
	struct otlp_options options = OTLP_OPTIONS_DEFAULT, few = OTLP_OPTIONS_PYROSCOPE;
	printf("%zu stacks, %.1f frames each, %d s\n", profile->samples.count,
	       (double)profile->stack_locations.count / (double)profile->samples.count, SECONDS);
	printf("%-24s %9s %9s %9s  %8s %8s %8s\n", "bytes; ms of CPU", "raw", "zstd", "gzip", "encode",
	       "zstd", "gzip");
	struct row pprof = measure(profile, NULL), timed = measure(profile, &options);
	options.shape = OTLP_SHAPE_VALUES;
	struct row values = measure(profile, &options), pyroscope = measure(profile, &few);
	print("pprof", &pprof);
	print("OTLP with times", &timed);
	print("OTLP without times", &values);
	print("OTLP for Pyroscope", &pyroscope);
	printf("OTLP zstd without times / pprof gzip: %.2f (goal <= 1)\n",
	       (double)values.zstd / (double)pprof.gzip);
	return 0;
}
