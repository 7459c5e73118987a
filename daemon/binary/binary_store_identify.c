/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files a request is about. That takes looking at them, and a file may lie where looking hangs: threads do it,
 * also without a cache, since the parser's reading begins with the same questions and must not hang either.
 *
 * A file that changed within the last seconds has no identity: its request is not storable.
 */
#include "binary/binary_store_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Files and their identities while a thread looks at them. */
struct identification {
	int file, debug_file;
	int error;
	struct file_identity identity, debug_identity;
};

static void identification_free(void *argument)
{
	struct identification *identification = argument;
	close_foreign(identification->file);
	close_foreign(identification->debug_file);
	free(identification);
}

static void identify(void *argument)
{
	struct identification *i = argument;
	uint64_t now = realtime_ns();
	i->error = file_identity_read(i->file, now, &i->identity);
	if (i->error == 0 && i->debug_file >= 0)
		i->error = file_identity_read(i->debug_file, now, &i->debug_identity);
}

static void on_identified(void *userdata, int error, void *argument)
{
	struct store_request *request = userdata;
	struct identification *i = argument;
	struct artifact_cache *cache = request->store->cache;
	store_list_remove(&request->store->identifying, request);
	request->error = error;
	if (i) {
		request->file = take_fd(i->file);
		request->debug_file = take_fd(i->debug_file);
		request->identity = i->identity;
		request->debug_identity = i->debug_identity;
		request->storable = cache && i->error == 0;
	}
	if (request->storable) {
		artifact_cache_key(cache, request->kind, &request->identity,
				   request->debug_file >= 0 ? &request->debug_identity : NULL,
				   &request->key);
		artifact_cache_key(cache, ARTIFACT_DWARF, &request->identity, NULL, &request->expanded_key);
	}
	binary_store_set_waiting(request);
}

int store_request_identify(struct store_request *request)
{
	struct stat st;
	struct identification *i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->file = take_fd(request->file);
	i->debug_file = take_fd(request->debug_file);
	uint64_t key = stat_cached(i->file, &st) == 0 ? device_key(st.st_dev) : 0;
	int r = offload_submit(request->store->offload,
			       &(struct offload_work){.key = key,
						      .urgent = request->priority == PARSER_SOON,
						      .run = identify,
						      .done = on_identified,
						      .release = identification_free,
						      .argument = i,
						      .userdata = request});
	if (r < 0)
		identification_free(i);
	else
		store_list_add(&request->store->identifying, request);
	return r;
}
