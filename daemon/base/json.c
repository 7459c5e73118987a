/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <string.h>

static void begin(struct json *json, const char *name)
{
	if (json->needs_comma)
		text_add_char(json->out, ',');
	json->needs_comma = true;
	if (!name)
		return;
	text_add_char(json->out, '"');
	text_add_json(json->out, name);
	text_add_string(json->out, "\":");
}

void json_open(struct json *json, const char *name, char bracket)
{
	begin(json, name);
	text_add_char(json->out, bracket);
	json->needs_comma = false;
}

void json_close(struct json *json, char bracket)
{
	text_add_char(json->out, bracket);
	json->needs_comma = true;
}

void json_text(struct json *json, const char *name, const char *value)
{
	begin(json, name);
	if (!value) {
		text_add_string(json->out, "null");
		return;
	}
	text_add_char(json->out, '"');
	text_add_json(json->out, value);
	text_add_char(json->out, '"');
}

void json_number(struct json *json, const char *name, uint64_t value)
{
	begin(json, name);
	text_add(json->out, "%llu", (unsigned long long)value);
}

void json_real(struct json *json, const char *name, double value)
{
	begin(json, name);
	if (isfinite(value))
		text_add(json->out, "%.9g", value);
	else
		text_add_string(json->out, "null");
}

void json_flag(struct json *json, const char *name, bool value)
{
	begin(json, name);
	text_add_string(json->out, value ? "true" : "false");
}

void json_raw(struct json *json, const char *name, const char *value)
{
	begin(json, name);
	text_add_string(json->out, value && value[0] ? value : "null");
}
