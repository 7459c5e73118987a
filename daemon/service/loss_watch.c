/* SPDX-License-Identifier: Apache-2.0 */
/* See loss_watch.h. */
#include "service/loss_watch.h"

#include "base/clock.h"

#define PAUSE_NS (60 * NS_PER_SECOND)
#define HEAVY_PART 0.01 /* of the samples */
#define LEAST_LOST 20	/* fewer are chance where few are taken */

static bool is_heavy(const struct loss *loss)
{
	return loss->lost >= LEAST_LOST && (double)loss->lost >= HEAVY_PART * (double)(loss->kept + loss->lost);
}

bool loss_watch_add(struct loss_watch *watch, const struct loss *interval, uint64_t now_ns, struct loss *ret)
{
	watch->untold.kept += interval->kept;
	watch->untold.lost += interval->lost;
	watch->untold.duration_ns += interval->duration_ns;
	if (watch->told_ns && now_ns - watch->told_ns < PAUSE_NS)
		return false;
	*ret = watch->untold;
	watch->untold = (struct loss){0};
	if (!is_heavy(ret))
		return false;
	watch->told_ns = now_ns;
	return true;
}
