/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon on this host, over its unix socket. */
#pragma once

#include "base/text.h"
#include "command/command.h"

#define DAEMON_CLIENT_DEFAULT_SOCKET "/run/bolometer/socket"

/* The option that every command that asks has. `offset` is that of a const char *, NULL by default. */
#define DAEMON_SOCKET_OPTION(offset)                                                           \
	OPTION(TEXT, 0, "socket", "PATH", offset,                                              \
	       "the daemon's http.socket (default: $BOLOMETER_HTTP_SOCKET, else\n"             \
	       DAEMON_CLIENT_DEFAULT_SOCKET ")")

/* The socket to ask: `option`, the environment's, or the default. */
const char *daemon_client_socket(const char *option);

struct daemon_request {
	const char *socket;
	const char *path; /* with its query: "/api/status?format=text" */
	bool is_post;
	uint64_t timeout_ns; /* of the whole; 0: 10 s */
};

/*
 * Asks and appends the body to *body. Returns 0 when the daemon answered with success. Otherwise *error
 * is one line for people and the result is -ENOENT or -ECONNREFUSED (no daemon listens there), -EACCES
 * (it may not be asked by this user), -EREMOTEIO (the daemon refused; *error is what it said),
 * -ETIMEDOUT, -ENOMEM or -EIO. Free both texts in every case.
 */
int daemon_client_ask(const struct daemon_request *request, struct text *body, struct text *error);
