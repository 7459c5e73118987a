/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's files are identified by a thread; then it waits in a queue until the loop comes to it,
 * is looked up, and on a miss goes on to the parser.
 *
 * An answer is stored only under an identity that the file had before it was parsed and still has
 * afterwards. A file that changed within the last seconds has none, and is parsed each time.
 *
 * Lines are stored as they are asked for: one entry a binary, which grows with each address that was
 * not in it. With the addresses that programs run through it soon has them all, and the DWARF, which
 * is dear to open, is not opened any more. Until then, DWARF that is compressed is decompressed once, into a file of
 * the cache that the parser reads in its place (dwarf_expand.h).
 */
#include "binary/binary_store.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "binary/line_merge.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PRIORITY_COUNT 3

/* So much is looked up in a row before other sources of the loop have their turn. */
#define TURN_NS (5 * NS_PER_MS)

/* Past it an entry of lines starts again. */
#define MAX_STORED_ADDRESSES (256U << 10)

struct store_request {
	struct store_request *previous, *next; /* in one of the store's lists */
	struct binary_store *store;
	enum artifact_kind kind;
	enum parser_priority priority;
	int file, debug_file;
	int error; /* it has failed before it was looked up */
	bool storable; /* the identities and the key are valid */
	struct file_identity identity, debug_identity;
	struct artifact_key key;
	int expanded; /* lines: the file with its debug sections decompressed; -1: none */
	struct artifact_key expanded_key;
	uint64_t asked_ns; /* monotonic */
	struct durations *durations; /* the answer counts here; NULL: nowhere */
	uint64_t *addresses; /* lines: those to ask the parser for */
	size_t address_count;
	char *known_bytes; /* lines: what the cache had; NULL: nothing */
	struct line_answers known;
	parser_callback callback;
	void *userdata;
};

/* Oldest first. Zero-initialised it is empty. */
struct store_list {
	struct store_request *first, *last;
};

struct binary_store {
	struct offload *offload;
	struct parser *parser;
	struct artifact_cache *cache;
	struct loop_source *timer;
	struct store_list identifying;
	struct store_list waiting[PRIORITY_COUNT];
	struct store_list parsing;
	bool running; /* inside a callback */
	const struct store_request *answering; /* whose callback; NULL: none */
	struct answer_durations durations;
};

/* -- lists ---------------------------------------------------------------------------------- */

