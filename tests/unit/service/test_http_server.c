/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server in a process of its own, asked over real sockets, by good clients and bad ones. Requests are
 * written by hand: what is tested is also what no client library sends.
 */
#include "service/http_server.h"

#include "base/clock.h"
#include "base/file.h"
#include "service/http_access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char directory[64];
	char token_file[96];
	char socket_path[96];
	uint16_t port, port_with_token;
	pid_t server;
};

/* ---- The server's side ----------------------------------------------------------------------- */

static void say_hello(struct http_exchange *exchange, void *userdata)
{
	const char *name = http_query(exchange, "name");
	http_add_header(exchange, "X-Test", "yes");
	http_respond_text(exchange, 200, "hello %s %s", name ? name : "nobody", http_body(exchange));
}

static struct http_exchange *waiting;
static int waits[2]; /* a pipe: a byte for each request that waits for ever */

static int answer_late(struct loop_source *source, uint32_t events, void *userdata)
{
	loop_remove(source);
	if (waiting)
		http_respond_text(waiting, 200, "late");
	waiting = NULL;
	return 0;
}

static void forget(struct http_exchange *exchange, void *userdata)
{
	waiting = NULL;
}

static void wait_a_little(struct http_exchange *exchange, void *userdata)
{
	struct loop_source *timer;
	waiting = exchange;
	http_defer(exchange, forget, NULL);
	if (http_query(exchange, "forever"))
		assert_int_equal(write(waits[1], "", 1), 1);
	else
		loop_add_timer(userdata, 100 * NS_PER_MS, 0, answer_late, NULL, &timer);
}

static int stop(struct loop_source *source, uint32_t signal, void *userdata)
{
	loop_stop(userdata, 0);
	return 0;
}

static const struct http_route routes[] = {
	{"/hello", HTTP_GET | HTTP_POST, say_hello},
	{"/late", HTTP_GET, wait_a_little},
};

static int serve(struct world *world, int listen_fd, int token_fd, int unix_fd)
{
	struct loop *loop;
	struct loop_source *source;
	struct http_server *servers[3];
	if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, stop, loop, &source) < 0)
		return 1;
	struct http_server_options plain = {.routes = routes, .route_count = ARRAY_LENGTH(routes),
					    .userdata = loop};
	struct http_server_options with_token = plain, local = plain;
	with_token.token_file = world->token_file;
	local.hosts = HTTP_HOSTS_LOCAL;
	if (http_server_new(loop, listen_fd, &plain, &servers[0]) < 0 ||
	    http_server_new(loop, token_fd, &with_token, &servers[1]) < 0 ||
	    http_server_new(loop, unix_fd, &local, &servers[2]) < 0)
		return 1;
	int r = loop_run(loop);
	for (size_t i = 0; i < ARRAY_LENGTH(servers); i++)
		http_server_free(servers[i]);
	loop_free(loop);
	return r < 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static int start(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	strcpy(world->directory, "/tmp/bolometer-http-XXXXXX");
	assert_non_null(mkdtemp(world->directory));
	snprintf(world->token_file, sizeof(world->token_file), "%s/token", world->directory);
	snprintf(world->socket_path, sizeof(world->socket_path), "%s/socket", world->directory);
	assert_int_equal(write_file_atomically(world->token_file, "s3cret\n", 7, 0600), 0);
	int fd = http_listen_tcp("127.0.0.1:0"), token_fd = http_listen_tcp("localhost:0");
	int unix_fd = http_listen_unix(world->socket_path, 0660);
	assert_true(fd >= 0 && token_fd >= 0 && unix_fd >= 0);
	world->port = port_of(fd);
	world->port_with_token = port_of(token_fd);
	assert_int_equal(pipe(waits), 0);
	world->server = fork();
	if (world->server == 0)
		_exit(serve(world, fd, token_fd, unix_fd));
	close(fd);
	close(token_fd);
	close(unix_fd);
	*state = world;
	return 0;
}

static int end(void **state)
{
	struct world *world = *state;
	int status;
	kill(world->server, SIGTERM);
	assert_int_equal(waitpid(world->server, &status, 0), world->server);
	assert_int_equal(status, 0);
	unlink(world->token_file);
	unlink(world->socket_path);
	rmdir(world->directory);
	free(world);
	return 0;
}

