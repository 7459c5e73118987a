/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the processes with JIT code: their maps are read in threads, since they lie where a container likes. A
 * map that hangs costs the names of its process, once the wait for it, and nothing else.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/offload.h"
#include "process/jit_map.h"
#include "profile/recording_state.h"

#define JIT_BYTES_PER_UPDATE (4UL << 20)
#define JIT_BYTES_AT_END (64UL << 20) /* what a second's share left over is read then */
/* While sampling goes on maps are waited for so long, which several that grow fast may take, and one that hangs
 * takes once or twice, until it is given up; at the end longer than the threads have (offload_new()). */
#define JIT_WAIT_NS (500 * NS_PER_MS)
#define JIT_WAIT_AT_END_NS (5 * NS_PER_SECOND)

void recording_note_jit(struct recording *r, struct process *process)
{
	if (!hash_get(&r->jit_processes, (uintptr_t)process) && jit_map_of(process) &&
	    hash_put(&r->jit_processes, (uintptr_t)process, 1) == 0)
		process_reference(process);
}

static void run(void *argument)
{
	jit_update_run(argument);
}

/* The process is in the recording's list, with a reference, as long as its map is lent. */
static void on_done(void *userdata, int error, void *argument)
{
	struct process *process = userdata;
	if (argument && error == 0)
		jit_map_take_back(process->jit, argument);
	else
		jit_map_give_up(process->jit);
}

static void release(void *argument)
{
	jit_update_free(argument);
}

static void start_update(struct offload *offload, struct process *process, uint64_t now, size_t budget)
{
	struct jit_update *update = jit_update_new(process->jit, process, "/proc", now, budget);
	if (!update)
		return;
	/* By itself: what hangs for one process need not for another. */
	struct offload_work work = {.key = hash_mix((uintptr_t)process),
				    .run = run,
				    .done = on_done,
				    .release = release,
				    .argument = update,
				    .userdata = process};
	if (offload_submit(offload, &work) == 0)
		return;
	jit_map_take_back(process->jit, update);
	jit_update_free(update);
}

static bool any_is_lent(const struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		if (jit_map_is_lent(((struct process *)(uintptr_t)slot->key)->jit))
			return true;
	return false;
}

void recording_update_jit(struct recording *r)
{
	struct offload *offload = binary_store_offload(collector_binary_store(r->collector));
	struct hash_slot *slot;
	uint64_t now = monotonic_ns();
	size_t budget = r->running ? JIT_BYTES_PER_UPDATE : JIT_BYTES_AT_END;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		start_update(offload, (struct process *)(uintptr_t)slot->key, now, budget);
}

void recording_wait_for_jit(struct recording *r)
{
	struct offload *offload = binary_store_offload(collector_binary_store(r->collector));
	uint64_t until = monotonic_ns() + (r->running ? JIT_WAIT_NS : JIT_WAIT_AT_END_NS), now;
	while (any_is_lent(r) && (now = monotonic_ns()) < until)
		offload_run_once(offload, -1, until - now);
}

void recording_forget_jit(struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		struct process *process = (struct process *)(uintptr_t)slot->key;
		if (process->references > 1 || jit_map_is_lent(process->jit))
			continue;
		hash_remove(&r->jit_processes, (uintptr_t)process, NULL);
		losses_add_jit(&r->forgotten, process->jit);
		process_unreference(process);
		i = 0; /* the slots have moved */
	}
}
