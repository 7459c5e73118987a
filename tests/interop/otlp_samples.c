/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes OTLP messages of made profiles in every shape into a directory, and prints for each kind, one a
 * line: its name, how many files NAME-0.otlp, NAME-1.otlp, … it has, and the events in all of them.
 *
 * Usage: otlp_samples DIRECTORY
 */
#include "base/file.h"
#include "format/otlp.h"

#include <inttypes.h>
#include <stdlib.h>

#define assert_false(failed) assert_int_equal(failed, 0)
#define assert_int_equal(a, b)         \
	do {                           \
		if ((a) != (b))        \
			abort();       \
	} while (0)

#include "tests/unit/format/otlp_example.h"

#define HALF_LIMIT 6000

struct sample_files {
	const char *directory, *name;
	unsigned int count;
	bool halve; /* what is larger than HALF_LIMIT */
};

static void write_file(struct sample_files *files, const char *bytes, size_t size)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s-%u.otlp", files->directory, files->name,
		 files->count++);
	assert_int_equal(write_file_atomically(path, bytes, size, 0600), 0);
}

static void write_pieces(struct sample_files *files, const char *bytes, size_t size,
			 uint64_t samples)
{
	struct otlp_half halves[2];
	if (!files->halve || size <= HALF_LIMIT || otlp_split(bytes, size, samples, halves) < 0) {
		write_file(files, bytes, size);
		return;
	}
	for (int i = 0; i < 2; i++) {
		write_pieces(files, halves[i].bytes.bytes, halves[i].bytes.length,
			     halves[i].samples);
		text_free(&halves[i].bytes);
	}
}

static int on_message(void *userdata, const struct otlp_message *message)
{
	write_pieces(userdata, message->bytes, message->size, message->samples);
	return 0;
}

static void write_kind(const char *directory, const char *name, bool halve,
		       const struct profile *profile, struct otlp_options options)
{
	struct sample_files files = {.directory = directory, .name = name, .halve = halve};
	struct otlp_statistics statistics;
	assert_int_equal(otlp_encode(profile, &options, on_message, &files, &statistics), 0);
	bool time = options.sample_type == OTLP_CPU_NANOSECONDS;
	printf("%s %u %" PRId64 "\n", name, files.count,
	       time ? example_sum(profile, 1) : (int64_t)statistics.samples);
}

static void add_bad_label(struct profile *p, const char *key, const char *text, int64_t number)
{
	struct profile_sample *sample = &p->samples.items[p->samples.count - 1];
	example_label(p, sample, key, text, number);
}

/* What a foreign file may have: text that is not UTF-8, keys that come twice or are empty. */
static struct profile *hostile_profile(void)
{
	struct profile *p = otlp_example(&(struct example_size){
		.samples = 20, .processes = 2, .functions = 10, .times = 1});
	p->functions.items[0].name = example_string(p, "bad\xff\xc3name", 0);
	p->functions.items[1].name = example_string(p, "bad\xfe\xc3name", 0); /* same once valid */
	p->functions.items[2] = (struct profile_function){0};
	p->mappings.items[0].file = example_string(p, "/tmp/\xe2\x82", 0);
	p->lines.items[3].function = PROFILE_NONE;
	add_bad_label(p, "twice", "one", 0);
	add_bad_label(p, "twice", "two", 0);
	add_bad_label(p, "", "no key", 0);
	add_bad_label(p, "not\xff utf8", "text", 0);
	add_bad_label(p, "not\xfe utf8", "text", 0);
	add_bad_label(p, "thread.id", NULL, 4);
	add_bad_label(p, "value", "\xc3", 0);
	array_add(&p->comments, example_string(p, "lost_ring_full=4", 0));
	array_add(&p->comments, example_string(p, "end.deeper_than max-frames=4", 0));
	array_add(&p->comments, example_string(p, "na\xc3=4", 0));
	array_add(&p->host_attributes, p->host_attributes.items[0]);
	assert_int_equal(profile_check(p), 0);
	return p;
}

int main(int argc, char **argv)
{
	struct otlp_options plain = OTLP_OPTIONS_DEFAULT, pyroscope = OTLP_OPTIONS_PYROSCOPE;
	struct otlp_options options = plain;
	if (argc != 2)
		return 2;
	_cleanup_profile_ struct profile *timed = otlp_example(&(struct example_size){
		.samples = 400, .processes = 6, .functions = 200, .times = 3});
	_cleanup_profile_ struct profile *rest = otlp_example(&(struct example_size){
		.samples = 400, .processes = 6, .functions = 200, .times = 2, .untimed = true});
	_cleanup_profile_ struct profile *foreign = otlp_example(&(struct example_size){
		.samples = 90, .functions = 50});
	_cleanup_profile_ struct profile *hostile = hostile_profile();
	write_kind(argv[1], "times", false, timed, plain);
	write_kind(argv[1], "rest", false, rest, plain);
	write_kind(argv[1], "foreign", false, foreign, plain);
	write_kind(argv[1], "hostile", false, hostile, plain);
	write_kind(argv[1], "halves", true, rest, plain);
	write_kind(argv[1], "pyroscope", false, rest, pyroscope);
	options.grouping = OTLP_BY_HOST;
	write_kind(argv[1], "host", false, timed, options);
	options.grouping = OTLP_BY_CONTAINER;
	options.shape = OTLP_SHAPE_VALUES;
	write_kind(argv[1], "container", false, timed, options);
	options = plain;
	options.sample_type = OTLP_CPU_NANOSECONDS;
	write_kind(argv[1], "time", true, timed, options);
	options = plain;
	options.size_limit = 20000;
	write_kind(argv[1], "limit", false, rest, options);
	return 0;
}
