/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before the next attempt: exponential backoff with jitter, as the OTLP specification
 * demands and the Collector's exporters do it (opentelemetry-collector, config/configretry: initial
 * 5 s, multiplier 1.5, randomization 0.5, at most 30 s). Jitter keeps a thousand hosts that lost the
 * same backend from coming back in step.
 */
#pragma once

#include "base/attributes.h"

struct backoff_options {
	uint64_t initial_ns; /* 0: 5 s */
	uint64_t max_ns;     /* 0: 30 s */
	double multiplier;   /* 0: 1.5 */
	double randomization; /* 0: 0.5: each pause is drawn from 50 % to 150 %; negative: none */
	uint64_t max_asked_ns; /* a backend that asks for more is not believed; 0: 1 h */
};

/* Replaces zeros by the defaults. */
void backoff_set_defaults(struct backoff_options *options);

/* Zero-initialise; zero again after a success. */
struct backoff {
	uint64_t interval_ns; /* of the last pause, before jitter */
};

/* The pause after one more failure. `asked_ns`: what the backend asked for (Retry-After, RetryInfo), 0:
 * nothing; the pause is at least that. `random`: 64 random bits. */
uint64_t backoff_next(struct backoff *backoff, const struct backoff_options *options,
		      uint64_t asked_ns, uint64_t random);
