/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's state in the text format of Prometheus 0.0.4 (prometheus.io/docs/instrumenting/
 * exposition_formats): counters end in _total, units are seconds and bytes, every family has a HELP.
 */
#pragma once

#include "base/text.h"
#include "profile/recording.h"
#include "service/exporters.h"
#include "service/http_server.h"
#include "service/kill_switch.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics_listener {
	const char *name;
	struct http_server_statistics statistics;
};

/* Borrowed for the call. */
struct metrics {
	const char *version;
	double start_time;	  /* seconds since 1970 */
	uint64_t frequency;	  /* Hz */
	bool is_paused;
	bool kill_switch[KILL_REASON_COUNT]; /* what it was activated by, while it is on */
	uint64_t kill_switch_activations;
	const struct recording_statistics *recording;
	const struct strategies *strategies; /* NULL: none */
	const struct map_usage *maps; /* of the BPF programs */
	size_t map_count;
	uint64_t resident_bytes;
	const struct exporter_state *exporters;
	size_t exporter_count;
	uint64_t renewals, renewal_failures; /* of the recording, when it was used up */
	uint64_t reloads, reload_failures;
	bool last_reload_successful;
	double last_reload_time; /* seconds since 1970 */
	const struct metrics_listener *listeners;
	size_t listener_count;
	uint64_t profiles_served, profiles_refused, profiles_open;
};

void metrics_write(const struct metrics *metrics, struct text *out);
