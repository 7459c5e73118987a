/* SPDX-License-Identifier: Apache-2.0 */
/* See http_connection.h. */
#include "export/http_connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEEPALIVE_IDLE_S 30L
#define KEEPALIVE_INTERVAL_S 10L
#define UPLOAD_BUFFER_BYTES (256L << 10)

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static CURLcode library_state;

static void open_library(void)
{
	library_state = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* libcurl's own sockets would survive exec() in the daemon's children. */
static curl_socket_t open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *address)
{
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Remembers the first option that was refused. */
#define SET(state, easy, option, value)                                        \
	do {                                                                   \
		if ((state) == CURLE_OK)                                       \
			(state) = curl_easy_setopt((easy), (option), (value)); \
	} while (0)

static CURLcode set_behaviour(CURL *easy, char *error)
{
	CURLcode state = CURLE_OK;
	SET(state, easy, CURLOPT_ERRORBUFFER, error);
	SET(state, easy, CURLOPT_NOSIGNAL, 1L);
	/* A resolver that hangs must not be waited for when a request ends early. */
	SET(state, easy, CURLOPT_QUICK_EXIT, 1L);
	SET(state, easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(state, easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(state, easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(state, easy, CURLOPT_POST, 1L);
	SET(state, easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_BYTES);
	SET(state, easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(state, easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	SET(state, easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	SET(state, easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(state, easy, CURLOPT_USERAGENT,
	    "Bolometer/" BOLOMETER_VERSION " OTel-OTLP-Exporter-C/" BOLOMETER_VERSION);
	return state;
}

static CURLcode set_tls(CURL *easy, const struct sink_options *options)
{
	CURLcode state = CURLE_OK;
	SET(state, easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (options->ca_file) {
		SET(state, easy, CURLOPT_CAINFO, options->ca_file);
		SET(state, easy, CURLOPT_CAPATH, NULL);
	}
	if (options->certificate_file) {
		SET(state, easy, CURLOPT_SSLCERT, options->certificate_file);
		SET(state, easy, CURLOPT_SSLKEY, options->key_file);
	}
	if (options->skip_verification) {
		SET(state, easy, CURLOPT_SSL_VERIFYPEER, 0L);
		SET(state, easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return state;
}

/* HTTP/2 without TLS cannot pass a forwarding proxy: it goes through a tunnel. */
static CURLcode set_route(CURL *easy, const struct sink_options *options, bool http2)
{
	CURLcode state = CURLE_OK;
	long version = !http2 ? CURL_HTTP_VERSION_1_1
		     : !strncasecmp(options->endpoint, "https:", 6) || (!options->plain &&
		       strncasecmp(options->endpoint, "http:", 5) != 0)
			     ? CURL_HTTP_VERSION_2TLS
			     : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
	SET(state, easy, CURLOPT_HTTP_VERSION, version);
	if (options->proxy)
		SET(state, easy, CURLOPT_PROXY, options->proxy);
	if (http2)
		SET(state, easy, CURLOPT_HTTPPROXYTUNNEL, 1L);
	return state;
}

int http_connection_open(struct http_connection *connection, const struct sink_options *options,
			 bool http2)
{
	*connection = (struct http_connection){0};
	pthread_once(&library_once, open_library);
	if (library_state != CURLE_OK)
		return -ENOTSUP;
	connection->easy = curl_easy_init();
	connection->multi = curl_multi_init();
	CURLcode state = connection->easy && connection->multi ? CURLE_OK : CURLE_OUT_OF_MEMORY;
	if (state == CURLE_OK)
		state = set_behaviour(connection->easy, connection->error);
	if (state == CURLE_OK)
		state = set_tls(connection->easy, options);
	if (state == CURLE_OK)
		state = set_route(connection->easy, options, http2);
	if (state == CURLE_OK)
		return 0;
	http_connection_close(connection);
	snprintf(connection->error, sizeof(connection->error), "libcurl: %s",
		 curl_easy_strerror(state));
	return state == CURLE_OUT_OF_MEMORY ? -ENOMEM : -ENOTSUP;
}

void http_connection_close(struct http_connection *connection)
{
	if (connection->easy)
		curl_easy_cleanup(connection->easy);
	if (connection->multi)
		curl_multi_cleanup(connection->multi);
	connection->easy = NULL;
	connection->multi = NULL;
}
