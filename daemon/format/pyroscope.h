/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Pyroscope's PusherService takes: a PushRequest, with a series for each set of labels and pprof
 * messages in it.
 *
 * Pyroscope makes a series of each combination of labels, those inside a profile too, and finds a profile
 * by its series alone. So a profile of a host is taken apart: each service, or process, is a series with
 * its names as labels, and the pprof messages have no labels but span_id, of which Pyroscope makes no series: it is
 * what "span profiles" are found by (pkg/pprof: GroupSamplesWithoutLabels).
 *
 * Sources: pyroscope's api/push/v1/push.proto and api/types/v1/types.proto; the limits of its
 * documentation (grafana.com/docs/pyroscope, limits): 30 labels, 2,048 bytes a value, 4 MiB a profile,
 * 16,000 samples.
 */
#pragma once

#include "format/otlp.h"
#include "format/pprof.h"

#define PYROSCOPE_MAX_LABELS 30 /* of a series, with __name__ and service_name */
#define PYROSCOPE_SIZE_LIMIT ((size_t)3584 << 10) /* of a request, not compressed */

struct pyroscope_label {
	const char *name, *value;
};

struct pyroscope_options {
	const char *profile_name; /* the label __name__: "process_cpu" or "memory" */
	const char *application;  /* service_name of everything; NULL: each service its own */
	enum otlp_grouping grouping; /* what a series is */
	bool thread_names;	  /* a series for each thread name as well */
	const struct pyroscope_label *labels; /* of every series; they win over what is found */
	size_t label_count;
	const struct otlp_attribute *attributes; /* of every resource, unless a process knows better */
	size_t attribute_count;
	size_t size_limit; /* bytes of a request; 0: PYROSCOPE_SIZE_LIMIT */
};

struct pyroscope_message {
	const char *bytes; /* the encoder's */
	size_t size;
	uint64_t samples; /* events in it; samples, where the profile does not count events */
};

/* Takes a message over; a negative result ends the encoding. */
typedef int (*pyroscope_emit)(void *userdata, const struct pyroscope_message *message);

/*
 * Encodes a profile into as many PushRequests as the limit asks for. A series that is too large comes in
 * several requests, each with a part of its samples; one sample that is too large comes as it is. Returns
 * 0, -ENOMEM, or what `emit` failed with.
 */
int pyroscope_encode(const struct profile *profile, const struct pyroscope_options *options,
		     pyroscope_emit emit, void *userdata);

/*
 * Cuts a request of `samples` events that a server finds too large in two: by its series, by the profiles of its only
 * series, or by the samples of its only profile, which get new ids. Returns 0; -E2BIG when nothing is left to cut,
 * -EBADMSG or -ENOMEM. The caller frees the bytes.
 */
int pyroscope_split(const void *bytes, size_t size, uint64_t samples, struct pprof_half ret[2]);
