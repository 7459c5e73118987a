/* SPDX-License-Identifier: Apache-2.0 */
/* See credentials.h. Secrets are overwritten before their memory is given back. */
#include "export/credentials.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

#define SECRET_FILE_LIMIT ((size_t)16 << 10) /* servers take headers of 8 to 16 KiB */
#define SHORTEST_SECRET 4		     /* shorter ones occur in words */

static void forget(char **string)
{
	if (*string)
		explicit_bzero(*string, strlen(*string));
	free(*string);
	*string = NULL;
}

#define _cleanup_secret_ _cleanup_(forget)

static struct file_stamp stamp_of(const struct stat *st)
{
	return (struct file_stamp){.device = st->st_dev, .inode = st->st_ino, .size = st->st_size,
				   .modified = st->st_mtim, .changed = st->st_ctim};
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_stamp(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

/* The file's text without the line end that editors leave. */
static int read_secret(int fd, char **ret)
{
	_cleanup_secret_ char *bytes = NULL;
	size_t size;
	int r = read_whole_fd(fd, SECRET_FILE_LIMIT, &bytes, &size);
	if (r < 0)
		return r;
	while (size && (bytes[size - 1] == '\n' || bytes[size - 1] == '\r' || bytes[size - 1] == ' '))
		bytes[--size] = '\0';
	if (size == 0)
		return -ENODATA;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)bytes[i] < 0x20 || bytes[i] == 0x7f)
			return -EBADMSG;
	*ret = take_pointer(bytes);
	return 0;
}

/* RFC 7617. */
static char *basic_authorization(const char *user, const char *password)
{
	_cleanup_secret_ char *plain = text_format("%s:%s", user, password);
	if (!plain)
		return NULL;
	size_t length = strlen(plain), encoded = BASE64_ENCODE_RAW_LENGTH(length);
	char *value = calloc(1, strlen("Basic ") + encoded + 1);
	if (!value)
		return NULL;
	memcpy(value, "Basic ", strlen("Basic "));
	base64_encode_raw(value + strlen("Basic "), length, (const uint8_t *)plain);
	return value;
}

static int authorization_read(struct credentials *credentials, const struct sink_options *options,
			      const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_secret_ char *secret = NULL;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	struct file_stamp stamp = stamp_of(&st);
	if (credentials->authorization && same_stamp(&stamp, &credentials->authorization_stamp))
		return 0;
	int r = read_secret(fd, &secret);
	if (r < 0)
		return r;
	char *value = options->user ? basic_authorization(options->user, secret)
				    : text_format("Bearer %s", secret);
	if (!value)
		return -ENOMEM;
	forget(&credentials->authorization);
	forget(&credentials->secret);
	credentials->authorization = value;
	credentials->secret = take_pointer(secret);
	credentials->authorization_stamp = stamp;
	return 0;
}

/* A file that is not there has the empty stamp: libcurl will say so when it needs it. */
static bool tls_files_changed(struct credentials *credentials, const struct sink_options *options)
{
	const char *const paths[] = {options->ca_file, options->certificate_file, options->key_file};
	bool changed = false;
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		struct file_stamp stamp = {0};
		struct stat st;
		if (!paths[i])
			continue;
		if (stat(paths[i], &st) == 0)
			stamp = stamp_of(&st);
		changed = changed || !same_stamp(&stamp, &credentials->tls_stamps[i]);
		credentials->tls_stamps[i] = stamp;
	}
	return changed;
}

int credentials_refresh(struct credentials *credentials, const struct sink_options *options,
			bool *ret_tls_changed, char *problem, size_t size)
{
	const char *path = options->bearer_token_file ? options->bearer_token_file
						      : options->password_file;
	*ret_tls_changed = tls_files_changed(credentials, options);
	if (!path)
		return 0;
	int r = authorization_read(credentials, options, path);
	if (r == 0)
		return 0;
	const char *why = r == -ENODATA ? "it is empty"
			: r == -EBADMSG ? "it holds more than one line, or control characters"
			: r == -EFBIG	? "it is too large"
					: strerror(-r);
	snprintf(problem, size, "cannot use %s file %s: %s",
		 options->bearer_token_file ? "bearer token" : "password", path, why);
	return r;
}

static void hide(char *message, const char *secret)
{
	size_t length = secret ? strlen(secret) : 0;
	if (length < SHORTEST_SECRET)
		return;
	for (char *at = message; (at = strstr(at, secret)); at += length)
		memset(at, '*', length);
}

void credentials_redact(const struct credentials *credentials, const struct sink_options *options,
			char *message)
{
	const char *authorization = credentials->authorization;
	const char *space = authorization ? strchr(authorization, ' ') : NULL;
	hide(message, credentials->secret);
	hide(message, space ? space + 1 : NULL);
	for (size_t i = 0; i < options->headers.count; i++)
		hide(message, options->headers.items[i].value);
	for (char *p = message; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}

void credentials_free(struct credentials *credentials)
{
	forget(&credentials->authorization);
	forget(&credentials->secret);
	*credentials = (struct credentials){0};
}
