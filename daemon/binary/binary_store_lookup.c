/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cache has of a file. A thread reads it, as whoever makes an entry holds the directory's lock while the disk
 * works, and who looks for another one waits for that lock. A cache that hangs has nothing.
 */
#include "binary/binary_store_state.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>

struct lookup {
	struct artifact_cache *cache; /* a reference of its own */
	enum artifact_kind kind;
	struct artifact_key key, expanded_key;
	bool wants_expanded;
	struct store_entry found;
};

void store_entry_free(struct store_entry *entry)
{
	free(entry->bytes);
	symbol_index_close(&entry->index);
	close_fd(entry->expanded);
}

static void lookup_free(void *argument)
{
	struct lookup *lookup = argument;
	store_entry_free(&lookup->found);
	artifact_cache_free(lookup->cache);
	free(lookup);
}

static void look_up(void *argument)
{
	struct lookup *lookup = argument;
	struct store_entry *found = &lookup->found;
	found->error = artifact_cache_read(lookup->cache, &lookup->key, lookup->kind, &found->bytes, &found->artifact);
	found->has_index = found->error == 0 && lookup->kind == ARTIFACT_SYMBOLS &&
			   symbol_index_open_cached(lookup->cache, &lookup->key, &found->index) == 0;
	if (lookup->wants_expanded)
		found->expanded_error =
			artifact_cache_open_file(lookup->cache, &lookup->expanded_key, &found->expanded);
}

static void on_looked_up(void *userdata, int error, void *argument)
{
	struct store_request *request = userdata;
	struct lookup *lookup = argument;
	if (lookup) {
		request->entry = lookup->found;
		lookup->found = STORE_ENTRY_NONE;
	} else {
		request->entry.expanded_error = error; /* nor would a copy be written */
	}
	binary_store_looked_up(request);
}

int store_request_look_up(struct store_request *request)
{
	struct binary_store *store = request->store;
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return -ENOMEM;
	*lookup = (struct lookup){.cache = artifact_cache_ref(store->cache), .kind = request->kind,
				  .key = request->key, .expanded_key = request->expanded_key,
				  .wants_expanded = request->kind == ARTIFACT_LINES && request->address_count,
				  .found = STORE_ENTRY_NONE};
	int r = offload_submit(store->offload, &(struct offload_work){.key = ARTIFACT_READING_KEY,
								      .urgent = request->priority == PARSER_SOON,
								      .timeout_ns = ARTIFACT_WORK_TIMEOUT_NS,
								      .run = look_up,
								      .done = on_looked_up,
								      .release = lookup_free,
								      .argument = lookup,
								      .userdata = request});
	if (r < 0)
		lookup_free(lookup);
	return r;
}
