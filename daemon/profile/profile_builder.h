/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an aggregate to a profile: frame words become locations, binaries become mappings, processes and
 * threads become labels, and each process a resource too.
 */
#pragma once

#include "process/pod_names.h"
#include "profile/aggregate.h"
#include "profile/heap_places.h"
#include "profile/profile.h"
#include "profile/symbolizer.h"

struct profile_builder_options {
	struct symbolizer *symbolizer; /* NULL: no names */
	bool labels; /* and resources */
	bool link_labels; /* with labels: the ids of a sample's link as labels too */
	struct pod_names *pod_names; /* for them; NULL: none */
	uint64_t period_ns;
	const struct heap_told *heap; /* for a window of the heap: of each of its entries; those of zeros are left out */
	uint32_t only_pid; /* samples of processes with this number; 0: of all */
	const struct process *only; /* samples of this process, also before an exec; NULL: of all */
	int64_t realtime_offset_ns; /* CLOCK_REALTIME minus CLOCK_MONOTONIC, for the sample times kept */
};

struct profile_builder_statistics {
	uint64_t frames;  /* frames of all samples, weighted by their count */
	uint64_t unnamed; /* of them, code without a function name */
	struct frame_count of_type[FRAME_TYPE_MAX];
};

/* Builds the profile of a window of the aggregate. Sample types are samples/count and, by the window's kind,
 * cpu/nanoseconds, or growth_space/bytes and copied_space/bytes. Of the heap they are objects/count and space/bytes each
 * of alloc, inuse and freed, and where has_estimates is set inuse_estimated_space/bytes,
 * inuse_estimated_least_space/bytes, inuse_watched_samples/count and inuse_outlived_samples/count. Times, duration and
 * comments are the caller's to fill; to *statistics it adds. The caller frees *ret. Returns 0 or -ENOMEM. */
int profile_build(const struct aggregate *aggregate, const struct aggregate_window *window,
		  const struct binaries *binaries, const struct profile_builder_options *options,
		  struct profile_builder_statistics *statistics, struct profile **ret);

/* Tells the symbolizer which binaries and addresses a stack runs through. Returns false when some of its
 * binaries are not known yet: ask again later. */
bool profile_prepare_stack(const struct aggregate *aggregate, size_t index,
			   const struct binaries *binaries, struct symbolizer *symbolizer);
