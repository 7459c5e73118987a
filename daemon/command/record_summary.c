/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the words about a recording. Numbers that are zero are said to be zero: silence about a loss
 * must not look like no loss. */
#include "command/record_summary.h"

#include "base/clock.h"
#include "command/record_options.h"
#include "command/summary_memory.h"
#include "command/summary_top.h"
#include "command/summary_unnamed.h"
#include "command/terminal.h"

#include <inttypes.h>

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

/* Why there is no sample: a host with nothing to do, a selection that fits nothing that ran, or no time. */
static void write_nothing(const struct recording_statistics *s, uint32_t frequency, struct text *out)
{
	char idle[32], unselected[32], elapsed[32];
	if (s->samples)
		return;
	text_add(out, "nothing    %s %s met an idle CPU, %s something that was not asked for\n",
		 text_count(idle, sizeof(idle), s->counters[COUNTER_IDLE]),
		 text_plural(s->counters[COUNTER_IDLE], "tick", "ticks"),
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
		   text_plural(missed, "tick missed (not credited to any stack)",
			  "ticks missed (not credited to any stack)"));
	write_loss(out, &separator, s->sideband_lost,
		   text_plural(s->sideband_lost, "process record (names may be missing)",
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

static void write_ticks(const struct recording_statistics *s, uint32_t frequency, bool colour,
			struct text *out)
{
	char samples[32], captured[32], elapsed[32], processes[32];
	text_add(out, "%s%s %s%s  %s of CPU time in %s %s, %s at %u Hz\n",
		 terminal_colour(colour, COLOUR_BOLD),
		 text_count(samples, sizeof(samples), s->samples), text_plural(s->samples, "sample", "samples"),
		 terminal_colour(colour, COLOUR_NONE),
		 text_duration(captured, sizeof(captured), s->captured_ns),
		 text_count(processes, sizeof(processes), s->processes),
		 text_plural(s->processes, "process", "processes"),
		 text_duration(elapsed, sizeof(elapsed), s->elapsed_ns), frequency);
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
		summary_write_growth(s, profiles[PROFILE_KIND_GROWTH], colour, out);
	if (profiles[PROFILE_KIND_HEAP])
		summary_write_heap(s, profiles[PROFILE_KIND_HEAP], colour, out);
	write_losses(s, out);
	write_ends(s, out);
	summary_write_unnamed(s, first_profile(profiles), out);
	write_not_used(s, out);
	write_own_cost(s, out);
	write_budget(s, out);
	write_memory_budget(s, out);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		if (profiles[kind])
			summary_write_top(profiles[kind], (enum profile_kind)kind, colour, out);
}
