/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what backends answer: all of it is foreign, and none of it may be larger than it must.
 *
 * Sources: opentelemetry.io/docs/specs/otlp (partial success, Retry-After), github.com/grpc/grpc
 * doc/PROTOCOL-HTTP2.md (grpc-message, grpc-status-details-bin), google/rpc/error_details.proto.
 */
#pragma once

#include "base/attributes.h"

#define ANSWER_MESSAGE_BYTES 192

/* ExportProfilesServiceResponse. */
struct partial_success {
	uint64_t rejected_profiles;
	char message[ANSWER_MESSAGE_BYTES];
};

/* google.rpc.Status with what its details ask for. */
struct rpc_status {
	int32_t code;
	char message[ANSWER_MESSAGE_BYTES];
	bool has_retry_info;
	uint64_t retry_delay_ns;
};

/* Each returns 0, or -EBADMSG when it is not such a message; -EFBIG past a sane size. */
int answer_partial_success(const void *bytes, size_t size, struct partial_success *ret);
int answer_status(const void *bytes, size_t size, struct rpc_status *ret);

/* The value of trailer grpc-status-details-bin: base64, with padding or without. */
int answer_status_details(const char *base64, struct rpc_status *ret);

/* Undoes grpc-message's percent encoding in place; what is no valid escape stays as it is. */
void answer_percent_decode(char *text);

/* Retry-After: seconds, or a date that is counted from `date` (the answer's own Date, NULL: this
 * host's clock), so that clocks that differ do not matter. At most a day. 0 when it says nothing. */
uint64_t answer_retry_after_ns(const char *retry_after, const char *date);

/* Does this message of RESOURCE_EXHAUSTED say that the request was too large? The wording is that of
 * the gRPC implementations for Go, C++ and Java. *ret_limit: the limit in bytes it names, or 0. */
bool answer_is_too_large(const char *message, uint64_t *ret_limit);
