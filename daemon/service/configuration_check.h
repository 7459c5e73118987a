/* SPDX-License-Identifier: Apache-2.0 */
/* What no single value can tell: how settings go together. */
#pragma once

#include "service/configuration.h"

/* Names the exporters that have no name after their type. `source` is for the problems. Returns 0 (with
 * or without problems) or -ENOMEM. */
int configuration_check(const char *source, struct configuration *configuration,
			struct configuration_problems *problems);
