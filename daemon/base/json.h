/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON into a text, member by member; commas come by themselves.
 *
 *	struct json json = {.out = &text};
 *	json_open(&json, NULL, '{');
 *	json_text(&json, "name", "x");
 *	json_close(&json, '}');
 *
 * `name` is NULL in a list and at the top.
 */
#pragma once

#include "base/text.h"

struct json {
	struct text *out;
	bool needs_comma;
};

/* `bracket` is '{' or '[', and '}' or ']'. */
void json_open(struct json *json, const char *name, char bracket);
void json_close(struct json *json, char bracket);

void json_text(struct json *json, const char *name, const char *value); /* NULL: null */
void json_number(struct json *json, const char *name, uint64_t value);
void json_real(struct json *json, const char *name, double value); /* null when it is no number */
void json_flag(struct json *json, const char *name, bool value);

/* A value that is JSON already. */
void json_raw(struct json *json, const char *name, const char *value);
