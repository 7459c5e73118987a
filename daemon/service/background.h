/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that takes longer than the event loop may wait: reading files, encoding, compressing. Each piece
 * runs in a thread of its own, with all signals as its maker had them; its end is told on the loop.
 */
#pragma once

#include "base/loop.h"

struct background;

/* In the thread: may touch nothing but `userdata`. */
typedef void (*background_work)(void *userdata);

/* On the loop, when the work is done. */
typedef void (*background_done)(void *userdata);

/* At most `limit` pieces of work run at once. Returns 0 or -errno. */
int background_new(struct loop *loop, unsigned limit, struct background **ret);

/* Starts. Returns 0, -EAGAIN when the limit is reached, or -errno; then `done` is not called. */
int background_run(struct background *background, background_work work, background_done done,
		   void *userdata);

/*
 * Waits for all that runs, at most `timeout_ns`, and calls its `done`. What takes longer is left alone:
 * its thread and what it owns go when the process does. Accepts NULL. Returns NULL.
 */
struct background *background_free(struct background *background, uint64_t timeout_ns);
