/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's status codes and what OTLP makes of them (github.com/grpc/grpc doc/statuscodes.md). */
#pragma once

#include "export/sink.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
	GRPC_LAST = GRPC_UNAUTHENTICATED,
};

/* What is no code is GRPC_UNKNOWN. */
int grpc_status_parse(const char *text);
const char *grpc_status_name(int code);

/* `has_retry_info`: the server says when it wants the request again. Not for GRPC_OK. */
enum sink_outcome grpc_status_outcome(int code, bool has_retry_info);

/* May the server have taken the request that it answers with this? */
bool grpc_status_may_be_received(int code);

/* Would every request of this caller to this method be refused alike? */
bool grpc_status_is_about_caller(int code);
