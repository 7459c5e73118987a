/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each frame word becomes a location once; words that mean something only in their process (JIT code)
 * once for each process and generation of code. One address space: a location's address is the ELF
 * virtual address, its mapping the PT_LOAD that holds it, so a function in two processes is one.
 */
#include "profile/profile_builder_state.h"

#include "base/file.h"
#include "base/text.h"
#include "binary/file_identity.h"
#include "process/jit_map.h"

#include <stdio.h>

#define KERNEL_MAPPING_FILE "[kernel.kallsyms]"
#define JIT_MAPPING_FILE "[jit]"
#define VSYSCALL_MAPPING_FILE "[vsyscall]" /* as /proc/PID/maps calls it */
#define KERNEL_NOTES "/sys/kernel/notes"
#define MAX_KERNEL_NOTES 65536
#define MAX_FRAMES_AT_ADDRESS 64

static const char *const end_texts[] = {
#define STACK_END_TEXT(id, text) "[" text "]",
	BOLOMETER_STACK_ENDS(STACK_END_TEXT)
#undef STACK_END_TEXT
};

/* ---- Mappings and functions ------------------------------------------------------------------ */

static uint32_t add_mapping(struct builder *b, uint64_t key, struct profile_mapping mapping)
{
	const uint64_t *known = hash_get(&b->mappings, key);
	if (known)
		return (uint32_t)*known;
	CHECK(b, array_add(&b->profile->mappings, mapping));
	CHECK(b, hash_put(&b->mappings, key, b->profile->mappings.count - 1));
	return b->failed ? PROFILE_NONE : (uint32_t)b->profile->mappings.count - 1;
}

/* The mapping of one segment of a binary; the whole file where the segment is not known. */
static uint32_t binary_mapping(struct builder *b, const struct binary *binary, uint64_t address)
{
	const struct facts_segment *segment =
		binary->has_facts ? facts_segment_of(&binary->facts, address) : NULL;
	/* Its texts are made once, not for each location in it. */
	uint64_t place = hash_mix((uintptr_t)binary) ^ hash_mix(segment ? segment->address + 1 : 0);
	const uint64_t *known = hash_get(&b->segments, place);
	if (known)
		return (uint32_t)*known;
	char build_id[2 * BUILD_ID_MAX + 1] = "";
	if (binary->has_facts)
		facts_build_id_text(&binary->facts, build_id);
	char htlhash[2 * FACTS_HTLHASH_SIZE + 1] = "";
	if (binary->has_facts)
		facts_htlhash_text(&binary->facts, htlhash);
	struct profile_mapping mapping = {
		.start = segment ? segment->address : 0,
		.limit = segment ? segment->address + segment->memory_size : binary->key.size,
		.offset = segment ? segment->offset : 0,
		.file = builder_string(b, binary->path ? binary->path : PROFILE_UNKNOWN_FILE),
		.build_id = builder_string(b, build_id),
		.go_build_id = builder_string(b, binary->has_facts ? binary->facts.go_build_id : ""),
		.htlhash = builder_string(b, htlhash),
	};
	uint64_t key = hash_mix((uint64_t)mapping.file << 32 | mapping.build_id) ^
		       hash_mix(mapping.start + 1);
	uint32_t index = add_mapping(b, key, mapping);
	if (!b->failed)
		CHECK(b, hash_put(&b->segments, place, index));
	return index;
}

static uint32_t special_mapping(struct builder *b, const char *file)
{
	struct profile_mapping mapping = {.file = builder_string(b, file)};
	return add_mapping(b, hash_mix(mapping.file), mapping);
}

/* The kernel's image is no file to be hashed: its notes, which hold its build id, and the name of the
 * image or module stand for it. */
