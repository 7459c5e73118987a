/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_output.h. */
#include "binary/jit_output.h"

#include "binary/artifact.h"

#include <errno.h>

/* Returns where the bytes stand among the names. */
static uint32_t add_name(struct jit_output *output, const char *name, size_t length)
{
	uint32_t at = (uint32_t)output->names.length;
	text_add_bytes(&output->names, name, length);
	return at;
}

void jit_output_add(struct jit_output *output, struct jit_entry entry)
{
	if (array_add(&output->entries, entry) < 0)
		output->failed = true;
}

void jit_output_add_code(struct jit_output *output, struct jit_entry entry, const char *name,
			 size_t name_length)
{
	entry.kind = JIT_ENTRY_CODE;
	entry.count = (uint32_t)MIN_OF(name_length, (size_t)JIT_MAX_NAME);
	entry.first = add_name(output, name, entry.count);
	jit_output_add(output, entry);
}

void jit_output_add_line(struct jit_output *output, struct jit_entry_line line, const char *file,
			 size_t file_length)
{
	size_t count = output->lines.count;
	if (file) {
		line.file_length = (uint32_t)MIN_OF(file_length, (size_t)JIT_MAX_NAME);
		line.file = add_name(output, file, line.file_length);
	} else if (count) {
		line.file = output->lines.items[count - 1].file;
		line.file_length = output->lines.items[count - 1].file_length;
	}
	if (array_add(&output->lines, line) < 0)
		output->failed = true;
}

int jit_output_finish(const struct jit_output *output, struct text *answer)
{
	if (output->failed || output->names.failed)
		return -ENOMEM;
	artifact_begin(answer, ARTIFACT_JIT);
	artifact_add_section(answer, SECTION_JIT_SUMMARY, &output->summary, sizeof(output->summary));
	artifact_add_section(answer, SECTION_JIT_ENTRIES, output->entries.items,
			     output->entries.count * sizeof(*output->entries.items));
	artifact_add_section(answer, SECTION_JIT_LINES, output->lines.items,
			     output->lines.count * sizeof(*output->lines.items));
	artifact_add_section(answer, SECTION_JIT_NAMES, output->names.bytes, output->names.length);
	return artifact_finish(answer);
}

void jit_output_free(struct jit_output *output)
{
	array_free(&output->entries);
	array_free(&output->lines);
	text_free(&output->names);
}
