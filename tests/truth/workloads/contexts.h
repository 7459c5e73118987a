/* SPDX-License-Identifier: Apache-2.0 */
/* The variable of a thread that leads to its trace context, and the library that may have it. */
#pragma once

#define CONTEXT_EXPORT __attribute__((visibility("default")))

/* Sets it for the calling thread. */
typedef void set_thread_context(void *record);
