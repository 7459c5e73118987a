/* SPDX-License-Identifier: Apache-2.0 */
/* From the text of a configuration file to settings; what is wrong is collected, not only the first. */
#pragma once

#include "service/configuration.h"

/* Sets what the text sets. `name` is for the problems. Returns 0 (with or without problems) or
 * -ENOMEM. */
int configuration_read_text(const char *name, const char *bytes, size_t size,
			    struct configuration *configuration,
			    struct configuration_problems *problems);
