/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and reading pprof files: time and size for each gzip level, against the time to write the
 * same message uncompressed.
 *
 * Usage: bench_pprof [FILE]     FILE: a pprof file to measure instead of the made profile
 */
#include "base/clock.h"
#include "format/gzip.h"
#include "format/pprof.h"
#include "tests/bench/made_profile.h"

#include <stdio.h>
#include <string.h>

#define STACKS 50000
#define FRAMES 30
#define FUNCTIONS 12000
#define ROUNDS 5

static void add_functions(struct profile *p, uint64_t *state)
{
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		char name[128], file[64];
		snprintf(name, sizeof(name), "%s::%s_%s<%s>::%s_%u", draw_word(state),
			 draw_word(state), draw_word(state), draw_word(state), draw_word(state), i);
		snprintf(file, sizeof(file), "/src/%s/%s_%u.cc", draw_word(state),
			 draw_word(state), i / 20);
		array_add(&p->functions, (struct profile_function){
			.name = made_string(p, name), .file = made_string(p, file),
			.start_line = draw(state, 3000)});
		for (uint32_t k = 0; k < 2; k++)
			add_made_location(p, i, draw(state, 3000), 0, 0x1000 + i * 160 + k * 48);
	}
}

static void add_stacks(struct profile *p, uint64_t *state)
{
	uint32_t stack[FRAMES] = {0};
	uint32_t pid = made_string(p, "process.pid");
	uint32_t name = made_string(p, "process.executable.name");
	for (uint32_t i = 0; i < STACKS; i++) {
		uint32_t first = (uint32_t)p->stack_locations.count;
		add_made_stack(p, state, stack, FRAMES, FUNCTIONS * 2);
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
	uint64_t state = 1;
	if (profile_new(&p) < 0)
		abort();
	add_cpu_types(p);
	array_add(&p->mappings, (struct profile_mapping){.start = 0x1000, .limit = 0x1000000,
		.file = made_string(p, "/usr/bin/program")});
	add_functions(p, &state);
	add_stacks(p, &state);
	return profile_check(p) < 0 ? profile_free(p) : p;
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
		int64_t start = (int64_t)monotonic_ns();
		if (gzip_compress(message->bytes, message->length, level, &out) < 0)
			abort();
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
