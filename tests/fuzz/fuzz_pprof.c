/* SPDX-License-Identifier: Apache-2.0 */
/* What the pprof reader takes is sound, can be written and read again, merged and shown. */
#include "format/folded.h"
#include "format/pprof.h"
#include "format/speedscope.h"
#include "profile/merge.h"
#include "profile/report.h"

#include <errno.h>

#define EXPANDED_LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void write_and_read(const struct profile *profile)
{
	_cleanup_profile_ struct profile *again = NULL;
	struct pprof_failure failure;
	struct text out = {0};
	require(pprof_encode(profile, PPROF_RAW, &out) == 0);
	require(pprof_decode(out.bytes, out.length, 0, &failure, &again) == 0);
	require(again->samples.count == profile->samples.count);
	require(again->locations.count == profile->locations.count);
	require(again->stack_locations.count == profile->stack_locations.count);
	text_free(&out);
}

static void merge(const struct profile *profile)
{
	_cleanup_profile_ struct profile *sum = NULL;
	const struct profile *twice[] = {profile, profile};
	int r = profile_merge(twice, 2, &sum);
	require(r == 0 || (r == -EINVAL && !profile->sample_types.count));
	require(r < 0 || profile_check(sum) == 0);
}

static void show(const struct profile *profile)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	struct text out = {0};
	if (!profile->sample_types.count)
		return;
	require(call_tree_new(profile, profile_default_value(profile), &tree) == 0);
	require(report_new(tree, &report) == 0);
	int r = folded_encode(profile, &out);
	require(r == 0 || r == -EFBIG);
	text_free(&out);
	require(speedscope_encode(profile, &out) == 0);
	text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct pprof_failure failure;
	int r = pprof_decode(data, size, EXPANDED_LIMIT, &failure, &profile);
	if (r < 0) {
		require((r == -EBADMSG || r == -EFBIG) && failure.text[0]);
		return 0;
	}
	require(profile_check(profile) == 0);
	write_and_read(profile);
	merge(profile);
	show(profile);
	return 0;
}
