/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per binary: its symbol index (read where the cache has it, else a copy of the artifact), the addresses wanted, and the answers of
 * its DWARF. What the cache has of them is read at once. Opening DWARF costs more than the addresses
 * asked of it: the others are asked for together, when enough have come or some have waited for long. Names are interned for good: a profile's frames repeat them by the thousand.
 *
 * Sources of a frame, best first: DWARF (function, file, line, inlined callers), the symbol index,
 * nothing. A binary without DWARF may have a separate debug file: candidates are given to the parser
 * child together with the binary until one belongs to it. Lines wait for that.
 */
#include "profile/symbolizer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "base/log.h"
#include "base/text.h"
#include "binary/demangle.h"
#include "binary/line_merge.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"
#include "profile/debug_lookup.h"
#include "profile/kernel_names.h"
#include "profile/known_functions.h"

#include <errno.h>
#include <string.h>

#define LINES_GATHER_NS (2 * NS_PER_SECOND)
/* The few addresses that come late wait longer with each request of their binary: opening its DWARF again costs
 * the same as for the first thousand. Their functions have names meanwhile. */
#define LINES_WAIT_NS (30 * NS_PER_SECOND)
#define MAX_LINES_WAIT_DOUBLINGS 2
#define MIN_LINES ((size_t)64)

struct binary_names {
	struct symbolizer *owner;
	struct binary *binary;
	bool requested;	   /* the symbol index */
	bool has_index;
	struct symbol_index index; /* valid with has_index */
	struct known_functions functions; /* of the index, where that lies in the cache */
	char *index_bytes; /* its artifact; NULL: that is in the cache, or there is none */
	struct debug_search *search; /* NULL: ended */
	int debug_file, supplementary_file; /* descriptors or -1; the debug file is tried out first */
	bool symbols_answered;
	bool settled;	      /* it is known which files have the lines */
	bool lines_requested; /* before that */
	struct hash wanted; /* addresses already wanted */
	ARRAY(uint64_t) not_asked; /* of them, those to ask for */
	size_t asked;
	unsigned int line_requests; /* those of addresses */
	uint64_t waiting_since; /* monotonic ns; 0: nothing to ask for */
	char *line_bytes; /* the artifact; NULL: none yet */
	struct line_answers lines;
	unsigned int requests; /* under way: their answers come to this object */
	size_t position; /* in the symbolizer's list */
	uint64_t bytes; /* of all this, as the symbolizer has it in its sum */
	bool refused;	/* some of its names, for lack of room */
};

struct symbolizer {
	struct binary_store *store;
	struct symbolizer_options options;
	ARRAY(struct binary_names *) all;
	struct kernel_names kernel;
	bool cache_is_damaged; /* while it was read: answers are copied */
	struct hash demangled;	/* hash of a mangled name -> index into texts */
	ARRAY(char *) texts;	/* owned strings */
	uint64_t text_bytes;
	uint64_t bytes; /* of all names, without the texts and the kernel's */
	struct symbolizer_statistics statistics;
};

int symbolizer_new(struct binary_store *store, const struct symbolizer_options *options,
		   struct symbolizer **ret)
{
	struct symbolizer *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->store = store;
	s->kernel.cache = binary_store_cache(store);
	s->options = *options;
	if (!s->options.max_bytes)
		s->options.max_bytes = SYMBOLIZER_MAX_BYTES;
	*ret = s;
	return 0;
}

/* ---- Room ------------------------------------------------------------------------------------ */

/* To be called when what the object holds has changed. */
static void account(struct binary_names *names)
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

/* Counts a refusal, for each binary once until there is room again. */
static bool have_room(struct binary_names *names, uint64_t more)
{
	struct symbolizer *s = names->owner;
	if (s->bytes + s->text_bytes + more <= s->options.max_bytes)
		return true;
	s->statistics.refused += !names->refused;
	names->refused = true;
	return false;
}

static void drop_index(struct binary_names *names)
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
	drop_index(names);
	close_foreign(names->debug_file);
	close_foreign(names->supplementary_file);
	free(names->search);
	names->binary->names = NULL;
	free(names);
}

