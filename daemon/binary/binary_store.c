/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's files are identified by a thread; then it waits in a queue until the loop comes to it, is looked up by a
 * thread, and on a miss goes on to the parser, whose answer a thread stores.
 */
#include "binary/binary_store_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* So much is answered in a row before other sources of the loop have their turn. */
#define TURN_NS (5 * NS_PER_MS)
/* So many are with a thread that looks them up: each is in memory until the loop comes to it. */
#define MAX_LOOKUPS 4

/* ---- Serving --------------------------------------------------------------------------------- */

static struct store_request *take_waiting(struct binary_store *store)
{
	for (size_t i = 0; i < PRIORITY_COUNT; i++) {
		struct store_request *request = store->waiting[i].first;
		if (request) {
			store_list_remove(&store->waiting[i], request);
			return request;
		}
	}
	return NULL;
}

static bool have_waiting(const struct binary_store *store)
{
	for (size_t i = 0; i < PRIORITY_COUNT; i++)
		if (store->waiting[i].first)
			return true;
	return false;
}

void binary_store_set_waiting(struct store_request *request)
{
	struct binary_store *store = request->store;
	if (!have_waiting(store))
		loop_trigger(store->turn);
	store_list_add(&store->waiting[request->priority], request);
}

/* With what the cache has. */
static void go_on(struct store_request *request)
{
	struct binary_store *store = request->store;
	int r = request->entry.error;
	bool only_known = request->kind == ARTIFACT_LINES && request->address_count == 0;
	if (r == 0 && request->kind == ARTIFACT_LINES)
		r = store_request_take_known_lines(request);
	if (r != -ENOENT || only_known) {
		store_request_answer(request, r, r == 0 ? &request->entry.artifact : NULL);
		return;
	}
	store_list_add(&store->parsing, request);
	r = store_request_parse(request);
	if (r < 0) {
		store_list_remove(&store->parsing, request);
		store_request_answer(request, r, NULL);
	}
}

static void serve(struct store_request *request)
{
	struct binary_store *store = request->store;
	if (request->error < 0) {
		store_request_answer(request, request->error, NULL);
		return;
	}
	if (!request->storable || store_request_look_up(request) < 0) {
		go_on(request);
		return;
	}
	store_list_add(&store->looking_up, request);
	store->lookups++;
}

/* Is there anything to serve now? */
static bool can_serve(const struct binary_store *store)
{
	return store->lookups < MAX_LOOKUPS && have_waiting(store);
}

/* Serves what waits, for about `turn_ns`. */
static void serve_waiting(struct binary_store *store, uint64_t turn_ns)
{
	uint64_t start = monotonic_ns();
	store->running = true;
	while (can_serve(store)) {
		serve(take_waiting(store));
		if (monotonic_ns() - start >= turn_ns)
			break;
	}
	store->running = false;
}

void binary_store_looked_up(struct store_request *request)
{
	struct binary_store *store = request->store;
	store_list_remove(&store->looking_up, request);
	store->lookups--;
	if (have_waiting(store))
		loop_trigger(store->turn);
	store->running = true;
	go_on(request);
	store->running = false;
}

