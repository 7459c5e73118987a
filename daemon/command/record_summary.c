/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the words about a recording. Numbers that are zero are said to be zero: silence about a loss
 * must not look like no loss. */
#include "command/record_summary.h"

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/hash.h"
#include "command/record_options.h"
#include "command/summary_unnamed.h"
#include "command/terminal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TOP_FUNCTIONS 5
#define FEW_TICKS 20
#define MAX_REASONS 4 /* of truncation, the largest first */
#define NOTED_PART 20 /* a twentieth of all stacks is worth a cause */

static const char *const end_names[] = {
#define NAME(id, text) text,
	BOLOMETER_STACK_ENDS(NAME)
#undef NAME
};

/* Our processes' CPU time began with them, before the capture did. */
static double own_wall_ns(const struct recording_statistics *s)
{
	return (double)s->phases.load_ns + (double)s->elapsed_ns;
}

void summary_progress(const struct recording_statistics *s, struct text *out)
{
	char samples[32], lost[32], processes[32], own[32];
	text_add(out, "%" PRIu64 " s  %s samples  %s lost  %s processes  own CPU %s",
		 s->elapsed_ns / (uint64_t)NS_PER_SECOND,
		 text_count(samples, sizeof(samples), s->samples + s->growth_samples),
		 text_count(lost, sizeof(lost), recording_lost_samples(s)),
		 text_count(processes, sizeof(processes), s->processes),
		 text_share(own, sizeof(own), (double)s->own_cpu_ns, own_wall_ns(s)));
}

static const char *plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

/* Why there is no sample: a host with nothing to do, a selection that fits nothing that ran, or no time. */
static void write_nothing(const struct recording_statistics *s, uint32_t frequency, struct text *out)
{
	char idle[32], unselected[32], elapsed[32];
	if (s->samples)
		return;
	text_add(out, "nothing    %s %s met an idle CPU, %s something that was not asked for\n",
		 text_count(idle, sizeof(idle), s->counters[COUNTER_IDLE]),
		 plural(s->counters[COUNTER_IDLE], "tick", "ticks"),
		 text_count(unselected, sizeof(unselected), s->counters[COUNTER_UNSELECTED]));
	if (s->elapsed_ns < FEW_TICKS * (uint64_t)NS_PER_SECOND / frequency && frequency < MAX_FREQUENCY)
		text_add(out, "           %s are short for %u Hz: a higher --frequency, up to %u, sees more\n",
			 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns), frequency, MAX_FREQUENCY);
}

static void write_loss(struct text *out, const char **separator, uint64_t count, const char *why)
{
	char number[32];
	if (!count)
		return;
	text_add(out, "%s%s %s", *separator, text_count(number, sizeof(number), count), why);
	*separator = ", ";
}

static void write_losses(const struct recording_statistics *s, struct text *out)
{
	char share[32];
	uint64_t lost = recording_lost_samples(s), missed = s->counters[COUNTER_MISSED];
	const char *separator = "  ";
	text_add(out, "lost       %s",
		 text_share(share, sizeof(share), (double)lost, (double)(s->samples + s->growth_samples + lost)));
	write_loss(out, &separator, recording_lost_to_ring(s), "ring buffer full");
	write_loss(out, &separator, s->counters[COUNTER_LOST_SCRATCH], "no scratch memory");
	write_loss(out, &separator, s->dropped_samples, "past a memory limit");
	write_loss(out, &separator, missed,
		   plural(missed, "tick missed (not credited to any stack)",
			  "ticks missed (not credited to any stack)"));
	write_loss(out, &separator, s->sideband_lost,
		   plural(s->sideband_lost, "process record (names may be missing)",
			  "process records (names may be missing)"));
	text_add_char(out, '\n');
}

/* The largest reason that a stack was cut for and is not taken yet; STACK_END_COMPLETE when none is
 * left. Stacks of tasks without user code (exiting, starting a program) are whole. */
static size_t largest_end(const struct recording_statistics *s, const bool *taken)
{
	size_t largest = STACK_END_COMPLETE;
	for (size_t i = STACK_END_IN_EXEC + 1; i < STACK_END_MAX; i++) {
		if (taken[i] || !s->ends[i])
			continue;
		if (largest == STACK_END_COMPLETE || s->ends[i] > s->ends[largest])
			largest = i;
	}
	return largest;
}

