/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser of perf map text: lines "START SIZE name", hexadecimal, name to the end of the line.
 * Source: linux tools/perf/Documentation/jit-interface.txt.
 */
#pragma once

#include "binary/jit_output.h"

/* Parses the whole lines of an excerpt. The summary says how far they reach: what is behind the last newline is
 * for the next excerpt, unless it is longer than JIT_WINDOW without one. */
void perf_map_parse(const char *bytes, size_t size, struct jit_output *output);
