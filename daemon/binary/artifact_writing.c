/* SPDX-License-Identifier: Apache-2.0 */
/* See artifact_writing.h. */
#include "binary/artifact_writing.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>

int artifact_writing_new(struct artifact_cache *cache, const struct artifact_key *key, int error,
			 const struct artifact *artifact, void (*release)(const struct artifact *artifact),
			 struct artifact_writing **ret)
{
	struct artifact_writing *writing = calloc(1, sizeof(*writing));
	if (!writing)
		return -ENOMEM;
	atomic_init(&writing->references, 1);
	writing->cache = artifact_cache_ref(cache);
	writing->key = *key;
	writing->error = error;
	if (artifact)
		writing->artifact = *artifact;
	writing->release = release;
	writing->file = -1;
	*ret = writing;
	return 0;
}

struct artifact_writing *artifact_writing_free(struct artifact_writing *writing)
{
	if (!writing || atomic_fetch_sub(&writing->references, 1) != 1)
		return NULL;
	if (writing->artifact.bytes)
		writing->release(&writing->artifact);
	close_fd(writing->file);
	symbol_index_close(&writing->index);
	artifact_cache_free(writing->cache);
	free(writing);
	return NULL;
}

/* One that is too large for the cache is none; other failures may pass. */
static int write_file(struct artifact_writing *writing)
{
	size_t size;
	const void *bytes = artifact_section(&writing->artifact, SECTION_DWARF_FILE, &size);
	int r = artifact_cache_write_file(writing->cache, &writing->key, bytes, size);
	if (r == 0)
		r = artifact_cache_open_file(writing->cache, &writing->key, &writing->file);
	else if (r == -EFBIG)
		artifact_cache_write(writing->cache, &writing->key, -ENODATA, NULL);
	return r;
}

static void run(void *argument)
{
	struct artifact_writing *writing = argument;
	const struct artifact *artifact = writing->artifact.bytes ? &writing->artifact : NULL;
	writing->result = artifact && writing->is_file
				  ? write_file(writing)
				  : artifact_cache_write(writing->cache, &writing->key, writing->error, artifact);
	writing->has_index = artifact && writing->wants_index && writing->result == 0 &&
			     symbol_index_open_cached(writing->cache, &writing->key, &writing->index) == 0;
}

static void release(void *argument)
{
	artifact_writing_free(argument);
}

int artifact_writing_start(struct artifact_writing *writing, struct offload *offload,
			   void (*done)(void *userdata, int error, void *argument), void *userdata)
{
	atomic_fetch_add(&writing->references, 1);
	int r = offload_submit(offload, &(struct offload_work){.key = ARTIFACT_WRITING_KEY,
							       .timeout_ns = ARTIFACT_WORK_TIMEOUT_NS,
							       .run = run,
							       .done = done,
							       .release = release,
							       .argument = writing,
							       .userdata = userdata});
	if (r < 0)
		artifact_writing_free(writing);
	return r;
}
