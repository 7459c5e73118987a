/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything an operator can set, in the form the daemon uses. One table (setting.h) says what each
 * key is called, what it may be and what it is without being set; the reader, the environment, the
 * printed configuration, the comparison at reload and the shipped file all come from that table.
 *
 * Precedence: --set on the command line, then the environment, then the file, then the default.
 */
#pragma once

#include "base/array.h"
#include "base/log.h"
#include "base/text.h"
#include "export/sink_options.h"
#include "format/otlp.h"
#include "profile/strategy.h"

#define HTTP_DEFAULT_SOCKET "/run/bolometer/socket"

enum tick_mode { TICK_ALL, TICK_KERNEL, TICK_USER };

/* A list of texts; every one is owned. */
struct setting_texts {
	char **items;
	size_t count, capacity;
};

struct sampling_configuration {
	uint64_t frequency; /* Hz per CPU */
	uint64_t max_frames;
	uint64_t ring_bytes; /* 0: by the number of CPUs */
	enum tick_mode mode;
	bool symbolize, inlines, labels, trace_contexts, trace_labels, ignore_kernel_bugs, safe_mode;
};

struct heap_configuration {
	bool enabled;
	uint64_t interval_bytes, budget_ppm, processes, objects, age_ns;
	struct setting_texts executables, cgroups;
};

struct memory_configuration {
	struct heap_configuration heap;
	bool growth;
	char *oom_directory; /* NULL: nothing is kept */
	uint64_t oom_bytes;
};

struct budget_configuration {
	uint64_t cpu_ppm; /* of the CPU time of all CPUs; 0: none */
	uint64_t memory_bytes; /* 0: none */
};

struct kill_switch_configuration {
	char *file;	      /* NULL: none */
	uint64_t overrun_ns; /* 0: none */
};

struct selection_configuration {
	struct setting_texts comms, executables, cgroups;
};

struct cache_configuration {
	char *directory; /* NULL: the default of artifact_cache_open() */
	bool enabled;
	uint64_t max_bytes;
};

struct limits_configuration {
	uint64_t binaries, table_bytes, symbol_bytes, frames, entries, idle_ns;
};

struct http_configuration {
	char *socket;	      /* NULL: none */
	char *socket_mode;    /* octal digits */
	char *socket_group;   /* NULL: the daemon's own */
	char *address;	      /* NULL: none */
	char *token_file;     /* NULL: none */
	char *health_address; /* NULL: none */
};

enum exporter_type {
	EXPORTER_OTLP_GRPC = SINK_OTLP_GRPC,
	EXPORTER_OTLP_HTTP = SINK_OTLP_HTTP,
	EXPORTER_PYROSCOPE_INGEST = SINK_PYROSCOPE_INGEST,
	EXPORTER_PYROSCOPE_PUSH = SINK_PYROSCOPE_PUSH,
	EXPORTER_PPROF_DIRECTORY,
};

/* AUTO: as suits the exporter's type. */
enum grouping_choice { GROUPING_AUTO, GROUPING_PROCESS, GROUPING_CONTAINER, GROUPING_HOST };
enum attributes_choice { ATTRIBUTES_AUTO, ATTRIBUTES_ALL, ATTRIBUTES_NONE };

struct exporter_configuration {
	char *name; /* NULL in the file: the type's name */
	enum exporter_type type;
	struct sink_options sink; /* unused for a directory */
	char *directory;
	uint64_t max_bytes, max_age_ns; /* of the files in the directory */
	enum otlp_shape shape;
	enum otlp_sample_type sample_type;
	enum grouping_choice grouping;
	enum attributes_choice sample_attributes;
	uint64_t spool_bytes;
	uint64_t retry_initial_ns, retry_max_ns;
	unsigned line, column; /* where it stands in the file; 0: not from a file */
};

enum strategy_event { STRATEGY_OF_CPU, STRATEGY_OF_GROWTH, STRATEGY_OF_HEAP };

