/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `top` share: the options, and the state from one interval to the next. */
#pragma once

#include "command/record_options.h"
#include "command/top_facts.h"
#include "command/top_model.h"
#include "command/top_source.h"

struct top_options {
	struct record_options record;
	uint64_t delay_ns, intervals, rows;
	bool batch, json, own;
	const char *view, *order, *filter, *socket;
};

struct top_screen;

struct top {
	struct top_options options;
	struct top_question question; /* as the options ask it */
	struct loop *loop;
	struct top_source *source;
	char source_name[160]; /* "this host", "the daemon at …" */
	unsigned cpus;
	uint64_t intervals; /* seen */
	struct top_screen *screen; /* on a terminal */
	char problem[512]; /* why no profile comes any more; "": none */
};
