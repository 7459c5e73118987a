/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The samples of a profile added up by stack, whatever process and thread they are of, into records of the caller's.
 * A table of columns says which sample type goes into which field.
 *
 * Stacks are equal whose frames have equal names: a loop that was unrolled has many calls of one function, which are one
 * place to a person. Who wants the lines apart has them in the names (profile_split_lines()).
 */
#pragma once

#include "profile/profile.h"

struct stack_column {
	const char *type; /* of samples: "alloc_space" */
	size_t field;	  /* offset of an int64_t in a record; with classes, of an array of them */
	bool is_needed;	  /* without it the profile is of another kind */
	bool has_classes;
};

/* The class of a sample: index in the fields that have classes. */
typedef unsigned (*stack_class_callback)(const struct profile *profile, const struct profile_sample *sample);

/* Appends a record for each stack to an ARRAY, which has to be empty, of records that begin with a uint32_t: there goes
 * the index of the stack's first sample. Sums saturate. `class_of` may be NULL where no column has classes. Returns 0,
 * -ENODATA (a needed type is missing), -ENOMEM or -EINVAL (more than 16 columns); the array is the caller's to free in any case. */
#define stack_sums_collect(profile, columns, column_count, class_of, records)                                   \
	stack_sums_collect_bytes((profile), (columns), (column_count), (class_of), (void **)&(records)->items,  \
				 &(records)->count, &(records)->capacity, sizeof(*(records)->items))

int stack_sums_collect_bytes(const struct profile *profile, const struct stack_column *columns, size_t column_count,
			     stack_class_callback class_of, void **records, size_t *count, size_t *capacity,
			     size_t record_size);
