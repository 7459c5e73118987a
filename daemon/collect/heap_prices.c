/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_prices.h"

#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/heap_probes.h"
#include "collect/task_clock.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

/* Where the trials fail: as measured on a virtual machine. */
#define GUESSED_CALL_NS 700
#define GUESSED_RETURN_NS 500
#define GUESSED_STEP_NS 5500
#define TICK_FACTOR 1.4 /* in a program, whose caches it empties, and between probes */
#define FIRST_ARGUMENT_DWARF_X86 5

/* The last index, which no process is given. */
static uint32_t trial_process(const struct programs *programs)
{
	return programs->heap_processes - 1;
}

static uint64_t trial_cookie(const struct programs *programs, uint8_t flags)
{
#ifdef __x86_64__
	uint8_t argument = FIRST_ARGUMENT_DWARF_X86;
#else
	uint8_t argument = 0;
#endif
	struct allocator_probe probe = {.role = ALLOCATOR_MALLOC, .flags = flags, .size = argument,
					.count = PROBE_NO_REGISTER, .pointer = PROBE_NO_REGISTER};
	return heap_probe_cookie(&probe, trial_process(programs));
}

static void set_trial_process(const struct programs *programs, enum heap_mode mode)
{
	struct heap_process process = {.interval = HEAP_MAX_INTERVAL, .mode = mode};
	uint32_t index = trial_process(programs);
	bpf_map_update_elem(bpf_map__fd(programs->skeleton->maps.heap_processes), &index, &process, BPF_ANY);
}

/* The trials were no allocations. */
static void clear_counters(const struct programs *programs)
{
	static const uint64_t none[COUNTER_MAX];
	for (uint32_t walk = WALK_PROBE * (uint32_t)programs->cpu_count; walk < programs->walk_count; walk++)
		bpf_map_update_elem(bpf_map__fd(programs->skeleton->maps.counters), &walk, none, BPF_ANY);
}

/* 0: it could not be measured. */
static double price(const struct programs *programs, uint8_t flags, bool stepped)
{
	const struct bolometer_bpf *s = programs->skeleton;
	bool in_session = programs->has_sessions;
	double ns = 0;
	int r = uprobe_trials_price(bpf_program__fd(in_session ? s->progs.on_allocator_session
							       : s->progs.on_allocator_call),
				    in_session ? UPROBE_MULTI_SESSION : UPROBE_MULTI, trial_cookie(programs, flags),
				    stepped, &ns);
	if (r < 0)
		log_debug("heap: the price of a probe cannot be measured: %s", strerror(-r));
	return r < 0 ? 0 : ns;
}

void heap_prices_measure(const struct programs *programs, struct heap_prices *ret)
{
	*ret = (struct heap_prices){.returned = GUESSED_RETURN_NS, .stepped = GUESSED_STEP_NS};
	set_trial_process(programs, HEAP_MODE_TRIAL);
	ret->call = price(programs, 0, false);
	double with_return = programs->has_sessions && ret->call > 0 ? price(programs, PROBE_NESTS, false) : 0;
	double stepped = ret->call > 0 ? price(programs, 0, true) : 0;
	if (with_return > ret->call)
		ret->returned = with_return - ret->call;
	if (stepped > ret->call)
		ret->stepped = stepped - ret->call;
	if (ret->call <= 0)
		ret->call = GUESSED_CALL_NS;
	ret->tick = TICK_FACTOR * task_clock_tick_cost();
	set_trial_process(programs, HEAP_MODE_RESTING);
	clear_counters(programs);
	log_debug("heap: a probe costs %.0f ns, with its return %.0f ns more, where it is stepped %.0f ns more; a tick %.0f ns",
		  ret->call, ret->returned, ret->stepped, ret->tick);
}

double heap_prices_cost(const struct heap_prices *prices, const struct heap_hits *hits, bool is_stepped)
{
	double call = prices->call + (is_stepped ? prices->stepped : 0);
	return hits->calls * call + hits->returns * prices->returned + hits->walk_ns;
}
