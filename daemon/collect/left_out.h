/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of which the kernel side takes no tick, because a sampling strategy has them left out whole
 * (bpf/left_out.bpf.h). Both sides read and write the same memory, so that a verdict costs no system call.
 *
 * It is a memory of verdicts, not a list: each process has two places by the low bits of its number, and takes that
 * which is free, or else the one that was looked at longer ago. Who is displaced is sampled again, judged again, and
 * comes back. A process that has ended keeps its place until then; another one of its number is not meant, as it
 * started at another time.
 */
#pragma once

#include "base/attributes.h"
#include "bpf/wire.h"

struct bpf_map;

struct left_out {
	struct left_out_set *sets; /* NULL: no process can be left out */
	struct left_out_counts *counts; /* by CPU */
	uint32_t cpus;
};

/* Maps the memory of both maps; where `processes` is of one entry only, none can be left out. Returns 0 or -errno. */
int left_out_open(const struct bpf_map *processes, const struct bpf_map *counts, uint32_t cpus, struct left_out *ret);
void left_out_close(struct left_out *left_out);

/* The process of a sample of a tick is left out for a reason below LEFT_OUT_REASONS, or not any more (-1). */
void left_out_judge(struct left_out *left_out, const struct record_sample *sample, int reason);

/* All are sampled again. */
void left_out_clear(struct left_out *left_out);

/* Adds what a CPU left out to what else it counts. */
void left_out_add_counters(const struct left_out *left_out, uint32_t cpu, uint64_t counters[COUNTER_MAX]);

/* What was left out since the start, by reason. */
void left_out_read(const struct left_out *left_out, struct left_out_counts *ret);
