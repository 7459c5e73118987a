/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns what ticks of the task clock say of a window: which of the program's CPU time was its own, and which the probes
 * took. A tick says at which instruction of the program a thread was, also while the kernel works for it. At a probe, in
 * the page where probed instructions are stepped, or where a call goes on whose return was seen, the time was the probe's.
 */
#include "collect/heap_windows_state.h"

#include "bolometer.skel.h"
#include "collect/task_clock.h"

#include <math.h>
#include <unistd.h>

#define SHORTEST_TICK_NS 20000
#define TICKS_PART 0.1 /* of a window, for ticks */
#define MOST_TICKS 100 /* of a thread, about */
#define PROBED_BYTES 4 /* of the instruction, and of what stands behind it */

/* How many bits a program's addresses may have, and whether a page at their end is never given out (TASK_SIZE). */
#ifdef __x86_64__
static const unsigned address_bits[] = {47, 56};
#define PAGES_AT_END 2
#else
static const unsigned address_bits[] = {39, 42, 47, 48, 52};
#define PAGES_AT_END 1
#endif

struct counting {
	const volatile uint64_t *returned_to; /* HEAP_RETURN_POINTS addresses */
	const uint64_t *called_at;	      /* HEAP_CALL_POINTS */
	uint64_t page_size;
	struct window_ticks ticks;
};

/* Where the kernel lets a probed instruction be stepped, and calls return to whose return is seen: in the last page of
 * the address space, which it asks for first (xol_add_vma() in kernel/events/uprobes.c). */
static bool is_in_page_of_probes(uint64_t address, uint64_t page_size)
{
	for (size_t i = 0; i < ARRAY_LENGTH(address_bits); i++)
		if (address - ((1ULL << address_bits[i]) - PAGES_AT_END * page_size) < page_size)
			return true;
	return false;
}

static bool is_point(const volatile uint64_t *points, uint32_t slots, uint64_t address)
{
	uint32_t slot = heap_point_slot(address, slots);
	return points[slot] == address || points[slot + 1] == address;
}

/* The program stands still there while the kernel works for a probe, or has just gone on. */
static bool is_at_probe(const struct counting *c, uint64_t address)
{
	bool is_at = is_in_page_of_probes(address, c->page_size) ||
		     is_point(c->returned_to, HEAP_RETURN_POINTS, address);
	for (uint64_t behind = 0; behind <= PROBED_BYTES && !is_at; behind++)
		is_at = is_point(c->called_at, HEAP_CALL_POINTS, address - behind);
	return is_at;
}

static void count_tick(void *userdata, uint64_t address)
{
	struct counting *c = userdata;
	c->ticks.all++;
	c->ticks.own += !is_at_probe(c, address);
}

uint64_t heap_windows_tick_for(const struct heap_windows *w, uint64_t length)
{
	double least = fmax(w->prices.tick / TICKS_PART, SHORTEST_TICK_NS);
	return w->prices.tick > 0 ? (uint64_t)fmax(least, (double)length / MOST_TICKS) : 0;
}

struct window_ticks heap_windows_count_ticks(const struct heap_windows *w, const struct task_clock *clock,
					     const struct heap_process *end)
{
	struct counting counting = {.returned_to = w->options.programs->skeleton->bss->heap_returned_to,
				    .called_at = end->called_at,
				    .page_size = (uint64_t)sysconf(_SC_PAGESIZE)};
	counting.ticks.lost = task_clock_each_tick(clock, count_tick, &counting);
	return counting.ticks;
}
