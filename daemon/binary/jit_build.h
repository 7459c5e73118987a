/* SPDX-License-Identifier: Apache-2.0 */
/* The builder of an ARTIFACT_JIT (jit_layout.h), in the parser child. */
#pragma once

#include "base/text.h"
#include "binary/jit_layout.h"

/* `excerpt` is a file with what was copied from the JIT map. Returns 0, or -errno (-E2BIG when it is longer than
 * JIT_MAX_EXCERPT). */
int jit_build(int excerpt, const struct jit_source *source, struct text *answer);
