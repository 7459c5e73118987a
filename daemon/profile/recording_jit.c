/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the processes with JIT code: their maps are copied by threads, since they lie where a container likes, the
 * copies parsed by the confined child, and what it says merged by threads, since that takes long. A map that hangs
 * costs the names of its process, and a wait or two that become short, and nothing else; one that ends the child is
 * given up after three tries.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/offload.h"
#include "binary/parser_protocol.h"
#include "process/jit_map.h"
#include "profile/recording_state.h"

#define JIT_BYTES_PER_UPDATE (4UL << 20)
#define JIT_BYTES_AT_END (64UL << 20) /* what a second's share left over is read then */
#define MERGE_TIMEOUT_NS (60 * NS_PER_SECOND) /* it only computes */
/*
 * While sampling goes on, maps are waited for on the loop that drains the rings: so long at most, which several that
 * grow fast may take. After a wait in vain, for maps that hang or on a host without a CPU to spare, the next one is
 * a quarter of it; each that is not in vain makes it twice as long again. Code whose names came too late has them
 * from the next profile on. At the end it is waited for longer than the threads have (offload_new()).
 */
#define LONGEST_WAIT_NS (250 * NS_PER_MS)
#define LEAST_WAIT_NS (5 * NS_PER_MS)
#define WAIT_AT_END_NS (5 * NS_PER_SECOND)

/* A process with JIT code, whose map's updates go on by themselves once begun. */
struct jit_follower {
	struct recording *recording;
	struct process *process; /* with a reference, as long as it is in the recording's list */
};

static struct jit_follower *follower_of(const struct hash_slot *slot)
{
	return (struct jit_follower *)(uintptr_t)slot->value;
}

static bool is_busy(const struct jit_follower *f)
{
	return jit_map_step(f->process->jit) != JIT_IDLE;
}

static struct binary_store *store_of(const struct recording *r)
{
	return collector_binary_store(r->collector);
}

void recording_note_jit(struct recording *r, struct process *process)
{
	if (hash_get(&r->jit_processes, (uintptr_t)process) || !jit_map_of(process))
		return;
	struct jit_follower *f = malloc(sizeof(*f));
	if (!f || hash_put(&r->jit_processes, (uintptr_t)process, (uintptr_t)f) < 0) {
		free(f);
		return;
	}
	*f = (struct jit_follower){r, process};
	process_reference(process);
}

void recording_free_jit(struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		process_unreference(follower_of(slot)->process);
		free(follower_of(slot));
	}
	hash_free(&r->jit_processes);
}

/* ---- One step after the other ---------------------------------------------------------------- */

static void go_on(struct jit_follower *f);

static void read_files(void *argument)
{
	jit_reading_run(argument);
}

static void on_read(void *userdata, int error, void *argument)
{
	struct jit_follower *f = userdata;
	if (argument && error == 0)
		jit_map_take_reading(f->process->jit, argument);
	else
		jit_map_give_up(f->process->jit);
	go_on(f);
}

static void free_reading(void *argument)
{
	jit_reading_free(argument);
}

static void on_parsed(void *userdata, int error, const struct artifact *artifact)
{
	struct jit_follower *f = userdata;
	if (jit_map_answer(f->process->jit, error, artifact, parser_unmap_answer))
		parser_take_answer(binary_store_parser(store_of(f->recording)));
	go_on(f);
}

static void merge(void *argument)
{
	jit_merging_run(argument);
}

static void free_merging(void *argument)
{
	jit_merging_free(argument);
}

static void on_merged(void *userdata, int error, void *argument)
{
	struct jit_follower *f = userdata;
	if (argument && error == 0)
		jit_map_take_merging(f->process->jit, argument);
	else
		jit_map_give_up(f->process->jit);
	go_on(f);
}

static void start_reading(struct jit_follower *f)
{
	struct jit_map *map = f->process->jit;
	struct jit_reading *reading = jit_map_read(map, f->process, "/proc");
	if (!reading)
		return;
	/* By itself: what hangs for one process need not for another. */
	struct offload_work work = {.key = hash_mix((uintptr_t)f->process),
				    .run = read_files,
				    .done = on_read,
				    .release = free_reading,
				    .argument = reading,
				    .userdata = f};
	if (offload_submit(binary_store_offload(store_of(f->recording)), &work) == 0)
		return;
	jit_map_take_reading(map, reading); /* nothing new */
	jit_reading_free(reading);
}