static void list_add(struct store_list *list, struct store_request *request)
{
	request->previous = list->last;
	request->next = NULL;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

static void list_remove(struct store_list *list, struct store_request *request)
{
	if (request->previous)
		request->previous->next = request->next;
	else
		list->first = request->next;
	if (request->next)
		request->next->previous = request->previous;
	else
		list->last = request->previous;
}

static void request_free(struct store_request *request)
{
	close_foreign(request->file);
	close_foreign(request->debug_file);
	close_fd(request->expanded);
	free(request->addresses);
	free(request->known_bytes);
	free(request);
}

static void list_free(struct store_list *list)
{
	struct store_request *request;
	while ((request = list->first)) {
		list_remove(list, request);
		request_free(request);
	}
}

static struct store_request *take_waiting(struct binary_store *store)
{
	for (size_t i = 0; i < PRIORITY_COUNT; i++) {
		struct store_request *request = store->waiting[i].first;
		if (request) {
			list_remove(&store->waiting[i], request);
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

/* -- answering ------------------------------------------------------------------------------ */

static void answer(struct store_request *request, int error, const struct artifact *artifact)
{
	if (request->durations)
		durations_add(request->durations, monotonic_ns() - request->asked_ns);
	request->store->answering = request;
	request->callback(request->userdata, error, artifact);
	request->store->answering = NULL;
	request_free(request);
}

int binary_store_open_answer(const struct binary_store *store, struct artifact_file *ret)
{
	const struct store_request *request = store->answering;
	if (!request || !request->storable)
		return -ENOENT;
	return artifact_cache_reopen_artifact(store->cache, &request->key, request->kind, ret);
}

static bool identities_hold(const struct store_request *request)
{
	return file_identity_holds(&request->identity, request->file) &&
	       (request->debug_file < 0 ||
		file_identity_holds(&request->debug_identity, request->debug_file));
}

/* A failure is the cache's to count; the requester has its answer all the same. */
static void store_answer(const struct store_request *request, int error,
			 const struct artifact *artifact)
{
	if (request->storable && (artifact || artifact_cache_is_lasting(error)) &&
	    identities_hold(request))
		artifact_cache_write(request->store->cache, &request->key, error, artifact);
}

static void on_parsed(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	list_remove(&request->store->parsing, request);
	store_answer(request, error, artifact);
	answer(request, error, artifact);
}

static const struct line_answers *known_lines(const struct store_request *request)
{
	return request->known_bytes ? &request->known : NULL;
}

static int parse_lines(struct store_request *request);

/* What was known and what was found together are the answer, and the new entry. */
static void on_lines(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	const struct line_answers *known = known_lines(request);
	struct line_answers found;
	struct text merged = {0};
	if (error < 0 && request->expanded >= 0) {
		request->expanded = close_fd(request->expanded); /* not to blame the file for the copy */
		if (parse_lines(request) == 0)
			return;
	}
	list_remove(&request->store->parsing, request);
	if (!artifact || line_answers_open(artifact, &found) < 0) {
		if (!known)
			store_answer(request, error, NULL);
		answer(request, error ? error : -EBADMSG, known ? &known->artifact : NULL);
		return;
	}
	if (known && known->answer_count + found.answer_count > MAX_STORED_ADDRESSES)
		known = NULL;
	int r = line_answers_merge(known, &found, request->addresses, request->address_count,
				   &merged);
	struct artifact whole = {.bytes = merged.bytes, .size = merged.length};
	if (r == 0)
		store_answer(request, 0, &whole);
	answer(request, 0, r == 0 ? &whole : artifact);
	text_free(&merged);
}

static int parse_lines(struct store_request *request)
{
	return parser_request_lines(request->store->parser,
				    request->expanded >= 0 ? request->expanded : request->file,
				    request->debug_file, request->addresses, request->address_count, true,
				    request->priority, on_lines, request);
}

/* One that is too large for the cache is none; other failures may pass. */
static void store_expanded(struct store_request *request, int error, const struct artifact *artifact)
{
	struct artifact_cache *cache = request->store->cache;
	const struct artifact_key *key = &request->expanded_key;
	if (!identities_hold(request))
		return;
	if (artifact) {
		size_t size;
		const void *bytes = artifact_section(artifact, SECTION_DWARF_FILE, &size);
		if (artifact_cache_write_file(cache, key, bytes, size) == -EFBIG)
			error = -ENODATA;
	}
	if (artifact_cache_is_lasting(error))
		artifact_cache_write(cache, key, error, NULL);
}

static void on_expanded(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	store_expanded(request, error, artifact);
	artifact_cache_open_file(request->store->cache, &request->expanded_key, &request->expanded);
	int r = parse_lines(request);
	if (r < 0) {
		list_remove(&request->store->parsing, request);
		answer(request, r, NULL);
	}
}

/* Lines of compressed DWARF come from its copy in the cache, which is made with the first question. */
static int parse_expanded_lines(struct store_request *request)
{
	struct artifact_cache *cache = request->store->cache;
	if (!request->storable)
		return parse_lines(request);
	artifact_cache_key(cache, ARTIFACT_DWARF, &request->identity, NULL, &request->expanded_key);
	int r = artifact_cache_open_file(cache, &request->expanded_key, &request->expanded);
	if (r == -ENOENT && artifact_cache_takes_writes(cache))
		return parser_request_dwarf(request->store->parser, request->file, request->priority,
					    on_expanded, request);
	return parse_lines(request);
}

static int parse(struct store_request *request)
{
	struct parser *parser = request->store->parser;
	switch (request->kind) {
	case ARTIFACT_UNWIND:
		return parser_request_unwind(parser, request->file, request->priority, on_parsed,
					     request);
	case ARTIFACT_ALLOCATORS:
		return parser_request_allocators(parser, request->file, request->priority, on_parsed,
						 request);
	case ARTIFACT_LINES:
		return parse_expanded_lines(request);
	default:
		return parser_request_symbols(parser, request->file, request->debug_file,
					      request->priority, on_parsed, request);
	}
}

/* Leaves the addresses that the entry does not have. -ENOENT: some are left. */
static int take_known_lines(struct store_request *request, char **bytes, struct artifact *artifact)
{
	if (line_answers_open(artifact, &request->known) < 0)
		return -ENOENT;
	size_t left = 0;
	for (size_t i = 0; i < request->address_count; i++)
		if (!line_answers_know(&request->known, request->addresses[i]))
			request->addresses[left++] = request->addresses[i];
	request->address_count = left;
	if (left == 0)
		return 0;
	request->known_bytes = take_pointer(*bytes);
	return -ENOENT;
}

static void serve(struct store_request *request)
{
	_cleanup_free_ char *bytes = NULL;
	struct artifact artifact;
	struct binary_store *store = request->store;
	int r = -ENOENT;
	if (request->error < 0) {
		answer(request, request->error, NULL);
		return;
	}
	if (request->storable)
		r = artifact_cache_read(store->cache, &request->key, request->kind, &bytes,
					&artifact);
	bool only_known = request->kind == ARTIFACT_LINES && request->address_count == 0;
	if (r == 0 && request->kind == ARTIFACT_LINES)
		r = take_known_lines(request, &bytes, &artifact);
	if (r != -ENOENT || only_known) {
		answer(request, r, r == 0 ? &artifact : NULL);
		return;
	}
	list_add(&store->parsing, request);
	r = parse(request);
	if (r < 0) {
		list_remove(&store->parsing, request);
		answer(request, r, NULL);
	}
}

/* Serves what waits, for about `turn_ns`. */
static void serve_waiting(struct binary_store *store, uint64_t turn_ns)
{
	uint64_t start = monotonic_ns();
	struct store_request *request;
	store->running = true;
	while ((request = take_waiting(store))) {
		serve(request);
		if (monotonic_ns() - start >= turn_ns)
			break;
	}
	store->running = false;
}

static int on_turn(struct loop_source *source, uint32_t events, void *userdata)
{
	struct binary_store *store = userdata;
	serve_waiting(store, TURN_NS);
	return have_waiting(store) ? loop_set_timer(store->timer, 0, 0) : 0;
}

/* -- identities ----------------------------------------------------------------------------- */

/* Files and their identities while a thread looks at them. */
struct identification {
	int file, debug_file;
	int error;
	struct file_identity identity, debug_identity;
};

static void identification_free(void *argument)
{
	struct identification *identification = argument;
	close_foreign(identification->file);
	close_foreign(identification->debug_file);
	free(identification);
}

static void identify(void *argument)
{
	struct identification *i = argument;
	uint64_t now = realtime_ns();
	i->error = file_identity_read(i->file, now, &i->identity);
	if (i->error == 0 && i->debug_file >= 0)
		i->error = file_identity_read(i->debug_file, now, &i->debug_identity);
}

/* Its turn comes with the loop's next round. */
static void set_waiting(struct store_request *request)
{
	struct binary_store *store = request->store;
	if (!have_waiting(store))
		loop_set_timer(store->timer, 0, 0);
	list_add(&store->waiting[request->priority], request);
}

static void on_identified(void *userdata, int error, void *argument)
{
	struct store_request *request = userdata;
	struct identification *i = argument;
	struct artifact_cache *cache = request->store->cache;
	list_remove(&request->store->identifying, request);
	request->error = error;
	if (i) {
		request->file = take_fd(i->file);
		request->debug_file = take_fd(i->debug_file);
		request->identity = i->identity;
		request->debug_identity = i->debug_identity;
		request->storable = cache && i->error == 0;
	}
	if (request->storable)
		artifact_cache_key(cache, request->kind, &request->identity,
				   request->debug_file >= 0 ? &request->debug_identity : NULL,
				   &request->key);
	set_waiting(request);
}

/* Without a cache too: the parser's reading begins with the same questions, and must not hang. */
static int start_identification(struct store_request *request)
{
	struct stat st;
	struct identification *i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->file = take_fd(request->file);
	i->debug_file = take_fd(request->debug_file);
	uint64_t key = stat_cached(i->file, &st) == 0 ? device_key(st.st_dev) : 0;
	int r = offload_submit(request->store->offload,
			       &(struct offload_work){.key = key,
						      .urgent = request->priority == PARSER_SOON,
						      .run = identify,
						      .done = on_identified,
						      .release = identification_free,
						      .argument = i,
						      .userdata = request});
	if (r < 0)
		identification_free(i);
	else
		list_add(&request->store->identifying, request);
	return r;
}

/* -- asking --------------------------------------------------------------------------------- */

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
	request->file = request->debug_file = request->expanded = -1;
	int r = duplicate(file, &request->file);
	if (r == 0 && debug_file >= 0)
		r = duplicate(debug_file, &request->debug_file);
	if (r == 0)
		r = start_identification(request);
	if (r < 0)
		request_free(request);
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
		list_remove(&store->waiting[i], request);
		request->priority = PARSER_SOON;
		list_add(&store->waiting[PARSER_SOON], request);
	}
	request = find_request(&store->parsing, kind, userdata);
	if (request)
		parser_hasten(store->parser, request);
}

void binary_store_grant(struct binary_store *store, uint64_t cpu_ns)
{
	parser_grant(store->parser, cpu_ns);
}

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
		if (have_waiting(store))
			serve_waiting(store, TURN_NS);
		int r = binary_store_run_once(store, have_waiting(store) ? 0 : timeout_ns - elapsed);
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

/* -- life ----------------------------------------------------------------------------------- */

int binary_store_new(struct loop *loop, struct offload *offload, struct parser *parser,
		     struct artifact_cache *cache, struct binary_store **ret)
{
	struct binary_store *store = calloc(1, sizeof(*store));
	int r = store ? loop_add_timer(loop, 0, 0, on_turn, store, &store->timer) : -ENOMEM;
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
		list_free(&store->waiting[i]);
	list_free(&store->identifying);
	list_free(&store->parsing);
	loop_remove(store->timer);
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
