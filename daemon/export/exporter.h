/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A destination: a spool (spool.h), a sink (sink.h), and two threads. The writer takes payloads from
 * the daemon's loop to the disk; the sender takes the oldest from the disk to the sink, and waits
 * and tries again when that fails. So neither a hanging disk nor a hanging backend is ever waited
 * for in the loop, and neither waits for the other.
 *
 * A payload stays in the spool until the sink said that it arrived, or that it never will. There is no
 * largest age: the spool is bounded, and the oldest go first.
 *
 * In samples, whenever nothing moves:
 *	taken + recovered = sent + waiting + all of dropped
 */
#pragma once

#include "export/backoff.h"
#include "export/sink.h"
#include "export/spool.h"

#include <pthread.h>

struct exporter;

/* What time is it, how to wait, what is random: replaced in tests, where an hour takes no time. */
struct exporter_clock {
	uint64_t (*now_ns)(void *userdata);
	/* Waits for the condition, at the latest until `until_ns` (UINT64_MAX: without end). May return
	 * early. The mutex is held. */
	void (*wait)(void *userdata, pthread_cond_t *condition, pthread_mutex_t *mutex,
		     uint64_t until_ns);
	uint64_t (*random)(void *userdata);
	void *userdata;
};

/* Splits a payload that is too large for the backend into two, whose bytes the callee allocates and the
 * caller frees. Returns 0, -E2BIG when it cannot be split further, or -errno. From the sender's
 * thread. */
typedef int (*exporter_split)(const struct payload *payload, struct payload halves[2]);

struct exporter_options {
	const char *name; /* for logs: "otlp collector.example:4317" */
	struct spool_options spool;
	struct backoff_options retry;
	exporter_split split;		    /* NULL: what is too large is dropped */
	uint64_t send_timeout_ns;	    /* of one attempt; 0: 10 s */
	uint64_t max_handoff_bytes;	    /* not yet taken by the writer; 0: 32 MiB */
	const struct exporter_clock *clock; /* NULL: the system's */
};

/* A backend that makes up codes must not take memory, or a monitoring system's, without bound. */
#define EXPORTER_MAX_ANSWERS 12

struct exporter_statistics {
	struct spool_statistics spool;	/* taken, waiting and dropped include the hand-over's */
	struct amount handoff;		/* of `waiting`, what the writer has not written yet */
	uint64_t sends;			/* attempts */
	struct {
		char code[SINK_CODE_BYTES];
		uint64_t sends;
	} answers[EXPORTER_MAX_ANSWERS]; /* `sends` by the answer's code; the last may be "other" */
	size_t answer_count;
	uint64_t retries;		/* attempts that are to be repeated */
	uint64_t partial_successes;	/* sent, with some profiles refused */
	uint64_t rejected_profiles;	/* by these */
	uint64_t bytes_sent;		/* on the wire, failed attempts included */
	uint64_t failures_in_a_row;	/* 0: the last attempt was answered */
	uint64_t refusals_in_a_row;	/* for good, since the last payload that was taken */
	uint64_t pause_ns;		/* until the next attempt; 0: none is waited for */
	uint64_t size_limit;		/* of a payload, learned from refusals; 0: none is known */
	char last_message[256];		/* the last thing that went wrong; empty: nothing did */
};

/* Opens the spool and starts the threads. The sink belongs to the exporter when this succeeds. Returns
 * 0, -EBUSY when another process uses the spool's directory, or -errno. */
int exporter_new(const struct exporter_options *options, struct sink *sink, struct exporter **ret);

/* Queues a copy of the payload; never waits for disk or network. Returns 0, or -ENOMEM, counted as
 * dropped. */
int exporter_add(struct exporter *exporter, const struct payload *payload);

/* Counts samples as taken and dropped for which no payload could be made. */
void exporter_lose(struct exporter *exporter, uint64_t samples, enum drop_reason reason);

/* The largest payload that the destination takes, as far as its refusals told; 0: none is known. What
 * is made larger arrives too, split, but each refusal is a request more. Another sink begins anew. */
uint64_t exporter_size_limit(struct exporter *exporter);

/* Sends with another sink from now on, at once; an attempt that waits is cancelled. What is queued
 * stays. The old one is freed. */
void exporter_set_sink(struct exporter *exporter, struct sink *sink);

/* Begins to send all that waits, without regard to a pause, for at most `timeout_ns`. Does not wait, so
 * that several exporters can flush at once. */
void exporter_flush_start(struct exporter *exporter, uint64_t timeout_ns);

/* Waits for what exporter_flush_start() began. Returns 0 when nothing waits any more, -EAGAIN when the
 * next attempt would come too late, or -ETIMEDOUT; the rest stays in the spool. */
int exporter_flush_wait(struct exporter *exporter);

/* Writes what was handed over, cancels an attempt that waits and ends the threads; what is only in
 * memory is then lost, counted as DROP_SHUTDOWN. Statistics can be read afterwards. */
void exporter_stop(struct exporter *exporter);

/* Stops and frees. Accepts NULL. Returns NULL. */
struct exporter *exporter_free(struct exporter *exporter);

void exporter_statistics(struct exporter *exporter, struct exporter_statistics *ret);
