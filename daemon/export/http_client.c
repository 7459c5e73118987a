/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See http_client.h. A request runs in libcurl's multi interface with a single handle, since that is
 * what another thread can wake.
 *
 * libcurl sends a request again by itself when a kept connection turns out to be dead. That is
 * wanted only while the body was not handed over whole: afterwards the server may have it, and the
 * caller must know. So rewinding a finished body is refused.
 *
 * What libcurl does not notice in time is a kept HTTP/2 connection that can take no more streams.
 * A request that fails on it before its body was out is made once more on a new one. And after every
 * failure the handles are given up: libcurl 7.88 keeps a connection that is beyond use, for ever.
 */
#include "export/http_client.h"

#include "base/clock.h"
#include "export/credentials.h"
#include "export/http_connection.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SECOND) /* the OTLP exporter specification's */
#define POLL_MS 1000

struct http_client {
	struct sink_options options;
	struct credentials credentials;
	struct http_connection connection;
	bool http2;
	bool failed; /* the last request: its connection is not used again */
	atomic_bool cancelled;
	pthread_mutex_t replacing; /* the connection, against cancel() */

	/* of the request that runs */
	const struct http_request *request;
	struct http_answer *answer;
	size_t offset;	   /* in its body */
	bool answer_lost;  /* a finished body would have been sent again */
};

int http_client_new(const struct sink_options *options, struct http_client **ret, char *problem,
		    size_t size)
{
	struct http_client *client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	pthread_mutex_init(&client->replacing, NULL);
	int r = sink_options_check(options, problem, size);
	if (r == 0)
		r = sink_options_copy(&client->options, options);
	if (r < 0) {
		http_client_free(client);
		return r;
	}
	client->http2 = options->protocol == SINK_OTLP_GRPC;
	*ret = client;
	return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
	if (!client)
		return NULL;
	http_connection_close(&client->connection);
	credentials_free(&client->credentials);
	sink_options_free(&client->options);
	pthread_mutex_destroy(&client->replacing);
	free(client);
	return NULL;
}

const struct sink_options *http_client_options(const struct http_client *client)
{
	return &client->options;
}

void http_client_redact(const struct http_client *client, char *message)
{
	credentials_redact(&client->credentials, &client->options, message);
}

void http_client_cancel(struct http_client *client)
{
	atomic_store(&client->cancelled, true);
	pthread_mutex_lock(&client->replacing);
	if (client->connection.multi)
		curl_multi_wakeup(client->connection.multi);
	pthread_mutex_unlock(&client->replacing);
}

void http_answer_free(struct http_answer *answer)
{
	http_headers_free(&answer->headers);
	text_free(&answer->body);
}

static size_t give_body(char *buffer, size_t size, size_t count, void *userdata)
{
	struct http_client *client = userdata;
	size_t part = MIN_OF(size * count, client->request->body_size - client->offset);
	memcpy(buffer, (const char *)client->request->body + client->offset, part);
	client->offset += part;
	return part;
}

