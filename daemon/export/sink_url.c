/* SPDX-License-Identifier: Apache-2.0 */
/* See sink_url.h. libcurl takes URLs apart, so that what is checked is what is asked. */
#include "export/sink_url.h"

#include "base/text.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void url_cleanup(CURLU **url)
{
	curl_url_cleanup(*url);
}

static void part_cleanup(char **part)
{
	curl_free(*part);
}

#define _cleanup_url_ _cleanup_(url_cleanup)
#define _cleanup_part_ _cleanup_(part_cleanup)

static bool has_part(CURLU *url, CURLUPart which)
{
	_cleanup_part_ char *part = NULL;
	return curl_url_get(url, which, &part, 0) == CURLUE_OK && part;
}

const char *sink_url_shown(char *buffer, size_t size, const char *text)
{
	_cleanup_url_ CURLU *url = curl_url();
	_cleanup_part_ char *shown = NULL;
	bool parsed = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
		      curl_url_set(url, CURLUPART_USER, NULL, 0) == CURLUE_OK &&
		      curl_url_set(url, CURLUPART_PASSWORD, NULL, 0) == CURLUE_OK &&
		      curl_url_set(url, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
		      curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
		      curl_url_get(url, CURLUPART_URL, &shown, 0) == CURLUE_OK;
	snprintf(buffer, size, "%s", parsed ? shown : "(not a whole URL)");
	return buffer;
}

/* The endpoint with a scheme: gRPC's may lack it. NULL when out of memory. */
static char *with_scheme(const struct sink_options *options)
{
	if (options->protocol != SINK_OTLP_GRPC || strstr(options->endpoint, "://"))
		return strdup(options->endpoint);
	return text_format("%s://%s", options->plain ? "http" : "https", options->endpoint);
}

static const char *problem_of(const struct sink_options *options, CURLU *url, const char *text)
{
	_cleanup_part_ char *path = NULL;
	_cleanup_part_ char *scheme = NULL;
	if (!strstr(text, "://"))
		return "begins with neither http:// nor https://";
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
	if (code != CURLUE_OK)
		return curl_url_strerror(code);
	if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		return "its scheme is neither http nor https";
	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return "holds a user or password: give user and password file instead";
	if (has_part(url, CURLUPART_FRAGMENT))
		return "holds a '#'";
	if (options->protocol != SINK_OTLP_GRPC)
		return NULL;
	if (has_part(url, CURLUPART_QUERY) ||
	    curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK || strcmp(path, "/") != 0)
		return "gRPC has no path: give host and port only";
	return NULL;
}

/* The new path keeps the endpoint's own as its base. */
static int append_path(CURLU *url, const char *path)
{
	_cleanup_part_ char *base = NULL;
	if (curl_url_get(url, CURLUPART_PATH, &base, 0) != CURLUE_OK)
		return -ENOMEM;
	size_t length = strlen(base);
	while (length && base[length - 1] == '/')
		length--;
	_cleanup_free_ char *whole = text_format("%.*s%s", (int)length, base, path);
	if (!whole || curl_url_set(url, CURLUPART_PATH, whole, 0) != CURLUE_OK)
		return -ENOMEM;
	return 0;
}

int sink_url_make(const struct sink_options *options, const char *path, char **ret_url, char *problem,
		  size_t size)
{
	_cleanup_url_ CURLU *url = curl_url();
	_cleanup_part_ char *whole = NULL;
	if (!options->endpoint || !*options->endpoint) {
		snprintf(problem, size, "no endpoint is given");
		return -EINVAL;
	}
	_cleanup_free_ char *text = with_scheme(options);
	if (!url || !text)
		return -ENOMEM;
	const char *what = problem_of(options, url, text);
	if (what) {
		char shown[128];
		snprintf(problem, size, "endpoint %s: %s", sink_url_shown(shown, sizeof(shown), text),
			 what);
		return -EINVAL;
	}
	if (!(options->endpoint_is_exact && options->protocol != SINK_OTLP_GRPC) &&
	    append_path(url, path) < 0)
		return -ENOMEM;
	if (curl_url_get(url, CURLUPART_URL, &whole, 0) != CURLUE_OK)
		return -ENOMEM;
	*ret_url = strdup(whole);
	return *ret_url ? 0 : -ENOMEM;
}
