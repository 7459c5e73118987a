/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: level-triggered epoll over descriptors, timers, triggers and signals. One loop per process;
 * no callback may block. A source may be removed from inside any callback, its own included: it is
 * freed after the round.
 */
#pragma once

#include "base/attributes.h"

struct loop;
struct loop_source;

/* Return 0 to go on; a negative errno ends loop_run() with that value. */
typedef int (*loop_callback)(struct loop_source *source, uint32_t events, void *userdata);

/* Returns 0 or -errno. */
int loop_new(struct loop **ret);

/* Accepts NULL; closes what is its own, not descriptors given to loop_add_fd(). */
struct loop *loop_free(struct loop *loop);

/* Watches `fd` (stays the caller's) for `events` (EPOLLIN, …). Returns 0 or -errno. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_callback callback, void *userdata,
		struct loop_source **ret);

/* Fires first after `first_ns`, then every `interval_ns` (0: once). Returns 0 or -errno. */
int loop_add_timer(struct loop *loop, uint64_t first_ns, uint64_t interval_ns,
		   loop_callback callback, void *userdata, struct loop_source **ret);

/* Re-arms a timer source. */
int loop_set_timer(struct loop_source *source, uint64_t first_ns, uint64_t interval_ns);

/* Is called with the next round after loop_trigger(), once however often that was called. As a timer of no time, at a
 * thirtieth of the cost in a virtual machine: the kernel sets no clock and takes no interrupt. Returns 0 or -errno. */
int loop_add_trigger(struct loop *loop, loop_callback callback, void *userdata, struct loop_source **ret);
void loop_trigger(struct loop_source *source);

/* Blocks `signal` for the process and delivers it here; `events` is the signal number. */
int loop_add_signal(struct loop *loop, int signal, loop_callback callback, void *userdata,
		    struct loop_source **ret);

/* In the callback of a signal: did the kernel send it (a key at the terminal), not a process? */
bool loop_signal_is_from_kernel(const struct loop_source *source);

/* Accepts NULL. Always returns NULL. */
struct loop_source *loop_remove(struct loop_source *source);

/* Dispatches until loop_stop() or a callback fails. Returns loop_stop()'s value or the error. */
int loop_run(struct loop *loop);

/* Waits at most `timeout_ms` (-1: forever) and dispatches one round. Returns 0 or -errno. */
int loop_run_once(struct loop *loop, int timeout_ms);

void loop_stop(struct loop *loop, int value);

/* Readable when the loop has something to dispatch, so that one loop can be a source of another. */
int loop_fd(const struct loop *loop);
