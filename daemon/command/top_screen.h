/* SPDX-License-Identifier: Apache-2.0 */
/* `top` on a terminal: keys, signals and profiles come in on the event loop, pictures go out. */
#pragma once

#include "command/top.h"

/* Runs until the person or a signal ends it, or no profile comes any more. top->source is open, with
 * top_screen_profile() as its callback. Returns an exit status. */
int top_screen_run(struct top *top);

/* The source's callback; `userdata` is the struct top. */
int top_screen_profile(struct profile *profile, const char *problem, void *userdata);
