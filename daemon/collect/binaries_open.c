/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a file becomes known. A process maps it: the side-band or /proc tells, with a path, before any sample as a rule.
 * Or the BPF side meets it first and sends a notice, without a path. Its file is opened by a thread, since that may hang,
 * through the process's own view; what was opened must be the file that the kernel runs.
 */
#include "collect/binaries_state.h"

#include "base/file.h"
#include "collect/mapping_open.h"
#include "collect/vdso_file.h"

#include <bpf/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A process that starts another program between the notice and our look takes the mapping with it: the
 * next sample's notice is about another mapping of the same file. */
#define MAX_FAILED_OPENS 16

static uint64_t to_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* Is the open file the one the kernel runs? The device may differ (overlay, btrfs subvolumes). */
static bool is_same_file(const struct stat *st, const struct binary_key *key)
{
	return (uint64_t)st->st_size == key->size && to_ns(st->st_mtim) == key->mtime_ns;
}

/* ---- Mappings -------------------------------------------------------------------------------- */

/* After millions the numbers start again. A CPU that still had a rule of the old owner in its small cache
 * would have run nothing else since. */
static uint32_t free_slot(struct binaries *binaries)
{
	do {
		if (binaries->next_slot >= SLOT_FIRST_KERNEL_MADE)
			binaries->next_slot = SLOT_FIRST_FREE;
	} while (hash_get(&binaries->by_slot, binaries->next_slot++));
	return binaries->next_slot - 1;
}

static void add_mapped(struct binaries *binaries, const struct binary_key *key,
		       struct mapping_answer *answer)
{
	/* Not noticed: the first sample that waits for its table is told, and has it made sooner. */
	struct binary_entry entry = {.slot = free_slot(binaries)};
	/* Met by the BPF side just now, under a slot of its own? Its notice is under way, without a path. */
	if (bpf_map_update_elem(binaries_entries_map(binaries), key, &entry, BPF_NOEXIST) < 0 &&
	    bpf_map_lookup_elem(binaries_entries_map(binaries), key, &entry) < 0)
		return; /* the map is full */
	if (binaries_find(binaries, entry.slot))
		return;
	struct binary *binary = binaries_add(binaries, key, entry.slot, answer->path);
	if (!binary)
		return;
	binary->pid = answer->pid;
	binary->on_overlay = answer->on_overlay;
	binary->file = take_fd(answer->file);
	binary_request_table(binary, PARSER_AHEAD);
}

/* A binary that the BPF side met before its mapping was told, with no path to open it by. Without
 * CAP_SYS_ADMIN the path is the only way to the file. */
static bool lacks_path(const struct binary *binary)
{
	return binary->file < 0 && !binary->path && !binary->is_leaving;
}

/* The mapping knew the path: it and what was found there are the binary's. */
static void complete_binary(struct binary *binary, struct mapping_answer *answer)
{
	bool was_given_up = !binary->opening && binary->failed_opens >= MAX_FAILED_OPENS;
	binary->path = answer->path ? strdup(answer->path) : NULL;
	if (answer->file < 0 || !is_same_file(&answer->st, &binary->key))
		return;
	binary->file = take_fd(answer->file);
	if (was_given_up)
		binary->owner->statistics.unopened--;
	if (!binary->opening) /* else its own answer asks */
		binary_request_table(binary, PARSER_SOON);
}

/* Of a file that could not be opened the BPF side will tell when it matters. One that hangs stays among
 * those being opened: it is not asked for again. */
static void on_mapped_opened(void *userdata, struct mapping_answer *answer)
{
	struct binaries *binaries = userdata;
	if (!answer)
		return;
	uint64_t identity = binaries_inode_hash(answer->device, answer->inode);
	hash_remove(&binaries->opening, identity, NULL);
	struct binary *binary = binaries_find_file(binaries, answer->device, answer->inode);
	struct binary_key key = {.inode = answer->inode,
				 .mtime_ns = to_ns(answer->st.st_mtim),
				 .size = (uint64_t)answer->st.st_size,
				 .device = answer->device};
	if (!binary && answer->file >= 0) {
		binary = answer->on_overlay ? binaries_find_twin(binaries, &key) : NULL;
		if (binary)
			binaries_remember_alias(binaries, identity, binary->slot);
		else
			add_mapped(binaries, &key, answer);
	}
	if (binary && lacks_path(binary))
		complete_binary(binary, answer);
}

