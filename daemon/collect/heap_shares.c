/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_shares.h"

#include "base/interval.h"

#include <math.h>

void heap_share_add(struct heap_share *share, double bytes, double all)
{
	share->bytes += bytes;
	share->squares += bytes * bytes;
	share->with_all += bytes * all;
}

void heap_share_sums_add(struct heap_share_sums *sums, double all)
{
	sums->opened++;
	sums->windows += all > 0;
	sums->all += all;
	sums->squares += all * all;
}

double heap_share_error_95(const struct heap_share *share, const struct heap_share_sums *sums)
{
	if (sums->windows < 2 || sums->all <= 0)
		return 1;
	double freedom = (double)sums->windows - 1, s = share->bytes / sums->all;
	double squares = fmax(share->squares - 2 * s * share->with_all + s * s * sums->squares, 0);
	return fmin(student_95(freedom) * sqrt(squares * (freedom + 1) / freedom) / sums->all, 1);
}