static int on_turn(struct loop_source *source, uint32_t events, void *userdata)
{
	struct binary_store *store = userdata;
	serve_waiting(store, TURN_NS);
	if (can_serve(store))
		loop_trigger(store->turn);
	return 0;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static int duplicate(int file, int *ret)
{
	*ret = fcntl(file, F_DUPFD_CLOEXEC, 3);
	return *ret < 0 ? -errno : 0;
}

/* Takes over `wanted`'s addresses, also on failure. */
static int ask(struct binary_store *store, const struct store_request *wanted, int file,
	       int debug_file)
{
	struct store_request *request = malloc(sizeof(*request));
	if (!request) {
		free(wanted->addresses);
		return -ENOMEM;
	}
	*request = *wanted;
	request->store = store;
	request->asked_ns = monotonic_ns();
	request->file = request->debug_file = -1;
	request->entry = STORE_ENTRY_NONE;
	int r = duplicate(file, &request->file);
	if (r == 0 && debug_file >= 0)
		r = duplicate(debug_file, &request->debug_file);
	if (r == 0)
		r = store_request_identify(request);
	if (r < 0)
		store_request_free(request);
	return r;
}

int binary_store_request_unwind(struct binary_store *store, int file,
				enum parser_priority priority, parser_callback callback,
				void *userdata)
{
	struct store_request wanted = {.kind = ARTIFACT_UNWIND, .priority = priority,
				       .callback = callback, .userdata = userdata};
	return ask(store, &wanted, file, -1);
}

int binary_store_request_allocators(struct binary_store *store, int file,
				    enum parser_priority priority, parser_callback callback,
				    void *userdata)
{
	struct store_request wanted = {.kind = ARTIFACT_ALLOCATORS, .priority = priority,
				       .callback = callback, .userdata = userdata};
	return ask(store, &wanted, file, -1);
}

int binary_store_request_symbols(struct binary_store *store, int file, int debug_file,
				 enum parser_priority priority, parser_callback callback,
				 void *userdata)
{
	struct store_request wanted = {.kind = ARTIFACT_SYMBOLS, .priority = priority,
				       .durations = &store->durations.symbols,
				       .callback = callback, .userdata = userdata};
	return ask(store, &wanted, file, debug_file);
}

int binary_store_request_lines(struct binary_store *store, int dwarf_file, int supplementary_file,
			       const uint64_t *addresses, size_t count,
			       enum parser_priority priority, parser_callback callback,
			       void *userdata)
{
	if (count > PARSER_MAX_ADDRESSES)
		return -E2BIG;
	uint64_t *copy = malloc(MAX_OF(count, (size_t)1) * sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, addresses, count * sizeof(*copy));
	struct store_request wanted = {.kind = ARTIFACT_LINES, .priority = priority,
				       .durations = count ? &store->durations.lines : NULL,
				       .addresses = copy, .address_count = count,
				       .callback = callback, .userdata = userdata};
	return ask(store, &wanted, dwarf_file, supplementary_file);
}

static struct store_request *find_request(const struct store_list *list, enum artifact_kind kind,
					  const void *userdata)
{
	struct store_request *request = list->first;
	while (request && (request->kind != kind || request->userdata != userdata))
		request = request->next;
	return request;
}

void binary_store_hasten(struct binary_store *store, enum artifact_kind kind, const void *userdata)
{
	struct store_request *request = find_request(&store->identifying, kind, userdata);
	if (request)
		request->priority = PARSER_SOON;
	for (size_t i = PARSER_SOON + 1; i < PRIORITY_COUNT; i++) {
		request = find_request(&store->waiting[i], kind, userdata);
		if (!request)
			continue;
		store_list_remove(&store->waiting[i], request);
		request->priority = PARSER_SOON;
		store_list_add(&store->waiting[PARSER_SOON], request);
	}
	request = find_request(&store->parsing, kind, userdata);
	if (request)
		parser_hasten(store->parser, request);
}

void binary_store_grant(struct binary_store *store, uint64_t cpu_ns)
{
	parser_grant(store->parser, cpu_ns);
}

bool binary_store_take_index(struct binary_store *store, struct symbol_index *ret)
{
	struct store_request *request = store->answering;
	if (!request || !request->entry.has_index)
		return false;
	*ret = request->entry.index;
	request->entry.index = (struct symbol_index){.symbols = NULL};
	request->entry.has_index = false;
	return true;
}

/* ---- Without the loop ------------------------------------------------------------------------ */

int binary_store_run_once(struct binary_store *store, uint64_t wait_ns)
{
	offload_run_once(store->offload, parser_fd(store->parser), wait_ns);
	return parser_run_once(store->parser);
}

/* Threads, parser and what waits in between go on beside each other. */
static int drain(struct binary_store *store, uint64_t timeout_ns)
{
	uint64_t start = monotonic_ns();
	while (have_waiting(store) || offload_pending(store->offload) ||
	       parser_pending(store->parser)) {
		uint64_t elapsed = monotonic_ns() - start;
		if (elapsed >= timeout_ns)
			return -ETIMEDOUT;
		if (can_serve(store))
			serve_waiting(store, TURN_NS);
		int r = binary_store_run_once(store, can_serve(store) ? 0 : timeout_ns - elapsed);
		if (r < 0)
			return r;
	}
	return 0;
}

int binary_store_drain(struct binary_store *store, uint64_t timeout_ns)
{
	if (store->running)
		return -EBUSY;
	parser_set_waited_for(store->parser, true);
	int r = drain(store, timeout_ns);
	parser_set_waited_for(store->parser, false);
	return r;
}

/* ---- Life ------------------------------------------------------------------------------------ */

int binary_store_new(struct loop *loop, struct offload *offload, struct parser *parser,
		     struct artifact_cache *cache, struct binary_store **ret)
{
	struct binary_store *store = calloc(1, sizeof(*store));
	int r = store ? loop_add_trigger(loop, on_turn, store, &store->turn) : -ENOMEM;
	if (r < 0) {
		free(store);
		artifact_cache_free(cache);
		return r;
	}
	store->offload = offload;
	store->parser = parser;
	store->cache = cache;
	*ret = store;
	return 0;
}

struct binary_store *binary_store_free(struct binary_store *store)
{
	if (!store)
		return NULL;
	for (size_t i = 0; i < PRIORITY_COUNT; i++)
		store_list_free(&store->waiting[i]);
	store_list_free(&store->identifying);
	store_list_free(&store->looking_up);
	store_list_free(&store->parsing);
	loop_remove(store->turn);
	artifact_cache_free(store->cache);
	free(store);
	return NULL;
}

struct offload *binary_store_offload(const struct binary_store *store)
{
	return store->offload;
}

struct parser *binary_store_parser(const struct binary_store *store)
{
	return store->parser;
}

struct artifact_cache *binary_store_cache(const struct binary_store *store)
{
	return store->cache;
}

void binary_store_get_statistics(const struct binary_store *store,
				 struct artifact_cache_statistics *ret)
{
	artifact_cache_get_statistics(store->cache, ret);
}

void binary_store_get_durations(const struct binary_store *store, struct answer_durations *ret)
{
	*ret = store->durations;
}
