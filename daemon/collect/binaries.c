/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order matters for one thing only: an entry is made ready after its table is in the arena, and the
 * epoch moves after the entry changed, so that no CPU can use a table that is not complete.
 */
#include "collect/binaries.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"
#include "base/log.h"
#include "binary/unwind_table.h"
#include "bolometer.skel.h"
#include "collect/mapping_open.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A process that starts another program between the notice and our look takes the mapping with it: the
 * next sample's notice is about another mapping of the same file. */
#define MAX_FAILED_OPENS 16

/* A file over which one parser child after the other was killed may be why, by its hunger for memory. */
#define MAX_INTERRUPTIONS 8
#define RETRY_PAUSE_NS (5 * NS_PER_SECOND)

static uint64_t inode_hash(uint32_t device, uint64_t inode)
{
	return hash_mix(inode) ^ ((uint64_t)device << 32 | device);
}

uint64_t binary_inode_hash(const struct binary_key *key)
{
	return inode_hash(key->device, key->inode);
}

/* Of what a file on overlayfs has in common with its layer's. */
uint64_t binary_content_hash(const struct binary_key *key)
{
	return hash_mix(key->inode ^ hash_mix(key->size ^ hash_mix(key->mtime_ns)));
}

static uint64_t to_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
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
	uint64_t identity = inode_hash(device, inode);
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

