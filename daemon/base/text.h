/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing text, and the small text helpers that parsers and printers share.
 */
#pragma once

#include "base/attributes.h"

#include <stdarg.h>

/* Zero-initialise; free with text_free(). `bytes` is NUL-terminated once anything was added. */
struct text {
	char *bytes;
	size_t length;
	size_t capacity;
	bool failed; /* an allocation failed: everything added since is missing */
};

/* Appending never returns an error; check `failed` once at the end. */
void text_add(struct text *t, const char *format, ...) _printf_(2, 3);
void text_add_bytes(struct text *t, const void *bytes, size_t size);
void text_add_string(struct text *t, const char *string);
void text_add_char(struct text *t, char c);

/* Room for `size` bytes behind the text, to be written in place: then add to `length` what was written.
 * NULL (and `failed`) when out of memory. */
char *text_room(struct text *t, size_t size);

/* Appends `string` as the inside of a JSON string literal, without the quotes. Bytes that are not
 * valid UTF-8 become U+FFFD. */
void text_add_json(struct text *t, const char *string);

/* Appends `size` bytes; each one that is no part of valid UTF-8 becomes U+FFFD. */
void text_add_utf8(struct text *t, const char *bytes, size_t size);

/* Appends `string` as valid UTF-8 without control characters, which could steer a terminal: each becomes
 * '?'. */
void text_add_printable(struct text *t, const char *string);

/* Gives the bytes away (the caller frees), NULL when an allocation failed. Leaves `t` empty. */
char *text_take(struct text *t);
void text_free(struct text *t);

/* Formats into a new string; the caller frees. NULL when out of memory. */
char *text_format(const char *format, ...) _printf_(1, 2);

/* Does `string` match the shell pattern (*, ?, [a-z], [!a]) as a whole? */
bool text_matches(const char *pattern, const char *string);

/* What is behind the last slash, or all of it. */
const char *text_base_name(const char *path);

/* Parses a whole decimal number in [low, high]. Returns 0, -EINVAL or -ERANGE. */
int text_parse_u64(const char *string, uint64_t low, uint64_t high, uint64_t *ret);

/* Parses "250ms", "10s", "2m", "1h", "1h30m"; a bare number is seconds. Result in nanoseconds. Returns 0,
 * -EINVAL or -ERANGE. */
int text_parse_duration(const char *string, uint64_t *ret_ns);

/* Parses "0.5%" into parts in a million (5000). Returns 0, -EINVAL, or -ERANGE above 100 %. */
int text_parse_share(const char *string, uint64_t *ret_ppm);

/* Parses "64MiB", "512 KiB", "1.5GiB", "20MB" (powers of 1000); a bare number is bytes. Returns 0,
 * -EINVAL or -ERANGE. */
int text_parse_size(const char *string, uint64_t *ret_bytes);

/* "1.5 s", "310 ms", "12.3 MiB": for people, into a caller's buffer that is returned. */
const char *text_duration(char *buffer, size_t size, uint64_t ns);
const char *text_size(char *buffer, size_t size, uint64_t bytes);
