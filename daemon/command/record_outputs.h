/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that `record` writes: a file for each --output and kind of profile, all opened before the capture starts; and
 * beside the first, during the capture, those of processes that are killed for lack of memory. What goes wrong is told
 * on standard error.
 */
#pragma once

#include "command/output.h"
#include "command/record_options.h"

struct record_output {
	struct output output;
	enum profile_kind kind;
};

/* An ARRAY of outputs. */
struct record_outputs {
	struct record_output *items;
	size_t count, capacity;
};

/* Opens what the options name, or else a file with a default name. `pid`: what %p stands for. Returns STATUS_OK,
 * STATUS_ERROR or STATUS_USAGE; close in every case. */
int record_outputs_open(struct record_outputs *outputs, const struct record_options *options, uint32_t pid);

/* Is one of them of that format? */
bool record_outputs_have(const struct record_outputs *outputs, enum file_format format);

/* Writes all, at the same time, and a line on each to *out. Returns STATUS_OK or STATUS_ERROR. */
int record_outputs_write(struct record_outputs *outputs, struct profile *const profiles[PROFILE_KIND_COUNT],
			 struct text *out);

/* Writes "oom-PID-NAME-growth.pb.gz", and so on, beside the first output. */
void record_outputs_write_victim(const struct record_outputs *outputs, const struct recording_victim *victim);

/* What was not written completely leaves no file. */
void record_outputs_close(struct record_outputs *outputs);
