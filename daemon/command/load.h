/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles that a command reads: what they share is where they come from and how they fail. */
#pragma once

#include "command/command.h"
#include "profile/profile.h"

/*
 * Reads any pprof file and folded stacks, which are text, gzipped or not; "-" is standard input. Times
 * become nanoseconds, sizes bytes (profile/unit.h). Returns STATUS_OK, or prints why not, with the path, and returns
 * STATUS_ERROR. The caller frees in every case.
 */
int load_profile(const struct command *command, const char *path, struct profile **ret);

/* What a command that shows a profile lets a person choose. Zero-initialise; free with load_options_free(). */
struct load_options {
	const char *type, *focus, *ignore, *by;
	struct option_texts only, without;
	bool lines, join_unnamed;
};

static inline void load_options_free(struct load_options *options)
{
	array_free(&options->only.list);
	array_free(&options->without.list);
}

/* Rows for the option table of a command; `at` is the offset of its struct load_options. */
#define LOAD_OPTIONS(at)                                                                           \
	OPTION(TEXT, 0, "type", "NAME", (at) + offsetof(struct load_options, type),                \
	       "sample type, such as cpu or samples (default: the file's own)"),                   \
	OPTION(TEXT, 0, "focus", "REGEX", (at) + offsetof(struct load_options, focus),             \
	       "only stacks with a function that matches"),                                        \
	OPTION(TEXT, 0, "ignore", "REGEX", (at) + offsetof(struct load_options, ignore),           \
	       "no stacks with a function that matches"),                                          \
	OPTION(TEXT_LIST, 0, "only", "WORD=REGEX", (at) + offsetof(struct load_options, only),     \
	       "only what runs in a process, thread, ... that matches: process=nginx;\nrepeatable: one of each WORD has to match"), \
	OPTION(TEXT_LIST, 0, "without", "WORD=REGEX", (at) + offsetof(struct load_options, without), \
	       "nothing of what matches; the WORDs are those of --by"),                             \
	OPTION(TEXT, 0, "by", "WORD[,WORD]", (at) + offsetof(struct load_options, by),             \
	       "a frame below each stack that says whose it is: process,\nexecutable, binary (whose code ran), thread, " \
	       "container, pod,\nservice, or a label's key",                                       \
	       .words = "process, executable, binary, thread, container, pod, service"),                   \
	OPTION(FLAG, 0, "lines", NULL, (at) + offsetof(struct load_options, lines),                \
	       "each source line apart, not each function"),                                       \
	OPTION(FLAG, 0, "join-unnamed", NULL, (at) + offsetof(struct load_options, join_unnamed),  \
	       "code without names as one function a file: [cc1], not [cc1+0xa36adf]")

/* What load_view() gives. Zero-initialise; the caller frees the profile. */
struct loaded_view {
	struct profile *profile;
	size_t value;	  /* the sample type to show */
	int64_t file_total; /* of the whole file, before anything was left out */
};

/*
 * load_profile(), filtered and grouped. Returns STATUS_OK, or prints what is wrong and returns STATUS_ERROR or
 * STATUS_USAGE.
 */
int load_view(const struct command *command, const char *path, const struct load_options *options,
	      struct loaded_view *ret);