/* Which samples are taken of the processes that match. */
struct strategy_configuration {
	char *name; /* NULL in the file: the strategy's */
	char *executable, *cgroup, *unit, *container; /* shell patterns; NULL: any */
	struct sink_pairs attributes; /* patterns by key */
	enum strategy_event event;
	enum strategy_kind strategy;
	enum strategy_choice by;
	uint64_t ratio_ppm; /* 0: not given */
	uint64_t interval_ns;
	uint64_t samples; /* 0: not given */
	uint64_t expected_hosts;
	bool then_next;
	unsigned line, column; /* where it stands in the file */
};

struct configuration {
	struct sampling_configuration sampling;
	struct memory_configuration memory;
	struct budget_configuration budget;
	struct kill_switch_configuration kill_switch;
	struct selection_configuration selection;
	uint64_t interval_ns;
	struct sink_pairs resource_attributes;
	bool resource_environment;
	struct cache_configuration cache;
	struct limits_configuration limits;
	struct http_configuration http;
	char *spool_directory; /* NULL: queues are only in memory */
	enum log_level log_level;
	enum log_format log_format;
	ARRAY(struct strategy_configuration) strategies;
	ARRAY(struct exporter_configuration) exporters;
};

/* What is wrong, and where. Texts are owned. */
struct configuration_problem {
	char *source;	       /* the file, "environment variable X", "--set X"; never NULL */
	unsigned line, column; /* from 1; 0: the source has no lines */
	char *key;	       /* "sampling.frequency"; NULL: of no key */
	char *message;
};

/* Where a key has its value from, or where its section begins. Texts are owned. */
struct configuration_place {
	char *source, *key;
	unsigned line, column;
};

struct configuration_problems {
	struct configuration_problem *items;
	size_t count, capacity;
	size_t more; /* found past the bound and not kept */
	bool failed; /* out of memory */
	ARRAY(struct configuration_place) places; /* for what is wrong only beside other values; of one key the last */
};

void configuration_problems_free(struct configuration_problems *problems);

/* What is allowed and does not do all that it says, a line each; nothing: all is well. */
void configuration_warnings(const struct configuration *configuration, struct text *out);

/* "FILE:LINE:COLUMN: key: message" a line. */
void configuration_problems_write(const struct configuration_problems *problems, struct text *out);

/* One JSON object: file, valid, problems, warnings (those lines). */
void configuration_problems_write_json(const char *file,
				       const struct configuration_problems *problems,
				       const char *warnings, struct text *out);

/* Where settings come from. Everything may be NULL. */
struct configuration_sources {
	const char *path;	       /* of the file; NULL: none is read */
	const char *const *environment; /* "NAME=VALUE", the last one NULL */
	const char *const *sets;       /* "KEY=VALUE" of --set, the last one NULL */
};

/* Reads all sources and checks how the settings go together. Returns 0, -EINVAL with all that is wrong
 * in *problems in order of line, -ENOMEM, or -errno when the file cannot be read (also in *problems). Free *ret and
 * *problems in every case. */
int configuration_load(const struct configuration_sources *sources, struct configuration *ret,
		       struct configuration_problems *problems);

void configuration_free(struct configuration *configuration);

#define _cleanup_configuration_ _cleanup_(configuration_free)

/* The settings as a file that would give them again; secrets are replaced by "(secret)". */
void configuration_print(const struct configuration *configuration, struct text *out);

/* The shipped file: every key with what it is, its unit, range and default, all commented out. */
void configuration_print_reference(struct text *out);

/* A key whose value differs, and whether the daemon can change it while it runs. */
struct configuration_change {
	const char *key;
	bool needs_restart;
};

struct configuration_changes {
	struct configuration_change *items;
	size_t count, capacity;
};

/* Appends what differs. Returns 0 or -ENOMEM. Free with array_free(). */
int configuration_compare(const struct configuration *old, const struct configuration *new,
			  struct configuration_changes *ret);

/* Gives `new` the values of `old` for every key that needs a restart: what it then says is in force. */
void configuration_keep_fixed(struct configuration *old, struct configuration *new);
