/* SPDX-License-Identifier: Apache-2.0 */
/* A destination that does what a test tells it, and a clock that takes no time. */
#pragma once

#include "export/exporter.h"

struct fake_sink;

/* Fills in the answer (SINK_SENT when untouched). From the exporter's thread. */
typedef void (*fake_answer)(struct fake_sink *fake, const struct payload *payload,
			    struct sink_result *result);

struct fake_sink {
	struct sink sink;
	fake_answer answer; /* NULL: all arrives */
	void *userdata;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t received[4096]; /* numbers of the payloads that came, in their order */
	size_t count;
	uint64_t samples; /* of these */
	bool is_cancelled;
	int *freed; /* counts up */
};

/* Stays valid after the exporter freed it when `freed` is given; then fake_sink_release() is the test's. */
struct fake_sink *fake_sink_new(fake_answer answer, void *userdata, int *freed);
void fake_sink_release(struct fake_sink *fake);

/* Notes the payload as received. */
void fake_sink_receive(struct fake_sink *fake, const struct payload *payload);

/* Waits until cancel(). */
void fake_sink_hang(struct fake_sink *fake);

/* Time passes only while somebody waits for it. */
struct fake_clock {
	_Atomic uint64_t now_ns;
	_Atomic uint64_t random;
};
struct exporter_clock fake_clock_of(struct fake_clock *clock);
