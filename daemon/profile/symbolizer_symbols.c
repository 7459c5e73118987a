/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A binary's symbol index: read where the cache has it, else a copy of the artifact. A binary without DWARF may have a
 * separate debug file: candidates are given to the parser child together with the binary until one belongs to it. Lines
 * wait for that.
 */
#include "profile/symbolizer_state.h"

#include "base/file.h"
#include "base/foreign_file.h"
#include "base/log.h"
#include "binary/symbol_layout.h"

#include <stdlib.h>
#include <string.h>

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
		names_request_lines(names);
	else
		names_read_lines(names);
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
		names_request_symbols(names);
}

/* Without memory there is no search. */
void names_start_search(struct binary_names *names)
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
		names_request_symbols(names);
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

static char *copy_artifact(const struct artifact *artifact, struct artifact *ret)
{
	char *bytes = malloc(artifact->size);
	if (bytes) {
		memcpy(bytes, artifact->bytes, artifact->size);
		*ret = (struct artifact){.bytes = bytes, .size = artifact->size};
	}
	return bytes;
}

/* In the cache, its pages are not ours. */
static void take_index(struct binary_names *names, const struct artifact *artifact)
{
	struct artifact copy;
	if (names_have_room(names, 0) && !names->owner->cache_is_damaged &&
	    binary_store_take_index(names->owner->store, &names->index)) {
		names->has_index = true;
		return;
	}
	if (names_have_room(names, artifact->size))
		names->index_bytes = copy_artifact(artifact, &copy);
	names->has_index = names->index_bytes && symbol_index_open(&copy, &names->index) == 0;
	if (!names->has_index)
		names_drop_index(names);
}

static void on_symbols(void *userdata, int error, const struct artifact *artifact)
{
	struct binary_names *names = userdata;
	names->requests--;
	if (!artifact)
		log_debug("no symbols of %s: %s", names->binary->path ? names->binary->path : "?",
			  strerror(-error));
	names_drop_index(names);
	names_account(names);
	if (artifact)
		take_index(names, artifact);
	names->symbols_answered = true;
	names_account(names);
	if (!try_next_debug_file(names))
		settle(names);
}

void names_request_symbols(struct binary_names *names)
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
