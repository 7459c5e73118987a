/* SPDX-License-Identifier: Apache-2.0 */
/* What a process declares in its environment; see declared_attributes.h. */
#include "process/declared_attributes.h"
#include "process/process_table.h"
#include "process/shared_text.h"

#include <string.h>

void process_table_resolve_environment(struct process_table *table, struct process *process)
{
	if (process->environment_checked || process->kernel_task)
		return;
	process->environment_checked = true;
	if (table_newest(table, process->pid) != process || process->end)
		return; /* the number may be another one's by now */
	ssize_t size = table_read_file(table, process->pid, "environ");
	if (size <= 0)
		return;
	const char *end = memrchr(table->buffer, '\0', (size_t)size); /* what is cut off is not used */
	struct text declared = {0};
	declared_attributes_parse((struct slice){table->buffer, end ? (size_t)(end - table->buffer) : 0},
				  &declared);
	explicit_bzero(table->buffer, (size_t)size); /* other variables may be secrets */
	if (!declared.failed) {
		shared_text_unreference(process->declared);
		process->declared = declared.length
					    ? shared_text_new(declared.bytes, declared.length)
					    : NULL;
	}
	text_free(&declared);
}
