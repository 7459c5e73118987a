/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process publishes of itself in its memory, by OpenTelemetry's OTEP 4719 (process context): a header at the
 * start of a mapping with a name of its own, which leads to a protobuf message. Pure parsers of its bytes, which are
 * the program's own and may say anything.
 */
#pragma once

#include "process/proc_text.h"

#define PROCESS_CONTEXT_HEADER_SIZE 32
#define PROCESS_CONTEXT_MAX_PAYLOAD 65536

struct process_context_header {
	uint64_t published_ns; /* CLOCK_BOOTTIME; another one with each change */
	uint64_t payload; /* address in the process */
	uint32_t size; /* of it, bytes, at most PROCESS_CONTEXT_MAX_PAYLOAD */
};

/* Has a mapping of this name (as in /proc/PID/maps) such a header? */
bool process_context_is_name(struct slice path);

/* Returns 0, -EAGAIN (it is being written) or -EBADMSG. */
int process_context_parse_header(const uint8_t bytes[static PROCESS_CONTEXT_HEADER_SIZE],
				 struct process_context_header *ret);

/* Do the threads have contexts of the kind that is read here (OTEP 4947: a variable of each thread leads to it)?
 * Returns 0 with *ret set, or -EBADMSG. */
int process_context_parse(const void *payload, size_t size, bool *ret_has_thread_contexts);
