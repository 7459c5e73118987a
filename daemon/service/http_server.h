/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local HTTP server: listeners on a unix socket or TCP, routes, and answers that may come later.
 * Everything runs on the event loop; a handler must not block. libmicrohttpd reads and writes the
 * protocol, and everything a client may do is bounded: connections, header and body sizes, silence.
 *
 * Over TCP a page in somebody's browser could reach us too: requests whose Host is a name that is not
 * ours are refused (DNS rebinding), and a listener can ask for a token.
 */
#pragma once

#include "base/loop.h"
#include "base/text.h"

#include <sys/types.h>

struct http_server;
struct http_exchange; /* one request and its answer */

enum http_method { HTTP_GET = 1 << 0, HTTP_POST = 1 << 1 }; /* HEAD is served where GET is */

typedef void (*http_handler)(struct http_exchange *exchange, void *userdata);

struct http_route {
	const char *path; /* exact */
	unsigned methods; /* of enum http_method */
	http_handler handle; /* answers now, or calls http_defer() */
};

/* Whose Host header is served (http_access.h). */
enum http_hosts {
	HTTP_HOSTS_OURS,
	HTTP_HOSTS_LOCAL, /* also none, and names that nobody can register: of a unix socket, which a tunnel may
			   * bring before a browser */
	HTTP_HOSTS_ANY,
};

struct http_server_options {
	const struct http_route *routes;
	size_t route_count;
	void *userdata;		/* of the handlers */
	enum http_hosts hosts;
	const char *token_file; /* NULL: no token. Else its first line is asked for, as bearer token or
				 * as password of basic authentication; read anew for each request */
};

/* Is it what http_listen_tcp() takes? */
bool http_address_is_valid(const char *address);

/* Makes the socket, in place of one that nobody listens on any more, with exactly `mode`. Returns a
 * descriptor, -EADDRINUSE when somebody does, or -errno. */
int http_listen_unix(const char *path, mode_t mode);

/* Listens on "127.0.0.1:7071", "[::1]:7071" or "localhost:7071". Returns a descriptor, -EINVAL when it
 * is no address, or -errno. */
int http_listen_tcp(const char *address);

/* Serves on `listen_fd`, which becomes the server's. `options`, its routes and texts must outlive the
 * server. Returns 0 or -errno. */
int http_server_new(struct loop *loop, int listen_fd, const struct http_server_options *options,
		    struct http_server **ret);

/* Answers what is open with 503 and closes everything. Accepts NULL, returns NULL. */
struct http_server *http_server_free(struct http_server *server);

struct http_server_statistics {
	uint64_t requests, refused; /* refused: by method, host, size or token */
};

void http_server_get_statistics(const struct http_server *server, struct http_server_statistics *ret);

/* ---- The request ----------------------------------------------------------------------------- */

/* The value of a query argument, "" when it has none; NULL when it is not there. */
const char *http_query(const struct http_exchange *exchange, const char *name);

/* The whole body (at most 64 KiB), NUL-terminated; "" when there is none. */
const char *http_body(const struct http_exchange *exchange);

/* A header's value or NULL. */
const char *http_header(const struct http_exchange *exchange, const char *name);

bool http_is_post(const struct http_exchange *exchange);

/* ---- The answer ------------------------------------------------------------------------------ */

/* Adds a header to the answer that comes. `name` and `value` are copied. */
void http_add_header(struct http_exchange *exchange, const char *name, const char *value);

/* Answers; takes the body's bytes. After this the exchange is gone for the caller. */
void http_respond(struct http_exchange *exchange, unsigned status, const char *content_type,
		  struct text *body);

/* Answers with one line of plain text. */
void http_respond_text(struct http_exchange *exchange, unsigned status, const char *format, ...)
	_printf_(3, 4);

/* The answer comes later by http_respond(). When the server ends first, or the client closes its side,
 * `on_end` is called, which must forget the exchange. */
void http_defer(struct http_exchange *exchange, http_handler on_end, void *userdata);
