/* SPDX-License-Identifier: Apache-2.0 */
/* How text for people looks: colours only on a terminal and never with NO_COLOR, grouped digits. */
#pragma once

#include "base/attributes.h"

enum colour { COLOUR_NONE, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_BOLD, COLOUR_DIM };

/* May text on this descriptor carry colours? See no-color.org. */
bool terminal_has_colour(int fd);

/* Escape sequence that starts a colour, or "" when `enabled` is false. COLOUR_NONE ends it. */
const char *terminal_colour(bool enabled, enum colour colour);

/* Can a line on this descriptor be written anew? Not on a pipe, nor where TERM is dumb, as in an editor. */
bool terminal_can_erase(int fd);

/* Columns of the terminal, or 0 when `fd` is none. */
unsigned terminal_width(int fd);

/* "1,234,567" into a caller's buffer that is returned; 32 bytes hold every number. */
const char *text_count(char *buffer, size_t size, uint64_t number);

/* "0.31 %", "12.4 %" of part in whole; "0 %" when the whole is 0. */
const char *text_share(char *buffer, size_t size, double part, double whole);

/* The word for one of something, or for any other number of them. */
const char *text_plural(uint64_t count, const char *one, const char *many);
