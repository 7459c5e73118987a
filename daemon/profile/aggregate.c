/* SPDX-License-Identifier: Apache-2.0 */
/* One hash lookup for the stack, one for the entry in each window: about what a sample costs here. */
#include "profile/aggregate.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_FRAMES (16UL << 20)
#define DEFAULT_ENTRIES (4UL << 20)

void aggregate_init(struct aggregate *aggregate, const struct aggregate_limits *limits)
{
	*aggregate = (struct aggregate){0};
	if (limits)
		aggregate->limits = *limits;
	if (!aggregate->limits.frames)
		aggregate->limits.frames = DEFAULT_FRAMES;
	if (!aggregate->limits.entries)
		aggregate->limits.entries = DEFAULT_ENTRIES;
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		aggregate->current[kind].kind = (enum profile_kind)kind;
	/* When a place was first met says nothing. */
	aggregate->current[PROFILE_KIND_HEAP].no_times = true;
}

static void window_clear(struct aggregate_window *window)
{
	for (size_t i = 0; i < window->entries.count; i++)
		process_unreference(window->entries.items[i].process);
	array_shrink(&window->entries, window->entries.count);
	array_shrink(&window->times, window->times.count);
	array_shrink(&window->links, window->links.count);
	window->entries.count = 0;
	window->times.count = 0;
	window->links.count = 0;
	window->growth_squares = 0;
	hash_clear(&window->links_by_trace);
	hash_clear(&window->entries_by_key);
}

static void window_free(struct aggregate_window *window)
{
	window_clear(window);
	array_free(&window->entries);
	array_free(&window->times);
	array_free(&window->links);
	hash_free(&window->links_by_trace);
	hash_free(&window->entries_by_key);
}

void aggregate_next(struct aggregate *aggregate)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (kind != PROFILE_KIND_HEAP)
			window_clear(&aggregate->current[kind]);
	aggregate->age++;
}

int aggregate_keep(struct aggregate_window *window, const bool *keep)
{
	struct hash by_key = {0};
	size_t kept = 0;
	int r = 0;
	for (size_t i = 0; i < window->entries.count && r == 0; i++)
		if (keep[i])
			r = hash_put(&by_key, window->entries.items[i].key, kept++);
	if (r < 0) {
		hash_free(&by_key);
		return -ENOMEM;
	}
	kept = 0;
	for (size_t i = 0; i < window->entries.count; i++) {
		if (keep[i])
			window->entries.items[kept++] = window->entries.items[i];
		else
			process_unreference(window->entries.items[i].process);
	}
	window->entries.count = kept;
	hash_free(&window->entries_by_key);
	window->entries_by_key = by_key;
	return 0;
}

void aggregate_open(struct aggregate *aggregate, struct aggregate_window *window)
{
	window->next = aggregate->opened;
	aggregate->opened = window;
}

void aggregate_close(struct aggregate *aggregate, struct aggregate_window *window)
{
	struct aggregate_window **at = &aggregate->opened;
	while (*at && *at != window)
		at = &(*at)->next;
	if (*at)
		*at = window->next;
	window_free(window);
}

void aggregate_deinit(struct aggregate *aggregate)
{
	while (aggregate->opened)
		aggregate_close(aggregate, aggregate->opened);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		window_free(&aggregate->current[kind]);
	array_free(&aggregate->frames);
	array_free(&aggregate->stacks);
	hash_free(&aggregate->stacks_by_id);
}

/* ---- Stacks ---------------------------------------------------------------------------------- */

static int add_stack(struct aggregate *a, const struct record_sample *sample,
		     const uint64_t *frames, uint32_t *ret_index)
{
	size_t words = (size_t)sample->kernel_frames + sample->user_frames;
	if (a->frames.count + words > a->limits.frames)
		return -ENOSPC;
	struct aggregate_stack stack = {
		.id = sample->stack_id,
		.first_frame = (uint32_t)a->frames.count,
		.last_used = a->age,
		.kernel_frames = sample->kernel_frames,
		.user_frames = sample->user_frames,
		.has_addresses = sample->flags & SAMPLE_HAS_ADDRESSES,
	};
	int r = array_reserve(&a->frames, a->frames.count + words);
	if (r == 0)
		r = array_add(&a->stacks, stack);
	if (r == 0)
		r = hash_put(&a->stacks_by_id, sample->stack_id, a->stacks.count - 1);
	if (r < 0)
		return r;
	if (words)
		memcpy(a->frames.items + a->frames.count, frames, words * sizeof(*frames));
	a->frames.count += words;
	*ret_index = (uint32_t)a->stacks.count - 1;
	return 0;
}

