/* SPDX-License-Identifier: Apache-2.0 */
/* See grpc_status.h. */
#include "export/grpc_status.h"

#include "base/text.h"

static const char *const names[] = {
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
	"ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
	"UNAUTHENTICATED",
};

int grpc_status_parse(const char *text)
{
	uint64_t code;
	return text_parse_u64(text, GRPC_OK, GRPC_LAST, &code) == 0 ? (int)code : GRPC_UNKNOWN;
}

const char *grpc_status_name(int code)
{
	return names[code];
}

enum sink_outcome grpc_status_outcome(int code, bool has_retry_info)
{
	switch (code) {
	case GRPC_CANCELLED:
	case GRPC_DEADLINE_EXCEEDED:
	case GRPC_ABORTED:
	case GRPC_OUT_OF_RANGE:
	case GRPC_UNAVAILABLE:
	case GRPC_DATA_LOSS:
		return SINK_RETRY;
	case GRPC_RESOURCE_EXHAUSTED:
		return has_retry_info ? SINK_RETRY : SINK_REJECTED;
	default:
		return SINK_REJECTED;
	}
}

bool grpc_status_may_be_received(int code)
{
	return code == GRPC_CANCELLED || code == GRPC_DEADLINE_EXCEEDED || code == GRPC_DATA_LOSS;
}

bool grpc_status_is_about_caller(int code)
{
	return code == GRPC_PERMISSION_DENIED || code == GRPC_UNIMPLEMENTED ||
	       code == GRPC_UNAUTHENTICATED;
}
