/* SPDX-License-Identifier: Apache-2.0 */
/* What a process publishes of itself: a header, then the message. */
#include "process/process_context.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process_context_header header;
	bool has_contexts = true;
	if (size < PROCESS_CONTEXT_HEADER_SIZE)
		return 0;
	if (process_context_parse_header(data, &header) == 0)
		require(header.size <= PROCESS_CONTEXT_MAX_PAYLOAD && header.published_ns);
	data += PROCESS_CONTEXT_HEADER_SIZE;
	size -= PROCESS_CONTEXT_HEADER_SIZE;
	int r = process_context_parse(data, size, &has_contexts);
	require(r == 0 || r == -EBADMSG);
	/* Only who names the schema has contexts. */
	require(!has_contexts || memmem(data, size, "tls", 3));
	return 0;
}
