/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of jitdump files, fed with excerpts of the file. Foreign bytes: every size is checked against
 * the record and the excerpt; the code bytes themselves are skipped unread.
 *
 * Source: linux tools/perf/Documentation/jitdump-specification.txt.
 */
#pragma once

#include "binary/jit_output.h"

/* Parses the records in `bytes`, which stand at the current position of a file that has `available` >= size
 * bytes from there. The summary, whose state is that before them, says how far to move: possibly behind the
 * excerpt, where code was skipped, but not behind the file; 0 when the next record is not complete yet. */
void jitdump_parse(const uint8_t *bytes, size_t size, uint64_t available, struct jit_output *output);
