/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The summary's words on frames without a function's name: how many there are, and whose it is to name them. Only the
 * program itself can say the names of JIT code; of files it is their debug symbols, so the files are told.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"
#include "profile/recording.h"

/* Lines that end in a newline. `profile`: the frames of the files are counted in it, each as often as it was sampled. */
void summary_write_unnamed(const struct recording_statistics *statistics, const struct profile *profile,
			   struct text *out);