/* A container whose pid namespace is its own sees the ticks of the whole host, and the files of its own processes. */
static void write_outside(const struct recording_statistics *s, uint64_t truncated, uint64_t all, struct text *out)
{
	if (s->in_pid_namespace && s->losses.processes_unnamed && truncated * NOTED_PART >= all)
		text_add_string(out, "           processes outside this container have no tables and no names: share the host's pid "
				     "namespace\n           (docker run --pid=host, hostPID: true in Kubernetes)\n");
}

static void write_ends(const struct recording_statistics *s, struct text *out)
{
	uint64_t all = 0, truncated = 0;
	for (size_t i = 0; i < STACK_END_MAX; i++) {
		all += s->ends[i];
		truncated += i > STACK_END_IN_EXEC ? s->ends[i] : 0;
	}
	char share[32];
	text_add(out, "truncated  %s",
		 text_share(share, sizeof(share), (double)truncated, (double)all));
	bool taken[STACK_END_MAX] = {false};
	for (int i = 0; i < MAX_REASONS; i++) {
		size_t end = largest_end(s, taken);
		if (end == STACK_END_COMPLETE)
			break;
		taken[end] = true;
		text_add(out, "%s%s %s", i ? ", " : "  ",
			 text_share(share, sizeof(share), (double)s->ends[end], (double)all),
			 end_names[end]);
	}
	text_add_char(out, '\n');
	write_outside(s, truncated, all, out);
}

struct loss_line {
	struct text *out;
	const char *separator;
};

static void write_name_of_loss(void *userdata, const char *name, uint64_t count)
{
	struct loss_line *line = userdata;
	char number[32];
	text_add(line->out, "%s%s %s", line->separator, text_count(number, sizeof(number), count), name);
	line->separator = ", ";
}

/* What userspace could not use, by the names the profile's comments give it; most hosts have none. */
static void write_not_used(const struct recording_statistics *s, struct text *out)
{
	struct loss_line line = {out, "not used   "};
	losses_each(&s->losses, write_name_of_loss, &line);
	if (line.separator[0] == ',')
		text_add_char(out, '\n');
}

static void write_own_cost(const struct recording_statistics *s, struct text *out)
{
	char cpu[32], share[32], bpf[32], memory[32];
	text_add(out, "own cost   %s CPU (%s of one CPU)",
		 text_duration(cpu, sizeof(cpu), s->own_cpu_ns),
		 text_share(share, sizeof(share), (double)s->own_cpu_ns, own_wall_ns(s)));
	if (s->bpf_ns)
		text_add(out, " + %s in the kernel", text_duration(bpf, sizeof(bpf), s->bpf_ns));
	text_add(out, ", %s of memory\n", text_size(memory, sizeof(memory), s->memory_bytes));
}

static void write_budget(const struct recording_statistics *s, struct text *out)
{
	const struct budget_report *b = &s->budget;
	bool was_kept = b->dearest_cost <= b->share;
	char elapsed[32];
	if (b->share == 0)
		return;
	text_add(out, "budget     %.2f %% of all CPUs%s: %s cost %.2f %% (interrupts included), at the end at %u Hz",
		 100 * b->share, was_kept ? "" : " was not kept",
		 b->is_minute ? "the dearest minute" : text_duration(elapsed, sizeof(elapsed), s->elapsed_ns),
		 100 * b->dearest_cost, b->setting.frequency);
	if (b->chance < 1)
		text_add(out, " %.0f %% of the time", 100 * b->chance);
	if (b->infeasible)
		text_add_string(out, "; less cannot be had: allow more, or select less");
	else if (!was_kept && !b->is_minute)
		text_add_string(out, "; what the start takes needs a minute to be paid off");
	text_add_char(out, '\n');
}

static void write_memory_budget(const struct recording_statistics *s, struct text *out)
{
	const struct memory_budget *b = &s->memory_budget;
	char limit[32], peak[32];
	if (!b->limit)
		return;
	uint64_t most = MAX_OF(b->peak, s->memory_bytes);
	text_add(out, "budget     %s of memory, %s at most%s\n", text_size(limit, sizeof(limit), b->limit),
		 text_size(peak, sizeof(peak), most),
		 b->infeasible ? "; it could not be kept" : most > b->limit ? "; it was not kept all the time" : "");
}

/* Time by function, of its own alone: nothing above the leaves is looked at. */
struct self_times {
	struct strings names;
	ARRAY(int64_t) self; /* by index of the name */
	int64_t total;
};

