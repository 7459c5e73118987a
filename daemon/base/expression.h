/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular expressions that people choose names by: POSIX extended ones (regex(7)), as the C library has them, with
 * \d, \w, \s and their opposites, which most other tools know. POSIX takes "\d" for the letter, so that an expression
 * with it would match nothing and nobody would be told: a backslash before a letter means something or is refused.
 */
#pragma once

#include "base/text.h"

#include <regex.h>

/* For regexec() without places, which are not kept; the caller frees it with regfree(). Returns 0; -EINVAL with a message
 * of what is wrong, which names the pattern, added to *error; or -ENOMEM. */
int expression_compile(const char *pattern, regex_t *ret, struct text *error);
