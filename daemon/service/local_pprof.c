/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints of Go's net/http/pprof, for the whole host: `go tool pprof http://…/debug/pprof/profile`.
 * A profile is a window beside the daemon's intervals, so any number of people and the exporters
 * see the same samples, and none costs a sample more.
 */
#include "service/local_state.h"

#include "base/clock.h"
#include "format/pprof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_SECONDS 30U /* net/http/pprof's */
#define MAX_PID (1U << 22)  /* the kernel's PID_MAX_LIMIT */

void local_refuse(struct http_exchange *exchange, unsigned status, const char *format, ...)
{
	char line[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	http_add_header(exchange, "X-Go-Pprof", "1");
	http_respond_text(exchange, status, "%s", line);
}

void local_pprof_index(struct http_exchange *exchange, void *userdata)
{
	http_respond_text(exchange, 200,
			  "Profiles of this host, in pprof's format\n\n"
			  "/debug/pprof/profile?seconds=N&pid=PID\n"
			  "    CPU profile of the next N seconds (1 to %u, default %u), of one process "
			  "or of all\n"
			  "/debug/pprof/heap?pid=PID, /debug/pprof/allocs?pid=PID\n"
			  "    what is held now, and what was allocated since it is looked at (memory.heap)\n"
			  "/debug/pprof/cmdline\n"
			  "    the name of this program\n"
			  "/debug/pprof/symbol\n"
			  "    names for the kernel's addresses, posted as 0x1+0x2",
			  MAX_WINDOW_SECONDS, DEFAULT_SECONDS);
}

/* Arguments can hold secrets: the name is all that is told. */
void local_pprof_cmdline(struct http_exchange *exchange, void *userdata)
{
	struct text body = {0};
	text_add_string(&body, "bolometer");
	http_respond(exchange, 200, "text/plain; charset=utf-8", &body);
}

/* One line for each address of "0x1+0x2" that is known. */
static void add_symbols(struct recording *recording, const char *addresses, struct text *out)
{
	for (const char *at = addresses; *at; at += strcspn(at, "+"), at += *at == '+') {
		char *end;
		uint64_t address = strtoull(at, &end, 16);
		const char *name = recording_find_kernel(recording, address);
		if (name && (*end == '+' || *end == '\0' || *end == '\n'))
			text_add(out, "0x%llx\t%s\n", (unsigned long long)address, name);
	}
}

/*
 * Names for addresses, where a profile's own are missing. Only the kernel's addresses mean the same in every
 * process; of code in a file a profile has the offset, and the request does not say of which file.
 * "num_symbols: 0" is the protocol's word for a program that looks up nothing: here one that was told
 * to keep no names. Any other status than 200 makes `go tool pprof` give up the whole profile.
 *
 * Source: gperftools, docs/pprof_remote_servers.html; github.com/google/pprof, internal/symbolz.
 */
void local_pprof_symbol(struct http_exchange *exchange, void *userdata)
{
	const struct local_server *local = userdata;
	struct recording *recording = local->daemon->recording;
	struct text body = {0};
	text_add(&body, "num_symbols: %d\n", recording_has_names(recording));
	add_symbols(recording, http_body(exchange), &body);
	http_respond(exchange, 200, "text/plain; charset=utf-8", &body);
}

/* ---- One profile ----------------------------------------------------------------------------------- */

static void release(struct profile_request *request)
{
	struct profile_request **at = &request->local->profiles;
	while (*at && *at != request)
		at = &(*at)->next;
	if (*at)
		*at = request->next;
	loop_remove(request->timer);
	profile_free(request->profile);
	text_free(&request->body);
	free(request);
}

/* Nobody waits any more. What is being encoded is released when that is done. */
static void on_exchange_end(struct http_exchange *exchange, void *userdata)
{
	struct profile_request *request = userdata;
	request->exchange = NULL;
	if (!request->window)
		return;
	recording_close_window(request->local->daemon->recording, take_pointer(request->window),
			       NULL);
	release(request);
}

static void encode(void *userdata)
{
	struct profile_request *request = userdata;
	request->error = pprof_encode(request->profile, PPROF_GZIP, &request->body);
}

static void respond(void *userdata)
{
	struct profile_request *request = userdata;
	struct http_exchange *exchange = request->exchange;
	if (exchange && request->error < 0) {
		local_refuse(exchange, 500, "the profile is lost: %s", strerror(-request->error));
	} else if (exchange) {
		char disposition[64];
		snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", request->file_name);
		http_add_header(exchange, "Content-Disposition", disposition);
		http_respond(exchange, 200, "application/octet-stream", &request->body);
		request->local->profiles_served++;
	}
	release(request);
}

static int on_window_end(struct loop_source *source, uint32_t events, void *userdata)
{
	struct profile_request *request = userdata;
	struct local_server *local = request->local;
	request->timer = loop_remove(request->timer);
	request->error = recording_close_window(local->daemon->recording,
						take_pointer(request->window), &request->profile);
	if (request->error == 0)
		request->error = background_run(local->background, encode, respond, request);
	if (request->error < 0)
		respond(request);
	return 0;
}

void local_server_end_windows(struct local_server *local)
{
	struct profile_request *next = local ? local->profiles : NULL;
	while (next) {
		struct profile_request *request = next;
		next = request->next; /* it may be released */
		if (request->window)
			on_window_end(request->timer, 0, request);
	}
}

unsigned local_pprof_count(const struct local_server *local)
{
	unsigned count = 0;
	for (const struct profile_request *r = local->profiles; r; r = r->next)
		count++;
	return count;
}

static int open_window(struct profile_request *request, uint32_t pid, uint64_t seconds)
{
	struct daemon *daemon = request->local->daemon;
	int r = recording_open_window(daemon->recording, PROFILE_KIND_CPU, pid, &request->window);
	if (r == 0)
		r = loop_add_timer(daemon->loop, seconds * NS_PER_SECOND, 0, on_window_end,
				   request, &request->timer);
	if (r < 0 && request->window)
		recording_close_window(daemon->recording, take_pointer(request->window), NULL);
	return r;
}

/* It is answered later, and released then. */
static void defer(struct profile_request *request, struct http_exchange *exchange)
{
	request->next = request->local->profiles;
	request->local->profiles = request;
	request->exchange = exchange;
	http_defer(exchange, on_exchange_end, request);
}

static void start_profile(struct local_server *local, struct http_exchange *exchange, uint32_t pid,
			  uint64_t seconds)
{
	struct profile_request *request = calloc(1, sizeof(*request));
	int r = -ENOMEM;
	if (request) {
		request->local = local;
		request->file_name = "profile.pb.gz";
		r = open_window(request, pid, seconds);
	}
	if (r < 0) {
		free(request);
		local_refuse(exchange, 500, "cannot take a profile: %s", strerror(-r));
		return;
	}
	defer(request, exchange);
}

static bool parse_argument(struct http_exchange *exchange, const char *name, uint64_t high,
			   uint64_t initial, uint64_t *ret)
{
	const char *value = http_query(exchange, name);
	*ret = initial;
	if (!value || text_parse_u64(value, 1, high, ret) == 0)
		return true;
	local_refuse(exchange, 400, "%s: a whole number from 1 to %llu is wanted", name,
		     (unsigned long long)high);
	return false;
}

static bool is_there(struct http_exchange *exchange, uint64_t pid)
{
	char directory[32];
	snprintf(directory, sizeof(directory), "/proc/%llu", (unsigned long long)pid);
	if (!pid || access(directory, F_OK) == 0)
		return true;
	local_refuse(exchange, 404, "there is no process %llu", (unsigned long long)pid);
	return false;
}

static bool has_room(struct http_exchange *exchange, struct local_server *local)
{
	if (local_pprof_count(local) < MAX_WINDOWS)
		return true;
	local->profiles_refused++;
	local_refuse(exchange, 503, "%u profiles are being taken, try again later", MAX_WINDOWS);
	return false;
}

void local_pprof_profile(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	uint64_t seconds, pid;
	if (!parse_argument(exchange, "seconds", MAX_WINDOW_SECONDS, DEFAULT_SECONDS, &seconds) ||
	    !parse_argument(exchange, "pid", MAX_PID, 0, &pid) || !is_there(exchange, pid))
		return;
	if (local->daemon->is_paused)
		local_refuse(exchange, 503, "sampling is off; `bolometer start` begins it again");
	else if (has_room(exchange, local))
		start_profile(local, exchange, (uint32_t)pid, seconds);
}

/* ---- The heap -------------------------------------------------------------------------------------- */

/* As net/http/pprof has it, both are the same profile but for the value that is shown first. */
static void answer_heap(struct http_exchange *exchange, struct local_server *local, uint32_t pid, bool allocs)
{
	struct profile_request *request = calloc(1, sizeof(*request));
	bool failed = false;
	int r = request ? recording_read_heap(local->daemon->recording, pid, &request->profile) : -ENOMEM;
	if (r == 0) {
		request->local = local;
		request->file_name = allocs ? "allocs.pb.gz" : "heap.pb.gz";
		request->profile->default_sample_type =
			profile_string(request->profile, allocs ? "alloc_space" : "inuse_space", &failed);
		r = failed ? -ENOMEM : background_run(local->background, encode, respond, request);
	}
	if (r == 0) {
		defer(request, exchange);
		return;
	}
	if (request)
		profile_free(request->profile);
	free(request);
	local_refuse(exchange, 500, "cannot read the heap: %s", strerror(-r));
}

static void serve_heap(struct http_exchange *exchange, struct local_server *local, bool allocs)
{
	uint64_t pid;
	if (!parse_argument(exchange, "pid", MAX_PID, 0, &pid) || !is_there(exchange, pid))
		return;
	if (http_query(exchange, "seconds"))
		local_refuse(exchange, 400, "seconds: the heap is told as it is now; two of its profiles have a difference");
	else if (!local->daemon->configuration.memory.heap.enabled)
		local_refuse(exchange, 404, "the heap is not looked at; memory.heap.enabled: true in the configuration");
	else if (has_room(exchange, local))
		answer_heap(exchange, local, (uint32_t)pid, allocs);
}

void local_pprof_heap(struct http_exchange *exchange, void *userdata)
{
	serve_heap(exchange, userdata, false);
}

void local_pprof_allocs(struct http_exchange *exchange, void *userdata)
{
	serve_heap(exchange, userdata, true);
}
