/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each frame word becomes a location once; words that mean something only in their process (JIT code)
 * once for each process and generation of code. One address space: a location's address is the ELF
 * virtual address, its mapping the PT_LOAD that holds it, so a function in two processes is one.
 */
#include "profile/profile_builder.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "binary/file_identity.h"
#include "process/jit_map.h"
#include "process/process_origin.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KERNEL_MAPPING_FILE "[kernel.kallsyms]"
#define JIT_MAPPING_FILE "[jit]"
#define VSYSCALL_MAPPING_FILE "[vsyscall]" /* as /proc/PID/maps calls it */
#define KERNEL_NOTES "/sys/kernel/notes"
#define MAX_KERNEL_NOTES 65536
#define MAX_FRAMES_AT_ADDRESS 64
#define EXACT_HEAP_TYPES 6 /* sample types of a heap profile without estimates */
#define FREED_HEAP_TYPE 4  /* freed_objects among them; then freed_space */

static const char *const end_texts[] = {
#define STACK_END_TEXT(id, text) "[" text "]",
	BOLOMETER_STACK_ENDS(STACK_END_TEXT)
#undef STACK_END_TEXT
};

struct builder {
	const struct aggregate *aggregate;
	const struct aggregate_window *window;
	const struct binaries *binaries;
	const struct profile_builder_options *options;
	struct profile_builder_statistics *statistics;
	struct profile *profile;
	struct hash locations; /* hash of what identifies it -> index */
	struct hash mappings;  /* same */
	struct hash segments;  /* binary and start of its segment -> index of the mapping */
	struct hash functions; /* same */
	struct hash resources; /* address of a struct process -> index + 1 */
	struct hash links;     /* the window's number of a link -> index + 1 */
	char *kernel_notes;    /* identity of the running kernel; NULL: not read yet, or unreadable */
	size_t kernel_notes_size;
	bool failed;	       /* out of memory */
};

#define CHECK(b, expression)                     \
	do {                                     \
		if ((expression) < 0)            \
			(b)->failed = true;      \
	} while (0)

static uint32_t string(struct builder *b, const char *text)
{
	return profile_string(b->profile, text, &b->failed);
}

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
		.file = string(b, binary->path ? binary->path : "[unknown file]"),
		.build_id = string(b, build_id),
		.go_build_id = string(b, binary->has_facts ? binary->facts.go_build_id : ""),
		.htlhash = string(b, htlhash),
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
	struct profile_mapping mapping = {.file = string(b, file)};
	return add_mapping(b, hash_mix(mapping.file), mapping);
}

/* The kernel's image is no file to be hashed: its notes, which hold its build id, and the name of the
 * image or module stand for it. */
static uint32_t kernel_mapping(struct builder *b, const char *file)
{
	struct profile_mapping mapping = {.file = string(b, file)};
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
	mapping.htlhash = string(b, facts_htlhash_text(&facts, htlhash));
	return add_mapping(b, hash_mix(mapping.file), mapping);
}

