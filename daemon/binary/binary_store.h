/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind tables, symbols and lines of binaries, from the disk cache when they are there, otherwise from the
 * parser child, whose answer is then stored. What it gives and when it calls back is what parser.h
 * says, with one thing more: an answer from the cache needs no child.
 *
 * The cache is read and written by threads, never on the event loop: one that hangs has nothing. The binaries' own files,
 * which may lie anywhere, are only looked at by threads too; a request whose file hangs is answered with -ETIMEDOUT.
 */
#pragma once

#include "base/durations.h"
#include "base/offload.h"
#include "binary/artifact_cache.h"
#include "binary/parser.h"
#include "binary/symbol_index.h"

struct binary_store;

/* `offload` and `parser` stay the caller's and must be freed before the store; `cache` becomes the store's
 * (also on failure) and may be NULL. Returns 0 or -errno. */
int binary_store_new(struct loop *loop, struct offload *offload, struct parser *parser,
		     struct artifact_cache *cache, struct binary_store **ret);

/* Accepts NULL. Pending requests are dropped without their callback being called. */
struct binary_store *binary_store_free(struct binary_store *store);

/* As the requests of parser.h with the same names. The callback is never called from within
 * the request. Each returns 0 or -errno: then it is not called at all. */
int binary_store_request_unwind(struct binary_store *store, int file,
				enum parser_priority priority, parser_callback callback,
				void *userdata);
int binary_store_request_allocators(struct binary_store *store, int file,
				    enum parser_priority priority, parser_callback callback,
				    void *userdata);
int binary_store_request_symbols(struct binary_store *store, int file, int debug_file,
				 enum parser_priority priority, parser_callback callback,
				 void *userdata);

/* From within a callback of symbols: the answer where the cache has it, for who would hold it for long, opened by a
 * thread; the caller closes it. False: the cache does not have it. */
bool binary_store_take_index(struct binary_store *store, struct symbol_index *ret);

/* As parser_request_lines() with inlined calls. The answer may have more addresses than were asked for,
 * and has one without frames for each of which nothing is known. Of no address: what the cache has, or
 * -ENOENT. */
int binary_store_request_lines(struct binary_store *store, int dwarf_file, int supplementary_file,
			       const uint64_t *addresses, size_t count,
			       enum parser_priority priority, parser_callback callback,
			       void *userdata);

/* Runs store, parser and threads until none has a request pending or `timeout_ns` passed. Returns 0,
 * -ETIMEDOUT or -errno (-EBUSY from within a callback). */
int binary_store_drain(struct binary_store *store, uint64_t timeout_ns);

/* Somebody waits for what was asked of this kind with this `userdata`: it is PARSER_SOON from now on. */
void binary_store_hasten(struct binary_store *store, enum artifact_kind kind, const void *userdata);

/* See parser_grant(): what the cache does not have waits. Not while draining. */
void binary_store_grant(struct binary_store *store, uint64_t cpu_ns);

/* The threads for what may hang; stay the store's user's. */
struct offload *binary_store_offload(const struct binary_store *store);
/* The same for what is no binary. */
struct parser *binary_store_parser(const struct binary_store *store);

/* Without the loop: waits at most `wait_ns` for threads or parser, and takes what they have. Returns 0 or -errno
 * (-EBUSY from within a callback). */
int binary_store_run_once(struct binary_store *store, uint64_t wait_ns);

/* For what is not of a binary; may be NULL, stays the store's. */
struct artifact_cache *binary_store_cache(const struct binary_store *store);

/* Those of the cache. */
void binary_store_get_statistics(const struct binary_store *store,
				 struct artifact_cache_statistics *ret);

/* From asking to the answer, from the cache or the parser, failures too. What only looks into the cache (lines of
 * no address) is in neither. */
struct answer_durations {
	struct durations symbols, lines;
};

/* Of all answers so far. */
void binary_store_get_durations(const struct binary_store *store, struct answer_durations *ret);
