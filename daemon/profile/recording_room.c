/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording without end gives up. Stacks go soon: on a host whose programs come and go most are never met again,
 * and what is kept of them sets how much memory a recording takes for good. One that is met again is sent whole once
 * more, which is little beside the samples that come meanwhile. Names and binaries are dearer to have again: they go
 * when there is no room for more, and every third of limits.idle those that nothing used for so long.
 */
#include "profile/recording_state.h"

#include "base/clock.h"

#define ROOM_PAUSE_NS (60 * NS_PER_SECOND) /* where all is in use: it is not fetched again and again */
#define LEAVING_NS NS_PER_SECOND	   /* far longer than a tick runs */
#define STACKS_NS (60 * NS_PER_SECOND)	   /* so long those are kept, at least, that no window holds */
#define IDLE_AGES 3

static bool release_binary(void *userdata, struct binary *binary)
{
	const struct recording *r = userdata;
	return !r->symbolizer || symbolizer_forget(r->symbolizer, binary);
}

static bool names_are_crowded(const struct recording *r)
{
	return binaries_are_crowded(collector_binaries(r->collector)) ||
	       (r->symbolizer && symbolizer_is_crowded(r->symbolizer));
}

/* What the stacks need is used in this age. */
static void mark_used(struct recording *r)
{
	struct binaries *binaries = collector_binaries(r->collector);
	for (size_t i = 0; i < r->aggregate.frames.count; i++)
		if (r->aggregate.frames.items[i] >> 60 < FRAME_ADDRESS)
			binaries_mark_used(binaries, (uint32_t)(r->aggregate.frames.items[i] >>
								FRAME_OFFSET_BITS));
}

static void begin_age(struct recording *r)
{
	r->room_made_ns = monotonic_ns();
	binaries_next_age(collector_binaries(r->collector));
	mark_used(r);
}

/* Among binaries and names, where the stacks that are kept do not need them. */
static void make_room(struct recording *r)
{
	struct binaries *binaries = collector_binaries(r->collector);
	begin_age(r);
	if (binaries_are_crowded(binaries))
		binaries_make_room(binaries);
	if (r->symbolizer && symbolizer_is_crowded(r->symbolizer))
		symbolizer_make_room(r->symbolizer, binaries->age);
	r->room_pause_ns = names_are_crowded(r) ? ROOM_PAUSE_NS : LEAVING_NS;
}

/* Before stacks are forgotten: those that are there tell what was used of late, too. */
static void dismiss_idle(struct recording *r, uint64_t now)
{
	r->renewed_ns = now;
	begin_age(r);
	binaries_dismiss_idle(collector_binaries(r->collector), IDLE_AGES);
	if (r->symbolizer)
		symbolizer_forget_texts(r->symbolizer); /* whose binaries went nobody knows */
}

static bool renewal_is_due(struct recording *r, uint64_t now)
{
	if (!r->renewed_ns)
		r->renewed_ns = now;
	return r->options.limits.idle_ns && now - r->renewed_ns >= r->options.limits.idle_ns / IDLE_AGES;
}

void recording_drop_unused_names(struct recording *r)
{
	begin_age(r);
	if (r->symbolizer)
		symbolizer_make_room(r->symbolizer, collector_binaries(r->collector)->age);
}

void recording_drop_unused_tables(struct recording *r)
{
	begin_age(r);
	binaries_dismiss_idle(collector_binaries(r->collector), 0);
}

/* A stack may have come that ran through it before it was dismissed. */
static bool release_unused(void *userdata, struct binary *binary)
{
	struct recording *r = userdata;
	return binary->last_used != binary->owner->age && release_binary(r, binary);
}

void recording_remove_dropped(struct recording *r)
{
	struct binaries *binaries = collector_binaries(r->collector);
	if (!binaries->leaving || monotonic_ns() - r->room_made_ns < LEAVING_NS)
		return;
	collector_drain(r->collector);
	begin_age(r);
	binaries_remove_leaving(binaries, release_unused, r);
}

static bool stacks_are_due(const struct recording *r, uint64_t now)
{
	return now - r->stacks_forgotten_ns >= STACKS_NS;
}

bool recording_is_used_up(const struct recording *r)
{
	return binaries_slots_run_out(collector_binaries(r->collector));
}

int recording_forget_stacks(struct recording *r)
{
	collector_forget_stacks(r->collector);
	mark_used(r);
	int error = aggregate_forget_old(&r->aggregate);
	if (error < 0)
		return error;
	r->stacks_forgotten_ns = monotonic_ns();
	r->prepared_stacks = 0;
	r->unprepared.count = 0;
	return 0;
}

void recording_forget_old(struct recording *r)
{
	recording_forget_jit(r);
	uint64_t now = monotonic_ns();
	if (r->running)
		binaries_retry_interrupted(collector_binaries(r->collector));
	if (now - r->room_made_ns >= LEAVING_NS)
		binaries_remove_leaving(collector_binaries(r->collector), release_binary, r);
	bool room_is_due = now - r->room_made_ns >= r->room_pause_ns && names_are_crowded(r);
	bool renewal = renewal_is_due(r, now);
	if (!r->running ||
	    (!stacks_are_due(r, now) && !aggregate_is_crowded(&r->aggregate) && !room_is_due && !renewal))
		return;
	if (renewal)
		dismiss_idle(r, now);
	if (recording_forget_stacks(r) < 0)
		return; /* out of memory: tried again next time */
	if (room_is_due)
		make_room(r);
}

/* What can still be known of the names at the end. */