static void start_parsing(struct jit_follower *f)
{
	const struct jit_excerpt *excerpt = jit_map_excerpt(f->process->jit);
	int r = parser_request_jit(binary_store_parser(store_of(f->recording)), excerpt->file,
				   &excerpt->source, PARSER_SOON, on_parsed, f);
	if (r == 0)
		return;
	jit_map_answer(f->process->jit, r, NULL, NULL);
	go_on(f); /* to the other file at most */
}

/* Of little on the loop, and where no thread takes it. */
static void start_merging(struct jit_follower *f)
{
	struct jit_merging *merging = jit_map_merge(f->process->jit);
	struct offload_work work = {.urgent = true,
				    .timeout_ns = MERGE_TIMEOUT_NS,
				    .run = merge,
				    .done = on_merged,
				    .release = free_merging,
				    .argument = merging,
				    .userdata = f};
	if (!jit_merging_is_short(merging) &&
	    offload_submit(binary_store_offload(store_of(f->recording)), &work) == 0)
		return;
	jit_merging_run(merging);
	on_merged(f, 0, merging); /* whose next step is no merge */
	jit_merging_free(merging);
}

static void go_on(struct jit_follower *f)
{
	switch (jit_map_step(f->process->jit)) {
	case JIT_READ:
		start_reading(f);
		break;
	case JIT_PARSE:
		start_parsing(f);
		break;
	case JIT_MERGE:
		start_merging(f);
		break;
	default:
		break;
	}
}

void recording_update_jit(struct recording *r)
{
	struct hash_slot *slot;
	uint64_t now = monotonic_ns();
	size_t budget = r->running ? JIT_BYTES_PER_UPDATE : JIT_BYTES_AT_END;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		struct jit_follower *f = follower_of(slot);
		if (is_busy(f))
			continue;
		jit_map_begin(f->process->jit, now, budget);
		go_on(f);
	}
}

/* ---- Waiting and forgetting ------------------------------------------------------------------ */

static bool any_is_busy(const struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		if (is_busy(follower_of(slot)))
			return true;
	return false;
}

/* The kernel's list too, the first time, if no cache had it. */
static bool any_is_awaited(const struct recording *r)
{
	return any_is_busy(r) || (r->symbolizer && symbolizer_awaits_kernel(r->symbolizer));
}

static void wait_for_code(struct recording *r, uint64_t wait_ns)
{
	struct binary_store *store = store_of(r);
	uint64_t until = monotonic_ns() + wait_ns, now;
	while (any_is_awaited(r) && !parser_is_held(binary_store_parser(store)) &&
	       (now = monotonic_ns()) < until)
		if (binary_store_run_once(store, until - now) < 0)
			break;
}

static uint64_t next_wait(uint64_t wait_ns, bool in_vain)
{
	return in_vain ? MAX_OF(wait_ns / 4, (uint64_t)LEAST_WAIT_NS) : MIN_OF(wait_ns * 2, (uint64_t)LONGEST_WAIT_NS);
}

void recording_wait_for_code(struct recording *r)
{
	if (!any_is_awaited(r))
		return;
	if (!r->running) {
		wait_for_code(r, WAIT_AT_END_NS);
		return;
	}
	if (!r->code_wait_ns)
		r->code_wait_ns = LONGEST_WAIT_NS;
	wait_for_code(r, r->code_wait_ns);
	r->code_wait_ns = next_wait(r->code_wait_ns, any_is_awaited(r));
}

void recording_forget_jit(struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		struct jit_follower *f = follower_of(slot);
		struct process *process = f->process;
		if (process->references > 1 || is_busy(f))
			continue;
		hash_remove(&r->jit_processes, (uintptr_t)process, NULL);
		free(f);
		losses_add_jit(&r->forgotten, process->jit);
		process_unreference(process);
		i = 0; /* the slots have moved */
	}
}
