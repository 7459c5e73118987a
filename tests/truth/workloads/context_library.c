/* SPDX-License-Identifier: Apache-2.0 */
/* Has the variable, beside others that fill more than the C library keeps free for libraries that come late. */
#include "contexts.h"

#include <string.h>

CONTEXT_EXPORT __thread void *otel_thread_ctx_v1;
CONTEXT_EXPORT __thread char other_variables[8192];

CONTEXT_EXPORT void set_context(void *record)
{
	other_variables[0] = 1;
	otel_thread_ctx_v1 = record;
}
