/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of binaries, the ways to find one, and the entries by which the BPF side knows them.
 */
#include "collect/binaries_state.h"

#include "base/foreign_file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/vdso_file.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t binaries_inode_hash(uint32_t device, uint64_t inode)
{
	return hash_mix(inode) ^ ((uint64_t)device << 32 | device);
}

uint64_t binary_inode_hash(const struct binary_key *key)
{
	return binaries_inode_hash(key->device, key->inode);
}

/* Of what a file on overlayfs has in common with its layer's. */
uint64_t binary_content_hash(const struct binary_key *key)
{
	return hash_mix(key->inode ^ hash_mix(key->size ^ hash_mix(key->mtime_ns)));
}

struct binary *binaries_find(const struct binaries *binaries, uint32_t slot)
{
	uint64_t *found = hash_get(&binaries->by_slot, slot);
	return found ? (struct binary *)(uintptr_t)*found : NULL;
}

static struct binary *find_alias(const struct binaries *binaries, uint64_t identity)
{
	uint64_t *slot = hash_get(&binaries->aliases, identity);
	struct binary *binary = slot ? binaries_find(binaries, (uint32_t)*slot) : NULL;
	return binary && !binary->is_leaving ? binary : NULL;
}

struct binary *binaries_find_file(const struct binaries *binaries, uint32_t device, uint64_t inode)
{
	uint64_t identity = binaries_inode_hash(device, inode);
	uint64_t *found = hash_get(&binaries->by_inode, identity);
	return found ? (struct binary *)(uintptr_t)*found : find_alias(binaries, identity);
}

void binary_free(struct binary *binary)
{
	close_foreign(binary->file);
	free(binary->path);
	free(binary->probes);
	free(binary);
}

struct binary *binaries_add(struct binaries *binaries, const struct binary_key *key,
			    uint32_t slot, const char *path)
{
	struct binary *binary = calloc(1, sizeof(*binary));
	if (!binary)
		return NULL;
	*binary = (struct binary){.key = *key,
				  .slot = slot,
				  .path = path ? strdup(path) : NULL,
				  .file = -1,
				  .last_used = binaries->age,
				  .owner = binaries};
	if (array_add(&binaries->list, binary) < 0) {
		binary_free(binary);
		return NULL;
	}
	uint64_t value = (uintptr_t)binary;
	if (hash_put(&binaries->by_slot, slot, value) < 0 ||
	    hash_put(&binaries->by_inode, binary_inode_hash(key), value) < 0) {
		hash_remove(&binaries->by_slot, slot, NULL);
		binaries->list.count--;
		binary_free(binary);
		return NULL;
	}
	hash_put(&binaries->by_content, binary_content_hash(key), slot); /* without: a twin is not seen */
	binaries->statistics.known++;
	return binary;
}

int binaries_entries_map(const struct binaries *binaries)
{
	return bpf_map__fd(binaries->programs->skeleton->maps.binaries);
}

void binary_publish(struct binary *binary, struct binary_entry *entry)
{
	struct binaries *binaries = binary->owner;
	entry->slot = binary->slot;
	if (bpf_map_update_elem(binaries_entries_map(binaries), &binary->key, entry, BPF_ANY) < 0)
		log_debug("binary %s: %s", binary->path ? binary->path : "?", strerror(errno));
	programs_bump_binaries(binaries->programs);
}

static int add_vdso(struct binaries *binaries)
{
	struct binary_key key = {0};
	struct binary *binary = binaries_add(binaries, &key, SLOT_VDSO, "[vdso]");
	if (!binary)
		return -ENOMEM;
	binary->file = vdso_open();
	/* Known before the first sample: the BPF side would give it a slot of its own. */
	struct binary_entry entry = {.noticed = 1};
	binary_publish(binary, &entry);
	binary_request_table(binary, PARSER_SOON);
	return 0;
}

int binaries_init(struct binaries *binaries, struct programs *programs, struct binary_store *store,
		  const char *proc_path, size_t limit, uint64_t arena_limit)
{
	*binaries = (struct binaries){.programs = programs,
				      .store = store,
				      .proc_path = proc_path,
				      .limit = limit,
				      .next_slot = SLOT_FIRST_FREE};
	arena_init(&binaries->arena, bpf_map__fd(programs->skeleton->maps.arena), arena_limit);
	return add_vdso(binaries);
}

void binaries_deinit(struct binaries *binaries)
{
	for (size_t i = 0; i < binaries->list.count; i++)
		binary_free(binaries->list.items[i]);
	array_free(&binaries->list);
	hash_free(&binaries->by_slot);
	hash_free(&binaries->by_inode);
	hash_free(&binaries->by_content);
	hash_free(&binaries->aliases);
	hash_free(&binaries->opening);
	arena_deinit(&binaries->arena);
}
