/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmicrohttpd's own epoll descriptor is a source of our loop; when it or its next timeout is due, the
 * library runs one round. An exchange is ours from a request's first line to libmicrohttpd's word that
 * it is completed; a deferred one is suspended there and resumed with its answer ready.
 */
#include "service/http_server.h"

#include "base/clock.h"
#include "service/http_access.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_CONNECTIONS 64U
#define MAX_CONNECTIONS_OF_ONE_ADDRESS 32U
#define CONNECTION_MEMORY (32U << 10) /* request line, headers and answer's headers */
#define SILENCE_SECONDS 15U
#define MAX_BODY (64U << 10)

struct http_server {
	struct MHD_Daemon *daemon;
	struct loop *loop;
	const struct http_server_options *options;
	struct loop_source *ready, *timer;
	struct http_exchange *deferred; /* list */
	struct http_server_statistics statistics;
};

struct http_exchange {
	struct http_server *server;
	struct MHD_Connection *connection;
	const struct http_route *route; /* NULL: refused */
	bool is_post;
	struct text body;
	struct MHD_Response *response; /* ready, not queued */
	struct MHD_Response *headers;  /* an empty response that collects headers; or NULL */
	unsigned status;
	bool is_deferred;
	http_handler on_end;
	void *on_end_userdata;
	struct loop_source *gone;   /* while deferred: the client closes */
	struct http_exchange *next; /* deferred */
};

/* ---- Exchanges ------------------------------------------------------------------------------- */

static void undefer(struct http_exchange *exchange)
{
	struct http_exchange **at = &exchange->server->deferred;
	while (*at && *at != exchange)
		at = &(*at)->next;
	if (*at)
		*at = exchange->next;
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct http_exchange *exchange = *context;
	if (!exchange)
		return;
	if (exchange->response)
		MHD_destroy_response(exchange->response);
	if (exchange->headers)
		MHD_destroy_response(exchange->headers);
	text_free(&exchange->body);
	free(exchange);
	*context = NULL;
}

static enum MHD_Result queue(struct http_exchange *exchange)
{
	if (!exchange->response)
		return MHD_NO;
	return MHD_queue_response(exchange->connection, exchange->status, exchange->response);
}

static enum MHD_Result copy_header(void *userdata, enum MHD_ValueKind kind, const char *name,
				   const char *value)
{
	return MHD_add_response_header(userdata, name, value);
}

void http_add_header(struct http_exchange *exchange, const char *name, const char *value)
{
	if (!exchange->headers)
		exchange->headers = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	if (exchange->headers)
		MHD_add_response_header(exchange->headers, name, value);
}

