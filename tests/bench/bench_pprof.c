/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and reading pprof files: time and size for each gzip level, against the time to write the
 * same message uncompressed.
 *
 * Usage: bench_pprof [FILE]     FILE: a pprof file to measure instead of the made profile
 */
#include "base/clock.h"
#include "base/file.h"
#include "format/gzip.h"
#include "format/pprof.h"

#include <stdio.h>
#include <string.h>

#define STACKS 50000
#define FRAMES 30
#define FUNCTIONS 12000
#define ROUNDS 5

static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(hash_mix(*state) % below);
}

static void add_functions(struct profile *p, uint64_t *state, bool *failed)
{
	static const char *const words[] = {"std",  "vector", "parse", "node",	 "emit", "visit",
					    "tree", "insert", "hash",  "symbol", "type", "scope"};
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		char name[128], file[64];
		snprintf(name, sizeof(name), "%s::%s_%s<%s>::%s_%u",
			 words[draw(state, 12)], words[draw(state, 12)], words[draw(state, 12)],
			 words[draw(state, 12)], words[draw(state, 12)], i);
		snprintf(file, sizeof(file), "/src/%s/%s_%u.cc", words[draw(state, 12)],
			 words[draw(state, 12)], i / 20);
		array_add(&p->functions, (struct profile_function){
			.name = profile_string(p, name, failed),
			.file = profile_string(p, file, failed), .start_line = draw(state, 3000)});
		for (uint32_t k = 0; k < 2; k++) {
			uint32_t line = (uint32_t)p->lines.count;
			array_add(&p->lines, (struct profile_line){.function = i,
				.line = draw(state, 3000)});
			array_add(&p->locations, (struct profile_location){.first_line = line,
				.line_count = 1, .address = 0x1000 + i * 160 + k * 48});
		}
	}
}

/* A stack leaves the one before it at some depth, as neighbours in a tree do. */
static void add_stacks(struct profile *p, uint64_t *state, bool *failed)
{
	uint32_t stack[FRAMES] = {0};
	uint32_t pid = profile_string(p, "process.pid", failed);
	uint32_t name = profile_string(p, "process.executable.name", failed);
	for (uint32_t i = 0; i < STACKS; i++) {
		for (uint32_t k = draw(state, FRAMES); k < FRAMES; k++)
			stack[k] = draw(state, FUNCTIONS * 2);
		uint32_t first = (uint32_t)p->stack_locations.count;
		for (uint32_t k = FRAMES; k-- > 0;)
			array_add(&p->stack_locations, stack[k]);
		array_add(&p->samples, (struct profile_sample){.first_location = first,
			.location_count = FRAMES, .first_label = 2 * i, .label_count = 2});
		array_add(&p->labels, (struct profile_label){.key = pid, .number = 900 + i / 500});
		array_add(&p->labels, (struct profile_label){.key = name,
			.text = p->functions.items[i / 5000].name});
		array_add(&p->values, 1 + draw(state, 4));
		array_add(&p->values, 10101010 * p->values.items[2 * i]);
	}
}

static struct profile *make_profile(void)
{
	struct profile *p;
	bool failed = false;
	uint64_t state = 1;
	if (profile_new(&p) < 0)
		return NULL;
	array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "samples", &failed), profile_string(p, "count", &failed)});
	array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "cpu", &failed), profile_string(p, "nanoseconds", &failed)});
	array_add(&p->mappings, (struct profile_mapping){.start = 0x1000, .limit = 0x1000000,
		.file = profile_string(p, "/usr/bin/program", &failed)});
	add_functions(p, &state, &failed);
	add_stacks(p, &state, &failed);
	return failed || profile_check(p) < 0 ? profile_free(p) : p;
}

static struct profile *read_profile(const char *path)
{
	_cleanup_free_ char *bytes = NULL;
	struct pprof_failure failure;
	struct profile *profile = NULL;
	size_t size;
	if (read_whole_file(path, PPROF_SIZE_LIMIT, &bytes, &size) == 0)
		pprof_decode(bytes, size, 0, &failure, &profile);
	return profile;
}

/* Best of ROUNDS, in ms; the result of the last is in `out`. */
static double time_encode(const struct profile *profile, enum pprof_compression compression,
			  struct text *out)
{
	int64_t best = INT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		text_free(out);
		int64_t start = (int64_t)monotonic_ns();
		if (pprof_encode(profile, compression, out) < 0)
			abort();
		best = MIN_OF(best, (int64_t)monotonic_ns() - start);
	}
	return (double)best / 1e6;
}

static double time_decode(const struct text *file)
{
	int64_t best = INT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		_cleanup_profile_ struct profile *profile = NULL;
		struct pprof_failure failure;
		int64_t start = (int64_t)monotonic_ns();
		if (pprof_decode(file->bytes, file->length, 0, &failure, &profile) < 0)
			abort();
		best = MIN_OF(best, (int64_t)monotonic_ns() - start);
	}
	return (double)best / 1e6;
}

static double time_gzip(const struct text *message, int level, size_t *ret_size)
{
	int64_t best = INT64_MAX;
	for (int i = 0; i < 3; i++) {
		struct text out = {0};
		struct gzip_writer writer;
		int64_t start = (int64_t)monotonic_ns();
		if (gzip_writer_init(&writer, level, &out) < 0 ||
		    gzip_writer_add(&writer, message->bytes, message->length) < 0 ||
		    gzip_writer_finish(&writer) < 0)
			abort();
		gzip_writer_release(&writer);
		best = MIN_OF(best, (int64_t)monotonic_ns() - start);
		*ret_size = out.length;
		text_free(&out);
	}
	return (double)best / 1e6;
}

int main(int argc, char **argv)
{
	_cleanup_profile_ struct profile *profile = argc > 1 ? read_profile(argv[1])
							      : make_profile();
	struct text raw = {0}, gzipped = {0};
	if (!profile) {
		fprintf(stderr, "no profile\n");
		return 1;
	}
	printf("%zu stacks, %.1f frames each\n", profile->samples.count,
	       (double)profile->stack_locations.count / (double)profile->samples.count);
	double encode = time_encode(profile, PPROF_RAW, &raw);
	double whole = time_encode(profile, PPROF_GZIP, &gzipped);
	printf("encode, no gzip %8.1f ms %10zu bytes\n", encode, raw.length);
	printf("encode          %8.1f ms %10zu bytes  %5.2f x\n", whole, gzipped.length,
	       whole / encode);
	printf("decode, no gzip %8.1f ms              %5.2f x\n", time_decode(&raw),
	       time_decode(&raw) / encode);
	printf("decode          %8.1f ms              %5.2f x\n", time_decode(&gzipped),
	       time_decode(&gzipped) / encode);
	for (int level = 1; level <= 9; level += level < 4 ? 1 : level < 6 ? 2 : 3) {
		size_t size;
		double took = time_gzip(&raw, level, &size);
		printf("gzip level %d    %8.1f ms %10zu bytes  %5.2f x\n", level, took, size,
		       took / encode);
	}
	text_free(&raw);
	text_free(&gzipped);
	return 0;
}
