/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the ring buffer, checked before anybody reads them: sizes and counts come from the other
 * side of an interface that has versions, and a record is believed only as far as its bytes go.
 */
#pragma once

#include "base/attributes.h"
#include "bpf/wire.h"

struct ring_record {
	uint16_t kind; /* enum record_kind; says which of the following is set */
	const struct record_sample *sample;
	const uint64_t *frames; /* kernel_frames + user_frames words; NULL: the stack was sent before */
	const struct record_trace *trace; /* of a sample; NULL: its thread had none */
	const struct record_new_binary *new_binary;
	const struct record_new_cgroup *new_cgroup; /* its path ends in NUL */
	const struct record_fast_faults *fast_faults;
	const struct record_oom_victim *oom_victim; /* its comm ends in NUL */
};

/* `data` is 8-byte aligned, as the ring gives it; the result points into it. Returns 0, or -EBADMSG for
 * a record that is too short for what it says, of another version or of an unknown kind. */
int ring_record_parse(const void *data, size_t size, struct ring_record *ret);
