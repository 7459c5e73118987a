/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page and what it asks for. The profile of the last interval is kept; who asks first has it read, in
 * a thread, into the three texts that everybody is answered with until the next interval ends.
 */
#include "service/local_state.h"

#include "format/flame_profile.h"
#include "format/live_page.h"
#include "format/report_json.h"
#include "service/top_processes.h"

#include <errno.h>
#include <string.h>

#define MAX_FUNCTIONS 100
#define MAX_PROCESSES 100
#define MAX_VIEWERS 64U

/* ---- Reading an interval ------------------------------------------------------------------------------ */

static int write_functions(const struct profile *profile, size_t value, struct text *out)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	int r = call_tree_new(profile, value, &tree);
	if (r == 0)
		r = report_new(tree, &report);
	if (r < 0)
		return r;
	struct report_view view = {profile, value, report, MAX_FUNCTIONS, tree->nodes.items[CALL_TREE_ROOT].total};
	return report_json_functions(&view, REPORT_BY_FLAT, out);
}

/* In a thread. */
static void read_view(void *userdata)
{
	struct view_request *request = userdata;
	struct interval_view *view = request->view;
	size_t value = profile_default_value(view->profile);
	view->error = flame_profile_write_data(view->profile, value, "Live", &view->flame);
	if (view->error == 0)
		view->error = write_functions(view->profile, value, &view->functions);
	if (view->error == 0)
		view->error = top_processes_write(view->profile, value, MAX_PROCESSES,
						  &view->processes);
}

void interval_view_unreference(struct interval_view *view)
{
	if (!view || --view->references)
		return;
	profile_free(view->profile);
	text_free(&view->flame);
	text_free(&view->functions);
	text_free(&view->processes);
	free(view);
}

static struct interval_view *new_view(struct profile *profile)
{
	struct interval_view *view = profile ? calloc(1, sizeof(*view)) : NULL;
	if (!view) {
		profile_free(profile);
		return NULL;
	}
	/* Times are only for OTLP, and most of the memory. */
	for (size_t i = 0; i < profile->samples.count; i++)
		profile->samples.items[i].timestamp_count = 0;
	array_free(&profile->timestamps);
	view->references = 1;
	view->profile = profile;
	return view;
}

void local_server_keep(struct local_server *local, struct profile *const profiles[PROFILE_KIND_COUNT])
{
	bool is_asked = local && (local->unix_socket || local->tcp);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		if (!is_asked || (kind != PROFILE_KIND_CPU && local_find_directory(local))) {
			profile_free(profiles[kind]);
			continue;
		}
		interval_view_unreference(local->views[kind]);
		local->views[kind] = new_view(profiles[kind]);
	}
}

/* ---- Answers ------------------------------------------------------------------------------------------- */

static void respond_flame(struct http_exchange *exchange, const struct interval_view *view)
{
	struct text body = {0};
	text_add_bytes(&body, view->flame.bytes, view->flame.length);
	http_respond(exchange, 200, "application/json", &body);
}

static void respond_live(struct http_exchange *exchange, struct local_server *local,
			 const struct interval_view *view)
{
	struct text body = {0};
	struct json json = {.out = &body};
	json_open(&json, NULL, '{');
	local_status_write(local, &json, "status");
	/* Names the interval: who has drawn it needs not ask for it again. */
	json_number(&json, "interval", view ? (uint64_t)view->profile->time_ns : 0);
	json_raw(&json, "top", view ? view->functions.bytes : NULL);
	json_raw(&json, "processes", view ? view->processes.bytes : NULL);
	json_close(&json, '}');
	http_respond(exchange, 200, "application/json", &body);
}

static void respond(struct view_request *request)
{
	if (request->view->error < 0)
		http_respond_text(request->exchange, 500, "the interval cannot be shown: %s",
				  strerror(-request->view->error));
	else if (request->wants_flame)
		respond_flame(request->exchange, request->view);
	else
		respond_live(request->exchange, request->local, request->view);
}

static void release(struct view_request *request)
{
	interval_view_unreference(request->view);
	free(request);
}

/* Answers everybody who waits for the view that has been read. */
static void on_read(void *userdata)
{
	struct view_request *reader = userdata;
	struct local_server *local = reader->local;
	reader->view->state = VIEW_READ;
	for (struct view_request **at = &local->viewers; *at;) {
		struct view_request *request = *at;
		if (request->view != reader->view) {
			at = &request->next;
			continue;
		}
		*at = request->next;
		if (request->exchange)
			respond(request);
		release(request);
	}
	release(reader);
}

static struct view_request *new_request(struct local_server *local, struct http_exchange *exchange,
					bool wants_flame)
{
	struct view_request *request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	*request = (struct view_request){
		.local = local,
		.exchange = exchange,
		.wants_flame = wants_flame,
		.view = local->views[PROFILE_KIND_CPU],
	};
	request->view->references++;
	return request;
}

static int start_reading(struct local_server *local)
{
	struct view_request *reader = new_request(local, NULL, false);
	if (!reader)
		return -ENOMEM;
	int r = background_run(local->background, read_view, on_read, reader);
	if (r < 0)
		release(reader);
	else
		local->views[PROFILE_KIND_CPU]->state = VIEW_BEING_READ;
	return r;
}

static void forget_exchange(struct http_exchange *exchange, void *userdata)
{
	((struct view_request *)userdata)->exchange = NULL;
}

static unsigned count_viewers(const struct local_server *local)
{
	unsigned count = 0;
	for (const struct view_request *r = local->viewers; r; r = r->next)
		count++;
	return count;
}

static void show(struct local_server *local, struct http_exchange *exchange, bool wants_flame)
{
	int r = local->views[PROFILE_KIND_CPU]->state == VIEW_UNREAD ? start_reading(local) : 0;
	if (r == 0 && count_viewers(local) >= MAX_VIEWERS)
		r = -EAGAIN;
	struct view_request *request = r < 0 ? NULL : new_request(local, exchange, wants_flame);
	if (!request) {
		http_respond_text(exchange, 503, "cannot show the interval now: %s",
				  strerror(r < 0 ? -r : ENOMEM));
	} else if (local->views[PROFILE_KIND_CPU]->state == VIEW_READ) {
		respond(request);
		release(request);
	} else {
		request->next = local->viewers;
		local->viewers = request;
		http_defer(exchange, forget_exchange, request);
	}
}

/* ---- Requests -------------------------------------------------------------------------------------------- */

void local_live(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	if (local->views[PROFILE_KIND_CPU])
		show(local, exchange, false);
	else
		respond_live(exchange, local, NULL);
}

void local_flame(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	if (local->views[PROFILE_KIND_CPU])
		show(local, exchange, true);
	else
		http_respond_text(exchange, 404, "the first interval has not ended yet");
}

void local_page(struct http_exchange *exchange, void *userdata)
{
	struct text body = {0};
	text_add_string(&body, live_page);
	http_add_header(exchange, "Content-Security-Policy", live_page_policy);
	http_add_header(exchange, "Referrer-Policy", "no-referrer");
	http_add_header(exchange, "X-Frame-Options", "DENY");
	http_respond(exchange, 200, "text/html; charset=utf-8", &body);
}
