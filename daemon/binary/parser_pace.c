/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much CPU time the child may use. One request may take seconds, and can be given out in no smaller pieces; so
 * the child is stopped (SIGSTOP) in the middle of it when what was granted is used up, and goes on (SIGCONT) with the
 * next grant. Before it is in its sandbox it is not stopped: it would stay behind, stopped, if the daemon died then.
 */
#include "base/clock.h"
#include "binary/parser_state.h"

#include <signal.h>

/* Its CPU time is looked at again no sooner than after this. */
#define SHORTEST_LOOK_NS (300 * 1000ULL)

/* On a busy host we come late to stopping it. What it used too much is taken from later grants, so many at most. */
#define MOST_OWED 20

static uint64_t used_ns(const struct parser *parser)
{
	return parser->statistics.child_cpu_ns +
	       (parser->child ? parser_process_cpu_ns(parser->child) : 0);
}

bool parser_may_work(const struct parser *parser)
{
	return !parser->pace.is_limited || used_ns(parser) < parser->pace.until_ns;
}

bool parser_is_stopped_by_us(const struct parser *parser)
{
	return parser->pace.stopped_ns != 0;
}

void parser_pace_watch(struct parser *parser)
{
	const struct parser_pace *pace = &parser->pace;
	if (!pace->is_limited || pace->stopped_ns || !parser->with_child_count)
		return;
	uint64_t used = used_ns(parser), left = pace->until_ns > used ? pace->until_ns - used : 0;
	loop_set_timer(pace->timer, MAX_OF(left, SHORTEST_LOOK_NS), 0);
}

static void stop(struct parser *parser)
{
	if (kill(parser->child->pid, SIGSTOP) == 0)
		parser->pace.stopped_ns = monotonic_ns();
}

/* Time in which it was stopped is not held against it. */
static void let_go_on(struct parser *parser)
{
	if (!parser->pace.stopped_ns)
		return;
	kill(parser->child->pid, SIGCONT);
	parser->deadline += monotonic_ns() - parser->pace.stopped_ns;
	parser->pace.stopped_ns = 0;
}

int parser_on_pace(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser *parser = userdata;
	if (!parser->child || !parser->with_child_count || parser->pace.stopped_ns)
		return 0;
	if (parser->child_ready && !parser_may_work(parser))
		stop(parser);
	else
		parser_pace_watch(parser);
	return 0;
}

void parser_grant(struct parser *parser, uint64_t cpu_ns)
{
	struct parser_pace *pace = &parser->pace;
	uint64_t used = used_ns(parser);
	if (cpu_ns == PARSER_UNLIMITED) {
		pace->is_limited = false;
	} else {
		uint64_t excess = pace->is_limited && used > pace->until_ns ? used - pace->until_ns : 0;
		pace->until_ns = used + cpu_ns - MIN_OF(excess, MOST_OWED * cpu_ns);
		pace->is_limited = true;
	}
	if (parser_may_work(parser)) {
		let_go_on(parser);
		parser_schedule(parser);
	}
	parser_pace_watch(parser);
}
