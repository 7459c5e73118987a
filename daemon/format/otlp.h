/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP profiles, development version 1, as of opentelemetry-proto 1.11: described in proto/otlp.proto.
 * Sources: opentelemetry-proto, profiles/v1development/profiles.proto and its comments; the
 * specification's profiles/mappings.md; semantic conventions 1.44.
 *
 * One encoded message is an ExportProfilesServiceRequest, which is a ProfilesData too: what goes over
 * the wire can lie in a file.
 *
 * Shape. Each group of samples (a process, by default) is a resource with one Profile. Its samples are
 * counted, samples/count; its period is the captured time over the number of samples in this very
 * Profile, so that count times period is the captured time for every reader. Samples carry the times
 * they were taken and no values, each time counting one. Where not all times were kept (a file without
 * times, a limit) the rest forms a second Profile with values. What a profile counts of losses stands in
 * attributes of the first Profile of the first message, and nowhere else: sums stay right.
 */
#pragma once

#include "base/attributes.h"
#include "base/text.h"
#include "profile/profile.h"

/* Sent as "otlp-profiles-development-version". */
#define OTLP_PROFILES_DEVELOPMENT_VERSION 1

/* Receivers refuse more than 4 MiB by default; the rest is for envelopes. */
#define OTLP_SIZE_LIMIT ((size_t)3584 << 10)

/* Pyroscope refuses Profiles with more samples: what is past it comes in a further one. */
#define OTLP_MAX_SAMPLES 16000

#define OTLP_PROFILE_ID_SIZE 16

enum otlp_shape {
	OTLP_SHAPE_TIMESTAMPS, /* the times, where they are known */
	OTLP_SHAPE_VALUES,     /* one number for each stack */
};

enum otlp_sample_type {
	OTLP_SAMPLES_COUNT,
	OTLP_CPU_NANOSECONDS, /* always in OTLP_SHAPE_VALUES: a time counts one */
};

/* What one resource is. What it does not say of a sample the sample says itself. */
enum otlp_grouping {
	OTLP_BY_PROCESS,
	OTLP_BY_CONTAINER, /* outside containers, by the executable's name */
	OTLP_BY_HOST,
};

/* Which attributes samples have. Backends that make a series of each combination want few. */
enum otlp_sample_attribute {
	OTLP_THREAD_ID = 1 << 0,
	OTLP_THREAD_NAME = 1 << 1,
	OTLP_CPU = 1 << 2,    /* cpu.logical_number */
	OTLP_ORIGIN = 1 << 3, /* of process, container, …, when the resource lacks it */
	OTLP_OTHER = 1 << 4,  /* labels of other kinds */
};
#define OTLP_ALL_ATTRIBUTES 31

/* An attribute that every resource gets, unless it has one of that key. */
struct otlp_attribute {
	const char *key;
	const char *text; /* NULL: a number */
	int64_t number;
};

/* Zero and NULL are the defaults, except sample_attributes: use OTLP_OPTIONS_DEFAULT. */
struct otlp_options {
	enum otlp_shape shape;
	enum otlp_sample_type sample_type;
	enum otlp_grouping grouping;
	unsigned int sample_attributes; /* enum otlp_sample_attribute */
	size_t size_limit; /* bytes of a message, not compressed; 0: OTLP_SIZE_LIMIT */
	const struct otlp_attribute *attributes; /* before those of the host */
	size_t attribute_count;
	/* Makes a Profile's id; NULL: 16 random bytes. Never asked for a Profile that is not written. */
	void (*make_id)(void *userdata, uint8_t id[OTLP_PROFILE_ID_SIZE]);
	void *id_userdata;
};

#define OTLP_OPTIONS_DEFAULT {.sample_attributes = OTLP_ALL_ATTRIBUTES}

/* Pyroscope makes a label of each attribute, and a series of each combination. */
#define OTLP_OPTIONS_PYROSCOPE {.grouping = OTLP_BY_CONTAINER}

struct otlp_message {
	const char *bytes; /* the encoder's */
	size_t size;
	uint64_t samples; /* events in it */
	int64_t start_ns, end_ns; /* the interval it covers, CLOCK_REALTIME */
};

/* Takes a message over; a negative result ends the encoding. */
typedef int (*otlp_emit)(void *userdata, const struct otlp_message *message);

struct otlp_statistics {
	uint64_t messages;
	uint64_t samples;   /* events written */
	uint64_t too_large; /* events left out: alone larger than the limit */
};

/*
 * Encodes a profile into as many messages as the limit asks for, none when it has no samples. A profile
 * with the sample types samples/count and cpu/nanoseconds becomes one Profile for each resource, any
 * other one for each sample type, its default first. Returns 0, -ENOMEM, or what `emit` failed with.
 */
int otlp_encode(const struct profile *profile, const struct otlp_options *options, otlp_emit emit,
		void *userdata, struct otlp_statistics *statistics);

/* Half of a message. */
struct otlp_half {
	struct text bytes; /* free with text_free() */
	uint64_t samples;
};

/*
 * Cuts an encoded message of `samples` events into two, for a backend that finds it too large: each
 * sample goes into one half, and a sample that is alone is cut by its times. Each half has its own
 * dictionary without anything unused. A Profile that is cut gets two new ids, which follow from the old
 * one; its attributes, which are counts, stay with the first part. The events of the halves add up to
 * `samples`. Accepts foreign bytes. Returns 0; -E2BIG when there is nothing to cut; -EBADMSG; -ENOMEM.
 * On failure there is nothing to free.
 */
int otlp_split(const void *bytes, size_t size, uint64_t samples, struct otlp_half ret[2]);
