/* SPDX-License-Identifier: Apache-2.0 */
/* See http_access.h. Base64 and the comparison in constant time are nettle's. */
#include "service/http_access.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <nettle/base64.h>
#include <nettle/memops.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_TOKEN 4096
#define MAX_HOST 256

static bool is_address(const char *host)
{
	unsigned char buffer[sizeof(struct in6_addr)];
	return inet_pton(AF_INET, host, buffer) == 1 || inet_pton(AF_INET6, host, buffer) == 1;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);
	return length >= end_length && strcasecmp(text + length - end_length, end) == 0;
}

/* "[::1]:80" and "host:80" without brackets and port. */
static bool bare_host(const char *host, char bare[MAX_HOST])
{
	size_t length = strcspn(host, ":");
	if (host[0] == '[') {
		host++;
		length = strcspn(host, "]");
	}
	if (length == 0 || length >= MAX_HOST)
		return false;
	memcpy(bare, host, length);
	bare[length] = '\0';
	return true;
}

bool http_host_is_ours(const char *host)
{
	char bare[MAX_HOST], name[MAX_HOST] = "";
	if (!host || !bare_host(host, bare))
		return false;
	if (is_address(bare) || strcasecmp(bare, "localhost") == 0 || ends_with(bare, ".localhost"))
		return true;
	gethostname(name, sizeof(name) - 1);
	return name[0] && strcasecmp(bare, name) == 0;
}

bool http_host_is_local(const char *host)
{
	return !host || !strchr(host, '.');
}

/* The password of "user:password" in base64. */
static bool basic_password(const char *encoded, char *password)
{
	struct base64_decode_ctx context;
	uint8_t decoded[MAX_TOKEN];
	size_t size = sizeof(decoded) - 1;
	size_t length = strlen(encoded);
	if (BASE64_DECODE_LENGTH(length) >= sizeof(decoded))
		return false;
	nettle_base64_decode_init(&context);
	if (!nettle_base64_decode_update(&context, &size, decoded, length, encoded) ||
	    !nettle_base64_decode_final(&context))
		return false;
	decoded[size] = '\0';
	const char *colon = strchr((const char *)decoded, ':');
	if (!colon)
		return false;
	strcpy(password, colon + 1);
	return true;
}

bool http_token_matches(const char *token_file, const char *authorization)
{
	char given[MAX_TOKEN + 1] = "";
	_cleanup_free_ char *token = NULL;
	if (!authorization || strlen(authorization) > MAX_TOKEN ||
	    read_whole_file(token_file, MAX_TOKEN, &token, NULL) < 0)
		return false;
	token[strcspn(token, "\r\n")] = '\0';
	if (strncasecmp(authorization, "Bearer ", 7) == 0)
		strcpy(given, authorization + 7);
	else if (strncasecmp(authorization, "Basic ", 6) != 0 ||
		 !basic_password(authorization + 6, given))
		return false;
	size_t length = strlen(token);
	return length > 0 && strlen(given) == length && memeql_sec(given, token, length);
}
