/* SPDX-License-Identifier: Apache-2.0 */
/* What a person may have meant who typed a word that is not known. */
#pragma once

#include <stddef.h>

/* The candidate nearest to `word`, or NULL when none is near enough to be a slip of the finger. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);