static uint32_t add_function(struct builder *b, const struct symbol_frame *frame)
{
	struct profile_function function = {
		.name = string(b, frame->name),
		.system_name = string(b, frame->system_name),
		.file = string(b, frame->file),
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

static struct profile_location kernel_location(struct builder *b, uint64_t address)
{
	struct symbol_frame frame;
	const char *module = "";
	bool named = b->options->symbolizer &&
		     symbolizer_find_kernel(b->options->symbolizer, address, &frame, &module);
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
	if (known)
		return (uint32_t)*known;
	return keep_location(b, key, is_vsyscall ? vsyscall_location(b, extended)
						 : jit_location(b, address, named, &symbol));
}

static uint32_t location_of(struct builder *b, uint64_t word, const struct aggregate_entry *entry)
{
	if (word >> 60 == FRAME_ADDRESS)
		return address_location_of(b, word & FRAME_PAYLOAD_MASK, entry);
	const uint64_t *known = hash_get(&b->locations, word);
	if (known)
		return (uint32_t)*known;
	struct profile_location location;
	if (word >> 60 == FRAME_KERNEL)
		location = kernel_location(b, word);
	else if (word >> 60 == FRAME_END)
		location = end_location(b, word);
	else
		location = file_location(b, word);
	return keep_location(b, word, location);
}

/* ---- Samples --------------------------------------------------------------------------------- */

static void add_label(struct builder *b, struct profile_sample *sample, const char *key,
		      const char *text, int64_t number)
{
	struct profile_label label = {.key = string(b, key),
				      .text = text ? string(b, text) : 0,
				      .number = number};
	CHECK(b, array_add(&b->profile->labels, label));
	sample->label_count++;
}

/* Of the resource's attributes, those by which people tell samples apart in a pprof file. */
static void add_origin_labels(struct builder *b, struct profile_sample *sample)
{
	static const char *const keys[] = {"container.id", "service.name", "k8s.namespace.name",
					   "k8s.pod.name", "k8s.container.name"};
	const struct profile_resource *resource = &b->profile->resources.items[sample->resource - 1];
	uint32_t wanted[ARRAY_LENGTH(keys)];
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		wanted[i] = string(b, keys[i]);
	for (uint32_t i = 0; i < resource->attribute_count && !b->failed; i++) {
		struct profile_label label =
			b->profile->resource_attributes.items[resource->first_attribute + i];
		for (size_t k = 0; k < ARRAY_LENGTH(keys); k++) {
			if (label.key != wanted[k])
				continue;
			CHECK(b, array_add(&b->profile->labels, label));
			sample->label_count++;
		}
	}
}

static void add_id_label(struct builder *b, struct profile_sample *sample, const char *key, const uint8_t *id,
			 size_t size)
{
	char digits[2 * sizeof((struct record_trace){0}.trace_id) + 1];
	for (size_t i = 0; i < size; i++)
		snprintf(digits + 2 * i, 3, "%02x", id[i]);
	add_label(b, sample, key, digits, 0);
}

/* The text form of the ids is W3C's, of Trace Context: lower-case hexadecimal digits. */
static void add_link_labels(struct builder *b, struct profile_sample *sample, const struct record_trace *trace)
{
	add_id_label(b, sample, PROFILE_TRACE_ID, trace->trace_id, sizeof(trace->trace_id));
	add_id_label(b, sample, PROFILE_SPAN_ID, trace->span_id, sizeof(trace->span_id));
}

static void add_labels(struct builder *b, struct profile_sample *sample,
		       const struct aggregate_entry *entry)
{
	const struct process *process = entry->process;
	add_label(b, sample, "process.pid", NULL, process->pid);
	add_label(b, sample, "process.executable.name", process->executable_name, 0);
	add_label(b, sample, "thread.id", NULL, entry->tid);
	add_label(b, sample, "thread.name", entry->comm, 0);
	add_origin_labels(b, sample);
	if (entry->cpu != AGGREGATE_ANY_CPU)
		add_label(b, sample, "cpu.logical_number", NULL, entry->cpu);
	if (b->options->link_labels && entry->link)
		add_link_labels(b, sample, &b->window->links.items[entry->link - 1]);
}

static void add_resource_attribute(struct builder *b, const char *key, const char *text,
				   int64_t number, bool is_guess)
{
	struct profile_label attribute = {.key = string(b, key),
					  .text = text ? string(b, text) : 0,
					  .number = number,
					  .is_guess = is_guess};
	CHECK(b, array_add(&b->profile->resource_attributes, attribute));
}

static void add_origin_attribute(void *userdata, const struct origin_attribute *attribute)
{
	add_resource_attribute(userdata, attribute->key, attribute->value, 0, attribute->is_guess);
}

/* What OpenTelemetry calls the resource: the process and where it runs. Returns index + 1; 0 when out of
 * memory. */
static uint32_t resource_of(struct builder *b, const struct process *process)
{
	const uint64_t *known = hash_get(&b->resources, (uintptr_t)process);
	if (known)
		return (uint32_t)*known;
	struct profile_resource resource = {
		.first_attribute = (uint32_t)b->profile->resource_attributes.count};
	add_resource_attribute(b, "process.pid", NULL, process->pid, false);
	add_resource_attribute(b, "process.executable.name", process->executable_name, 0, false);
	if (process->executable_path)
		add_resource_attribute(b, "process.executable.path", process->executable_path, 0,
				       false);
	process_origin_visit(process, b->options->pod_names, monotonic_ns(), add_origin_attribute,
			     b);
	resource.attribute_count =
		(uint32_t)b->profile->resource_attributes.count - resource.first_attribute;
	CHECK(b, array_add(&b->profile->resources, resource));
	CHECK(b, hash_put(&b->resources, (uintptr_t)process, b->profile->resources.count));
	return b->failed ? 0 : (uint32_t)b->profile->resources.count;
}

/* Those of the window that samples here refer to. Returns index + 1. */
static uint32_t link_of(struct builder *b, uint32_t link)
{
	const uint64_t *known = hash_get(&b->links, link);
	if (known)
		return (uint32_t)*known;
	const struct record_trace *trace = &b->window->links.items[link - 1];
	struct profile_link added;
	memcpy(added.trace_id, trace->trace_id, sizeof(added.trace_id));
	memcpy(added.span_id, trace->span_id, sizeof(added.span_id));
	CHECK(b, array_add(&b->profile->links, added));
	CHECK(b, hash_put(&b->links, link, b->profile->links.count));
	return (uint32_t)b->profile->links.count;
}

/* The chain of an entry's times runs from the newest to the oldest. */
static void add_timestamps(struct builder *b, struct profile_sample *sample,
			   const struct aggregate_entry *entry)
{
	const struct aggregate_time *times = b->window->times.items;
	size_t first = b->profile->timestamps.count;
	uint32_t count = 0;
	for (uint32_t i = entry->last_time; i != AGGREGATE_NO_TIME; i = times[i].previous)
		count++;
	sample->first_timestamp = (uint32_t)first;
	sample->timestamp_count = count;
	if (count == 0)
		return;
	CHECK(b, array_reserve(&b->profile->timestamps, first + count));
	if (b->failed)
		return;
	b->profile->timestamps.count = first + count;
	for (uint32_t i = entry->last_time; i != AGGREGATE_NO_TIME; i = times[i].previous)
		b->profile->timestamps.items[first + --count] =
			(int64_t)times[i].time + b->options->realtime_offset_ns;
}

static void add_heap_values(struct builder *b, const struct aggregate_entry *entry)
{
	const struct heap_told *heap = b->options->heap;
	const struct heap_values *values = &heap->values[entry - b->window->entries.items];
	int64_t in_order[] = {values->objects, values->bytes, values->held_objects, values->held_bytes,
			      0, 0, /* freed: see add_freed_samples() */
			      values->estimated_bytes, values->least_bytes, values->watched, values->outlived};
	size_t count = heap->has_estimates ? ARRAY_LENGTH(in_order) : EXACT_HEAP_TYPES;
	for (size_t i = 0; i < count; i++)
		CHECK(b, array_add(&b->profile->values, in_order[i]));
}

/* In the order of add_header()'s sample types. */
static void add_values(struct builder *b, const struct aggregate_entry *entry)
{
	if (b->window->kind == PROFILE_KIND_HEAP) {
		add_heap_values(b, entry);
		return;
	}
	CHECK(b, array_add(&b->profile->values, (int64_t)entry->count));
	if (b->window->kind == PROFILE_KIND_CPU) {
		CHECK(b, array_add(&b->profile->values, (int64_t)entry->weight));
		return;
	}
	for (unsigned event = EVENT_GROWTH; event <= EVENT_COPIED; event++)
		CHECK(b, array_add(&b->profile->values,
				   entry->event == event ? (int64_t)entry->weight : 0));
}

/* In the order of add_header()'s sample types. */
static void add_freed_values(struct builder *b, int64_t objects, int64_t bytes)
{
	for (size_t i = 0; i < b->profile->sample_types.count; i++)
		CHECK(b, array_add(&b->profile->values, i == FREED_HEAP_TYPE	   ? objects
							: i == FREED_HEAP_TYPE + 1 ? bytes
										   : 0));
}

/* A class of lifetimes is told by what all in it lived less than; the last one, which has no such time, by what it
 * would be. */
static int64_t lifetime_of_class(unsigned class)
{
	return (int64_t)(HEAP_LIFETIME_BOUND_NS(class) / NS_PER_MS);
}

/* What was freed of a sample's place, as samples of their own with the same stack and labels and one label more. */
static void add_freed_samples(struct builder *b, const struct profile_sample *of, const struct heap_freed *freed)
{
	for (unsigned class = 0; class < HEAP_LIFETIMES && !b->failed; class++) {
		struct profile_sample sample = *of;
		if (!freed->objects[class] && !freed->bytes[class])
			continue;
		sample.first_label = (uint32_t)b->profile->labels.count;
		for (uint32_t i = 0; i < of->label_count && !b->failed; i++) {
			struct profile_label copy = b->profile->labels.items[of->first_label + i];
			CHECK(b, array_add(&b->profile->labels, copy));
		}
		add_label(b, &sample, "lifetime", NULL, lifetime_of_class(class));
		if (b->failed)
			return;
		b->profile->labels.items[b->profile->labels.count - 1].unit = string(b, "milliseconds");
		add_freed_values(b, freed->objects[class], freed->bytes[class]);
		CHECK(b, array_add(&b->profile->samples, sample));
	}
}

static void add_sample(struct builder *b, const struct aggregate_entry *entry)
{
	const struct aggregate_stack *stack = &b->aggregate->stacks.items[entry->stack];
	const uint64_t *words = &b->aggregate->frames.items[stack->first_frame];
	size_t count = (size_t)stack->kernel_frames + stack->user_frames;
	struct profile_sample sample = {
		.first_location = (uint32_t)b->profile->stack_locations.count,
		.first_label = (uint32_t)b->profile->labels.count,
	};
	for (size_t i = 0; i < count && !b->failed; i++) {
		uint32_t location = location_of(b, words[i], entry);
		if (b->failed)
			return;
		CHECK(b, array_add(&b->profile->stack_locations, location));
		sample.location_count++;
		const struct profile_location *l = &b->profile->locations.items[location];
		uint64_t unnamed = l->line_count ? 0 : entry->count;
		b->statistics->frames += entry->count;
		b->statistics->unnamed += unnamed;
		b->statistics->of_type[l->type].frames += entry->count;
		b->statistics->of_type[l->type].unnamed += unnamed;
	}
	if (b->options->labels) {
		sample.resource = resource_of(b, entry->process);
		if (b->failed)
			return;
		add_labels(b, &sample, entry);
	}
	sample.link = entry->link ? link_of(b, entry->link) : 0;
	add_timestamps(b, &sample, entry);
	add_values(b, entry);
	CHECK(b, array_add(&b->profile->samples, sample));
	if (b->window->kind == PROFILE_KIND_HEAP)
		add_freed_samples(b, &sample, &b->options->heap->values[entry - b->window->entries.items].freed);
}

static struct profile_value_type add_sample_type(struct builder *b, const char *type, const char *unit)
{
	struct profile_value_type added = {string(b, type), string(b, unit)};
	CHECK(b, array_add(&b->profile->sample_types, added));
	return added;
}

static void add_header(struct builder *b)
{
	struct profile *p = b->profile;
	if (b->window->kind == PROFILE_KIND_HEAP) {
		add_sample_type(b, "alloc_objects", "count");
		add_sample_type(b, "alloc_space", "bytes");
		add_sample_type(b, "inuse_objects", "count");
		p->default_sample_type = add_sample_type(b, "inuse_space", "bytes").type;
		add_sample_type(b, "freed_objects", "count");
		add_sample_type(b, "freed_space", "bytes");
		if (b->options->heap->has_estimates) {
			add_sample_type(b, "inuse_estimated_space", "bytes");
			add_sample_type(b, "inuse_estimated_least_space", "bytes");
			add_sample_type(b, "inuse_watched_samples", "count");
			add_sample_type(b, "inuse_outlived_samples", "count");
			p->default_sample_type = string(b, "alloc_space");
		}
		p->period_type =
			(struct profile_value_type){string(b, "space"), string(b, "bytes")};
		p->period = (int64_t)b->options->heap->interval;
		return;
	}
	add_sample_type(b, "samples", "count");
	if (b->window->kind == PROFILE_KIND_CPU) {
		p->period_type = add_sample_type(b, "cpu", "nanoseconds");
		p->period = (int64_t)b->options->period_ns;
		p->default_sample_type = p->period_type.type;
		return;
	}
	p->default_sample_type = add_sample_type(b, "growth_space", "bytes").type;
	add_sample_type(b, "copied_space", "bytes");
	p->period_type = (struct profile_value_type){string(b, "page_faults"), string(b, "count")};
	p->period = 1; /* at least: it is raised where they are many, and each sample weighed by it */
}

static bool is_wanted(const struct builder *b, const struct aggregate_entry *entry)
{
	const struct process *only = b->options->only;
	const struct heap_told *heap = b->options->heap;
	if (b->window->kind == PROFILE_KIND_HEAP &&
	    !heap_values_any(&heap->values[entry - b->window->entries.items]))
		return false;
	if (b->options->only_pid && entry->process->pid != b->options->only_pid)
		return false;
	return !only || (entry->process->pid == only->pid &&
			 entry->process->start_time == only->start_time);
}

int profile_build(const struct aggregate *aggregate, const struct aggregate_window *window,
		  const struct binaries *binaries, const struct profile_builder_options *options,
		  struct profile_builder_statistics *statistics, struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = NULL;
	int r = profile_new(&profile);
	if (r < 0)
		return r;
	struct builder b = {.aggregate = aggregate,
			    .window = window,
			    .binaries = binaries,
			    .options = options,
			    .statistics = statistics,
			    .profile = profile};
	add_header(&b);
	for (size_t i = 0; i < window->entries.count && !b.failed; i++)
		if (is_wanted(&b, &window->entries.items[i]))
			add_sample(&b, &window->entries.items[i]);
	hash_free(&b.locations);
	hash_free(&b.mappings);
	hash_free(&b.segments);
	hash_free(&b.functions);
	hash_free(&b.resources);
	hash_free(&b.links);
	free(b.kernel_notes);
	if (b.failed)
		return -ENOMEM;
	*ret = take_pointer(profile);
	return 0;
}

bool profile_prepare_stack(const struct aggregate *aggregate, size_t index,
			   const struct binaries *binaries, struct symbolizer *symbolizer)
{
	const struct aggregate_stack *stack = &aggregate->stacks.items[index];
	const uint64_t *words = &aggregate->frames.items[stack->first_frame];
	size_t count = (size_t)stack->kernel_frames + stack->user_frames;
	bool all_known = true;
	for (size_t i = 0; i < count; i++) {
		if (words[i] >> 60 >= FRAME_ADDRESS)
			continue;
		struct binary *binary =
			binaries_find(binaries, (uint32_t)(words[i] >> FRAME_OFFSET_BITS));
		uint64_t address;
		if (!binary || !binary->has_facts) {
			all_known = all_known && binary && binary->error;
			continue;
		}
		symbolizer_prepare(symbolizer, binary);
		if (facts_offset_to_address(&binary->facts, words[i] & FRAME_OFFSET_MASK, &address))
			symbolizer_want_lines(symbolizer, binary, address);
	}
	return all_known;
}