void symbolizer_forget_texts(struct symbolizer *s)
{
	for (size_t i = 0; i < s->texts.count; i++)
		free(s->texts.items[i]);
	array_free(&s->texts);
	hash_free(&s->demangled);
	s->text_bytes = 0;
}

bool symbolizer_is_crowded(const struct symbolizer *s)
{
	return s->bytes + s->text_bytes > s->options.max_bytes / 4 * 3;
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

void symbolizer_get_statistics(const struct symbolizer *s, struct symbolizer_statistics *ret)
{
	*ret = s->statistics;
	ret->bytes = s->bytes + s->text_bytes + kernel_names_bytes(&s->kernel);
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

/* ---- Names ----------------------------------------------------------------------------------- */

/* The name for people, made once for each mangled name; the mangled one itself when room is out. */
static const char *demangled(struct symbolizer *s, const char *mangled)
{
	uint64_t key = hash_bytes(mangled, strlen(mangled));
	const uint64_t *known = hash_get(&s->demangled, key);
	if (known)
		return s->texts.items[*known];
	if (s->text_bytes > s->options.max_bytes)
		return mangled;
	struct text text = {0};
	if (demangle(mangled, &text) < 0) {
		text_free(&text);
		return mangled;
	}
	char *name = text_take(&text);
	if (!name || array_add(&s->texts, name) < 0) {
		free(name);
		return mangled;
	}
	s->text_bytes += strlen(name) + 1 + sizeof(char *) + 2 * sizeof(struct hash_slot);
	hash_put(&s->demangled, key, s->texts.count - 1); /* else it is made again */
	return name;
}

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
	account(names);
	return names;
}

static char *copy_artifact(const struct artifact *artifact, struct artifact *ret)
{
	char *bytes = malloc(artifact->size);
	if (bytes) {
		memcpy(bytes, artifact->bytes, artifact->size);
		*ret = (struct artifact){.bytes = bytes, .size = artifact->size};
	}
	return bytes;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void drop_known_addresses(struct binary_names *names)
{
	size_t kept = 0;
	for (size_t i = 0; i < names->not_asked.count; i++)
		if (!line_answers_know(&names->lines, names->not_asked.items[i]))
			names->not_asked.items[kept++] = names->not_asked.items[i];
	names->not_asked.count = kept;
	if (kept == 0)
		names->waiting_since = 0;
}

static void on_lines(void *userdata, int error, const struct artifact *artifact)
{
	struct binary_names *names = userdata;
	struct line_answers answers;
	struct text merged = {0};
	names->requests--;
	if (error < 0 && error != -ENOENT)
		log_debug("no lines of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-error));
	if (!artifact || line_answers_open(artifact, &answers) < 0 ||
	    line_answers_merge(names->line_bytes ? &names->lines : NULL, &answers, NULL, 0,
			       &merged) < 0) {
		text_free(&merged);
		return;
	}
	struct artifact whole = {.bytes = merged.bytes, .size = merged.length};
	uint64_t old = names->line_bytes ? names->lines.artifact.size : 0;
	if (line_answers_open(&whole, &answers) < 0 ||
	    (whole.size > old && !have_room(names, whole.size - old))) {
		text_free(&merged);
		return;
	}
	free(names->line_bytes);
	names->line_bytes = merged.bytes;
	names->lines = answers;
	drop_known_addresses(names);
	account(names);
}

static int dwarf_file(const struct binary_names *names)
{
	if (names->binary->facts.flags & (FACTS_HAS_DWARF | FACTS_IS_GO))
		return names->binary->file;
	return names->debug_file;
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Asks for the lines of `count` addresses; of none: of those that the cache has. */
static void ask_lines(struct binary_names *names, size_t count)
{
	int file = dwarf_file(names);
	if (file < 0)
		return;
	int r = binary_store_request_lines(names->owner->store, file, names->supplementary_file,
					   names->not_asked.items, count, PARSER_WHEN_IDLE,
					   on_lines, names);
	if (r == 0)
		names->requests++;
	else
		log_debug("lines of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-r));
}

static void request_lines(struct binary_names *names)
{
	if (names->not_asked.count == 0)
		return;
	qsort(names->not_asked.items, names->not_asked.count, sizeof(uint64_t), compare_addresses);
	ask_lines(names, names->not_asked.count);
	names->asked += names->not_asked.count;
	names->line_requests++;
	names->not_asked.count = 0;
	names->waiting_since = 0;
}

/* ---- Symbols --------------------------------------------------------------------------------- */

static void request_symbols(struct binary_names *names);

/* Takes over how far the search came; one that hangs has ended. Returns the file or -1. */
static int take_looked_up(struct binary_names *names, struct debug_lookup *lookup)
{
	struct debug_search *search = names->search;
	if (!lookup) {
		free(search);
		names->search = NULL;
		return -1;
	}
	search->next = lookup->search.next;
	search->found_in_process = lookup->search.found_in_process;
	memcpy(search->found, lookup->search.found, sizeof(search->found));
	return take_fd(lookup->file);
}

static int look_up(struct binary_names *names, const struct symbol_debug *supplementary,
		   debug_lookup_callback callback)
{
	/* The root of a process lies where its program does, as a rule. */
	struct debug_lookup_request request = {.key = names->binary->key.device,
					       .search = names->search,
					       .callback = callback,
					       .userdata = names};
	if (supplementary) {
		request.supplementary_path = supplementary->supplementary_path;
		request.supplementary_id = supplementary->supplementary_id;
		request.supplementary_id_size = supplementary->supplementary_id_size;
	}
	return debug_lookup_start(binary_store_offload(names->owner->store), &request);
}

/* Nothing more will be known of the files: lines may be asked for. */
static void finish_settling(struct binary_names *names)
{
	free(names->search);
	names->search = NULL;
	names->settled = true;
	if (names->lines_requested)
		request_lines(names);
	else
		ask_lines(names, 0);
}

static void on_supplementary_file(void *userdata, struct debug_lookup *lookup)
{
	struct binary_names *names = userdata;
	names->supplementary_file = take_looked_up(names, lookup);
	finish_settling(names);
}

static void settle(struct binary_names *names)
{
	const struct symbol_debug *debug = names->has_index ? names->index.debug : NULL;
	if (!debug || !debug->supplementary_id_size || !names->search ||
	    look_up(names, debug, on_supplementary_file) < 0)
		finish_settling(names);
}

/* The first time symbols are asked for with a debug file or without; later there is nothing new without
 * one. */
static void on_debug_file(void *userdata, struct debug_lookup *lookup)
{
	struct binary_names *names = userdata;
	names->debug_file = take_looked_up(names, lookup);
	if (names->debug_file < 0 && names->symbols_answered)
		settle(names);
	else
		request_symbols(names);
}

/* Searches for the debug file, if one is wanted, and asks for the symbols. Without memory there is no
 * search. */
static void start_search(struct binary_names *names)
{
	const struct binary *binary = names->binary;
	bool is_complete = binary->facts.flags & FACTS_HAS_DWARF &&
			   binary->facts.flags & FACTS_HAS_SYMTAB;
	names->search = malloc(sizeof(*names->search));
	if (names->search)
		*names->search = (struct debug_search){.proc_path = "/proc",
						       .pid = binary->pid,
						       .path = binary->path,
						       .facts = &binary->facts};
	if (is_complete || !names->search || look_up(names, NULL, on_debug_file) < 0)
		request_symbols(names);
}

/* A debug file of another build is closed, and the next one looked for. False: there is none to try. */
static bool try_next_debug_file(struct binary_names *names)
{
	bool belongs = names->has_index &&
		       names->index.debug->flags & SYMBOL_DEBUG_FILE_BELONGS;
	if (names->debug_file < 0 || belongs)
		return false;
	log_debug("%s is not the debug file of %s", names->search ? names->search->found : "?",
		  names->binary->path ? names->binary->path : "?");
	names->debug_file = close_foreign(names->debug_file);
	return names->search && look_up(names, NULL, on_debug_file) == 0;
}

/* In the cache, its pages are not ours. */
static void take_index(struct binary_names *names, const struct artifact *artifact)
{
	struct artifact_file file;
	struct artifact copy;
	if (have_room(names, 0) && !names->owner->cache_is_damaged &&
	    binary_store_open_answer(names->owner->store, &file) == 0 &&
	    symbol_index_open_file(&file, &names->index) == 0) {
		names->has_index = true;
		return;
	}
	if (have_room(names, artifact->size))
		names->index_bytes = copy_artifact(artifact, &copy);
	names->has_index = names->index_bytes && symbol_index_open(&copy, &names->index) == 0;
	if (!names->has_index)
		drop_index(names);
}

static void on_symbols(void *userdata, int error, const struct artifact *artifact)
{
	struct binary_names *names = userdata;
	names->requests--;
	if (!artifact)
		log_debug("no symbols of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-error));
	drop_index(names);
	account(names);
	if (artifact)
		take_index(names, artifact);
	names->symbols_answered = true;
	account(names);
	if (!try_next_debug_file(names))
		settle(names);
}

static void request_symbols(struct binary_names *names)
{
	int r = binary_store_request_symbols(names->owner->store, names->binary->file,
					     names->debug_file, PARSER_WHEN_IDLE, on_symbols,
					     names);
	if (r == 0) {
		names->requests++;
		return;
	}
	names->debug_file = close_foreign(names->debug_file);
	settle(names);
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
		drop_index(names);
		account(names);
		request_symbols(names);
		is_awaited = true;
	}
	if (kernel_names_replace_damaged(&s->kernel))
		note_damaged(s);
	return is_awaited;
}

void symbolizer_prepare(struct symbolizer *s, struct binary *binary)
{
	if (binary->file < 0 || !binary->has_facts)
		return;
	struct binary_names *names = names_of(s, binary);
	if (!names || names->requested || !have_room(names, 0))
		return;
	names->requested = true;
	start_search(names);
}

int symbolizer_want_lines(struct symbolizer *s, struct binary *binary, uint64_t address)
{
	struct binary_names *names = binary->names;
	if (!names || (names->settled && dwarf_file(names) < 0) ||
	    hash_get(&names->wanted, address) || !have_room(names, 0))
		return 0;
	int r = hash_put(&names->wanted, address, 1);
	account(names);
	if (names->line_bytes && line_answers_know(&names->lines, address))
		return r;
	if (!names->waiting_since)
		names->waiting_since = monotonic_ns();
	return r < 0 ? r : array_add(&names->not_asked, address);
}

static bool lines_are_due(const struct binary_names *names, uint64_t now)
{
	uint64_t waited = now - names->waiting_since;
	unsigned int doublings = MIN_OF(names->line_requests, (unsigned int)MAX_LINES_WAIT_DOUBLINGS);
	return waited >= (uint64_t)LINES_WAIT_NS << doublings ||
	       (waited >= LINES_GATHER_NS &&
		names->not_asked.count >= MAX_OF(names->asked, MIN_LINES));
}

void symbolizer_request_lines(struct symbolizer *s, bool all)
{
	uint64_t now = monotonic_ns();
	for (size_t i = 0; i < s->all.count; i++) {
		struct binary_names *names = s->all.items[i];
		if (names->not_asked.count == 0 || (!all && !lines_are_due(names, now)))
			continue;
		names->lines_requested = true;
		if (names->settled)
			request_lines(names);
	}
}

/* ---- Frames ---------------------------------------------------------------------------------- */

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
		account(names);
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

void symbolizer_expect_again(struct symbolizer *s)
{
	s->kernel.come_again = true;
}

void symbolizer_prepare_kernel(struct symbolizer *s)
{
	kernel_names_prepare(&s->kernel);
}

bool symbolizer_find_kernel(struct symbolizer *s, uint64_t address, struct symbol_frame *frame,
			    const char **ret_module)
{
	const char *name;
	if (!kernel_names_find(&s->kernel, address, &name, ret_module))
		return false;
	*frame = (struct symbol_frame){.name = name, .system_name = name, .file = ""};
	return true;
}
