/* SPDX-License-Identifier: Apache-2.0 */
/* Answers for Go code from Go's own table, which needs no DWARF and is what tracebacks show. */
#include "binary/go_table.h"
#include "binary/line_unit.h"

#include <errno.h>

static int add_frame(struct line_output *o, const struct go_call *call)
{
	struct line_frame frame = {.function = call->function,
				   .file = call->file,
				   .line = call->line,
				   .start_line = call->start_line};
	return line_output_add_frame(o, &frame);
}

static int answer(const struct go_table *table, const struct go_function *function,
		  uint64_t address, bool with_inlines, struct line_output *o)
{
	struct line_answer found;
	int r = line_output_begin(o, address, &found);
	for (size_t depth = 0; r == 0 && depth < LINE_MAX_INLINE_DEPTH; depth++) {
		struct go_call call = go_function_call(table, function, address);
		if (with_inlines || !call.inlined)
			r = add_frame(o, &call);
		if (!call.inlined)
			break;
		address = call.next_address;
	}
	return r < 0 ? r : line_output_end(o, &found);
}

int line_go_answer(const struct elf_file *elf, const uint64_t *addresses, size_t count,
		   bool with_inlines, bool *answered, struct line_output *output)
{
	struct go_table table;
	struct go_function function;
	if (go_table_open(elf, &table) < 0)
		return 0;
	int r = 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		answered[i] = go_table_find(&table, addresses[i], &function);
		if (answered[i] && (i == 0 || addresses[i] != addresses[i - 1]))
			r = answer(&table, &function, addresses[i], with_inlines, output);
	}
	return r;
}
