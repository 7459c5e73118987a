/* SPDX-License-Identifier: Apache-2.0 */
/* The stack of a place that allocates, in views of heap profiles. Both append to *out, whose failure is the caller's to see. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/* The sample's frames, leaf first, inlined ones too, each in a line from that column on; of a deep stack the first dozen. */
void site_stack_text(const struct profile *profile, uint32_t sample, int column, struct text *out);

/* All of them, as the inside of an array. */
void site_stack_json(const struct profile *profile, uint32_t sample, struct text *out);
