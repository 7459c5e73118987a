/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pprof file format: a gzip-compressed protobuf message, described in proto/profile.proto.
 * Source: github.com/google/pprof, proto/profile.proto and its comments.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

enum pprof_compression {
	PPROF_GZIP,
	PPROF_RAW, /* the bare message; readers accept both */
};

/* Appends the file's bytes to `out`. Ids are index + 1; strings are made valid UTF-8. Returns 0 or
 * -ENOMEM, and then `out` is not to be used. */
int pprof_encode(const struct profile *profile, enum pprof_compression compression,
		 struct text *out);

/* One half of a profile's samples. */
struct pprof_half {
	struct text bytes; /* the bare message */
	uint64_t events;   /* in it; samples, where the profile does not count events */
};

/* Cuts a profile of `events` events, for a receiver that finds it too large. What it says of the whole both halves say.
 * Returns 0; -E2BIG when it has fewer than two samples, -EBADMSG, -EFBIG or -ENOMEM. The caller frees the bytes. */
int pprof_split(const void *bytes, size_t size, uint64_t events, struct pprof_half ret[2]);

/* Gives the first half what was counted, where that makes `events` in all, and else its share; the rest is the second's. */
void pprof_share_events(uint64_t events, struct pprof_half halves[2]);

/* The events in a profile; 0 when it is broken. */
uint64_t pprof_count_events(const void *bytes, size_t size);

/* A message larger than this, after expansion, is refused. 50,000 stacks of 30 frames take 6 MB
 * (tests/bench/bench_pprof). */
#define PPROF_SIZE_LIMIT ((size_t)512 << 20)

/* Why a file was refused, for people: "a sample has 1 value where the file has 2 sample types". */
struct pprof_failure {
	char text[256];
	size_t offset; /* where in the (expanded) message */
};

/* Expands a file that gzip_is() into a new buffer that the caller frees. Returns 0; -EBADMSG or, past `limit`, -EFBIG, with
 * *failure filled; or -ENOMEM. For readers that look at what is in it first. */
int pprof_expand(const void *bytes, size_t size, size_t limit, struct pprof_failure *failure, char **ret_bytes,
		 size_t *ret_size);

/* Reads any valid pprof file, compressed or not, whoever wrote it; ids may be sparse, repeated
 * numbers packed or not, unknown fields are skipped. As in pprof's own reader a line or location
 * that names an unknown function or mapping has none. Frame types are guessed from names of
 * mappings and files. The profile passes profile_check(). Returns 0; -EBADMSG when broken or -EFBIG
 * past `size_limit` (0: PPROF_SIZE_LIMIT), with *failure filled; or -ENOMEM. The caller frees. */
int pprof_decode(const void *bytes, size_t size, size_t size_limit, struct pprof_failure *failure,
		 struct profile **ret);
