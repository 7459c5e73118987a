/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a queue and a way out have in common: an encoded batch, and how sending it ended. A queue
 * (exporter.h) keeps payloads on disk until their sink says what became of them; a sink knows one
 * protocol, holds its connection, and keeps nothing.
 *
 * The outcomes follow the retry rules of the OTLP specification (opentelemetry.io/docs/specs/otlp):
 * what may be sent again, what never, and what is too large as it is.
 */
#pragma once

#include "base/attributes.h"

enum payload_kind {
	PAYLOAD_OTLP = 1,  /* ExportProfilesServiceRequest, protobuf */
	PAYLOAD_PPROF = 2, /* profile.proto, protobuf: of CPU time */
	PAYLOAD_PPROF_GROWTH = 3, /* the same, of growth: it has another name as a file */
	PAYLOAD_PPROF_OOM_CPU = 4,    /* of a process that was killed for lack of memory */
	PAYLOAD_PPROF_OOM_GROWTH = 5, /* of its growth */
	PAYLOAD_PPROF_HEAP = 6,	      /* of the heap */
	PAYLOAD_PPROF_OOM_HEAP = 7,   /* of that of a killed process */
	PAYLOAD_PYROSCOPE = 16,	      /* PushRequest, protobuf */
};

static inline bool payload_is_pprof(enum payload_kind kind)
{
	return kind >= PAYLOAD_PPROF && kind <= PAYLOAD_PPROF_OOM_HEAP;
}

/* One encoded batch, not compressed. Its bytes never change once it is queued, so that a batch sent
 * again is the same batch. */
struct payload {
	enum payload_kind kind;
	const char *bytes; /* the queue's */
	size_t size;
	uint64_t samples;	  /* events in it, for the counters */
	int64_t start_ns, end_ns; /* the interval it covers, CLOCK_REALTIME */
};

enum sink_outcome {
	SINK_SENT,
	SINK_RETRY,	/* the same bytes may be sent again: no connection, overload, timeout */
	SINK_REJECTED,	/* the backend will never take these bytes */
	SINK_TOO_LARGE, /* smaller pieces may pass */
};

#define SINK_CODE_BYTES 24

struct sink_result {
	enum sink_outcome outcome;
	uint64_t retry_after_ns;    /* the backend asks for this pause; 0: it does not */
	uint64_t rejected_profiles; /* SINK_SENT with partial success: the backend dropped so many */
	uint64_t size_limit;	    /* SINK_TOO_LARGE: the payload's largest size; 0: not known */
	uint64_t bytes_sent;	    /* on the wire, bodies only */
	char code[SINK_CODE_BYTES]; /* the answer in a word, to be counted: "200", "UNAVAILABLE",
				     * "timeout"; empty: as the outcome is called */
	bool maybe_received;	    /* SINK_RETRY: the whole request went out, its answer was lost */
	char message[256];	    /* for people, never a credential; empty when there is nothing to say */
};

struct sink;

struct sink_operations {
	/* Sends and waits for the answer, at most `timeout_ns`. Called from one thread at a time. */
	void (*send)(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
		     struct sink_result *ret);
	/* Makes a send() that waits return soon with SINK_RETRY; from any thread. */
	void (*cancel)(struct sink *sink);
	/* Accepts what a failed constructor left. Returns NULL. */
	struct sink *(*free)(struct sink *sink);
};

/* The first member of every sink. */
struct sink {
	const struct sink_operations *operations;
};
