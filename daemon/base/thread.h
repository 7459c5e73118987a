/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that nobody joins. Signals are the loop's: these take none. */
#pragma once

#include <stddef.h>

#define THREAD_USUAL_STACK 0

/* Starts `run` with `argument`, which stays the caller's when this fails. `stack_bytes`: of the stack. Returns 0 or
 * -errno. */
int thread_start_detached(size_t stack_bytes, void *(*run)(void *argument), void *argument);
