/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sources of a frame, best first: DWARF (function, file, line, inlined callers), the symbol index,
 * nothing. What is held of all binaries together is bounded, and counted as it changes.
 */
#include "profile/symbolizer_state.h"

#include "base/file.h"
#include "base/foreign_file.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Room ------------------------------------------------------------------------------------ */

void names_account(struct binary_names *names)
{
	uint64_t bytes = sizeof(*names) +
			 (names->wanted.capacity * sizeof(struct hash_slot)) +
			 (names->not_asked.capacity * sizeof(uint64_t)) +
			 (names->has_index ? symbol_index_size(&names->index) : 0) +
			 known_functions_bytes(&names->functions) +
			 (names->line_bytes ? names->lines.artifact.size : 0);
	names->owner->bytes += bytes - names->bytes;
	names->bytes = bytes;
}

bool names_have_room(struct binary_names *names, uint64_t more)
{
	struct symbolizer *s = names->owner;
	if (s->bytes + s->demangled.bytes + more <= s->options.max_bytes)
		return true;
	s->statistics.refused += !names->refused;
	names->refused = true;
	return false;
}

void names_drop_index(struct binary_names *names)
{
	if (names->has_index)
		symbol_index_close(&names->index);
	names->has_index = false;
	known_functions_clear(&names->functions);
	free(names->index_bytes);
	names->index_bytes = NULL;
}

static void names_free(struct binary_names *names)
{
	struct symbolizer *s = names->owner;
	s->bytes -= names->bytes;
	s->all.items[names->position] = s->all.items[s->all.count - 1];
	s->all.items[names->position]->position = names->position;
	s->all.count--;
	free(names->line_bytes);
	array_free(&names->not_asked);
	hash_free(&names->wanted);
	names_drop_index(names);
	close_foreign(names->debug_file);
	close_foreign(names->supplementary_file);
	free(names->search);
	names->binary->names = NULL;
	free(names);
}

void symbolizer_forget_texts(struct symbolizer *s)
{
	demangled_names_clear(&s->demangled);
}

bool symbolizer_is_crowded(const struct symbolizer *s)
{
	return s->bytes + s->demangled.bytes > s->options.max_bytes / 4 * 3;
}

bool symbolizer_forget(struct symbolizer *s, struct binary *binary)
{
	struct binary_names *names = binary->names;
	if (!names)
		return true;
	if (names->requests)
		return false;
	names_free(names);
	s->statistics.forgotten++;
	return true;
}

