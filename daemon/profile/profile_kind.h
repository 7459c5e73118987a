/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording can look at, each a profile of its own: their values add up to different things.
 */
#pragma once

#include "bpf/wire.h"

/* KIND(id, word, what it is) */
#define BOLOMETER_PROFILE_KINDS(KIND)                                  \
	KIND(CPU, "cpu", "time on the CPU")                            \
	KIND(GROWTH, "growth", "where memory grows, by page faults")   \
	KIND(HEAP, "heap", "what allocates and holds memory")

#define PROFILE_KIND_ENUM(id, word, what) PROFILE_KIND_##id,
enum profile_kind { BOLOMETER_PROFILE_KINDS(PROFILE_KIND_ENUM) PROFILE_KIND_COUNT };
#undef PROFILE_KIND_ENUM

#define PROFILE_KIND_BIT(kind) (1U << (kind)) /* in a set of them */
#define PROFILE_KINDS_ALL (PROFILE_KIND_BIT(PROFILE_KIND_COUNT) - 1)

/* "cpu", "growth": in options, file names and attributes. */
const char *profile_kind_word(enum profile_kind kind);

/* Reads "cpu,growth" into a set. Returns 0 or -EINVAL: a word is not known, or there is none. */
int profile_kinds_parse(const char *words, unsigned *ret);

/* The kind that a sample's enum event_kind belongs to; -1 for one that is not known. */
int profile_kind_of_event(unsigned event);
