/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last minutes as one profile of a kind: of the flight recorder's files, or without one of the last interval,
 * which is all that is kept in memory. Reading and merging files is the work of a thread.
 */
#include "service/local_state.h"

#include "base/clock.h"
#include "export/pprof_directory.h"
#include "format/pprof.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_LAST_NS (600 * NS_PER_SECOND)
#define MAX_LAST_NS (24 * 3600 * NS_PER_SECOND)
#define MAX_DUMPS 2U

struct dump_request {
	struct local_server *local;
	struct http_exchange *exchange; /* NULL: nobody waits any more */
	char *directory;		/* NULL: there is no flight recorder */
	enum profile_kind kind;
	int64_t since_ns, until_ns;
	struct interval_view *view; /* when there is no directory */
	struct pprof_selection found;
	struct text body;
	int error;
	struct dump_request *next;
};

static void release(struct dump_request *request)
{
	struct dump_request **at = &request->local->dumps;
	while (*at && *at != request)
		at = &(*at)->next;
	if (*at)
		*at = request->next;
	interval_view_unreference(request->view);
	text_free(&request->body);
	free(request->directory);
	free(request);
}

/* As in the names of files. */
static const char *file_kind(enum profile_kind kind)
{
	return kind == PROFILE_KIND_CPU ? "" : profile_kind_word(kind);
}

/* In a thread. */
static void merge(void *userdata)
{
	struct dump_request *request = userdata;
	_cleanup_profile_ struct profile *merged = NULL;
	char host[256] = "host";
	const struct profile *profile = request->view ? request->view->profile : NULL;
	gethostname(host, sizeof(host) - 1);
	if (request->directory) {
		request->error = pprof_directory_merge(request->directory, host, file_kind(request->kind),
						       request->since_ns, request->until_ns, &request->found, &merged);
		profile = merged;
	}
	if (request->error == 0)
		request->error = pprof_encode(profile, PPROF_GZIP, &request->body);
}

static void refuse(struct dump_request *request)
{
	if (request->error == -ENOENT)
		http_respond_text(request->exchange, 404,
				  "no %s profile of an interval of that time has been written to %s yet%s%s",
				  profile_kind_word(request->kind), request->directory,
				  request->kind == PROFILE_KIND_CPU ? "" : ": is it on? see memory.",
				  request->kind == PROFILE_KIND_CPU ? "" : profile_kind_word(request->kind));
	else
		http_respond_text(request->exchange, 500, "cannot read %s: %s",
				  request->directory ? request->directory : "the last interval",
				  strerror(-request->error));
}

static void add_count(struct http_exchange *exchange, const char *header, size_t count)
{
	_cleanup_free_ char *text = text_format("%zu", count);
	if (text)
		http_add_header(exchange, header, text);
}

static void respond(void *userdata)
{
	struct dump_request *request = userdata;
	if (request->exchange && request->error < 0) {
		refuse(request);
	} else if (request->exchange) {
		http_add_header(request->exchange, "Content-Disposition",
				"attachment; filename=\"dump.pb.gz\"");
		add_count(request->exchange, "X-Bolometer-Intervals",
			  request->directory ? request->found.merged : 1);
		add_count(request->exchange, "X-Bolometer-Skipped", request->found.skipped);
		http_respond(request->exchange, 200, "application/octet-stream", &request->body);
	}
	release(request);
}

static void forget_exchange(struct http_exchange *exchange, void *userdata)
{
	((struct dump_request *)userdata)->exchange = NULL;
}

const char *local_find_directory(const struct local_server *local)
{
	const struct configuration *configuration = &local->daemon->configuration;
	for (size_t i = 0; i < configuration->exporters.count; i++)
		if (configuration->exporters.items[i].type == EXPORTER_PPROF_DIRECTORY)
			return configuration->exporters.items[i].directory;
	return NULL;
}

static int start_dump(struct local_server *local, struct http_exchange *exchange, enum profile_kind kind,
		      uint64_t last_ns)
{
	const char *directory = local_find_directory(local);
	struct dump_request *request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	request->local = local;
	request->kind = kind;
	request->until_ns = (int64_t)realtime_ns();
	request->since_ns = request->until_ns - (int64_t)last_ns;
	request->directory = directory ? strdup(directory) : NULL;
	if (!directory) {
		request->view = local->views[kind];
		request->view->references++;
	}
	int r = directory && !request->directory ? -ENOMEM
						 : background_run(local->background, merge, respond,
								  request);
	if (r < 0) {
		release(request);
		return r;
	}
	request->exchange = exchange;
	request->next = local->dumps;
	local->dumps = request;
	http_defer(exchange, forget_exchange, request);
	return 0;
}

static unsigned count_dumps(const struct local_server *local)
{
	unsigned count = 0;
	for (const struct dump_request *r = local->dumps; r; r = r->next)
		count++;
	return count;
}

/* One kind, by its word. */
static bool parse_kind(const char *word, enum profile_kind *ret)
{
	unsigned kinds = 0;
	if (profile_kinds_parse(word, &kinds) < 0 || __builtin_popcount(kinds) != 1)
		return false;
	*ret = (enum profile_kind)__builtin_ctz(kinds);
	return true;
}

void local_dump(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	const char *last = http_query(exchange, "last"), *events = http_query(exchange, "events");
	enum profile_kind kind = PROFILE_KIND_CPU;
	uint64_t last_ns = DEFAULT_LAST_NS;
	int r = 0;
	if (last && (text_parse_duration(last, &last_ns) < 0 || !last_ns || last_ns > MAX_LAST_NS))
		http_respond_text(exchange, 400, "last: a duration up to 24h is wanted, as 10m");
	else if (events && !parse_kind(events, &kind))
		http_respond_text(exchange, 400, "events: one of cpu, growth and heap is wanted");
	else if (!local->views[kind] && !local_find_directory(local))
		http_respond_text(exchange, 404, kind == PROFILE_KIND_CPU
				  ? "the first interval has not ended yet"
				  : "no interval with such a profile has ended yet: see memory.heap and memory.growth "
				    "in the configuration");
	else if (count_dumps(local) >= MAX_DUMPS)
		http_respond_text(exchange, 503, "%u dumps are being written, try again later",
				  MAX_DUMPS);
	else
		r = start_dump(local, exchange, kind, last_ns);
	if (r < 0)
		http_respond_text(exchange, 503, "cannot write a dump now: %s", strerror(-r));
}
