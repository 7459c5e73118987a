/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes room among the binaries: the least recently used go, or those idle for long, in two steps. First
 * the BPF side forgets them; met again, such a file is a new one with a slot of its own. A tick may be running with what it
 * looked up before, and samples may be on the way: so the object, its slot and its table go later.
 */
#include "collect/binaries_state.h"

#include "base/log.h"
#include "bolometer.skel.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

/* Room is made from three quarters of a limit down to a half. */
static bool is_above(const struct binaries *binaries, size_t quarters)
{
	return binaries->list.count - binaries->leaving > binaries->limit / 4 * quarters ||
	       binaries->arena.used - binaries->leaving_bytes > binaries->arena.limit / 4 * quarters;
}

bool binaries_are_crowded(const struct binaries *binaries)
{
	return is_above(binaries, 3);
}

void binaries_next_age(struct binaries *binaries)
{
	binaries->age++;
}

void binaries_mark_used(struct binaries *binaries, uint32_t slot)
{
	struct binary *binary = binaries_find(binaries, slot);
	if (binary)
		binary->last_used = binaries->age;
}

static bool may_leave(const struct binary *binary)
{
	return !binary->is_leaving && binary->slot != SLOT_VDSO &&
	       binary->last_used != binary->owner->age;
}

static int compare_use(const void *a, const void *b)
{
	const struct binary *x = *(struct binary *const *)a, *y = *(struct binary *const *)b;
	return (x->last_used > y->last_used) - (x->last_used < y->last_used);
}

static void dismiss(struct binary *binary)
{
	struct binaries *binaries = binary->owner;
	uint64_t by = binary_inode_hash(&binary->key);
	const uint64_t *newest = hash_get(&binaries->by_inode, by);
	if (newest && *newest == (uintptr_t)binary)
		hash_remove(&binaries->by_inode, by, NULL);
	uint64_t *of_content = hash_get(&binaries->by_content, binary_content_hash(&binary->key));
	if (of_content && *of_content == binary->slot)
		hash_remove(&binaries->by_content, binary_content_hash(&binary->key), NULL);
	if (bpf_map_delete_elem(bpf_map__fd(binaries->programs->skeleton->maps.binaries),
				&binary->key) < 0)
		log_debug("binary %s: %s", binary->path ? binary->path : "?", strerror(errno));
	binary->is_leaving = true;
	binaries->leaving++;
	binaries->leaving_bytes += binary->arena_size;
}

/* So that the BPF side asks anew. Some aliases lead to those that leave, whose slots come again one day. */
static void publish_dismissals(struct binaries *binaries, size_t count)
{
	if (!count)
		return;
	hash_clear(&binaries->aliases);
	programs_bump_binaries(binaries->programs);
}

int binaries_make_room(struct binaries *binaries)
{
	struct binary **candidates = calloc(binaries->list.count + 1, sizeof(*candidates));
	size_t count = 0, i;
	if (!candidates)
		return -ENOMEM;
	for (i = 0; i < binaries->list.count; i++)
		if (may_leave(binaries->list.items[i]))
			candidates[count++] = binaries->list.items[i];
	qsort(candidates, count, sizeof(*candidates), compare_use);
	for (i = 0; i < count && is_above(binaries, 2); i++)
		dismiss(candidates[i]);
	binaries->statistics.forgotten += i;
	publish_dismissals(binaries, i);
	free(candidates);
	return 0;
}

void binaries_dismiss_idle(struct binaries *binaries, uint32_t ages)
{
	size_t count = 0;
	for (size_t i = 0; i < binaries->list.count; i++) {
		struct binary *binary = binaries->list.items[i];
		if (!may_leave(binary) || binaries->age - binary->last_used <= ages)
			continue;
		dismiss(binary);
		count++;
	}
	binaries->statistics.idle += count;
	publish_dismissals(binaries, count);
}

static void remove_binary(struct binaries *binaries, struct binary *binary)
{
	if (binary->arena_size) {
		arena_remove(&binaries->arena, binary->arena_unit, binary->arena_size);
		binaries->statistics.table_bytes -= binary->arena_size;
	}
	binaries->leaving--;
	binaries->leaving_bytes -= binary->arena_size;
	binaries->statistics.known--;
	hash_remove(&binaries->by_slot, binary->slot, NULL);
	binary_free(binary);
}

/* Answers for it would find nobody. */
static bool may_go(const struct binary *binary)
{
	return binary->is_leaving && !binary->awaits_table && !binary->opening;
}

/* Those that found no room for their table have perhaps more luck now. */
static void request_tables_again(struct binaries *binaries)
{
	for (size_t i = 0; i < binaries->list.count; i++) {
		struct binary *binary = binaries->list.items[i];
		if (!binary->no_room || binary->is_leaving)
			continue;
		binary->no_room = false;
		binaries->statistics.frame_pointers_only--;
		binary_request_table(binary, PARSER_AHEAD);
	}
}

void binaries_remove_leaving(struct binaries *binaries, bool (*release)(void *, struct binary *),
			     void *userdata)
{
	size_t kept = 0;
	if (!binaries->leaving)
		return;
	for (size_t i = 0; i < binaries->list.count; i++) {
		struct binary *binary = binaries->list.items[i];
		if (may_go(binary) && release(userdata, binary))
			remove_binary(binaries, binary);
		else
			binaries->list.items[kept++] = binary;
	}
	if (kept < binaries->list.count) {
		binaries->list.count = kept;
		request_tables_again(binaries);
	}
}
