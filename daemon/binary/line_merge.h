/* SPDX-License-Identifier: Apache-2.0 */
/* One set of answers from several: what was known of a binary, and what its parser found out now. */
#pragma once

#include "base/text.h"
#include "binary/line_answers.h"

/*
 * `artifact` receives an ARTIFACT_LINES with the answers of `known` and `found` (each may be NULL; of
 * two answers for one address `found`'s is taken), and empty ones for those of the `count` sorted
 * addresses that neither has: that nothing is known of an address is worth knowing too. Returns 0 or
 * -ENOMEM.
 */
int line_answers_merge(const struct line_answers *known, const struct line_answers *found,
		       const uint64_t *addresses, size_t count, struct text *artifact);
