/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A send that is cancelled before it began, between the queue and the connection: it did not arrive,
 * whatever the request before it was answered. The exporter has a real sink over HTTP behind an injected
 * one that makes the moment come, and a server that notes the numbers of the payloads it gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "export/exporter.h"
#include "export/http_client.h"
#include "export/sinks.h"
#include "tests/unit/export/scratch.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAYLOAD_BYTES 1000

/* -- a server ------------------------------------------------------------------------------- */

struct server {
	int listener;
	_Atomic int connection; /* -1: none */
	char url[64];
	pthread_t thread;
	uint32_t received[16];
	_Atomic uint32_t count;
};

/* Reads a request of PAYLOAD_BYTES bytes. Returns the payload's number, or 0 when the client is gone. */
static uint32_t read_request(int connection)
{
	char request[PAYLOAD_BYTES + 4096], *body = NULL;
	uint32_t number;
	size_t size = 0;
	while (!body || size < (size_t)(body - request) + PAYLOAD_BYTES) {
		ssize_t n = read(connection, request + size, sizeof(request) - 1 - size);
		if (n <= 0)
			return 0;
		size += (size_t)n;
		request[size] = '\0';
		body = memmem(request, size, "\r\n\r\n", 4);
		body = body ? body + 4 : NULL;
	}
	memcpy(&number, body, sizeof(number));
	return number;
}

static void *serve(void *userdata)
{
	static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct server *server = userdata;
	int connection;
	while ((connection = accept(server->listener, NULL, NULL)) >= 0) {
		uint32_t number;
		server->connection = connection;
		while ((number = read_request(connection))) {
			if (server->count < ARRAY_LENGTH(server->received))
				server->received[server->count] = number;
			server->count++;
			if (write(connection, yes, sizeof(yes) - 1) < 0)
				break;
		}
		server->connection = -1;
		close(connection);
	}
	return NULL;
}

static int start_server(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct server *server = calloc(1, sizeof(*server));
	assert_non_null(server);
	server->connection = -1;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(server->listener, 8), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	*state = server;
	return 0;
}

static int stop_server(void **state)
{
	struct server *server = *state;
	shutdown(server->listener, SHUT_RDWR);
	if (server->connection >= 0)
		shutdown(server->connection, SHUT_RDWR); /* of a test that failed */
	pthread_join(server->thread, NULL);
	close(server->listener);
	free(server);
	return 0;
}

/* Each number once, in order. */
static void expect_received(const struct server *server, uint32_t count)
{
	assert_int_equal(server->count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(server->received[i], i + 1);
}

static struct sink_options options_of(struct server *server)
{
	return (struct sink_options){.protocol = SINK_OTLP_HTTP, .compression = SINK_UNCOMPRESSED,
				     .endpoint = server->url, .proxy = (char *)""};
}

/* -- the client ----------------------------------------------------------------------------- */

static void post(struct http_client *client, struct server *server, uint32_t number,
		 struct http_answer *answer)
{
	const char *headers[] = {NULL};
	struct payload payload = make_payload(number, PAYLOAD_BYTES);
	struct http_request request = {.url = server->url, .headers = headers,
				       .body = payload.bytes, .body_size = payload.size,
				       .timeout_ns = 10 * NS_PER_SECOND};
	http_client_post(client, &request, answer);
	free((char *)payload.bytes);
}

static void test_no_answer_of_an_earlier_request(void **state)
{
	struct server *server = *state;
	struct sink_options options = options_of(server);
	struct http_client *client;
	struct http_answer answer;
	char problem[256];
	assert_int_equal(http_client_new(&options, &client, problem, sizeof(problem)), 0);
	post(client, server, 1, &answer);
	assert_int_equal(answer.end, HTTP_ANSWERED);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.bytes_sent, PAYLOAD_BYTES);
	http_answer_free(&answer);

	http_client_cancel(client);
	post(client, server, 2, &answer);
	assert_int_equal(answer.end, HTTP_CANCELLED);
	assert_int_equal(answer.status, 0);
	assert_int_equal(answer.bytes_sent, 0);
	assert_false(answer.request_written);
	http_answer_free(&answer);

	post(client, server, 2, &answer);
	assert_int_equal(answer.status, 200);
	http_answer_free(&answer);
	http_client_free(client);
	expect_received(server, 2);
}

/* -- the exporter --------------------------------------------------------------------------- */