/* The index of the sample's stack. Returns 0, or negative when it is not known or does not fit. */
static int find_stack(struct aggregate *a, const struct record_sample *sample,
		      const uint64_t *frames, uint32_t *ret_index)
{
	const uint64_t *known = hash_get(&a->stacks_by_id, sample->stack_id);
	if (known) {
		*ret_index = (uint32_t)*known;
		a->stacks.items[*known].last_used = a->age;
		return 0;
	}
	return frames ? add_stack(a, sample, frames, ret_index) : -ENOENT;
}

bool aggregate_is_crowded(const struct aggregate *aggregate)
{
	return aggregate->frames.count > aggregate->limits.frames / 2;
}

static void hold_stacks(struct aggregate *a, const struct aggregate_window *window)
{
	for (size_t i = 0; i < window->entries.count; i++)
		a->stacks.items[window->entries.items[i].stack].last_used = a->age;
}

static void move_entries(struct aggregate_window *window, const uint32_t *new_indices)
{
	for (size_t i = 0; i < window->entries.count; i++)
		window->entries.items[i].stack = new_indices[window->entries.items[i].stack];
}

static bool is_old(const struct aggregate *a, const struct aggregate_stack *stack)
{
	return a->age - stack->last_used > 1;
}

/* Moves the stacks that stay to the front; they keep their order, so nothing is overwritten that is
 * still to be moved. */
static void compact_stacks(struct aggregate *a, uint32_t *new_indices)
{
	size_t stacks = 0, frames = 0;
	for (size_t i = 0; i < a->stacks.count; i++) {
		struct aggregate_stack stack = a->stacks.items[i];
		size_t words = (size_t)stack.kernel_frames + stack.user_frames;
		if (is_old(a, &stack))
			continue;
		memmove(a->frames.items + frames, a->frames.items + stack.first_frame,
			words * sizeof(uint64_t));
		stack.first_frame = (uint32_t)frames;
		frames += words;
		new_indices[i] = (uint32_t)stacks;
		a->stacks.items[stacks++] = stack;
	}
	/* There will be as many again by the next time. */
	array_shrink(&a->stacks, a->stacks.count);
	array_shrink(&a->frames, a->frames.count);
	a->stacks.count = stacks;
	a->frames.count = frames;
}

void aggregate_keep_links(struct aggregate *a, bool links)
{
	a->limits.links = links;
}

int aggregate_forget_old(struct aggregate *a)
{
	_cleanup_free_ uint32_t *new_indices = calloc(a->stacks.count + 1, sizeof(uint32_t));
	struct hash by_id = {0};
	int r = new_indices ? 0 : -ENOMEM;
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		hold_stacks(a, &a->current[kind]);
	for (struct aggregate_window *w = a->opened; w; w = w->next)
		hold_stacks(a, w);
	uint32_t kept = 0;
	for (size_t i = 0; i < a->stacks.count && r == 0; i++)
		if (!is_old(a, &a->stacks.items[i]))
			r = hash_put(&by_id, a->stacks.items[i].id, kept++);
	if (r < 0) {
		hash_free(&by_id);
		return -ENOMEM;
	}
	compact_stacks(a, new_indices);
	hash_free(&a->stacks_by_id);
	a->stacks_by_id = by_id;
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		move_entries(&a->current[kind], new_indices);
	for (struct aggregate_window *w = a->opened; w; w = w->next)
		move_entries(w, new_indices);
	return 0;
}

static bool runs_through(const struct aggregate *a, const struct aggregate_stack *stack, uint64_t start, uint64_t size)
{
	const uint64_t *words = &a->frames.items[stack->first_frame];
	for (size_t i = 0; i < stack->kernel_frames; i++)
		if (words[i] - start < size)
			return true;
	return false;
}

void aggregate_part_kernel_code(struct aggregate *a, uint64_t start, uint64_t size)
{
	for (size_t i = 0; i < a->stacks.count; i++)
		if (runs_through(a, &a->stacks.items[i], start, size))
			a->stacks.items[i].part++;
}

/* ---- Entries --------------------------------------------------------------------------------- */

/* The stack is named by its id: its index may change while the window is open. */
static uint64_t entry_key(const struct aggregate_stack *stack, const struct record_sample *sample,
			  const struct process *process, uint32_t cpu, uint64_t trace)
{
	uint64_t comm[2];
	memcpy(comm, sample->comm, sizeof(comm));
	uint64_t key = hash_mix(stack->id ^ (uint64_t)sample->tid << 32) ^ (uintptr_t)process;
	key ^= (uint64_t)sample->event << 48;
	key = hash_mix(key) ^ comm[0];
	key = hash_mix(key) ^ comm[1];
	if (stack->has_addresses)
		key = hash_mix(key) ^ sample->header.time / NS_PER_SECOND;
	if (stack->part)
		key = hash_mix(key) ^ stack->part;
	if (trace)
		key = hash_mix(key) ^ trace;
	return cpu == AGGREGATE_ANY_CPU ? key : hash_mix(key) ^ cpu;
}

