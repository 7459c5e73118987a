/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a profile being built, for the files profile_builder*.c alone. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "profile/profile_builder.h"

/* Keys of labels that nearly every sample has. */
enum builder_label_key {
	BUILDER_THREAD_ID,
	BUILDER_THREAD_NAME,
	BUILDER_CPU,
	BUILDER_RESOURCE_KEYS, /* the first of those that the resource's attributes have, too */
	BUILDER_LABEL_KEYS = BUILDER_RESOURCE_KEYS + 7
};

struct builder {
	const struct aggregate *aggregate;
	const struct aggregate_window *window;
	const struct binaries *binaries;
	const struct profile_builder_options *options;
	struct profile_builder_statistics *statistics;
	struct profile *profile;
	struct hash locations; /* hash of what identifies it -> index */
	struct hash mappings;  /* same */
	struct hash segments;  /* binary and start of its segment -> index of the mapping */
	struct hash functions; /* same */
	struct hash resources; /* address of a struct process -> index + 1 */
	struct hash links;     /* the window's number of a link -> index + 1 */
	uint32_t label_keys[BUILDER_LABEL_KEYS]; /* index of each in the profile's table; 0: not looked for yet */
	char *kernel_notes;    /* identity of the running kernel; NULL: not read yet, or unreadable */
	size_t kernel_notes_size;
	bool failed;	       /* out of memory */
};

/* Of everything that fails for lack of memory alone: profile_build() looks once, at its end. */
#define CHECK(b, expression)                     \
	do {                                     \
		if ((expression) < 0)            \
			(b)->failed = true;      \
	} while (0)

/* The index of the text in the profile's table. */
static inline uint32_t builder_string(struct builder *b, const char *text)
{
	return profile_string(b->profile, text, &b->failed);
}

/* Of an entry of a window of the heap. */
static inline const struct heap_values *builder_heap_values(const struct builder *b,
							    const struct aggregate_entry *entry)
{
	return &b->options->heap->values[entry - b->window->entries.items];
}

/* ---- profile_builder_locations.c */

/* The index of the location of a frame word, in samples of this entry. Meaningless once b->failed. */
uint32_t builder_location(struct builder *b, uint64_t word, const struct aggregate_entry *entry);

/* ---- profile_builder_labels.c */

/* A text, or where that is NULL a number without a unit, as the sample's next label. */
void builder_add_label(struct builder *b, struct profile_sample *sample, const char *key,
		       const char *text, int64_t number);

/* All of an entry; sample->resource is known already. */
void builder_add_labels(struct builder *b, struct profile_sample *sample,
			const struct aggregate_entry *entry);

/* What OpenTelemetry calls the resource: the process and where it runs. Returns index + 1; 0 when out of
 * memory. */
uint32_t builder_resource(struct builder *b, const struct process *process);

/* Of the window's links those that samples here refer to, by the window's number (from 1). Returns index + 1. */
uint32_t builder_link(struct builder *b, uint32_t link);

/* ---- profile_builder_values.c */

/* The sample types of the window's kind, the default one and the period. */
void builder_add_types(struct builder *b);

/* The values of an entry's sample, one for each type. */
void builder_add_values(struct builder *b, const struct aggregate_entry *entry);

/* What was freed of a sample's place, as samples of their own with the same stack and labels and one label more. */
void builder_add_freed_samples(struct builder *b, const struct profile_sample *of, const struct heap_freed *freed);