void symbolizer_make_room(struct symbolizer *s, uint32_t age)
{
	symbolizer_forget_texts(s);
	for (size_t i = s->all.count; i-- > 0;) {
		struct binary_names *names = s->all.items[i];
		if (names->binary->last_used != age || names->refused)
			symbolizer_forget(s, names->binary);
	}
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static struct binary_names *names_of(struct symbolizer *s, struct binary *binary)
{
	if (binary->names)
		return binary->names;
	struct binary_names *names = calloc(1, sizeof(*names));
	if (!names)
		return NULL;
	names->owner = s;
	names->binary = binary;
	names->debug_file = names->supplementary_file = -1;
	names->position = s->all.count;
	if (array_add(&s->all, names) < 0) {
		free(names);
		return NULL;
	}
	binary->names = names;
	names_account(names);
	return names;
}

void symbolizer_prepare(struct symbolizer *s, struct binary *binary)
{
	if (binary->file < 0 || !binary->has_facts)
		return;
	struct binary_names *names = names_of(s, binary);
	if (!names || names->requested || !names_have_room(names, 0))
		return;
	names->requested = true;
	names_start_search(names);
}

static void note_damaged(struct symbolizer *s)
{
	s->cache_is_damaged = true;
	artifact_cache_count_damaged(binary_store_cache(s->store));
}

bool symbolizer_replace_damaged(struct symbolizer *s)
{
	bool is_awaited = false;
	for (size_t i = 0; i < s->all.count; i++) {
		struct binary_names *names = s->all.items[i];
		if (!names->has_index || !names->settled || names->requests ||
		    symbol_index_is_whole(&names->index))
			continue;
		note_damaged(s);
		names_drop_index(names);
		names_account(names);
		names_request_symbols(names);
		is_awaited = true;
	}
	if (kernel_names_replace_damaged(&s->kernel)) {
		note_damaged(s);
		is_awaited = true;
	}
	return is_awaited;
}

/* ---- Frames ---------------------------------------------------------------------------------- */

static const char *demangled(struct symbolizer *s, const char *mangled)
{
	return demangled_names_find(&s->demangled, mangled, s->options.max_bytes);
}

static size_t find_lines(struct symbolizer *s, const struct binary_names *names, uint64_t address,
			 struct symbol_frame *frames, size_t capacity)
{
	struct line_frame found[LINE_MAX_INLINE_DEPTH];
	const struct line_frame *first = found;
	size_t count = 0;
	if (names->line_bytes)
		count = line_answers_find(&names->lines, address, found, ARRAY_LENGTH(found));
	/* The last frame is the function that has the machine code, with the line executed in it. */
	if (!s->options.inlines && count > 0)
		first += count - 1;
	count = MIN_OF(count - (size_t)(first - found), capacity);
	for (size_t i = 0; i < count; i++)
		frames[i] = (struct symbol_frame){
			.name = first[i].function[0] ? demangled(s, first[i].function) : "",
			.system_name = first[i].function,
			.file = first[i].file,
			.line = first[i].line,
			.column = first[i].column,
			.start_line = first[i].start_line,
		};
	return count;
}

/* DWARF may know only the plain name: gcc gives instances of templates over local types no linkage
 * name. */
static bool is_better(const char *symbol, const struct symbol_frame *frame)
{
	if (!frame->name || !frame->name[0])
		return true;
	bool is_mangled = symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R');
	return is_mangled && frame->system_name[0] != '_';
}

/* The name of the function in the binary's symbols, NULL: none. Valid until the next one is looked up. */
static const char *find_symbol(struct binary_names *names, uint64_t address)
{
	struct symbol symbol;
	const char *known = known_functions_find(&names->functions, address);
	if (known || !names->has_index || !symbol_index_find(&names->index, address, &symbol))
		return known;
	if (names->index.stored && address - symbol.address < symbol.span) {
		known_functions_add(&names->functions, symbol.address, symbol.span, symbol.name);
		names_account(names);
	}
	return symbol.name;
}

size_t symbolizer_find(struct symbolizer *s, struct binary *binary, uint64_t address,
		       struct symbol_frame *frames, size_t capacity)
{
	struct binary_names *names = binary->names;
	if (!names || capacity == 0)
		return 0;
	size_t count = find_lines(s, names, address, frames, capacity);
	const char *symbol = find_symbol(names, address);
	/* The outermost frame is a symbol of the file: its linkage name is the better one. */
	if (symbol && count == 0)
		frames[count++] = (struct symbol_frame){.file = ""};
	if (symbol && is_better(symbol, &frames[count - 1])) {
		frames[count - 1].name = demangled(s, symbol);
		frames[count - 1].system_name = symbol;
	}
	for (size_t i = 0; i < count; i++)
		if (!frames[i].name || !frames[i].name[0])
			return 0;
	return count;
}

/* ---- The kernel ------------------------------------------------------------------------------ */

void symbolizer_prepare_kernel(struct symbolizer *s, uint64_t address)
{
	kernel_names_prepare(&s->kernel, address);
}

bool symbolizer_awaits_kernel(const struct symbolizer *s)
{
	return kernel_names_are_awaited(&s->kernel);
}

bool symbolizer_find_kernel(struct symbolizer *s, uint64_t address, uint64_t time_ns, struct symbol_frame *frame,
			    const char **ret_module)
{
	const char *name;
	if (!kernel_names_find(&s->kernel, address, time_ns, &name, ret_module))
		return false;
	*frame = (struct symbol_frame){.name = name, .system_name = name, .file = ""};
	return true;
}

uint64_t symbolizer_kernel_code(const struct symbolizer *s, uint64_t address, uint64_t time_ns)
{
	if (!s->kernel.code->is_reused)
		return 0;
	const struct generated_function *function = generated_code_find(s->kernel.code, address, time_ns);
	return function ? function->from_ns : 0;
}

/* ---- Life ------------------------------------------------------------------------------------ */

int symbolizer_new(struct binary_store *store, struct generated_code *code, const struct symbolizer_options *options,
		   struct symbolizer **ret)
{
	struct symbolizer *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->store = store;
	s->kernel.cache = binary_store_cache(store);
	s->kernel.offload = binary_store_offload(store);
	s->kernel.code = code;
	s->options = *options;
	if (!s->options.max_bytes)
		s->options.max_bytes = SYMBOLIZER_MAX_BYTES;
	*ret = s;
	return 0;
}

void symbolizer_get_statistics(const struct symbolizer *s, struct symbolizer_statistics *ret)
{
	*ret = s->statistics;
	ret->bytes = s->bytes + s->demangled.bytes + kernel_names_bytes(&s->kernel);
	binary_store_get_durations(s->store, &ret->answers);
}

struct symbolizer *symbolizer_free(struct symbolizer *s)
{
	if (!s)
		return NULL;
	while (s->all.count)
		names_free(s->all.items[s->all.count - 1]);
	array_free(&s->all);
	symbolizer_forget_texts(s);
	kernel_names_free(&s->kernel);
	free(s);
	return NULL;
}
