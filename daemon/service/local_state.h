/* SPDX-License-Identifier: Apache-2.0 */
/* The local server from inside: what its handlers share. A handler's userdata is the server. */
#pragma once

#include "base/json.h"
#include "service/background.h"
#include "service/daemon_state.h"
#include "service/http_server.h"
#include "service/local_server.h"

#define MAX_WINDOWS 8U	     /* profiles being taken at once */
#define MAX_WINDOW_SECONDS 600U
#define MAX_BACKGROUND 16U

/* A profile that was asked for: its window is open, or it is being encoded. */
struct profile_request {
	struct local_server *local;
	struct http_exchange *exchange;	 /* NULL: nobody waits any more */
	struct recording_window *window; /* NULL: closed or none, its profile is being encoded */
	const char *file_name; /* for who saves it */
	struct loop_source *timer;
	struct profile *profile;
	struct text body;
	int error;
	struct profile_request *next;
};

/* The last interval, for the page: its profile, and what is told of it, made when somebody asks. */
struct interval_view {
	unsigned references; /* of the server, and of work that reads it */
	struct profile *profile;
	enum { VIEW_UNREAD, VIEW_BEING_READ, VIEW_READ } state;
	int error;
	struct text flame;     /* what the flame graph draws, JSON */
	struct text functions; /* the top ones, JSON object */
	struct text processes; /* the top ones, JSON list */
};

/* Somebody who waits for the view of the last interval. */
struct view_request {
	struct local_server *local;
	struct http_exchange *exchange;
	bool wants_flame;
	struct interval_view *view;
	struct view_request *next;
};

struct local_server {
	struct daemon *daemon;
	struct background *background;
	struct http_server *health, *unix_socket, *tcp; /* NULL: not configured, or not to be had */
	struct http_server_options health_options, unix_options, tcp_options;
	char *socket_path; /* to be removed at the end; NULL: none is ours */
	struct profile_request *profiles; /* list */
	uint64_t profiles_served, profiles_refused;
	/* Of the last interval; NULL: none has ended yet. The page shows that of CPU time, the others are kept where no
	 * flight recorder has them. */
	struct interval_view *views[PROFILE_KIND_COUNT];
	struct view_request *viewers; /* list */
	struct dump_request *dumps; /* list */
};

/* Plain text, with the header by which pprof knows that the text is for people. */
void local_refuse(struct http_exchange *exchange, unsigned status, const char *format, ...)
	_printf_(3, 4);

/* ---- local_pprof.c: /debug/pprof/ ----------------------------------------------------------------- */

void local_pprof_index(struct http_exchange *exchange, void *userdata);
void local_pprof_profile(struct http_exchange *exchange, void *userdata);
void local_pprof_heap(struct http_exchange *exchange, void *userdata);
void local_pprof_allocs(struct http_exchange *exchange, void *userdata);
void local_pprof_cmdline(struct http_exchange *exchange, void *userdata);
void local_pprof_symbol(struct http_exchange *exchange, void *userdata);

unsigned local_pprof_count(const struct local_server *local);

/* ---- local_health.c: /healthz, /readyz, /metrics ----------------------------------------------------- */

void local_healthz(struct http_exchange *exchange, void *userdata);
void local_readyz(struct http_exchange *exchange, void *userdata);
void local_metrics(struct http_exchange *exchange, void *userdata);

/* ---- local_status.c: /api/status ---------------------------------------------------------------------- */

void local_status(struct http_exchange *exchange, void *userdata);

/* The state as one JSON object. */
void local_status_write(struct local_server *local, struct json *json, const char *name);

/* ---- local_status_text.c: the same for people --------------------------------------------------------- */

void local_status_describe(struct local_server *local, struct text *out);

/* ---- local_control.c: /api/stop, /api/start, /api/reset ---------------------------------------------- */

void local_stop(struct http_exchange *exchange, void *userdata);
void local_start(struct http_exchange *exchange, void *userdata);
void local_reset(struct http_exchange *exchange, void *userdata);

/* ---- local_live.c: /api/live, /api/flame, / --------------------------------------------------------- */

void local_live(struct http_exchange *exchange, void *userdata);
void local_flame(struct http_exchange *exchange, void *userdata);
void local_page(struct http_exchange *exchange, void *userdata);
void interval_view_unreference(struct interval_view *view);

/* ---- local_dump.c: /api/dump ---------------------------------------------------------------------- */

/* Of the flight recorder, or NULL. */
const char *local_find_directory(const struct local_server *local);

void local_dump(struct http_exchange *exchange, void *userdata);
