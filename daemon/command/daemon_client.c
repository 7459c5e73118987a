/* SPDX-License-Identifier: Apache-2.0 */
/* See daemon_client.h. HTTP over AF_UNIX is libcurl's; no proxy and no redirect is ever followed. */
#include "command/daemon_client.h"

#include "base/clock.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SECOND)
#define MAX_ANSWER ((size_t)1 << 30)

const char *daemon_client_socket(const char *option)
{
	const char *environment = getenv("BOLOMETER_HTTP_SOCKET");
	if (option)
		return option;
	return environment && environment[0] ? environment : DAEMON_CLIENT_DEFAULT_SOCKET;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *userdata)
{
	struct text *body = userdata;
	if (body->length + count > MAX_ANSWER)
		return 0;
	text_add_bytes(body, bytes, count);
	return body->failed ? 0 : size * count;
}

static int explain_connection(const char *path, int error, struct text *out)
{
	switch (error) {
	case ENOENT:
		text_add(out, "no daemon runs here: there is no socket %s (http.socket of its "
			      "configuration; --socket names another)",
			 path);
		return -ENOENT;
	case ECONNREFUSED:
		text_add(out, "no daemon runs here: nobody listens on %s", path);
		return -ECONNREFUSED;
	case EACCES:
	case EPERM:
		text_add(out, "%s may not be used by this user: run as root, or let "
			      "http.socket_group of the configuration be a group of yours",
			 path);
		return -EACCES;
	default:
		text_add(out, "cannot ask the daemon at %s: %s", path,
			 error ? strerror(error) : "no connection");
		return -EIO;
	}
}

static int explain(const struct daemon_request *request, CURL *easy, CURLcode code,
		   struct text *out)
{
	long error = 0;
	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &error);
	if (code == CURLE_COULDNT_CONNECT)
		return explain_connection(request->socket, (int)error, out);
	if (code == CURLE_OPERATION_TIMEDOUT) {
		text_add(out, "the daemon at %s does not answer", request->socket);
		return -ETIMEDOUT;
	}
	text_add(out, "asking the daemon at %s: %s", request->socket, curl_easy_strerror(code));
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EIO;
}

static CURLcode prepare(CURL *easy, const struct daemon_request *request, const char *url,
			struct text *body)
{
	uint64_t timeout = request->timeout_ns ? request->timeout_ns : DEFAULT_TIMEOUT_NS;
	CURLcode code = curl_easy_setopt(easy, CURLOPT_URL, url);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->socket);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout / NS_PER_MS));
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	if (code == CURLE_OK)
		code = curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
	if (code == CURLE_OK && request->is_post)
		code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	return code;
}

static int finish(CURL *easy, struct text *body, struct text *error)
{
	long status = 0;
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		return 0;
	const char *said = body->bytes ? body->bytes : "";
	text_add(error, "the daemon refused: %.*s", (int)strcspn(said, "\r\n"), said);
	return -EREMOTEIO;
}

int daemon_client_ask(const struct daemon_request *request, struct text *body, struct text *error)
{
	struct sockaddr_un address;
	if (strlen(request->socket) >= sizeof(address.sun_path)) {
		text_add(error, "%s is too long for a socket", request->socket);
		return -EIO;
	}
	_cleanup_free_ char *url = text_format("http://localhost%s", request->path);
	CURL *easy = url ? curl_easy_init() : NULL;
	if (!easy) {
		text_add_string(error, strerror(ENOMEM));
		return -ENOMEM;
	}
	CURLcode code = prepare(easy, request, url, body);
	if (code == CURLE_OK)
		code = curl_easy_perform(easy);
	int r = code == CURLE_OK ? finish(easy, body, error) : explain(request, easy, code, error);
	curl_easy_cleanup(easy);
	return r;
}