static void self_times_free(struct self_times *times)
{
	strings_free(&times->names);
	array_free(&times->self);
}

static int add_self(struct self_times *times, const char *name, int64_t value)
{
	uint32_t index;
	int r = strings_add_text(&times->names, name, &index);
	if (r == 0 && index == times->self.count)
		r = array_add(&times->self, 0);
	if (r == 0)
		times->self.items[index] = add_saturating(times->self.items[index], value);
	return r;
}

/* One name a location, however many samples end there. */
static int find_self_times(const struct profile *profile, size_t value, struct self_times *ret)
{
	_cleanup_free_ int64_t *of_location = calloc(profile->locations.count + 1, sizeof(*of_location));
	if (!of_location)
		return -ENOMEM;
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *sample = &profile->samples.items[i];
		int64_t weight = profile->values.items[i * profile->sample_types.count + value];
		ret->total = add_saturating(ret->total, weight);
		if (!sample->location_count)
			continue;
		int64_t *self = &of_location[profile->stack_locations.items[sample->first_location]];
		*self = add_saturating(*self, weight);
	}
	int r = 0;
	for (size_t i = 0; i < profile->locations.count && r == 0; i++) {
		const struct profile_location *location = &profile->locations.items[i];
		char buffer[512];
		if (of_location[i])
			r = add_self(ret, profile_plain_name(profile, location, buffer, sizeof(buffer)), of_location[i]);
	}
	return r;
}

/* The TOP_FUNCTIONS names with the most time of their own, largest first. */
static size_t find_top(const struct self_times *times, uint32_t *top)
{
	const int64_t *self = times->self.items;
	size_t count = 0;
	for (uint32_t name = 0; name < times->self.count; name++) {
		if (self[name] <= 0)
			continue;
		size_t at = count < TOP_FUNCTIONS ? count++ : TOP_FUNCTIONS;
		for (; at > 0 && self[top[at - 1]] < self[name]; at--)
			if (at < TOP_FUNCTIONS)
				top[at] = top[at - 1];
		if (at < TOP_FUNCTIONS)
			top[at] = name;
	}
	return count;
}

/* What the top is of: a heap profile of windows alone has nothing in use to rank, only what was allocated. */
static const char *top_title(const struct profile *profile, int kind, size_t value)
{
	if (kind == PROFILE_KIND_CPU)
		return "top";
	if (kind == PROFILE_KIND_GROWTH)
		return "top growth";
	return (int)value == profile_find_sample_type(profile, "inuse_space") ? "top in use"
									       : "top alloc";
}

static void write_top(const struct profile *profile, int kind, bool colour, struct text *out)
{
	_cleanup_(self_times_free) struct self_times times = {0};
	size_t value = profile_default_value(profile);
	if (!profile->samples.count || !profile->sample_types.count ||
	    find_self_times(profile, value, &times) < 0)
		return;
	const char *title = top_title(profile, kind, value);
	uint32_t top[TOP_FUNCTIONS];
	size_t count = find_top(&times, top);
	for (size_t i = 0; i < count; i++) {
		char share[32];
		text_share(share, sizeof(share), (double)times.self.items[top[i]], (double)times.total);
		text_add(out, "%-10s %s%8s%s  ", i ? "" : title, terminal_colour(colour, COLOUR_BOLD), share,
			 terminal_colour(colour, COLOUR_NONE));
		text_add_printable(out, strings_get(&times.names, top[i]));
		text_add_char(out, '\n');
	}
}

static void write_ticks(const struct recording_statistics *s, uint32_t frequency, bool colour,
			struct text *out)
{
	char samples[32], captured[32], elapsed[32], processes[32];
	text_add(out, "%s%s %s%s  %s of CPU time in %s %s, %s at %u Hz\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(samples, sizeof(samples), s->samples), plural(s->samples, "sample", "samples"),
		 terminal_colour(colour, COLOUR_NONE),
		 text_duration(captured, sizeof(captured), s->captured_ns),
		 text_count(processes, sizeof(processes), s->processes),
		 plural(s->processes, "process", "processes"),
		 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns), frequency);
}

/* The sum of one of the profile's values. */
static uint64_t sum_of(const struct profile *profile, const char *type)
{
	int at = profile_find_sample_type(profile, type);
	int64_t sum = 0;
	for (size_t i = 0; i < profile->samples.count && at >= 0; i++)
		sum += profile->values.items[i * profile->sample_types.count + (size_t)at];
	return (uint64_t)sum;
}