static int rewind_body(void *userdata, curl_off_t offset, int origin)
{
	struct http_client *client = userdata;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > client->request->body_size)
		return CURL_SEEKFUNC_FAIL;
	if (client->offset == client->request->body_size) {
		client->answer_lost = true;
		return CURL_SEEKFUNC_FAIL;
	}
	client->offset = (size_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t take_header(char *line, size_t size, size_t count, void *userdata)
{
	struct http_client *client = userdata;
	http_headers_add_line(&client->answer->headers, line, size * count);
	return size * count;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *userdata)
{
	struct http_answer *answer = ((struct http_client *)userdata)->answer;
	if (answer->body.length + size * count > HTTP_ANSWER_LIMIT) {
		answer->body_too_large = true;
		return 0;
	}
	text_add_bytes(&answer->body, bytes, size * count);
	return answer->body.failed ? 0 : size * count;
}

/* Credentials as they are now; a new connection when TLS files are others than before. */
static int prepare_connection(struct http_client *client, struct http_answer *answer)
{
	bool changed;
	int r = credentials_refresh(&client->credentials, &client->options, &changed,
				    answer->message, sizeof(answer->message));
	if (r < 0 || (client->connection.easy && !changed && !client->failed))
		return r;
	pthread_mutex_lock(&client->replacing);
	http_connection_close(&client->connection);
	r = http_connection_open(&client->connection, &client->options, client->http2);
	pthread_mutex_unlock(&client->replacing);
	client->failed = false;
	if (r < 0)
		snprintf(answer->message, sizeof(answer->message), "cannot prepare a connection: %.200s",
			 client->connection.error[0] ? client->connection.error : strerror(-r));
	return r;
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (longer)
		*list = longer;
	return longer;
}

static bool add_pair(struct curl_slist **list, const char *name, const char *value)
{
	/* libcurl takes "Name;" for a field with an empty value. */
	_cleanup_free_ char *line = *value ? text_format("%s: %s", name, value)
					   : text_format("%s;", name);
	bool added = line && add_header(list, line);
	if (line)
		explicit_bzero(line, strlen(line));
	return added;
}

static void headers_free(struct curl_slist *list)
{
	for (struct curl_slist *item = list; item; item = item->next)
		explicit_bzero(item->data, strlen(item->data));
	curl_slist_free_all(list);
}

/* NULL when out of memory. */
static struct curl_slist *make_headers(struct http_client *client, const struct http_request *request)
{
	struct curl_slist *list = NULL;
	/* Waiting for "100 Continue" costs a round trip and servers that do not know it a second. */
	bool added = add_header(&list, "Expect:");
	for (const char *const *line = request->headers; *line && added; line++)
		added = add_header(&list, *line);
	const struct sink_pairs *own = &client->options.headers;
	for (size_t i = 0; i < own->count && added; i++)
		added = add_pair(&list, own->items[i].name, own->items[i].value);
	if (added && client->credentials.authorization)
		added = add_pair(&list, "Authorization", client->credentials.authorization);
	if (added)
		return list;
	headers_free(list);
	return NULL;
}

static long timeout_ms(const struct http_client *client, const struct http_request *request)
{
	uint64_t ns = request->timeout_ns, own = client->options.timeout_ns;
	if (own && (!ns || own < ns))
		ns = own;
	uint64_t ms = (ns ? ns : DEFAULT_TIMEOUT_NS) / NS_PER_MS;
	return (long)MIN_OF(MAX_OF(ms, (uint64_t)1), (uint64_t)INT32_MAX);
}

static CURLcode set_request(struct http_client *client, const struct http_request *request,
			    struct curl_slist *headers)
{
	CURL *easy = client->connection.easy;
	CURLcode state = curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
	curl_easy_setopt(easy, CURLOPT_READDATA, client);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, client);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, client);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms(client, request));
	client->connection.error[0] = '\0';
	return state;
}

/* Until the transfer ends or is cancelled. */
static CURLcode run_transfer(struct http_client *client, bool *ret_cancelled)
{
	CURLM *multi = client->connection.multi;
	CURLcode result = CURLE_FAILED_INIT;
	int running = 1, left;
	CURLMcode state = curl_multi_add_handle(multi, client->connection.easy);
	while (state == CURLM_OK && !*ret_cancelled) {
		state = curl_multi_perform(multi, &running);
		if (state != CURLM_OK || !running)
			break;
		state = curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
		*ret_cancelled = atomic_load(&client->cancelled);
	}
	const CURLMsg *message;
	while ((message = curl_multi_info_read(multi, &left)))
		if (message->msg == CURLMSG_DONE)
			result = message->data.result;
	curl_multi_remove_handle(multi, client->connection.easy);
	return result;
}

static void describe_failure(struct http_client *client, CURLcode result)
{
	long system_error = 0, connect_status = 0;
	CURL *easy = client->connection.easy;
	struct http_answer *answer = client->answer;
	const char *error = *client->connection.error ? client->connection.error
						      : curl_easy_strerror(result);
	/* It may be left over from an earlier request. */
	if (result == CURLE_COULDNT_CONNECT)
		curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);
	curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	/* What is no HTTP/1 status line counts as HTTP/0.9: the settings with which a gRPC server begins do. */
	bool speaks_other = result == CURLE_UNSUPPORTED_PROTOCOL && !client->http2;
	const char *cause = system_error ? strerror((int)system_error) : NULL;
	if (cause && strstr(error, cause))
		cause = NULL;
	if (answer->body_too_large)
		snprintf(answer->message, sizeof(answer->message), "an answer of more than 4 MiB");
	else if (speaks_other)
		snprintf(answer->message, sizeof(answer->message),
			 "the server does not speak HTTP/1: is this a gRPC port, or one that wants https?");
	else if (connect_status >= 300)
		snprintf(answer->message, sizeof(answer->message),
			 "the proxy refuses to connect: status %ld", connect_status);
	else
		snprintf(answer->message, sizeof(answer->message), "%.180s%s%.60s%s", error,
			 cause ? " (" : "", cause ? cause : "", cause ? ")" : "");
}

