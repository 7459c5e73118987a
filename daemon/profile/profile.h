/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile in memory: the model of pprof's profile.proto, in flat arrays that refer to each other by
 * index. The collector's aggregate becomes one, files are read into one, and every encoder, report,
 * diff and merge works on one. Strings are interned; string 0 is "".
 *
 * Resources, links and times are what OTLP has beyond pprof; a profile from a file has none, and merge
 * leaves them out. A profile spans one sampling rate: when the rate changes, a new profile begins.
 *
 * Source of the model: github.com/google/pprof, proto/profile.proto. Indices here are 0-based;
 * the 1-based ids of the file format exist only in the encoder and decoder.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"
#include "base/hash.h"

#define PROFILE_NONE UINT32_MAX /* "no mapping", "no function" */
#define PROFILE_UNKNOWN_FILE "[unknown file]" /* of the mapping of a file that could not be opened */

/* What a frame is, for colours, filters and OTLP's profile.frame.type. */
enum frame_type {
	FRAME_TYPE_NATIVE,
	FRAME_TYPE_KERNEL,
	FRAME_TYPE_JIT,
	FRAME_TYPE_INTERPRETER,
	FRAME_TYPE_GO,
	FRAME_TYPE_MARK, /* not code: "[tables not ready]", "[deeper than max-frames]" */
	FRAME_TYPE_MAX
};

/* Frames, each as often as it was sampled; of them, those of code without a function's name. */
struct frame_count {
	uint64_t frames, unnamed;
};

/* "native", "kernel", "jit", "interpreter", "go", "mark". */
const char *frame_type_word(enum frame_type type);

struct profile_value_type {
	uint32_t type; /* string: "cpu" */
	uint32_t unit; /* string: "nanoseconds" */
};

struct profile_mapping {
	uint64_t start, limit, offset; /* of the PT_LOAD: ELF virtual addresses, file offset */
	uint32_t file;	   /* string: path */
	uint32_t build_id; /* string: lower-case hex */
	uint32_t go_build_id; /* string */
	uint32_t htlhash; /* string: lower-case hex, see binary/file_identity.h; "": unknown */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct profile_function {
	uint32_t name;	      /* string: demangled, for people */
	uint32_t system_name; /* string: as the linker knows it */
	uint32_t file;	      /* string */
	uint32_t start_line;
};

struct profile_line {
	uint32_t function; /* index into functions, or PROFILE_NONE */
	uint32_t line;
	uint32_t column;
};

struct profile_location {
	uint32_t mapping; /* index or PROFILE_NONE */
	uint32_t first_line; /* index into lines; innermost inlined function first */
	uint32_t line_count; /* 0: not symbolized */
	enum frame_type type;
	uint64_t address; /* ELF virtual address; of callers, the return address minus 1 */
	bool is_folded;
};

struct profile_label {
	uint32_t key;  /* string */
	uint32_t text; /* string; 0 when the label is a number */
	int64_t number;
	uint32_t unit; /* string: unit of the number */
	uint32_t is_guess; /* derived from names: where an operator says it, that is better */
};

/* Where samples come from: a program in a process. Its attributes are keyed by OpenTelemetry's semantic
 * conventions ("process.pid", "container.id", "service.name"); whoever learns more adds more. */
struct profile_resource {
	uint32_t first_attribute; /* index into resource_attributes */
	uint32_t attribute_count;
};

/* Keys of the labels that say a link in formats that have none: what Pyroscope's and OpenTelemetry's libraries for
 * tracing put on the samples of a program's own profiler (github.com/grafana/otel-profiling-go), as lower-case
 * hexadecimal digits. */
#define PROFILE_TRACE_ID "trace_id"
#define PROFILE_SPAN_ID "span_id"

/* The span in which a sample was taken. */
struct profile_link {
	uint8_t trace_id[16];
	uint8_t span_id[8];
};

struct profile_sample {
	uint32_t first_location; /* index into stack_locations; leaf first */
	uint32_t location_count;
	uint32_t first_label;
	uint32_t label_count;
	uint32_t resource; /* index into resources + 1; 0: only what the labels say */
	uint32_t link;	   /* index into links + 1; 0: none */
	uint32_t first_timestamp; /* index into timestamps */
	uint32_t timestamp_count; /* of the events it counts, those whose time was kept */
};

struct profile {
	struct strings strings;
	ARRAY(struct profile_value_type) sample_types;
	ARRAY(struct profile_mapping) mappings;
	ARRAY(struct profile_function) functions;
	ARRAY(struct profile_line) lines;
	ARRAY(struct profile_location) locations;
	ARRAY(uint32_t) stack_locations; /* location indices of all samples */
	ARRAY(struct profile_label) labels;
	ARRAY(struct profile_sample) samples;
	ARRAY(int64_t) values; /* samples.count * sample_types.count, sample after sample */
	ARRAY(struct profile_resource) resources;
	ARRAY(struct profile_label) resource_attributes; /* of all resources */
	ARRAY(struct profile_label) host_attributes; /* true of every sample: "host.name" */
	ARRAY(struct profile_link) links;
	ARRAY(int64_t) timestamps; /* CLOCK_REALTIME ns, ascending within a sample */
	ARRAY(uint32_t) comments; /* strings */
	uint32_t group_levels; /* outermost frames of each stack that profile_group_by() put there */
	struct profile_value_type period_type;
	int64_t period;
	int64_t time_ns;     /* start, CLOCK_REALTIME */
	int64_t duration_ns;
	uint32_t default_sample_type, drop_frames, keep_frames, doc_url; /* strings */
};

/* An empty profile with string 0. Returns 0 or -ENOMEM. */
int profile_new(struct profile **ret);

/* Accepts NULL. Returns NULL. */
struct profile *profile_free(struct profile *profile);

static inline void profile_free_cleanup(struct profile **profile)
{
	profile_free(*profile);
}
#define _cleanup_profile_ _cleanup_(profile_free_cleanup)

/* Interns a string; on failure returns 0 (the empty string) and sets *failed. */
uint32_t profile_string(struct profile *profile, const char *text, bool *failed);

const char *profile_text(const struct profile *profile, uint32_t string);

/* Index of the sample type called `type` ("cpu"), or -1. */
int profile_find_sample_type(const struct profile *profile, const char *type);

/* The value a person means when naming none: default_sample_type, else the last type. */
size_t profile_default_value(const struct profile *profile);

/* Are all indices in range and the arrays' sizes consistent? Returns 0 or -EBADMSG. Every profile
 * read from outside passes here before use. */
int profile_check(const struct profile *profile);

/* Name to show for line `line` of a location: the function, or "[file+0xaddress]" for a location that
 * has no line (then `line` is 0). Use what is returned: either the profile's own string, of any
 * length and valid until the next string is added, or the caller's buffer. */
const char *profile_frame_name(const struct profile *profile, const struct profile_location *location,
			       uint32_t line, char *buffer, size_t size);

/* The same for its first line, but "[file]" without a name: single addresses of a file that has no names tell a person
 * nothing, what the file takes does. */
const char *profile_plain_name(const struct profile *profile, const struct profile_location *location, char *buffer,
			       size_t size);
