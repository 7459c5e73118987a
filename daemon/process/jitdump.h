/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of jitdump files, fed with windows of the file. Foreign bytes: every size is checked against
 * the record and the window; the code bytes themselves are skipped unread.
 *
 * Source: linux tools/perf/Documentation/jitdump-specification.txt.
 */
#pragma once

#include "process/jit_codes.h"

struct jitdump {
	bool header_read;
	bool broken;	   /* not a jitdump file, or its structure is lost */
	bool swapped;	   /* written on a machine of the other byte order */
	bool foreign_clock; /* timestamps are not CLOCK_MONOTONIC */
	bool closed;
	uint32_t pending_lines; /* debug info that waits for its code, or JIT_NO_LINES */
	uint64_t pending_address;
	uint64_t bad_records;
};

/* Window size that every record we read must fit with its fixed part and name. */
#define JITDUMP_WINDOW 65536

/* Parses the records in `bytes`, which stand at the current position of a file that has
 * `available` >= size bytes from there. Returns how far to move: possibly behind the window, where
 * code was skipped; 0 when the next record is not complete yet. Codes go to `codes`, valid from their
 * timestamp but not after `now`, or from `previous` when the file uses another clock. */
uint64_t jitdump_parse(struct jitdump *dump, const uint8_t *bytes, size_t size, uint64_t available,
		       struct jit_codes *codes, uint64_t previous, uint64_t now);
