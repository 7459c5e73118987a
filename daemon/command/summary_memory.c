/* SPDX-License-Identifier: Apache-2.0 */
/* See summary_memory.h. */
#include "command/summary_memory.h"

#include "base/arithmetic.h"
#include "command/terminal.h"

#include <inttypes.h>

/* The sum of one of the profile's values. */
static uint64_t sum_of(const struct profile *profile, const char *type)
{
	int at = profile_find_sample_type(profile, type);
	int64_t sum = 0;
	for (size_t i = 0; i < profile->samples.count && at >= 0; i++)
		sum = add_saturating(sum, profile->values.items[i * profile->sample_types.count + (size_t)at]);
	return (uint64_t)sum;
}

/* What was seen of a value, against what the processes that were named have. */
static void write_resident(const struct recording_statistics *s, uint64_t value, const char *what,
			   struct text *out)
{
	char first[32], last[32], seen[32], file[32], shared[32], swapped[32];
	if (!s->watched_processes)
		return;
	text_add(out,
		 "resident   anonymous %s at first, %s at last (%s %s), files %s, shared %s, "
		 "swapped out %s\n",
		 text_size(first, sizeof(first), s->watched_first.anonymous),
		 text_size(last, sizeof(last), s->watched_last.anonymous),
		 text_size(seen, sizeof(seen), value), what,
		 text_size(file, sizeof(file), s->watched_last.file),
		 text_size(shared, sizeof(shared), s->watched_last.shared),
		 text_size(swapped, sizeof(swapped), s->watched_last.swapped));
}

void summary_write_growth(const struct recording_statistics *s, const struct profile *profile, bool colour,
			  struct text *out)
{
	char samples[32], fresh[32], copied[32], elapsed[32], faults[32];
	text_add(out, "%s%s growth %s%s  %s of new memory, %s copied after forks, in %s; "
		      "%s page faults on the host\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(samples, sizeof(samples), s->growth_samples),
		 text_plural(s->growth_samples, "sample", "samples"),
		 terminal_colour(colour, COLOUR_NONE),
		 text_size(fresh, sizeof(fresh), sum_of(profile, "growth_space")),
		 text_size(copied, sizeof(copied), sum_of(profile, "copied_space")),
		 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns),
		 text_count(faults, sizeof(faults), s->counters[COUNTER_GROWTH_FAULTS]));
	write_resident(s, sum_of(profile, "growth_space"), "seen to come", out);
}

/* Why a heap profile has nothing: nothing was seen, or of the little that was none was taken. */
static void write_no_allocations(const struct recording_statistics *s, struct text *out)
{
	char calls[32], space[32];
	uint64_t seen = s->counters[COUNTER_HEAP_ALLOCATIONS];
	if (seen)
		text_add(out, "           %s %s seen, of %s, too few for a sample: --heap-interval takes more, --exact all\n",
			 text_count(calls, sizeof(calls), seen), text_plural(seen, "call was", "calls were"),
			 text_size(space, sizeof(space), s->counters[COUNTER_HEAP_BYTES]));
	else
		text_add_string(out, "           no call of an allocator was seen: 'bolometer doctor --memory PID' says what can be "
				     "(Go has its own);\n           -e growth sees memory whatever allocates it\n");
}

static void write_allocations(const struct recording_statistics *s, const struct profile *profile, bool colour,
			      struct text *out)
{
	char objects[32], space[32], held[32], elapsed[32];
	const struct heap_windows_statistics *w = &s->heap_windows;
	uint64_t allocations = sum_of(profile, "alloc_objects");
	text_add(out, "%s%s %s%s  of %s in %s, of which %s are still in use\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(objects, sizeof(objects), allocations),
		 text_plural(allocations, "allocation", "allocations"),
		 terminal_colour(colour, COLOUR_NONE),
		 text_size(space, sizeof(space), sum_of(profile, "alloc_space")),
		 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns),
		 text_size(held, sizeof(held), sum_of(profile, "inuse_space")));
	if (!allocations)
		write_no_allocations(s, out);
	if (w->windows)
		text_add(out, "windows    %llu, %llu of them late; %llu %s promoted to probes that "
			      "stay, %llu demoted; %s may be in use of what windows saw\n",
			 (unsigned long long)w->windows, (unsigned long long)w->late,
			 (unsigned long long)w->promoted, text_plural(w->promoted, "process was", "processes were"),
			 (unsigned long long)w->demoted,
			 text_size(held, sizeof(held), sum_of(profile, "inuse_estimated_space")));
	if (w->cpu_ns > 0)
		text_add(out, "probes     cost %.2f %% of the CPU time of the processes they were in\n",
			 100 * w->cost_ns / w->cpu_ns);
}

/* What grew, and how much of that was seen to be allocated and held. */
static void write_reconciled(const struct recording_statistics *s, const struct profile *profile,
				  struct text *out)
{
	char grown[32], left[32];
	uint64_t held = sum_of(profile, "inuse_space") + sum_of(profile, "inuse_estimated_space");
	uint64_t first = s->watched_first.anonymous + s->watched_first.swapped;
	uint64_t last = s->watched_last.anonymous + s->watched_last.swapped;
	if (!s->watched_processes)
		return;
	write_resident(s, held, "held by allocations that were seen", out);
	if (last <= first && !held)
		text_add_string(out, "           it did not grow, and nothing that was seen allocated is held\n");
	else if (last <= first)
		text_add(out, "           it did not grow: what is held has the place of what was there before, or "
			      "was not touched\n");
	else if (last - first > held)
		text_add(out, "           of %s that it grew by, %s are not explained: stacks, mmap without an "
			      "allocator, what allocators keep for themselves\n",
			 text_size(grown, sizeof(grown), last - first),
			 text_size(left, sizeof(left), last - first - held));
	else
		text_add(out, "           it grew by %s: all explained; %s are held where memory was before, or "
			      "were not touched\n",
			 text_size(grown, sizeof(grown), last - first),
			 text_size(left, sizeof(left), held - (last - first)));
}

void summary_write_heap(const struct recording_statistics *s, const struct profile *profile, bool colour,
			struct text *out)
{
	write_allocations(s, profile, colour, out);
	write_reconciled(s, profile, out);
}
