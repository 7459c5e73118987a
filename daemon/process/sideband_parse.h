/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One perf record of the side-band events to a struct sideband_record. Pure: takes bytes.
 *
 * Every record ends in the sample_id that attr.sample_id_all appends; with sample_type =
 * PERF_SAMPLE_TIME it is one u64, so the time is the last word of any record, known kind or not.
 *
 * Source of the layouts: linux/perf_event.h, enum perf_event_type.
 */
#pragma once

#include "process/sideband.h"

#define SIDEBAND_SAMPLE_TYPE PERF_SAMPLE_TIME
#define SIDEBAND_RECORD_MIN (sizeof(struct perf_event_header) + sizeof(uint64_t))

enum sideband_parsed {
	SIDEBAND_PARSED,  /* *ret is filled */
	SIDEBAND_SKIPPED, /* a kind that says nothing to us */
	SIDEBAND_LOSS,	  /* PERF_RECORD_LOST: *ret_lost records are missing */
	SIDEBAND_BROKEN,  /* shorter than its kind must be, or its text does not end */
};

/* `size` >= SIDEBAND_RECORD_MIN is the record's whole size; ret->path points into `bytes`. */
enum sideband_parsed sideband_parse(const void *bytes, size_t size, struct sideband_record *ret,
				    uint64_t *ret_lost);
