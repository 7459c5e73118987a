/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of `record --pid`, waited for: when the last one has ended there is nothing left to record, and a
 * recording without --duration would go on for ever.
 */
#pragma once

#include "base/array.h"
#include "base/loop.h"

struct awaited_process {
	int fd; /* readable when it has ended */
	struct loop_source *source;
	struct awaited *of;
};

/* Zero-initialise; awaited_free() before the loop. */
struct awaited {
	ARRAY(struct awaited_process *) processes;
	size_t running;
	struct loop *loop;
};

/* Stops the loop when all of them have ended; processes that are gone already count as ended (ask awaited_have_ended()
 * before the loop runs). Where it cannot be known
 * (a thread's id, too many open files) the loop goes on. Returns 0 or -errno. */
int awaited_watch(struct awaited *awaited, struct loop *loop, const uint32_t *pids, size_t count);

/* Did all end? */
bool awaited_have_ended(const struct awaited *awaited);

void awaited_free(struct awaited *awaited);
