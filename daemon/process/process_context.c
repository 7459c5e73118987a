/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The message, of which one string is looked for:
 *	ProcessContext { Resource resource = 1; repeated KeyValue attributes = 2 }
 *	KeyValue { string key = 1; AnyValue value = 2 }	AnyValue { string string_value = 1, … }
 * Messages nest no deeper than these functions do. Source: opentelemetry-proto, common/v1 and processcontext.
 */
#include "process/process_context.h"

#include "binary/cursor.h"

#include <errno.h>

#define SIGNATURE "OTEL_CTX"
#define HEADER_VERSION 2

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_LENGTH = 2, WIRE_FIXED32 = 5 };

struct field {
	uint64_t number;
	struct slice bytes; /* of WIRE_LENGTH; else empty */
};

static bool starts_with(struct slice s, const char *text)
{
	size_t length = strlen(text);
	return s.length >= length && !memcmp(s.bytes, text, length);
}

bool process_context_is_name(struct slice path)
{
	return starts_with(path, "[anon_shmem:" SIGNATURE "]") || starts_with(path, "[anon:" SIGNATURE "]") ||
	       slice_equals(path, "/memfd:" SIGNATURE) || slice_equals(path, "/memfd:" SIGNATURE " (deleted)");
}

int process_context_parse_header(const uint8_t bytes[static PROCESS_CONTEXT_HEADER_SIZE],
				 struct process_context_header *ret)
{
	struct cursor c = cursor_over(bytes, PROCESS_CONTEXT_HEADER_SIZE);
	bool is_signed = !memcmp(cursor_take(&c, strlen(SIGNATURE)), SIGNATURE, strlen(SIGNATURE));
	uint32_t version = cursor_u32(&c);
	ret->size = cursor_u32(&c);
	ret->published_ns = cursor_u64(&c);
	ret->payload = cursor_u64(&c);
	if (!is_signed || version != HEADER_VERSION || ret->size > PROCESS_CONTEXT_MAX_PAYLOAD)
		return -EBADMSG;
	return ret->published_ns ? 0 : -EAGAIN;
}

/* The next field; false at the end or where the message is broken, as the cursor says. */
static bool next_field(struct cursor *c, struct field *ret)
{
	if (!cursor_left(c))
		return false;
	uint64_t tag = cursor_uleb(c);
	*ret = (struct field){.number = tag >> 3};
	switch (tag & 7) {
	case WIRE_VARINT:
		cursor_uleb(c);
		break;
	case WIRE_FIXED64:
		cursor_u64(c);
		break;
	case WIRE_FIXED32:
		cursor_u32(c);
		break;
	case WIRE_LENGTH:
		ret->bytes.length = cursor_uleb(c);
		ret->bytes.bytes = (const char *)cursor_take(c, ret->bytes.length);
		break;
	default:
		c->failed = true;
	}
	return !c->failed;
}

/* The last field of that number, as protobuf has it; empty when there is none. */
static struct slice field_of(struct slice message, uint64_t number)
{
	struct cursor c = cursor_over(message.bytes, message.length);
	struct slice found = {0};
	struct field field;
	while (next_field(&c, &field))
		if (field.number == number)
			found = field.bytes;
	return found;
}

static bool is_known_schema(struct slice schema)
{
	return slice_equals(schema, "tlsdesc_v1_dev") || slice_equals(schema, "tls_v1");
}

int process_context_parse(const void *payload, size_t size, bool *ret_has_thread_contexts)
{
	struct cursor c = cursor_over(payload, size);
	struct field field;
	*ret_has_thread_contexts = false;
	while (next_field(&c, &field))
		if (field.number == 2 && slice_equals(field_of(field.bytes, 1), "threadlocal.schema_version"))
			*ret_has_thread_contexts = is_known_schema(field_of(field_of(field.bytes, 2), 1));
	return c.failed ? -EBADMSG : 0;
}
