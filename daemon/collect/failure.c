/* SPDX-License-Identifier: Apache-2.0 */
/* See failure.h. */
#include "collect/failure.h"

#include <stdarg.h>
#include <stdio.h>

int collect_fail(struct collect_failure *failure, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
	return error;
}