void binaries_on_mapping(struct binaries *binaries, struct process *process,
			 const struct process_mapping *mapping)
{
	if (mapping->inode == 0)
		return;
	uint64_t identity = binaries_inode_hash(mapping->device, mapping->inode);
	struct binary *binary = binaries_find_file(binaries, mapping->device, mapping->inode);
	if (binary) /* if the file changed since, the BPF side will tell */
		binary->last_used = binaries->age;
	if ((binary && !lacks_path(binary)) || hash_get(&binaries->opening, identity))
		return;
	struct mapping_question question = {.pid = process->pid,
					    .start = mapping->start,
					    .end = mapping->end,
					    .inode = mapping->inode,
					    .device = mapping->device,
					    .path = mapping->path};
	if (mapping_open(binary_store_offload(binaries->store), binaries->proc_path, &question,
			 on_mapped_opened, binaries) == 0)
		hash_put(&binaries->opening, identity, 1);
}

/* ---- Notices --------------------------------------------------------------------------------- */

/* The path the kernel gives for an open file; the caller frees it. */
static char *path_of(int file)
{
	char link[64], target[4096];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	ssize_t n = file < 0 ? -1 : readlink(link, target, sizeof(target) - 1);
	return n > 0 ? strndup(target, (size_t)n) : NULL;
}

static struct binary *add_noticed(struct binaries *binaries, const struct record_new_binary *notice)
{
	if (vdso_is_32_bit(notice->key.device, notice->key.inode))
		return binaries_add(binaries, &notice->key, notice->slot, "[vdso]");
	struct binary *twin = binaries_find_twin(binaries, &notice->key), *binary = twin;
	if (!twin || !binary_adopt(twin, notice)) {
		uint64_t *older = hash_get(&binaries->by_inode, binary_inode_hash(&notice->key));
		const char *path = older ? ((struct binary *)(uintptr_t)*older)->path : NULL;
		binary = binaries_add(binaries, &notice->key, notice->slot, path);
	}
	return binary;
}

/* Without a file: the next sample's notice may be about a mapping that is still there. A file that hangs
 * does not get better by asking. */
static void on_noticed_opened(void *userdata, struct mapping_answer *answer)
{
	struct binary *binary = userdata;
	binary->opening = false;
	if (binary->is_leaving)
		return;
	if (binary->file < 0 && answer && answer->file >= 0 &&
	    (vdso_is_32_bit(binary->key.device, binary->key.inode) || is_same_file(&answer->st, &binary->key)))
		binary->file = take_fd(answer->file);
	if (!answer)
		binary->failed_opens = MAX_FAILED_OPENS;
	else if (binary->file < 0 && ++binary->failed_opens < MAX_FAILED_OPENS) {
		struct binary_entry ask_again = {.state = BINARY_PENDING};
		binary_publish(binary, &ask_again);
		return;
	}
	if (!binary->path)
		binary->path = path_of(binary->file);
	binary_request_table(binary, PARSER_SOON);
}

void binaries_on_notice(struct binaries *binaries, const struct record_new_binary *notice)
{
	struct binary *binary = binaries_find(binaries, notice->slot);
	binaries->highest_noticed = MAX_OF(binaries->highest_noticed, notice->slot);
	if (binary && binary->awaits_table)
		binary_store_hasten(binaries->store, ARTIFACT_UNWIND, binary);
	if (binary && (binary->file >= 0 || binary->opening || binary->is_leaving ||
		       binary->failed_opens >= MAX_FAILED_OPENS))
		return;
	if (!binary)
		binary = add_noticed(binaries, notice);
	if (!binary || binary->file >= 0 || binary->opening)
		return;
	binary->pid = notice->pid;
	struct mapping_question question = {.pid = notice->pid,
					    .start = notice->mapping_start,
					    .end = notice->mapping_end,
					    .inode = notice->key.inode,
					    .device = notice->key.device,
					    .path = binary->path};
	int r = mapping_open(binary_store_offload(binaries->store), binaries->proc_path, &question,
			     on_noticed_opened, binary);
	binary->opening = r == 0;
	if (r < 0)
		on_noticed_opened(binary, NULL);
}

/* Each CPU gives out its share in ascending order, over the whole range: the highest tells how far the fastest is. */
bool binaries_slots_run_out(const struct binaries *binaries)
{
	return binaries->highest_noticed >= SLOT_LIMIT - (SLOT_LIMIT - SLOT_FIRST_KERNEL_MADE) / 10;
}
