/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the opener and its answers, each one packet of a SOCK_SEQPACKET socket. An answer with
 * result 0 carries one descriptor. Both sides are the same executable: no versions.
 */
#pragma once

#include <linux/perf_event.h>
#include <stdint.h>

#define OPENER_CHILD_SOCKET 3

enum opener_question_kind {
	OPENER_PERF_EVENT = 1,
	OPENER_BPF_STATISTICS = 2,
};

struct opener_question {
	uint32_t kind; /* enum opener_question_kind */
	int32_t cpu;
	struct perf_event_attr attr;
};

struct opener_answer {
	int32_t result; /* 0 or -errno */
};