void http_respond(struct http_exchange *exchange, unsigned status, const char *content_type,
		  struct text *body)
{
	bool failed = body->failed;
	size_t size = body->length;
	char *bytes = failed ? NULL : text_take(body);
	text_free(body);
	exchange->status = failed ? MHD_HTTP_INTERNAL_SERVER_ERROR : status;
	exchange->response = MHD_create_response_from_buffer(
		bytes ? size : 0, bytes, bytes ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (exchange->response) {
		MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
		MHD_add_response_header(exchange->response, "X-Content-Type-Options", "nosniff");
		MHD_add_response_header(exchange->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
		if (exchange->headers)
			MHD_get_response_headers(exchange->headers, copy_header, exchange->response);
	} else {
		free(bytes);
	}
	if (exchange->is_deferred) {
		undefer(exchange);
		exchange->gone = loop_remove(exchange->gone);
		exchange->is_deferred = false;
		MHD_resume_connection(exchange->connection);
		/* Without a thread of its own the library does not wake itself. */
		loop_set_timer(exchange->server->timer, 1, 0);
	}
}

void http_respond_text(struct http_exchange *exchange, unsigned status, const char *format, ...)
{
	struct text body = {0};
	char line[1024];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	text_add(&body, "%s\n", line);
	http_respond(exchange, status, "text/plain; charset=utf-8", &body);
}

/* A connection that is suspended is not watched by the library. */
static int on_gone(struct loop_source *source, uint32_t events, void *userdata)
{
	struct http_exchange *exchange = userdata;
	exchange->on_end(exchange, exchange->on_end_userdata);
	http_respond_text(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the client is gone");
	return 0;
}

static void watch_client(struct http_exchange *exchange)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	/* Failed: its end is noticed with the answer. */
	if (info)
		loop_add_fd(exchange->server->loop, info->connect_fd, EPOLLRDHUP, on_gone, exchange,
			    &exchange->gone);
}

void http_defer(struct http_exchange *exchange, http_handler on_end, void *userdata)
{
	exchange->is_deferred = true;
	exchange->on_end = on_end;
	exchange->on_end_userdata = userdata;
	exchange->next = exchange->server->deferred;
	exchange->server->deferred = exchange;
	MHD_suspend_connection(exchange->connection);
	watch_client(exchange);
}

const char *http_header(const struct http_exchange *exchange, const char *name)
{
	return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_exchange *exchange, const char *name)
{
	const char *value = NULL;
	if (MHD_lookup_connection_value_n(exchange->connection, MHD_GET_ARGUMENT_KIND, name,
					  strlen(name), &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : "";
}

const char *http_body(const struct http_exchange *exchange)
{
	return exchange->body.bytes ? exchange->body.bytes : "";
}

bool http_is_post(const struct http_exchange *exchange)
{
	return exchange->is_post;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static const struct http_route *find_route(const struct http_server_options *options, const char *path)
{
	for (size_t i = 0; i < options->route_count; i++)
		if (strcmp(options->routes[i].path, path) == 0)
			return &options->routes[i];
	return NULL;
}

static bool serves_host(enum http_hosts hosts, const char *host)
{
	return hosts == HTTP_HOSTS_ANY || http_host_is_ours(host) ||
	       (hosts == HTTP_HOSTS_LOCAL && http_host_is_local(host));
}

/* Finds the route, or prepares the refusal. */
static void judge(struct http_exchange *exchange, const char *path, const char *method)
{
	const struct http_server_options *options = exchange->server->options;
	const struct http_route *route = find_route(options, path);
	unsigned kind = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ? HTTP_GET
			: strcmp(method, "POST") == 0				  ? HTTP_POST
										  : 0;
	exchange->is_post = kind == HTTP_POST;
	if (!serves_host(options->hosts, http_header(exchange, MHD_HTTP_HEADER_HOST))) {
		http_respond_text(exchange, MHD_HTTP_MISDIRECTED_REQUEST,
				  "the Host of this request is not a name of this host");
	} else if (options->token_file &&
		   !http_token_matches(options->token_file,
				       http_header(exchange, MHD_HTTP_HEADER_AUTHORIZATION))) {
		http_add_header(exchange, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
				"Basic realm=\"bolometer\", charset=\"UTF-8\"");
		http_respond_text(exchange, MHD_HTTP_UNAUTHORIZED,
				  "a token is needed: Authorization: Bearer TOKEN, or as the "
				  "password of basic authentication");
	} else if (!route) {
		http_respond_text(exchange, MHD_HTTP_NOT_FOUND, "there is nothing here");
	} else if (!(route->methods & kind)) {
		http_add_header(exchange, MHD_HTTP_HEADER_ALLOW,
				route->methods == HTTP_POST  ? "POST"
				: route->methods == HTTP_GET ? "GET, HEAD"
							     : "GET, HEAD, POST");
		http_respond_text(exchange, MHD_HTTP_METHOD_NOT_ALLOWED, "not by this method");
	} else {
		exchange->route = route;
	}
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection,
			     const char *path, const char *method, void **context)
{
	struct http_exchange *exchange = calloc(1, sizeof(*exchange));
	if (!exchange)
		return MHD_NO;
	exchange->server = server;
	exchange->connection = connection;
	*context = exchange;
	server->statistics.requests++;
	judge(exchange, path, method);
	if (exchange->route)
		return MHD_YES;
	server->statistics.refused++;
	return queue(exchange);
}

/* libmicrohttpd calls this first with the headers, then for each part of the body, then once more, and
 * again when a suspended request was resumed. */
static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **context)
{
	struct http_server *server = userdata;
	struct http_exchange *exchange = *context;
	if (!exchange)
		return begin(server, connection, path, method, context);
	if (exchange->response)
		return queue(exchange);
	if (*upload_size) {
		if (exchange->body.length + *upload_size > MAX_BODY || exchange->body.failed) {
			server->statistics.refused++;
			return MHD_NO; /* closes the connection: only this ends a body midway */
		}
		text_add_bytes(&exchange->body, upload, *upload_size);
		*upload_size = 0;
		return MHD_YES;
	}
	exchange->route->handle(exchange, server->options->userdata);
	if (exchange->is_deferred)
		return MHD_YES;
	return queue(exchange);
}

/* ---- The server ------------------------------------------------------------------------------ */

static void run_round(struct http_server *server)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	MHD_run(server->daemon);
	if (MHD_get_timeout(server->daemon, &timeout_ms) != MHD_YES)
		timeout_ms = SILENCE_SECONDS * 1000;
	loop_set_timer(server->timer, MAX_OF(timeout_ms, 1) * NS_PER_MS, 0);
}

static int on_ready(struct loop_source *source, uint32_t events, void *userdata)
{
	run_round(userdata);
	return 0;
}

static int watch(struct http_server *server, struct loop *loop)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return -ENOSYS;
	int r = loop_add_fd(loop, info->epoll_fd, EPOLLIN, on_ready, server, &server->ready);
	if (r == 0)
		r = loop_add_timer(loop, SILENCE_SECONDS * NS_PER_SECOND, 0, on_ready, server,
				   &server->timer);
	return r;
}

int http_server_new(struct loop *loop, int listen_fd, const struct http_server_options *options,
		    struct http_server **ret)
{
	struct http_server *server = calloc(1, sizeof(*server));
	if (!server) {
		close(listen_fd);
		return -ENOMEM;
	}
	server->options = options;
	server->loop = loop;
	errno = 0;
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, MAX_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, MAX_CONNECTIONS_OF_ONE_ADDRESS,
		MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!server->daemon) {
		int error = errno == ELIBACC ? -ELIBACC : -ENOMEM;
		close(listen_fd);
		free(server);
		return error;
	}
	int r = watch(server, loop);
	if (r < 0) {
		http_server_free(server);
		return r;
	}
	*ret = server;
	return 0;
}

struct http_server *http_server_free(struct http_server *server)
{
	if (!server)
		return NULL;
	while (server->deferred) {
		struct http_exchange *exchange = server->deferred;
		exchange->on_end(exchange, exchange->on_end_userdata);
		http_respond_text(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the daemon is stopping");
	}
	MHD_run(server->daemon);
	loop_remove(server->ready);
	loop_remove(server->timer);
	MHD_stop_daemon(server->daemon);
	free(server);
	return NULL;
}

void http_server_get_statistics(const struct http_server *server, struct http_server_statistics *ret)
{
	*ret = server->statistics;
}
