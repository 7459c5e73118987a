/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the pprof reader share: the state of reading one file, how a file is refused,
 * and the reading of numbers. All functions return 0, -EBADMSG with the failure filled, or -ENOMEM.
 */
#pragma once

#include "format/id_map.h"
#include "format/pprof.h"
#include "format/wire_reader.h"

struct pprof_decoder {
	struct profile *profile;
	struct wire_reader message;
	struct pprof_failure *failure;
	ARRAY(uint32_t) strings; /* index in the file -> index in the model */
	struct id_map mappings, functions, locations;
};

/* Fills the failure; `where` in the message, or NULL. Returns -EBADMSG. */
int pprof_refuse(struct pprof_decoder *decoder, const uint8_t *where, const char *format, ...)
	_printf_(3, 4);

/* Refuses `what` because a field of it cannot be read. */
int pprof_refuse_field(struct pprof_decoder *decoder, const struct wire_reader *reader,
		       const char *what);

/* Refuses `what` because a field of it has another wire type than the format says. */
int pprof_refuse_type(struct pprof_decoder *decoder, const struct wire_reader *reader,
		      const struct wire_field *field, const char *what);

/* The model's string of a file's string index. */
int pprof_string_of(struct pprof_decoder *decoder, uint64_t index, const uint8_t *where,
		    uint32_t *ret);

#define NUMBERS_MAX 11

/* Reads a message whose known fields are all numbers below `count` into numbers[field]. */
int pprof_read_numbers(struct pprof_decoder *decoder, struct wire_reader reader, const char *what,
		       uint64_t numbers[NUMBERS_MAX], uint32_t count);

/* A repeated number, packed or one at a time: calls `add` for each, and stops with its error. */
int pprof_read_repeated(struct pprof_decoder *decoder, struct wire_reader *reader,
			struct wire_field *field, const char *what,
			int (*add)(struct pprof_decoder *, uint64_t, const uint8_t *));

/* One message each, appended to the profile (pprof_tables.c, pprof_samples.c). Mappings and
 * functions are read before locations, locations and sample types before samples. */
int pprof_read_value_type(struct pprof_decoder *decoder, struct wire_reader reader,
			  struct profile_value_type *ret);
int pprof_read_sample_type(struct pprof_decoder *decoder, struct wire_reader reader);
int pprof_read_mapping(struct pprof_decoder *decoder, struct wire_reader reader);
int pprof_read_function(struct pprof_decoder *decoder, struct wire_reader reader);
int pprof_read_location(struct pprof_decoder *decoder, struct wire_reader reader);
int pprof_read_sample(struct pprof_decoder *decoder, struct wire_reader reader);
