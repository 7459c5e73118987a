/* SPDX-License-Identifier: Apache-2.0 */
/* The children that test_parser.c starts: itself, in another part. */
#pragma once

#include "binary/parser_child.h"

/* Does what the file's first word says. */
extern const struct parser_operations obedient_operations;

/* A child taken over, with the habit of this name: outside the sandbox, so that it can do more than a real one could.
 * Returns the exit status. */
int play_hostile_child(const char *habit);
