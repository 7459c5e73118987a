/* SPDX-License-Identifier: Apache-2.0 */
/* pprof has no field for what a frame is: guess it from the mapping's and the source file's name. */
#pragma once

#include "profile/profile.h"

/* Sets the type of every location. Returns 0 or -ENOMEM. */
int pprof_guess_frame_types(struct profile *profile);
