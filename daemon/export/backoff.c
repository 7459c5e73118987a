/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. */
#include "export/backoff.h"

#include "base/clock.h"

void backoff_set_defaults(struct backoff_options *options)
{
	if (!options->initial_ns)
		options->initial_ns = 5 * NS_PER_SECOND;
	if (!options->max_ns)
		options->max_ns = 30 * NS_PER_SECOND;
	if (options->multiplier < 1)
		options->multiplier = 1.5;
	if (options->randomization == 0)
		options->randomization = 0.5;
	if (!options->max_asked_ns)
		options->max_asked_ns = 3600 * NS_PER_SECOND;
}

uint64_t backoff_next(struct backoff *backoff, const struct backoff_options *options,
		      uint64_t asked_ns, uint64_t random)
{
	double interval = (double)options->initial_ns;
	if (backoff->interval_ns)
		interval = (double)backoff->interval_ns * options->multiplier;
	if (interval > (double)options->max_ns)
		interval = (double)options->max_ns;
	backoff->interval_ns = (uint64_t)interval;

	double spread = options->randomization > 0 ? MIN_OF(options->randomization, 1.0) : 0;
	double draw = (double)(random >> 11) / (double)(1ULL << 53); /* [0, 1) */
	uint64_t pause = (uint64_t)(interval * (1 - spread + 2 * spread * draw));
	uint64_t asked = MIN_OF(asked_ns, options->max_asked_ns);
	return MAX_OF(MAX_OF(pause, asked), (uint64_t)1);
}