/* 0: none, or not asked for. */
static uint64_t trace_key(const struct aggregate *a, const struct record_trace *trace)
{
	return a->limits.links && trace ? hash_bytes(trace, sizeof(*trace)) | 1 : 0;
}

/* The number (index + 1) of a span, which is added when new. Returns 0 when out of memory. */
static uint32_t link_of(struct aggregate_window *window, uint64_t key, const struct record_trace *trace)
{
	const uint64_t *known = hash_get(&window->links_by_trace, key);
	if (known)
		return (uint32_t)*known + 1;
	if (array_add(&window->links, *trace) < 0)
		return 0;
	if (hash_put(&window->links_by_trace, key, window->links.count - 1) < 0) {
		window->links.count--;
		return 0;
	}
	return (uint32_t)window->links.count;
}

/* A time that finds no room is missed by nobody but OTLP: the sample itself is kept. */
static void add_time(struct aggregate *a, struct aggregate_window *window,
		     struct aggregate_entry *entry, uint64_t time)
{
	struct aggregate_time added = {.time = time, .previous = entry->last_time};
	if (a->limits.times == 0 || window->no_times)
		return;
	if (window->times.count >= a->limits.times || array_add(&window->times, added) < 0)
		a->untimed++;
	else
		entry->last_time = (uint32_t)window->times.count - 1;
}

/* Makes an entry that counts nothing yet. Returns 0 or negative when it does not fit. */
static int add_entry(const struct aggregate *a, struct aggregate_window *window, uint64_t key,
		     uint32_t stack, uint32_t cpu, const struct record_sample *sample,
		     struct process *process)
{
	size_t limit = window->max_entries ? window->max_entries : a->limits.entries;
	if (window->entries.count >= limit)
		return -ENOSPC;
	struct aggregate_entry entry = {
		.key = key,
		.stack = stack,
		.tid = sample->tid,
		.process = process,
		.time = sample->header.time,
		.cpu = cpu,
		.last_time = AGGREGATE_NO_TIME,
		.end = sample->end,
		.event = sample->event,
	};
	memcpy(entry.comm, sample->comm, sizeof(entry.comm));
	entry.comm[COMM_SIZE - 1] = '\0';
	if (array_add(&window->entries, entry) < 0)
		return -ENOMEM;
	if (hash_put(&window->entries_by_key, key, window->entries.count - 1) < 0) {
		window->entries.count--;
		return -ENOMEM;
	}
	process_reference(process);
	return 0;
}

static int add_to_window(struct aggregate *a, struct aggregate_window *window, uint32_t stack,
			 const struct record_sample *sample, const struct record_trace *trace,
			 struct process *process)
{
	uint64_t trace_hash = trace_key(a, trace);
	uint32_t cpu = a->limits.cpus ? sample->cpu : AGGREGATE_ANY_CPU;
	uint64_t key = entry_key(&a->stacks.items[stack], sample, process, cpu, trace_hash);
	const uint64_t *known = hash_get(&window->entries_by_key, key);
	size_t index = known ? (size_t)*known : window->entries.count;
	int r = known ? 0 : add_entry(a, window, key, stack, cpu, sample, process);
	if (r < 0)
		return r;
	struct aggregate_entry *entry = &window->entries.items[index];
	if (!known && trace_hash)
		entry->link = link_of(window, trace_hash, trace);
	if (trace_hash && !entry->link)
		a->unlinked++;
	entry->count++;
	entry->weight += sample->weight;
	if (sample->event == EVENT_GROWTH)
		window->growth_squares += (double)sample->weight * (double)sample->weight;
	add_time(a, window, entry, sample->header.time);
	return 0;
}

void aggregate_keep_stack(struct aggregate *a, const struct record_sample *sample,
			  const uint64_t *frames)
{
	uint32_t stack;
	find_stack(a, sample, frames, &stack);
}

void aggregate_add(struct aggregate *a, const struct record_sample *sample, const uint64_t *frames,
		   const struct record_trace *trace, struct process *process)
{
	uint32_t stack;
	int kind = profile_kind_of_event(sample->event);
	if (kind < 0)
		return;
	struct aggregate_totals *totals = &a->totals[kind];
	int r = find_stack(a, sample, frames, &stack);
	if (r == 0)
		r = add_to_window(a, &a->current[kind], stack, sample, trace, process);
	if (r < 0) {
		totals->dropped++;
		totals->dropped_weight += sample->weight;
		return;
	}
	totals->samples++;
	totals->weight += sample->weight;
	if (sample->end < STACK_END_MAX)
		totals->ends[sample->end]++;
	for (struct aggregate_window *w = a->opened; w; w = w->next)
		if (w->kind == (enum profile_kind)kind && !w->is_complete && (!w->pid || w->pid == sample->pid) &&
		    add_to_window(a, w, stack, sample, trace, process) < 0)
			w->dropped++;
}