static uint32_t kernel_mapping(struct builder *b, const char *file)
{
	struct profile_mapping mapping = {.file = builder_string(b, file)};
	const uint64_t *known = hash_get(&b->mappings, hash_mix(mapping.file));
	if (known)
		return (uint32_t)*known;
	if (!b->kernel_notes)
		read_whole_file(KERNEL_NOTES, MAX_KERNEL_NOTES, &b->kernel_notes,
				&b->kernel_notes_size);
	struct text identity = {0};
	struct binary_facts facts = {0};
	char htlhash[2 * FACTS_HTLHASH_SIZE + 1];
	text_add_bytes(&identity, b->kernel_notes, b->kernel_notes ? b->kernel_notes_size : 0);
	text_add_string(&identity, file);
	if (identity.failed)
		b->failed = true;
	else
		bytes_htlhash(identity.bytes, identity.length, facts.htlhash);
	text_free(&identity);
	mapping.htlhash = builder_string(b, facts_htlhash_text(&facts, htlhash));
	return add_mapping(b, hash_mix(mapping.file), mapping);
}

static uint32_t add_function(struct builder *b, const struct symbol_frame *frame)
{
	struct profile_function function = {
		.name = builder_string(b, frame->name),
		.system_name = builder_string(b, frame->system_name),
		.file = builder_string(b, frame->file),
		.start_line = frame->start_line,
	};
	uint64_t key = hash_mix((uint64_t)function.name << 32 | function.system_name) ^
		       hash_mix((uint64_t)function.file << 32 | function.start_line);
	const uint64_t *known = hash_get(&b->functions, key);
	if (known)
		return (uint32_t)*known;
	CHECK(b, array_add(&b->profile->functions, function));
	CHECK(b, hash_put(&b->functions, key, b->profile->functions.count - 1));
	return b->failed ? PROFILE_NONE : (uint32_t)b->profile->functions.count - 1;
}

static void add_line(struct builder *b, struct profile_location *location,
		     const struct symbol_frame *frame)
{
	struct profile_line line = {.function = add_function(b, frame),
				    .line = frame->line,
				    .column = frame->column};
	if (location->line_count == 0)
		location->first_line = (uint32_t)b->profile->lines.count;
	location->line_count++;
	CHECK(b, array_add(&b->profile->lines, line));
	if (location->mapping == PROFILE_NONE)
		return;
	struct profile_mapping *mapping = &b->profile->mappings.items[location->mapping];
	mapping->has_functions = true;
	mapping->has_filenames |= frame->file[0] != '\0';
	mapping->has_line_numbers |= frame->line != 0;
	mapping->has_inline_frames |= location->line_count > 1;
}

/* ---- Locations ------------------------------------------------------------------------------- */

static struct profile_location file_location(struct builder *b, uint64_t word)
{
	uint64_t offset = word & FRAME_OFFSET_MASK, address = offset;
	struct binary *binary = binaries_find(b->binaries, (uint32_t)(word >> FRAME_OFFSET_BITS));
	struct profile_location location = {.mapping = PROFILE_NONE, .address = offset};
	if (!binary)
		return location;
	if (binary->has_facts)
		facts_offset_to_address(&binary->facts, offset, &address);
	location.address = address;
	location.mapping = binary_mapping(b, binary, address);
	if (binary->has_facts && binary->facts.flags & FACTS_IS_GO)
		location.type = FRAME_TYPE_GO;
	if (!b->options->symbolizer || location.mapping == PROFILE_NONE)
		return location;
	struct symbol_frame frames[MAX_FRAMES_AT_ADDRESS];
	size_t count = symbolizer_find(b->options->symbolizer, binary, address, frames,
				       ARRAY_LENGTH(frames));
	for (size_t i = 0; i < count; i++)
		add_line(b, &location, &frames[i]);
	return location;
}