static enum http_end end_of(const struct http_answer *answer, CURLcode result, bool cancelled)
{
	if (cancelled)
		return HTTP_CANCELLED;
	if (answer->status)
		return result == CURLE_OK ? HTTP_ANSWERED : HTTP_CUT;
	return result == CURLE_OPERATION_TIMEDOUT ? HTTP_TIMED_OUT : HTTP_NO_ANSWER;
}

static void judge(struct http_client *client, CURLcode result, bool cancelled)
{
	struct http_answer *answer = client->answer;
	CURL *easy = client->connection.easy;
	struct curl_header *pseudo;
	curl_off_t uploaded = 0;
	long version = 0;
	curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
	curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	/* Of a request that fails before libcurl takes it up, libcurl tells what the one before did. So
	 * the status is that of the headers which came, and no more was sent than was handed over. */
	answer->status = answer->headers.status;
	answer->bytes_sent = MIN_OF((uint64_t)uploaded, (uint64_t)client->offset);
	answer->request_written =
		client->answer_lost || answer->bytes_sent >= client->request->body_size;
	if (answer->status < 200)
		answer->status = 0; /* only interim */
	answer->end = end_of(answer, result, cancelled);
	client->failed = answer->end != HTTP_ANSWERED;
	/* libcurl 7.88 drops the headers of an HTTP/2 answer when the server resets the stream right
	 * after them, as gRPC servers do that refuse a request unread. The status it remembers; about
	 * a reset with an error it says something. */
	answer->headers_lost = answer->end == HTTP_NO_ANSWER && !*client->connection.error &&
			       curl_easy_header(easy, ":status", 0, CURLH_PSEUDO, -1, &pseudo) ==
				       CURLHE_OK;
	if (cancelled)
		snprintf(answer->message, sizeof(answer->message), "given up on request");
	else if (answer->end != HTTP_ANSWERED)
		describe_failure(client, result == CURLE_OK ? CURLE_GOT_NOTHING : result);
	else if (client->http2 && version != CURL_HTTP_VERSION_2_0) {
		answer->end = HTTP_NO_ANSWER;
		snprintf(answer->message, sizeof(answer->message),
			 "the server does not speak HTTP/2, which gRPC needs");
	}
	http_client_redact(client, answer->message);
}

static void post_once(struct http_client *client, const struct http_request *request)
{
	struct http_answer *answer = client->answer;
	bool cancelled = false;
	client->offset = 0;
	client->answer_lost = false;
	if (atomic_load(&client->cancelled)) {
		answer->end = HTTP_CANCELLED;
		snprintf(answer->message, sizeof(answer->message), "given up on request");
		return;
	}
	if (prepare_connection(client, answer) < 0)
		return;
	struct curl_slist *headers = make_headers(client, request);
	if (headers && set_request(client, request, headers) == CURLE_OK) {
		CURLcode result = run_transfer(client, &cancelled);
		judge(client, result, cancelled);
	} else {
		snprintf(answer->message, sizeof(answer->message), "out of memory");
	}
	curl_easy_setopt(client->connection.easy, CURLOPT_HTTPHEADER, NULL);
	headers_free(headers);
}

static void post(struct http_client *client, const struct http_request *request)
{
	long new_connections = 0;
	post_once(client, request);
	if (client->answer->end != HTTP_NO_ANSWER || client->answer->request_written ||
	    client->answer->headers_lost)
		return;
	curl_easy_getinfo(client->connection.easy, CURLINFO_NUM_CONNECTS, &new_connections);
	if (new_connections > 0)
		return;
	http_answer_free(client->answer);
	*client->answer = (struct http_answer){.end = HTTP_NOT_TRIED};
	post_once(client, request);
}

void http_client_post(struct http_client *client, const struct http_request *request,
		      struct http_answer *ret)
{
	sigset_t pipe, before, pending;
	*ret = (struct http_answer){.end = HTTP_NOT_TRIED};
	client->request = request;
	client->answer = ret;

	/* TLS writes with write(2), which cannot be told not to signal. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe, &before);
	post(client, request);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	atomic_store(&client->cancelled, false);
	client->request = NULL;
	client->answer = NULL;
}
