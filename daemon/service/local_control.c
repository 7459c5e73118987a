/* SPDX-License-Identifier: Apache-2.0 */
/* Turning sampling off and on, and strategies that count anew: what changes the daemon. */
#include "service/local_state.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

/* A page of another site can make a browser post here, with the token the browser remembers; it cannot
 * keep the browser from saying so. */
static bool is_from_elsewhere(const struct http_exchange *exchange)
{
	const char *origin = http_header(exchange, "Origin");
	const char *host = http_header(exchange, "Host");
	if (!origin)
		return false;
	return !host || strncmp(origin, "http://", 7) != 0 || strcmp(origin + 7, host) != 0;
}

static void control(struct http_exchange *exchange, struct local_server *local, bool on)
{
	if (is_from_elsewhere(exchange)) {
		http_respond_text(exchange, 403, "a page of another site may not do this");
		return;
	}
	bool was_on = !local->daemon->is_paused;
	int r = on ? daemon_resume(local->daemon) : daemon_pause(local->daemon);
	if (r == -EBUSY)
		http_respond_text(exchange, 409, "the kill switch is on while %s exists; remove it",
				  local->daemon->configuration.kill_switch.file);
	else if (r < 0)
		http_respond_text(exchange, 500, "not on all CPUs: %s", strerror(-r));
	else
		http_respond_text(exchange, 200, "sampling %s %s", was_on == on ? "was already" : "is",
				  on ? "on" : "off");
}

void local_stop(struct http_exchange *exchange, void *userdata)
{
	control(exchange, userdata, false);
}

void local_start(struct http_exchange *exchange, void *userdata)
{
	control(exchange, userdata, true);
}

void local_reset(struct http_exchange *exchange, void *userdata)
{
	struct strategies *strategies = recording_strategies(((struct local_server *)userdata)->daemon->recording);
	if (is_from_elsewhere(exchange)) {
		http_respond_text(exchange, 403, "a page of another site may not do this");
		return;
	}
	if (!strategies) {
		http_respond_text(exchange, 409, "no strategies are configured");
		return;
	}
	strategies_reset(strategies, realtime_ns());
	http_respond_text(exchange, 200, "the statistics of %zu strategies begin anew", strategies_count(strategies));
}
