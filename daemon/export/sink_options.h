/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one destination is told: where, how, as whom. Filled from the configuration, copied by the sink
 * that is made from it, compared at reload: a destination whose options are equal keeps its sink.
 *
 * Secrets come from files, which are read again when they change; headers may hold secrets too. None
 * of them is ever part of a message.
 */
#pragma once

#include "base/attributes.h"

enum sink_protocol {
	SINK_OTLP_GRPC = 1,
	SINK_OTLP_HTTP,		/* protobuf bodies */
	SINK_PYROSCOPE_INGEST,	/* POST /ingest, multipart pprof */
	SINK_PYROSCOPE_PUSH,	/* push.v1.PusherService/Push, unary Connect */
};

enum sink_compression {
	SINK_GZIP, /* what every OTLP server must accept */
	SINK_ZSTD, /* OTLP only; the Collector takes it */
	SINK_UNCOMPRESSED,
};

struct sink_pair {
	char *name, *value;
};

struct sink_pairs {
	struct sink_pair *items;
	size_t count, capacity;
};

/* Zero-initialise; every string is owned and may be NULL. Free with sink_options_free(). */
struct sink_options {
	enum sink_protocol protocol;
	enum sink_compression compression;
	uint64_t timeout_ns; /* of one request, connecting included; 0: only what send() is given */

	/* "http://HOST:PORT/BASE" or "https://…"; gRPC also takes "HOST:PORT". */
	char *endpoint;
	bool endpoint_is_exact; /* HTTP: post to this very URL, append no path */
	bool plain;		/* gRPC endpoint without a scheme: no TLS */

	char *ca_file;		/* PEM; NULL: the system's authorities */
	char *certificate_file; /* PEM, of the client; with key_file */
	char *key_file;
	bool skip_verification; /* of the server's certificate */

	char *bearer_token_file;
	char *user; /* basic authorization, with password_file */
	char *password_file;
	struct sink_pairs headers;

	char *proxy; /* NULL: as the environment says (https_proxy, no_proxy …); "": none */

	/* Of the form of /ingest; a push has them in its series, and they are here to be checked. */
	char *application;	  /* the service's name; NULL: "bolometer" */
	struct sink_pairs labels; /* on every profile */
};

/* Appends a copy of both strings. Returns 0 or -ENOMEM. */
int sink_pairs_add(struct sink_pairs *pairs, const char *name, const char *value);

/* The same names and values in the same order? */
bool sink_pairs_equal(const struct sink_pairs *a, const struct sink_pairs *b);

/* Returns 0 or -ENOMEM, then *to is empty. */
int sink_options_copy(struct sink_options *to, const struct sink_options *from);
bool sink_options_equal(const struct sink_options *a, const struct sink_options *b);

/* Secrets are overwritten first. Leaves the options empty. */
void sink_options_free(struct sink_options *options);

/* Are headers, labels, files and authorization such as can work together? Returns 0, or -EINVAL with
 * `problem` saying what to change, without any value of a header. The endpoint is judged by
 * sink_url_make(); files are looked at when they are needed. */
int sink_options_check(const struct sink_options *options, char *problem, size_t size);