/* A sink before another one. From payload `wait_at` on, each send waits for a cancel() and begins then. */
struct late_sink {
	struct sink sink, *inner;
	uint64_t wait_at; /* 0: never */
	_Atomic bool is_waiting, is_cancelled;
};

static void late_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
		      struct sink_result *ret)
{
	struct late_sink *late = container_of(sink, struct late_sink, sink);
	if (late->wait_at && payload->samples >= late->wait_at) {
		late->is_waiting = true;
		while (!late->is_cancelled)
			usleep(1000);
	}
	late->inner->operations->send(late->inner, payload, timeout_ns, ret);
}

static void late_cancel(struct sink *sink)
{
	struct late_sink *late = container_of(sink, struct late_sink, sink);
	late->inner->operations->cancel(late->inner);
	late->is_cancelled = true;
}

static struct sink *late_free(struct sink *sink)
{
	struct late_sink *late = container_of(sink, struct late_sink, sink);
	late->inner->operations->free(late->inner);
	free(late);
	return NULL;
}

static struct late_sink *late_sink_new(struct server *server, uint64_t wait_at)
{
	static const struct sink_operations operations = {late_send, late_cancel, late_free};
	struct sink_options options = options_of(server);
	char problem[256];
	struct late_sink *late = calloc(1, sizeof(*late));
	assert_non_null(late);
	late->sink.operations = &operations;
	late->wait_at = wait_at;
	assert_int_equal(sink_new(&options, &late->inner, problem, sizeof(problem)), 0);
	return late;
}

static struct exporter *start_exporter(const char *directory, struct late_sink *late)
{
	struct exporter *exporter;
	struct exporter_options options = {.name = "test", .spool = {.directory = directory}};
	assert_int_equal(exporter_new(&options, &late->sink, &exporter), 0);
	return exporter;
}

static void add(struct exporter *exporter, uint32_t number)
{
	struct payload payload = make_payload(number, PAYLOAD_BYTES);
	assert_int_equal(exporter_add(exporter, &payload), 0);
	free((char *)payload.bytes);
}

/* The first payload has arrived, the second is out of the queue and not yet on its way. */
static void reach_the_moment(struct exporter *exporter, struct late_sink *late)
{
	add(exporter, 1);
	add(exporter, 2);
	while (!late->is_waiting)
		usleep(1000);
}

static void test_another_destination(void **state)
{
	struct server *server = *state;
	char *directory = scratch_make();
	struct late_sink *late = late_sink_new(server, 2);
	struct exporter *exporter = start_exporter(directory, late);
	struct exporter_statistics statistics;
	reach_the_moment(exporter, late);
	exporter_set_sink(exporter, &late_sink_new(server, 0)->sink);
	exporter_flush_start(exporter, 20 * NS_PER_SECOND);
	assert_int_equal(exporter_flush_wait(exporter), 0);
	exporter_stop(exporter);
	exporter_statistics(exporter, &statistics);
	exporter_free(exporter);
	expect_received(server, 2);
	check_balance(&statistics.spool);
	assert_int_equal(statistics.spool.sent.samples, 3);
	assert_int_equal(statistics.spool.maybe_repeated, 0);
	assert_int_equal(statistics.retries, 1);
	scratch_remove(directory);
}

static void test_another_queue(void **state)
{
	struct server *server = *state;
	char *directory = scratch_make();
	struct late_sink *late = late_sink_new(server, 2);
	struct exporter *exporter = start_exporter(directory, late);
	struct exporter_statistics first, second;
	reach_the_moment(exporter, late);
	exporter_stop(exporter);
	exporter_statistics(exporter, &first);
	exporter_free(exporter);
	check_balance(&first.spool);
	assert_int_equal(first.spool.sent.samples, 1);
	assert_int_equal(first.spool.waiting.samples, 2);

	exporter = start_exporter(directory, late_sink_new(server, 0));
	exporter_flush_start(exporter, 20 * NS_PER_SECOND);
	assert_int_equal(exporter_flush_wait(exporter), 0);
	exporter_stop(exporter);
	exporter_statistics(exporter, &second);
	exporter_free(exporter);
	expect_received(server, 2);
	check_balance(&second.spool);
	assert_int_equal(second.spool.recovered.samples, 2);
	assert_int_equal(second.spool.sent.samples, 2);
	assert_int_equal(second.spool.maybe_repeated, 0);
	scratch_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_answer_of_an_earlier_request, start_server,
						stop_server),
		cmocka_unit_test_setup_teardown(test_another_destination, start_server, stop_server),
		cmocka_unit_test_setup_teardown(test_another_queue, start_server, stop_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
