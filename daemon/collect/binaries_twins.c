/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On overlayfs a file has two devices: that of its layer in the kernel's own structures, which the BPF side
 * reads, and that of the overlay in side-band, maps and stat. Each container has an overlay of its own, over
 * layers that they share. Inode number (where all is on one file system), size and time are the same.
 */
#include "collect/binaries_state.h"

#include <bpf/bpf.h>

struct binary *binaries_find_twin(const struct binaries *binaries, const struct binary_key *key)
{
	uint64_t *slot = hash_get(&binaries->by_content, binary_content_hash(key));
	struct binary *binary = slot ? binaries_find(binaries, (uint32_t)*slot) : NULL;
	bool same = binary && !binary->is_leaving && binary->key.device != key->device &&
		    binary->key.inode == key->inode && binary->key.size == key->size &&
		    binary->key.mtime_ns == key->mtime_ns;
	return same ? binary : NULL;
}

/* A cache: without it the file is opened again, and the twin found again. */
void binaries_remember_alias(struct binaries *binaries, uint64_t identity, uint32_t slot)
{
	if (binaries->aliases.count >= binaries->limit)
		hash_clear(&binaries->aliases);
	hash_put(&binaries->aliases, identity, slot);
}

bool binary_adopt(struct binary *twin, const struct record_new_binary *notice)
{
	struct binaries *binaries = twin->owner;
	struct binary_entry entry;
	uint64_t value = (uintptr_t)twin, *newest;
	uint64_t old = binary_inode_hash(&twin->key), new = binary_inode_hash(&notice->key);
	if (!twin->on_overlay || bpf_map_lookup_elem(binaries_entries_map(binaries), &twin->key, &entry) < 0 ||
	    hash_put(&binaries->by_slot, notice->slot, value) < 0)
		return false;
	if (hash_put(&binaries->by_inode, new, value) < 0) {
		hash_remove(&binaries->by_slot, notice->slot, NULL);
		return false;
	}
	bpf_map_delete_elem(binaries_entries_map(binaries), &twin->key);
	newest = hash_get(&binaries->by_inode, old);
	if (newest && *newest == value)
		hash_remove(&binaries->by_inode, old, NULL);
	hash_remove(&binaries->by_slot, twin->slot, NULL);
	twin->on_overlay = false;
	twin->slot = notice->slot;
	twin->key = notice->key;
	hash_put(&binaries->by_content, binary_content_hash(&twin->key), twin->slot);
	binaries_remember_alias(binaries, old, twin->slot);
	binary_publish(twin, &entry);
	return true;
}
