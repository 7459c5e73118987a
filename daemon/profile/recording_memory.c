/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a recording's memory budget: what is measured of it, and what is given up where it is short
 * (collect/memory_budget.h). A part of it bounds what could take it all: unwind tables, names, stacks. Tables have the
 * most: they alone cannot be read where they lie. What those parts leave serves the rest: our code, processes, and
 * what is open for a moment.
 */
#include "profile/recording_state.h"

#include "base/log.h"

#include <malloc.h>

/* Parts of the budget. */
#define TABLES_SIXTEENTHS 7
#define NAMES_PART 8
#define FRAMES_PART 8
#define ENTRIES_PART 8
/* Bytes of each, what finds it included: an array that may have grown to twice what it needs, and a slot. */
#define FRAME_COST 24
#define ENTRY_COST 256
#define SMALLEST_TABLES (4ULL << 20)

static uint64_t lower_of(uint64_t limit, uint64_t part)
{
	return limit ? MIN_OF(limit, part) : part;
}

void recording_limit_memory(struct recording *r)
{
	struct recording_limits *limits = &r->options.limits;
	uint64_t memory = r->options.max_memory;
	r->memory_budget.limit = memory;
	if (!memory)
		return;
	limits->table_bytes = lower_of(limits->table_bytes, MAX_OF(memory / 16 * TABLES_SIXTEENTHS, SMALLEST_TABLES));
	limits->symbol_bytes = lower_of(limits->symbol_bytes, memory / NAMES_PART);
	limits->frames = lower_of(limits->frames, memory / FRAMES_PART / FRAME_COST);
	limits->entries = lower_of(limits->entries, memory / ENTRIES_PART / ENTRY_COST);
}

static void hand_over(struct recording *r)
{
	if (r->options.on_rate_change)
		r->options.on_rate_change(r->options.rate_userdata);
	recording_forget_stacks(r);
}

static void move_lever(struct recording *r, enum memory_lever lever)
{
	switch (lever) {
	case MEMORY_LEVER_NAMES:
		recording_drop_unused_names(r);
		break;
	case MEMORY_LEVER_TABLES:
		recording_drop_unused_tables(r);
		break;
	case MEMORY_LEVER_STACKS:
		hand_over(r);
		break;
	case MEMORY_LEVER_HEAP:
	case MEMORY_LEVER_COUNT:
		break;
	}
	malloc_trim(0); /* what was freed in between others would stay ours */
}

static void tell_infeasible(const struct memory_budget *budget, bool was_infeasible)
{
	char limit[32], bytes[32];
	text_size(limit, sizeof(limit), budget->limit);
	text_size(bytes, sizeof(bytes), budget->bytes);
	if (budget->infeasible && !was_infeasible)
		log_warning("budget_infeasible: %s of memory cannot be kept, with everything given up that may be it is "
			    "%s; allow more, or select less",
			    limit, bytes);
	else if (!budget->infeasible && was_infeasible)
		log_info("the budget of %s of memory can be kept again", limit);
}

static enum memory_lever move_next_lever(struct recording *r)
{
	enum memory_lever lever = memory_budget_step(&r->memory_budget, recording_read_memory(r));
	log_debug("memory budget: %llu of %llu bytes%s%s", (unsigned long long)r->memory_budget.bytes,
		  (unsigned long long)r->memory_budget.limit, lever < MEMORY_LEVER_COUNT ? ", gives up " : "",
		  lever < MEMORY_LEVER_COUNT ? memory_lever_name(lever) : "");
	if (lever < MEMORY_LEVER_COUNT)
		move_lever(r, lever);
	return lever;
}

/* Above the limit itself nothing waits for the next step. */
static int on_memory_step(struct loop_source *source, uint32_t events, void *userdata)
{
	struct recording *r = userdata;
	bool was_infeasible = r->memory_budget.infeasible;
	recording_remove_dropped(r);
	while (move_next_lever(r) < MEMORY_LEVER_COUNT && r->memory_budget.bytes > r->memory_budget.limit)
		;
	tell_infeasible(&r->memory_budget, was_infeasible);
	return 0;
}

int recording_start_memory_budget(struct recording *r)
{
	return loop_add_timer(r->loop, MEMORY_BUDGET_STEP_NS, MEMORY_BUDGET_STEP_NS, on_memory_step, r,
			      &r->memory_timer);
}
