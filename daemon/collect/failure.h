/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What starting to collect failed at, in words a person can act on. Helpers fill it, the edge prints
 * it once.
 */
#pragma once

#include "base/attributes.h"

struct collect_failure {
	char text[1024];
};

/* Writes the text and returns `error` (a negative errno), for `return collect_fail(f, r, …)`. */
int collect_fail(struct collect_failure *failure, int error, const char *format, ...)
	_printf_(3, 4);