/* Makes the object and files it under its slot and inode. NULL when out of memory. */
static struct binary *add_binary(struct binaries *binaries, const struct binary_key *key,
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

static int entries_map(const struct binaries *binaries)
{
	return bpf_map__fd(binaries->programs->skeleton->maps.binaries);
}

static void publish(struct binary *binary, struct binary_entry *entry)
{
	struct binaries *binaries = binary->owner;
	entry->slot = binary->slot;
	if (bpf_map_update_elem(entries_map(binaries), &binary->key, entry, BPF_ANY) < 0)
		log_debug("binary %s: %s", binary->path ? binary->path : "?", strerror(errno));
	programs_bump_binaries(binaries->programs);
}

/* Copies a checked table into the arena and describes it in *entry. Returns 0 or -errno. */
static int place_table(struct binary *binary, const struct unwind_table *table,
		       struct binary_entry *entry)
{
	struct binaries *binaries = binary->owner;
	uint32_t unit;
	int r = arena_add(&binaries->arena, table->body, table->body_size, &unit);
	if (r < 0)
		return r;
	const struct unwind_table_header *h = table->header;
	*entry = (struct binary_entry){
		.state = BINARY_READY,
		.noticed = 1,
		.palette_count = (u16)MIN_OF(h->palette_count, UINT16_MAX),
		.index = unit + h->index_offset / ARENA_UNIT,
		.rows = unit + h->rows_offset / ARENA_UNIT,
		.palette = unit + h->palette_offset / ARENA_UNIT,
		.first_page = h->first_page,
		.page_count = h->page_count,
	};
	binary->arena_unit = unit;
	binary->arena_size = table->body_size;
	binaries->statistics.table_bytes += table->body_size;
	binaries->statistics.raw_rows += h->raw_rows;
	return 0;
}

static int take_facts(struct binary *binary, const struct artifact *artifact)
{
	size_t size;
	const void *facts = artifact_section(artifact, SECTION_FACTS, &size);
	int r = facts_check(facts, size);
	if (r == 0) {
		memcpy(&binary->facts, facts, sizeof(binary->facts));
		binary->has_facts = true;
		binary->owner->with_contexts += binary->facts.context.access != THREAD_VARIABLE_NONE;
	}
	return r;
}

static void note_interruption(struct binary *binary, bool interrupted)
{
	struct binaries *binaries = binary->owner;
	binary->interrupted = interrupted && binary->interruptions++ < MAX_INTERRUPTIONS;
	if (!binary->interrupted)
		return;
	binaries->interrupted++;
	binaries->retry_not_before = monotonic_ns() + RETRY_PAUSE_NS;
}

/* Where to probe its allocators, if it has any. */
static void on_allocators(void *userdata, int error, const struct artifact *artifact)
{
	struct binary *binary = userdata;
	struct allocator_table table;
	binary->owner->pending--;
	binary->awaits_table = false;
	if (error)
		log_debug("no allocators of %s: %s", binary->path ? binary->path : "?", strerror(-error));
	if (!artifact || binary->is_leaving || binary->probes ||
	    allocator_table_open(artifact, &table) < 0)
		return;
	size_t count = MIN_OF(table.probe_count, (size_t)ALLOCATOR_MAX_PROBES);
	binary->probes = calloc(count + 1, sizeof(*binary->probes));
	if (!binary->probes)
		return;
	memcpy(binary->probes, table.probes, count * sizeof(*binary->probes));
	binary->probe_count = (uint32_t)count;
}

static void request_allocators(struct binary *binary)
{
	struct binaries *binaries = binary->owner;
	if (!binaries->wants_allocators || binary->file < 0 || binary->probes || binary->awaits_table ||
	    binary_store_request_allocators(binaries->store, binary->file, PARSER_SOON, on_allocators,
					    binary) < 0)
		return;
	binaries->pending++;
	binary->awaits_table = true;
}

void binaries_want_allocators(struct binaries *binaries)
{
	binaries->wants_allocators = true;
	for (size_t i = 0; i < binaries->list.count; i++)
		request_allocators(binaries->list.items[i]);
}

static void on_unwind(void *userdata, int error, const struct artifact *artifact)
{
	struct binary *binary = userdata;
	struct binaries *binaries = binary->owner;
	struct binary_entry entry = {.state = BINARY_FRAME_POINTERS, .noticed = 1};
	struct unwind_table table;

	binaries->pending--;
	binary->awaits_table = false;
	if (binary->is_leaving)
		return;
	binary->error = artifact ? take_facts(binary, artifact) : error;
	int r = binary->error ? binary->error : unwind_table_check(artifact, &table);
	if (r == 0)
		r = place_table(binary, &table, &entry);
	if (r == 0)
		binaries->statistics.ready++;
	else
		binaries->statistics.frame_pointers_only++;
	binary->no_room = r == -ENOSPC;
	note_interruption(binary, r == -EINTR);
	if (r == -ENOSPC)
		binaries->statistics.arena_full++;
	else if (r < 0 && r != -ENODATA)
		binaries->statistics.failed++;
	if (r < 0 && r != -ENODATA)
		log_debug("no unwind table for %s: %s", binary->path ? binary->path : "?",
			  strerror(-r));
	publish(binary, &entry);
	request_allocators(binary);
}

/* Asks for the table; without one, frame pointers have to do. */
void binary_request_table(struct binary *binary, enum parser_priority priority)
{
	struct binaries *binaries = binary->owner;
	int r = binary->file < 0 ? -ENOENT
				 : binary_store_request_unwind(binaries->store, binary->file, priority,
							 on_unwind, binary);
	if (r == 0) {
		binaries->pending++;
		binary->awaits_table = true;
		return;
	}
	binary->error = r;
	binaries->statistics.unopened++;
	struct binary_entry entry = {.state = BINARY_FRAME_POINTERS, .noticed = 1};
	publish(binary, &entry);
}

void binaries_retry_interrupted(struct binaries *binaries)
{
	if (!binaries->interrupted || monotonic_ns() < binaries->retry_not_before)
		return;
	binaries->interrupted = 0;
	for (size_t i = 0; i < binaries->list.count; i++) {
		struct binary *binary = binaries->list.items[i];
		if (!binary->interrupted || binary->is_leaving)
			continue;
		binary->interrupted = false;
		binaries->statistics.frame_pointers_only--;
		binary_request_table(binary, PARSER_AHEAD);
	}
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

/* ---- Twins -----------------------------------------------------------------------------------
 *
 * On overlayfs a file has two devices: that of its layer in the kernel's own structures, which the BPF side
 * reads, and that of the overlay in side-band, maps and stat. Each container has an overlay of its own, over
 * layers that they share. Inode number (where all is on one file system), size and time are the same.
 */

static struct binary *find_twin(const struct binaries *binaries, const struct binary_key *key)
{
	uint64_t *slot = hash_get(&binaries->by_content, binary_content_hash(key));
	struct binary *binary = slot ? binaries_find(binaries, (uint32_t)*slot) : NULL;
	bool same = binary && !binary->is_leaving && binary->key.device != key->device &&
		    binary->key.inode == key->inode && binary->key.size == key->size &&
		    binary->key.mtime_ns == key->mtime_ns;
	return same ? binary : NULL;
}

/* A cache: without it the file is opened again, and the twin found again. */
static void remember_alias(struct binaries *binaries, uint64_t identity, uint32_t slot)
{
	if (binaries->aliases.count >= binaries->limit)
		hash_clear(&binaries->aliases);
	hash_put(&binaries->aliases, identity, slot);
}

/* A file that was mapped has met its first sample: now the BPF side's key and slot are known, and nothing can
 * have referred to the others. Returns false when it has to be a binary beside it. */
static bool adopt(struct binary *twin, const struct record_new_binary *notice)
{
	struct binaries *binaries = twin->owner;
	struct binary_entry entry;
	uint64_t value = (uintptr_t)twin, *newest;
	uint64_t old = binary_inode_hash(&twin->key), new = binary_inode_hash(&notice->key);
	if (!twin->on_overlay || bpf_map_lookup_elem(entries_map(binaries), &twin->key, &entry) < 0 ||
	    hash_put(&binaries->by_slot, notice->slot, value) < 0)
		return false;
	if (hash_put(&binaries->by_inode, new, value) < 0) {
		hash_remove(&binaries->by_slot, notice->slot, NULL);
		return false;
	}
	bpf_map_delete_elem(entries_map(binaries), &twin->key);
	newest = hash_get(&binaries->by_inode, old);
	if (newest && *newest == value)
		hash_remove(&binaries->by_inode, old, NULL);
	hash_remove(&binaries->by_slot, twin->slot, NULL);
	twin->on_overlay = false;
	twin->slot = notice->slot;
	twin->key = notice->key;
	hash_put(&binaries->by_content, binary_content_hash(&twin->key), twin->slot);
	remember_alias(binaries, old, twin->slot);
	publish(twin, &entry);
	return true;
}

static void add_mapped(struct binaries *binaries, const struct binary_key *key,
		       struct mapping_answer *answer)
{
	/* Not noticed: the first sample that waits for its table is told, and has it made sooner. */
	struct binary_entry entry = {.slot = free_slot(binaries)};
	/* Met by the BPF side just now, under a slot of its own? Its notice is under way, without a path. */
	if (bpf_map_update_elem(entries_map(binaries), key, &entry, BPF_NOEXIST) < 0 &&
	    bpf_map_lookup_elem(entries_map(binaries), key, &entry) < 0)
		return; /* the map is full */
	if (binaries_find(binaries, entry.slot))
		return;
	struct binary *binary = add_binary(binaries, key, entry.slot, answer->path);
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
	uint64_t identity = inode_hash(answer->device, answer->inode);
	hash_remove(&binaries->opening, identity, NULL);
	struct binary *binary = binaries_find_file(binaries, answer->device, answer->inode);
	struct binary_key key = {.inode = answer->inode,
				 .mtime_ns = to_ns(answer->st.st_mtim),
				 .size = (uint64_t)answer->st.st_size,
				 .device = answer->device};
	if (!binary && answer->file >= 0) {
		binary = answer->on_overlay ? find_twin(binaries, &key) : NULL;
		if (binary)
			remember_alias(binaries, identity, binary->slot);
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
	uint64_t identity = inode_hash(mapping->device, mapping->inode);
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

/* ---- The vDSO -------------------------------------------------------------------------------- */

/* Size of the vDSO image: up to the end of its section headers, as the kernel builds it. */
static size_t vdso_size(const Elf64_Ehdr *header)
{
	size_t end = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	return end > sizeof(*header) && end < (1 << 20) ? end : 0;
}

/* A read-only descriptor of our own copy of the image, or -errno. */
static int open_vdso(void)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR);
	size_t size = header ? vdso_size(header) : 0;
	if (size == 0)
		return -ENOENT;
	_cleanup_fd_ int memory = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0)
		return -errno;
	int r = write_all(memory, header, size);
	if (r < 0)
		return r;
	/* Sealed, it is the same file in each recording, and the cache knows it. */
	if (fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	return file < 0 ? -errno : file;
}

static int add_vdso(struct binaries *binaries)
{
	struct binary_key key = {0};
	struct binary *binary = add_binary(binaries, &key, SLOT_VDSO, "[vdso]");
	if (!binary)
		return -ENOMEM;
	binary->file = open_vdso();
	/* Known before the first sample: the BPF side would give it a slot of its own. */
	struct binary_entry entry = {.noticed = 1};
	publish(binary, &entry);
	binary_request_table(binary, PARSER_SOON);
	return 0;
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
	struct binary *twin = find_twin(binaries, &notice->key), *binary = twin;
	if (!twin || !adopt(twin, notice)) {
		uint64_t *older = hash_get(&binaries->by_inode, binary_inode_hash(&notice->key));
		const char *path = older ? ((struct binary *)(uintptr_t)*older)->path : NULL;
		binary = add_binary(binaries, &notice->key, notice->slot, path);
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
	    is_same_file(&answer->st, &binary->key))
		binary->file = take_fd(answer->file);
	if (!answer)
		binary->failed_opens = MAX_FAILED_OPENS;
	else if (binary->file < 0 && ++binary->failed_opens < MAX_FAILED_OPENS) {
		struct binary_entry ask_again = {.state = BINARY_PENDING};
		publish(binary, &ask_again);
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