static struct profile_location kernel_location(struct builder *b, uint64_t address, uint64_t time)
{
	struct symbol_frame frame;
	const char *module = "";
	bool named = b->options->symbolizer &&
		     symbolizer_find_kernel(b->options->symbolizer, address, time, &frame, &module);
	char file[128] = KERNEL_MAPPING_FILE;
	if (module[0])
		snprintf(file, sizeof(file), "[%s]", module);
	struct profile_location location = {.mapping = kernel_mapping(b, file),
					    .address = address,
					    .type = FRAME_TYPE_KERNEL};
	if (named)
		add_line(b, &location, &frame);
	return location;
}

static struct profile_location end_location(struct builder *b, uint64_t word)
{
	uint64_t end = word & FRAME_PAYLOAD_MASK;
	struct profile_location location = {.mapping = PROFILE_NONE, .type = FRAME_TYPE_MARK};
	const char *text = end < STACK_END_MAX ? end_texts[end] : "[unknown end]";
	struct symbol_frame frame = {.name = text, .system_name = text, .file = ""};
	add_line(b, &location, &frame);
	return location;
}

static struct profile_location jit_location(struct builder *b, uint64_t address, bool named,
					    const struct jit_symbol *symbol)
{
	struct profile_location location = {.mapping = special_mapping(b, JIT_MAPPING_FILE),
					    .address = address,
					    .type = FRAME_TYPE_JIT};
	if (named) {
		struct symbol_frame frame = {.name = symbol->name,
					     .system_name = symbol->name,
					     .file = symbol->file ? symbol->file : "",
					     .line = symbol->line};
		add_line(b, &location, &frame);
	}
	return location;
}

static struct profile_location vsyscall_location(struct builder *b, uint64_t address)
{
	return (struct profile_location){.mapping = special_mapping(b, VSYSCALL_MAPPING_FILE),
					 .address = address,
					 .type = FRAME_TYPE_NATIVE};
}

static uint32_t keep_location(struct builder *b, uint64_t key, struct profile_location location)
{
	CHECK(b, array_add(&b->profile->locations, location));
	CHECK(b, hash_put(&b->locations, key, b->profile->locations.count - 1));
	return (uint32_t)b->profile->locations.count - 1;
}

/* Code outside files, by the process's own map at the time of the sample. */
static uint32_t address_location_of(struct builder *b, uint64_t address,
				    const struct aggregate_entry *entry)
{
	uint64_t extended = address | ~FRAME_PAYLOAD_MASK; /* the upper half lost its first bits in the word */
	bool is_vsyscall = extended - VSYSCALL_ADDRESS < VSYSCALL_SIZE;
	struct jit_symbol symbol = {0};
	bool named = !is_vsyscall && b->options->symbolizer && entry->process->jit &&
		     jit_map_find(entry->process->jit, address, entry->time, &symbol);
	uint64_t key = hash_mix(address) ^ hash_mix((uintptr_t)entry->process + symbol.generation);
	const uint64_t *known = hash_get(&b->locations, key);
	uint32_t location = known ? (uint32_t)*known
				  : keep_location(b, key, is_vsyscall ? vsyscall_location(b, extended)
								      : jit_location(b, address, named, &symbol));
	if (named)
		jit_map_release(entry->process->jit);
	return location;
}

uint32_t builder_location(struct builder *b, uint64_t word, const struct aggregate_entry *entry)
{
	if (word >> 60 == FRAME_ADDRESS)
		return address_location_of(b, word & FRAME_PAYLOAD_MASK, entry);
	uint64_t key = word;
	if (word >> 60 == FRAME_KERNEL && b->options->symbolizer)
		key ^= symbolizer_kernel_code(b->options->symbolizer, word, entry->time);
	const uint64_t *known = hash_get(&b->locations, key);
	if (known)
		return (uint32_t)*known;
	struct profile_location location;
	if (word >> 60 == FRAME_KERNEL)
		location = kernel_location(b, word, entry->time);
	else if (word >> 60 == FRAME_END)
		location = end_location(b, word);
	else
		location = file_location(b, word);
	return keep_location(b, key, location);
}
