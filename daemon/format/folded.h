/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folded stacks: one line a stack, "root;caller;leaf 42", as flamegraph.pl, inferno, speedscope and
 * many others read them. Frames carry the suffixes of stackcollapse-perf.pl --all: "_[k]" kernel,
 * "_[i]" inlined, "_[j]" JIT. A ';' inside a name becomes ':', a control character '?'.
 *
 * Source: github.com/brendangregg/FlameGraph, stackcollapse-perf.pl and flamegraph.pl.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

#define FOLDED_NO_STACK "[no stack]"

/* More is neither read nor written; 32-bit indices cannot overflow in it. */
#define FOLDED_SIZE_LIMIT ((size_t)512 << 20)

/* Appends the values of the default sample type, equal stacks summed, in the order of their names. A
 * stack without frames becomes FOLDED_NO_STACK. Returns 0, -EINVAL when the profile has no sample type,
 * -EFBIG past FOLDED_SIZE_LIMIT, which a small file with long names on deep stacks can ask for, or
 * -ENOMEM. */
int folded_encode(const struct profile *profile, struct text *out);

/* Why a file was refused: "a line ends without a number". */
struct folded_failure {
	char text[128];
	size_t line; /* from 1 */
};

/*
 * Reads folded stacks into a profile with the sample type samples/count. The three suffixes become
 * frame types and inlined lines; a frame in brackets is a mark unless it is "[file+0xaddress]".
 * Fractions of a value are cut off. Returns 0; -EBADMSG for a line that is no stack or a file
 * without stacks, -EFBIG past FOLDED_SIZE_LIMIT, both with *failure filled; or -ENOMEM. The caller
 * frees.
 */
int folded_decode(const char *bytes, size_t size, struct folded_failure *failure,
		  struct profile **ret);
