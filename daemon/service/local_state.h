/* SPDX-License-Identifier: Apache-2.0 */
/* The local server from inside: what its handlers share. A handler's userdata is the server. */
#pragma once

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
	struct http_exchange *exchange; /* NULL: nobody waits any more */
	struct recording_window *window;
	struct loop_source *timer;
	struct profile *profile;
	struct text body;
	int error;
	struct profile_request *next;
};

struct local_server {
	struct daemon *daemon;
	struct background *background;
	struct http_server *health, *unix_socket, *tcp; /* NULL: not configured, or not to be had */
	struct http_server_options health_options, unix_options, tcp_options;
	char *socket_path; /* to be removed at the end; NULL: none is ours */
	struct profile_request *profiles; /* list */
	uint64_t profiles_served, profiles_refused;
};

/* Plain text, with the header by which pprof knows that the text is for people. */
void local_refuse(struct http_exchange *exchange, unsigned status, const char *format, ...)
	_printf_(3, 4);

/* ---- local_pprof.c: /debug/pprof/ ----------------------------------------------------------------- */

void local_pprof_index(struct http_exchange *exchange, void *userdata);
void local_pprof_profile(struct http_exchange *exchange, void *userdata);
void local_pprof_cmdline(struct http_exchange *exchange, void *userdata);
void local_pprof_symbol(struct http_exchange *exchange, void *userdata);

/* Closes the windows that are open. The servers must be gone. */
void local_pprof_end(struct local_server *local);