static void write_growth(const struct recording_statistics *s, const struct profile *profile, bool colour,
			 struct text *out)
{
	char samples[32], fresh[32], copied[32], elapsed[32], faults[32];
	text_add(out, "%s%s growth %s%s  %s of new memory, %s copied after forks, in %s; "
		      "%s page faults on the host\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(samples, sizeof(samples), s->growth_samples),
		 plural(s->growth_samples, "sample", "samples"),
		 terminal_colour(colour, COLOUR_NONE),
		 text_size(fresh, sizeof(fresh), sum_of(profile, "growth_space")),
		 text_size(copied, sizeof(copied), sum_of(profile, "copied_space")),
		 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns),
		 text_count(faults, sizeof(faults), s->counters[COUNTER_GROWTH_FAULTS]));
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

/* Why a heap profile has nothing: nothing was seen, or of the little that was none was taken. */
static void write_no_allocations(const struct recording_statistics *s, struct text *out)
{
	char calls[32], space[32];
	uint64_t seen = s->counters[COUNTER_HEAP_ALLOCATIONS];
	if (seen)
		text_add(out, "           %s %s seen, of %s, too few for a sample: --heap-interval takes more, --exact all\n",
			 text_count(calls, sizeof(calls), seen), plural(seen, "call was", "calls were"),
			 text_size(space, sizeof(space), s->counters[COUNTER_HEAP_BYTES]));
	else
		text_add_string(out, "           no call of an allocator was seen: 'bolometer doctor --memory PID' says what can be "
				     "(Go has its own);\n           -e growth sees memory whatever allocates it\n");
}

static void write_heap(const struct recording_statistics *s, const struct profile *profile, bool colour,
		       struct text *out)
{
	char objects[32], space[32], held[32], elapsed[32];
	const struct heap_windows_statistics *w = &s->heap_windows;
	uint64_t allocations = sum_of(profile, "alloc_objects");
	text_add(out, "%s%s %s%s  of %s in %s, of which %s are still in use\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(objects, sizeof(objects), allocations),
		 plural(allocations, "allocation", "allocations"),
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
			 (unsigned long long)w->promoted, plural(w->promoted, "process was", "processes were"),
			 (unsigned long long)w->demoted,
			 text_size(held, sizeof(held), sum_of(profile, "inuse_estimated_space")));
	if (w->cpu_ns > 0)
		text_add(out, "probes     cost %.2f %% of the CPU time of the processes they were in\n",
			 100 * w->cost_ns / w->cpu_ns);
}

/* What grew, and how much of that was seen to be allocated and held. */
static void write_heap_reconciled(const struct recording_statistics *s, const struct profile *profile,
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

/* Whose frames without names are told: those of the time on the CPU before those of memory. */
static const struct profile *first_profile(struct profile *const profiles[PROFILE_KIND_COUNT])
{
	int kind = 0;
	while (!profiles[kind]) /* there is one */
		kind++;
	return profiles[kind];
}

void summary_write(const struct recording_statistics *s,
		   struct profile *const profiles[PROFILE_KIND_COUNT], uint32_t frequency,
		   bool colour, struct text *out)
{
	if (profiles[PROFILE_KIND_CPU]) {
		write_ticks(s, frequency, colour, out);
		write_nothing(s, frequency, out);
	}
	if (profiles[PROFILE_KIND_GROWTH])
		write_growth(s, profiles[PROFILE_KIND_GROWTH], colour, out);
	if (profiles[PROFILE_KIND_GROWTH])
		write_resident(s, sum_of(profiles[PROFILE_KIND_GROWTH], "growth_space"), "seen to come", out);
	if (profiles[PROFILE_KIND_HEAP])
		write_heap(s, profiles[PROFILE_KIND_HEAP], colour, out);
	if (profiles[PROFILE_KIND_HEAP])
		write_heap_reconciled(s, profiles[PROFILE_KIND_HEAP], out);
	write_losses(s, out);
	write_ends(s, out);
	summary_write_unnamed(s, first_profile(profiles), out);
	write_not_used(s, out);
	write_own_cost(s, out);
	write_budget(s, out);
	write_memory_budget(s, out);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (profiles[kind])
			write_top(profiles[kind], kind, colour, out);
}
