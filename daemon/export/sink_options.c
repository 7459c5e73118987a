/* SPDX-License-Identifier: Apache-2.0 */
/* See sink_options.h. The strings are listed once, by offset, for copy, comparison and release. */
#include "export/sink_options.h"

#include "base/array.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const size_t string_offsets[] = {
	offsetof(struct sink_options, endpoint),	 offsetof(struct sink_options, ca_file),
	offsetof(struct sink_options, certificate_file), offsetof(struct sink_options, key_file),
	offsetof(struct sink_options, bearer_token_file), offsetof(struct sink_options, user),
	offsetof(struct sink_options, password_file),	 offsetof(struct sink_options, proxy),
	offsetof(struct sink_options, application),
};

static char **string_at(struct sink_options *options, size_t offset)
{
	return (char **)((char *)options + offset);
}

static const char *const_string_at(const struct sink_options *options, size_t offset)
{
	return *(char *const *)((const char *)options + offset);
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void forget_string(char *string)
{
	if (string)
		explicit_bzero(string, strlen(string));
	free(string);
}

int sink_pairs_add(struct sink_pairs *pairs, const char *name, const char *value)
{
	struct sink_pair pair = {.name = strdup(name), .value = strdup(value)};
	if (!pair.name || !pair.value || array_add(pairs, pair) < 0) {
		free(pair.name);
		forget_string(pair.value);
		return -ENOMEM;
	}
	return 0;
}

static int pairs_copy(struct sink_pairs *to, const struct sink_pairs *from)
{
	int r = 0;
	for (size_t i = 0; i < from->count && r == 0; i++)
		r = sink_pairs_add(to, from->items[i].name, from->items[i].value);
	return r;
}

bool sink_pairs_equal(const struct sink_pairs *a, const struct sink_pairs *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return true;
}

static void pairs_free(struct sink_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].name);
		forget_string(pairs->items[i].value);
	}
	array_free(pairs);
}

int sink_options_copy(struct sink_options *to, const struct sink_options *from)
{
	int r = 0;
	*to = *from;
	to->headers = to->labels = (struct sink_pairs){0};
	for (size_t i = 0; i < ARRAY_LENGTH(string_offsets); i++) {
		const char *string = const_string_at(from, string_offsets[i]);
		char **copy = string_at(to, string_offsets[i]);
		*copy = string ? strdup(string) : NULL;
		if (string && !*copy)
			r = -ENOMEM;
	}
	if (r == 0)
		r = pairs_copy(&to->headers, &from->headers);
	if (r == 0)
		r = pairs_copy(&to->labels, &from->labels);
	if (r < 0)
		sink_options_free(to);
	return r;
}

bool sink_options_equal(const struct sink_options *a, const struct sink_options *b)
{
	for (size_t i = 0; i < ARRAY_LENGTH(string_offsets); i++)
		if (!same_string(const_string_at(a, string_offsets[i]),
				 const_string_at(b, string_offsets[i])))
			return false;
	return a->protocol == b->protocol && a->compression == b->compression &&
	       a->timeout_ns == b->timeout_ns && a->endpoint_is_exact == b->endpoint_is_exact &&
	       a->plain == b->plain && a->skip_verification == b->skip_verification &&
	       sink_pairs_equal(&a->headers, &b->headers) && sink_pairs_equal(&a->labels, &b->labels);
}

void sink_options_free(struct sink_options *options)
{
	for (size_t i = 0; i < ARRAY_LENGTH(string_offsets); i++)
		forget_string(*string_at(options, string_offsets[i]));
	pairs_free(&options->headers);
	pairs_free(&options->labels);
	*options = (struct sink_options){0};
}

/* RFC 9110 section 5.6.2. */
static bool is_token(const char *name)
{
	static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	return *name && name[strspn(name, allowed)] == '\0';
}

static bool has_control(const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return true;
	return false;
}

/* These say how the body is framed, or are the protocol's own. */
static bool is_reserved(const char *name)
{
	static const char *const reserved[] = {"content-type",	"content-length", "content-encoding",
					       "transfer-encoding", "connection", "te", "host",
					       "expect", "grpc-encoding", "grpc-timeout"};
	for (size_t i = 0; i < ARRAY_LENGTH(reserved); i++)
		if (!strcasecmp(name, reserved[i]))
			return true;
	return false;
}

static int check_headers(const struct sink_options *options, char *problem, size_t size)
{
	bool authorized = options->bearer_token_file || options->user;
	for (size_t i = 0; i < options->headers.count; i++) {
		const struct sink_pair *header = &options->headers.items[i];
		if (!is_token(header->name))
			snprintf(problem, size, "header %zu: its name is not one HTTP allows", i + 1);
		else if (is_reserved(header->name))
			snprintf(problem, size, "header %s is set by the protocol: leave it out",
				 header->name);
		else if (has_control(header->value))
			snprintf(problem, size, "header %s: control characters in its value",
				 header->name);
		else if (authorized && !strcasecmp(header->name, "authorization"))
			snprintf(problem, size, "authorization both as a header and from a file: "
						"leave one out");
		else
			continue;
		return -EINVAL;
	}
	return 0;
}

static int check_labels(const struct sink_options *options, char *problem, size_t size)
{
	for (size_t i = 0; i < options->labels.count; i++) {
		const struct sink_pair *label = &options->labels.items[i];
		if (*label->name && !strpbrk(label->name, "{}=,\"") && !has_control(label->name) &&
		    !strpbrk(label->value, "{},") && !has_control(label->value))
			continue;
		snprintf(problem, size, "label %zu: an empty name, or one of {}=,\" in it", i + 1);
		return -EINVAL;
	}
	return 0;
}

int sink_options_check(const struct sink_options *options, char *problem, size_t size)
{
	bool otlp = options->protocol == SINK_OTLP_GRPC || options->protocol == SINK_OTLP_HTTP;
	const char *what = NULL;
	if (!options->certificate_file != !options->key_file)
		what = "a client certificate and its key go together: give both files";
	else if (!options->user != !options->password_file)
		what = "user and password file go together: give both";
	else if (options->user && options->bearer_token_file)
		what = "bearer token and user exclude each other: leave one out";
	else if (options->user && (strchr(options->user, ':') || has_control(options->user)))
		what = "the user's name may not contain ':' or control characters";
	else if (options->compression == SINK_ZSTD && !otlp)
		what = "Pyroscope takes gzip only";
	if (what) {
		snprintf(problem, size, "%s", what);
		return -EINVAL;
	}
	int r = check_headers(options, problem, size);
	return r < 0 ? r : check_labels(options, problem, size);
}
