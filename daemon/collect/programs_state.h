/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the programs, for the files programs*.c alone. */
#pragma once

#include "collect/programs.h"

#define VERDICTS 4096 /* on executables, and on names of threads */

/* Gives each map its entries, before the programs are loaded. */
void programs_size_maps(const struct programs *programs, const struct programs_options *options);

/* Tells the programs the settings; what every tick asks has a place of its own. Return 0 or -errno, logged. */
int programs_publish(const struct programs *programs);
int programs_publish_to_ticks(const struct programs *programs);
