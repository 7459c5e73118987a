/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may block for ever, such as opening a file on a file system whose server hangs: it runs in
 * one of two threads, and its answer comes back through the event loop.
 *
 * Work with the same key (of the same device, say) is done one after the other, so that a file system that
 * hangs holds up one thread. Work that takes longer than the timeout counts as failed, and its thread is
 * left behind and replaced; until it comes back, all work with its key fails at once. The number of threads
 * left behind is bounded. A process whose thread hangs in the kernel ends only when that gives up.
 */
#pragma once

#include "base/loop.h"

struct offload;

struct offload_work {
	uint64_t key; /* what may hang; 0: nothing that other work has in common with it */
	bool urgent;  /* goes before what is not */
	uint64_t timeout_ns; /* longer than that of the others: what takes long without hanging; 0: theirs */
	/* In a thread, with all signals blocked. It touches nothing but its argument. */
	void (*run)(void *argument);
	/* On the loop. `error` is 0, or -ETIMEDOUT (then it may be that `run` still works on its
	 * argument, which is NULL here). It may take from the argument what it wants to keep. */
	void (*done)(void *userdata, int error, void *argument);
	/* Releases the argument, on the loop after `done`, or in the thread when nobody waits any more. */
	void (*release)(void *argument);
	void *argument;
	void *userdata;
};

/* Returns 0 or -errno. */
int offload_new(struct loop *loop, uint64_t timeout_ns, struct offload **ret);

/* Accepts NULL. Work that is not done is dropped without `done` being called; threads that hang are left
 * to the end of the process. */
struct offload *offload_free(struct offload *offload);

/* Takes the argument over on success; `done` is never called from within. Returns 0 or -errno. */
int offload_submit(struct offload *offload, const struct offload_work *work);

/* How much work has been submitted and is not done. */
size_t offload_pending(const struct offload *offload);

/* Without the loop: waits at most `wait_ns` for work to end, or for `other_fd` (-1: none) to become readable, and
 * calls `done` for what has ended. */
void offload_run_once(struct offload *offload, int other_fd, uint64_t wait_ns);

/* Threads that hang now. */
size_t offload_stuck(struct offload *offload);
