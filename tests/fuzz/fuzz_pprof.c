/* SPDX-License-Identifier: Apache-2.0 */
/* What the pprof reader takes is sound, can be written and read again, merged and shown. */
#include "format/flame_profile.h"
#include "format/folded.h"
#include "format/leaks_text.h"
#include "format/lifetimes_text.h"
#include "format/pprof.h"
#include "format/report_json.h"
#include "format/speedscope.h"
#include "profile/merge.h"
#include "profile/unit.h"

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

/* Every table of `report` and `diff`, as text and as JSON. */
static void show_tables(const struct report_view *view, bool is_difference)
{
	struct text out = {0};
	int first = is_difference ? REPORT_BY_FLAT_CHANGE : REPORT_BY_FLAT;
	for (int order = first; order < first + 2; order++) {
		require((is_difference ? report_text_difference(view, order, &out)
				       : report_text_functions(view, order, &out)) == 0);
		require(report_json_functions(view, order, &out) == 0);
	}
	require(report_text_header(view, &out) == 0);
	require(report_text_tree(view, &out) == 0);
	require(report_json_tree(view, &out) == 0);
	require(report_text_groups(view, 2, "process", &out) == 0);
	for (uint32_t i = 0; i < view->report->functions.count && i < 8; i++) {
		require(report_text_neighbours(view, i, &out) == 0);
		require(report_json_neighbours(view, &i, 1, &out) == 0);
	}
	text_free(&out);
}

static void show_tree(const struct profile *profile, size_t value, bool is_difference)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	require((is_difference ? call_tree_new_pair(profile, value, profile, value, &tree)
			       : call_tree_new(profile, value, &tree)) == 0);
	require(report_new(tree, &report) == 0);
	struct report_view view = {.profile = profile, .value = value, .report = report, .rows = 20};
	show_tables(&view, is_difference);
}

static void show_heap(const struct profile *profile)
{
	_cleanup_(leaks_free) struct leaks leaks;
	_cleanup_(lifetimes_free) struct lifetimes lifetimes;
	struct text out = {0};
	int r = leaks_find(profile, &leaks);
	require(r == 0 || r == -ENODATA);
	require(r < 0 || leaks_text(profile, &leaks, 20, &out) == 0);
	require(r < 0 || leaks_json(profile, &leaks, 0, &out) == 0);
	r = lifetimes_find(profile, &lifetimes);
	require(r == 0 || r == -ENODATA);
	require(r < 0 || lifetimes_text(profile, &lifetimes, 20, &out) == 0);
	require(r < 0 || lifetimes_json(profile, &lifetimes, 0, &out) == 0);
	text_free(&out);
}

static void show(const struct profile *profile)
{
	struct text out = {0};
	if (!profile->sample_types.count)
		return;
	size_t value = profile_default_value(profile);
	show_tree(profile, value, false);
	show_tree(profile, value, true);
	show_heap(profile);
	int r = folded_encode(profile, &out);
	require(r == 0 || r == -EFBIG);
	text_free(&out);
	require(speedscope_encode(profile, &out) == 0);
	text_free(&out);
	require(flame_profile_write_data(profile, value, "fuzz", &out) == 0);
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
	require(profile_take_usual_units(profile) == 0 && profile_check(profile) == 0);
	write_and_read(profile);
	merge(profile);
	show(profile);
	return 0;
}