/* ---- The clients' side ----------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval timeout = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return fd;
}

/* Sends the bytes and returns all that comes until the other side closes. */
static const char *ask_on(int fd, const char *request, size_t size)
{
	static char answer[65536];
	size_t length = 0;
	ssize_t n;
	send(fd, request, size, MSG_NOSIGNAL);
	while (length < sizeof(answer) - 1 &&
	       (n = recv(fd, answer + length, sizeof(answer) - 1 - length, 0)) > 0)
		length += (size_t)n;
	answer[length] = '\0';
	close(fd);
	return answer;
}

static const char *ask(uint16_t port, const char *request)
{
	return ask_on(connect_to(port), request, strlen(request));
}

static int status_of(const char *answer)
{
	return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

#define HOST "Host: localhost\r\nConnection: close\r\n"

static void test_routes(void **state)
{
	struct world *world = *state;
	const char *answer = ask(world->port, "GET /hello?name=you%20two HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(status_of(answer), 200);
	assert_non_null(strstr(answer, "hello you two \n"));
	assert_non_null(strstr(answer, "X-Test: yes"));
	assert_non_null(strstr(answer, "nosniff"));
	answer = ask(world->port, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody");
	assert_non_null(strstr(answer, "hello nobody body\n"));
	answer = ask(world->port, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(status_of(answer), 200);
	assert_null(strstr(answer, "hello"));
	assert_int_equal(status_of(ask(world->port, "GET /other HTTP/1.1\r\n" HOST "\r\n")), 404);
	assert_int_equal(status_of(ask(world->port, "GET /hello/../late HTTP/1.1\r\n" HOST "\r\n")), 404);
}

static void test_methods(void **state)
{
	struct world *world = *state;
	const char *answer = ask(world->port, "POST /late HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(status_of(answer), 405);
	assert_non_null(strstr(answer, "Allow: GET, HEAD"));
	assert_int_equal(status_of(ask(world->port, "DELETE /hello HTTP/1.1\r\n" HOST "\r\n")), 405);
	assert_int_equal(status_of(ask(world->port, "CONNECT /hello HTTP/1.1\r\n" HOST "\r\n")), 405);
}

static void test_late_answer(void **state)
{
	struct world *world = *state;
	uint64_t before = monotonic_ns();
	const char *answer = ask(world->port, "GET /late HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(status_of(answer), 200);
	assert_non_null(strstr(answer, "late\n"));
	assert_true(monotonic_ns() - before >= 100 * NS_PER_MS);
}

static void test_hosts(void **state)
{
	struct world *world = *state;
	assert_int_equal(status_of(ask(world->port, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n"
						    "Connection: close\r\n\r\n")), 421);
	assert_int_equal(status_of(ask(world->port, "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"
						    "Connection: close\r\n\r\n")), 200);
	assert_true(http_host_is_ours("[::1]:7071"));
	assert_true(http_host_is_ours("LOCALHOST:1"));
	assert_false(http_host_is_ours("localhost.evil.example"));
	assert_false(http_host_is_ours("127.0.0.1.evil.example"));
	assert_false(http_host_is_ours(""));
	assert_false(http_host_is_ours(":80"));
	assert_false(http_host_is_ours(NULL));
}

static void test_token(void **state)
{
	struct world *world = *state;
	static const struct {
		const char *header;
		int status;
	} cases[] = {
		{"", 401},
		{"Authorization: Bearer wrong\r\n", 401},
		{"Authorization: Bearer s3cre\r\n", 401},
		{"Authorization: Bearer s3cret2\r\n", 401},
		{"Authorization: Bearer \r\n", 401},
		{"Authorization: Bearer s3cret\r\n", 200},
		{"Authorization: Basic YW55Om5vdA==\r\n", 401},	    /* any:not */
		{"Authorization: Basic YW55OnMzY3JldA==\r\n", 200}, /* any:s3cret */
		{"Authorization: Basic ////\r\n", 401},
		{"Authorization: Digest s3cret\r\n", 401},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char request[512];
		snprintf(request, sizeof(request), "GET /hello HTTP/1.1\r\n" HOST "%s\r\n",
			 cases[i].header);
		assert_int_equal(status_of(ask(world->port_with_token, request)), cases[i].status);
	}
	/* an empty file lets nobody in, a new token is valid at once */
	assert_int_equal(write_file_atomically(world->token_file, "\n", 1, 0600), 0);
	assert_false(http_token_matches(world->token_file, "Bearer "));
	assert_int_equal(write_file_atomically(world->token_file, "new\n", 4, 0600), 0);
	assert_int_equal(status_of(ask(world->port_with_token, "GET /hello HTTP/1.1\r\n" HOST
				   "Authorization: Bearer new\r\n\r\n")), 200);
	assert_int_equal(write_file_atomically(world->token_file, "s3cret\n", 7, 0600), 0);
}

static void test_too_large(void **state)
{
	struct world *world = *state;
	struct text request = {0};
	text_add_string(&request, "GET /hello HTTP/1.1\r\n" HOST "X-Large: ");
	for (int i = 0; i < 40000; i++)
		text_add_char(&request, 'x');
	text_add_string(&request, "\r\n\r\n");
	assert_int_not_equal(status_of(ask_on(connect_to(world->port), request.bytes,
					      request.length)), 200);
	text_free(&request);
	text_add_string(&request, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
	for (int i = 0; i < 100000; i++)
		text_add_char(&request, 'x');
	assert_int_not_equal(status_of(ask_on(connect_to(world->port), request.bytes,
					      request.length)), 200);
	text_free(&request);
}

/* Those who say nothing and those who talk nonsense keep nobody else from being served. */
static void test_bad_clients(void **state)
{
	struct world *world = *state;
	static const char garbage[] = "\0\xff\x16\x03\x01 nonsense\r\n\r\n\0\0";
	int silent[40];
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(silent) && count < 30; i++)
		silent[count++] = connect_to(world->port);
	int broken = connect_to(world->port);
	assert_int_not_equal(status_of(ask_on(broken, garbage, sizeof(garbage))), 200);
	assert_int_equal(status_of(ask(world->port, "GET /hello HTTP/1.1\r\n" HOST "\r\n")), 200);
	for (size_t i = 0; i < count; i++)
		close(silent[i]);
}

static void test_unix_socket(void **state)
{
	struct world *world = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	static const char request[] = "GET /hello HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n";
	assert_int_equal(stat(world->socket_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	strcpy(address.sun_path, world->socket_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(status_of(ask_on(fd, request, strlen(request))), 200);
	/* a page of the web, through a tunnel to the socket and a name of its own that leads to the tunnel's port */
	static const char rebound[] = "GET /hello HTTP/1.1\r\nHost: evil.example:7070\r\nConnection: close\r\n\r\n";
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(status_of(ask_on(fd, rebound, strlen(rebound))), 421);
	/* somebody listens there */
	assert_int_equal(http_listen_unix(world->socket_path, 0660), -EADDRINUSE);
	/* what a killed server left behind is in nobody's way; another file is */
	char path[128];
	snprintf(path, sizeof(path), "%s/old", world->directory);
	fd = http_listen_unix(path, 0600);
	assert_true(fd >= 0);
	close(fd);
	fd = http_listen_unix(path, 0600);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(write_file_atomically(path, "x", 1, 0600), 0);
	assert_int_equal(http_listen_unix(path, 0600), -EADDRINUSE);
	unlink(path);
}

static void test_addresses(void **state)
{
	assert_int_equal(http_listen_tcp("127.0.0.1"), -EINVAL);
	assert_int_equal(http_listen_tcp("127.0.0.1:"), -EINVAL);
	assert_int_equal(http_listen_tcp(":80"), -EINVAL);
	assert_int_equal(http_listen_tcp("::1:80"), -EINVAL);
	assert_int_equal(http_listen_tcp("example.com:80"), -EINVAL);
	assert_int_equal(http_listen_tcp("127.0.0.1:http"), -EINVAL);
}

/* A request that waits when the server ends is told so. Last: it ends the server. */
static void test_end(void **state)
{
	struct world *world = *state;
	static const char request[] = "GET /late?forever HTTP/1.1\r\n" HOST "\r\n";
	int fd = connect_to(world->port);
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	char byte;
	assert_int_equal(read(waits[0], &byte, 1), 1);
	kill(world->server, SIGTERM);
	assert_int_equal(status_of(ask_on(fd, "", 0)), 503);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),	    cmocka_unit_test(test_methods),
		cmocka_unit_test(test_late_answer), cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_token),	    cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_bad_clients), cmocka_unit_test(test_unix_socket),
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_end),
	};
	return cmocka_run_group_tests(tests, start, end);
}
