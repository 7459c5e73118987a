/* SPDX-License-Identifier: Apache-2.0 */
/* The labels of a series, as its part of a PushRequest. */
#pragma once

#include "format/pyroscope.h"

/* Appends what RawProfileSeries has of the labels of this sample: equal bytes are the same series. Returns
 * 0 or -ENOMEM. */
int pyroscope_add_labels(const struct profile *profile, const struct pyroscope_options *options,
			 const struct profile_sample *sample, struct text *out);
