/* SPDX-License-Identifier: Apache-2.0 */
/* See kill_switch.h. */
#include "service/kill_switch.h"

#include "base/clock.h"
#include "base/log.h"
#include "service/daemon_state.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_INTERVAL_NS (500 * NS_PER_MS)
#define OVERRUN_FACTOR 2 /* times the budget; less is what the controller may need to settle */

const char *kill_reason_name(enum kill_reason reason)
{
	static const char *const names[] = {[KILL_NONE] = "none",
					    [KILL_FILE] = "file",
					    [KILL_SIGNAL] = "signal",
					    [KILL_OVERRUN] = "overrun"};
	return names[reason];
}

const char *kill_switch_way_back(const struct kill_switch *k, char *buffer, size_t size)
{
	if (k->reason == KILL_FILE)
		snprintf(buffer, size, "rm %s", k->daemon->configuration.kill_switch.file);
	else
		snprintf(buffer, size, "bolometer start");
	return buffer;
}

/* A name that cannot be looked at is no reason to stop, but somebody relies on it. */
static bool file_exists(struct kill_switch *k)
{
	const char *path = k->daemon->configuration.kill_switch.file;
	struct stat status;
	if (!path || !*path)
		return false;
	int error = lstat(path, &status) < 0 ? errno : 0;
	bool is_unreadable = error && error != ENOENT && error != ENOTDIR;
	if (is_unreadable && !k->is_unreadable)
		log_warning("kill_switch.file: cannot tell whether %s exists: %s; a file there "
			    "switches nothing off",
			    path, strerror(error));
	k->is_unreadable = is_unreadable;
	return error == 0;
}

static void note(struct kill_switch *k, enum kill_reason reason)
{
	k->reason = reason;
	k->since_realtime_ns = realtime_ns();
	k->over_since_ns = 0;
	k->activations++;
}

static void activate(struct kill_switch *k, enum kill_reason reason)
{
	if (k->reason)
		return;
	uint64_t start = monotonic_ns();
	char command[PATH_MAX];
	k->was_paused = k->daemon->is_paused;
	note(k, reason);
	daemon_detach(k->daemon);
	log_warning("kill switch (%s): everything is detached from the kernel, in %.0f ms; %s ends it",
		    kill_reason_name(reason), (double)(monotonic_ns() - start) / 1e6,
		    kill_switch_way_back(k, command, sizeof(command)));
}

/* What somebody had stopped before stays stopped. */
static void deactivate(struct kill_switch *k)
{
	if (k->was_paused) {
		log_info("the kill switch (%s) is off; sampling had been stopped before and stays off",
			 kill_reason_name(k->reason));
		kill_switch_release(k);
	} else if (daemon_resume(k->daemon) < 0) {
		/* It was logged; without a change of circumstances the next look would only fail again. */
		k->was_paused = true;
	}
}

static bool is_overrun(struct kill_switch *k)
{
	struct budget_report budget;
	uint64_t patience = k->daemon->configuration.kill_switch.overrun_ns, now = monotonic_ns();
	if (!k->daemon->configuration.budget.cpu_ppm || !patience || k->daemon->is_paused)
		return false;
	recording_get_budget(k->daemon->recording, &budget);
	if (budget.window_cost <= OVERRUN_FACTOR * budget.share)
		k->over_since_ns = 0;
	else if (!k->over_since_ns)
		k->over_since_ns = now;
	return k->over_since_ns && now - k->over_since_ns >= patience;
}

static int on_look(struct loop_source *source, uint32_t events, void *userdata)
{
	struct kill_switch *k = userdata;
	bool exists = file_exists(k);
	if (exists)
		activate(k, KILL_FILE);
	else if (k->reason == KILL_FILE)
		deactivate(k);
	else if (!k->reason && is_overrun(k))
		activate(k, KILL_OVERRUN);
	return 0;
}

static int on_signal(struct loop_source *source, uint32_t signal, void *userdata)
{
	activate(userdata, KILL_SIGNAL);
	return 0;
}

int kill_switch_begin(struct kill_switch *k, struct daemon *daemon)
{
	k->daemon = daemon;
	int r = loop_add_timer(daemon->loop, LOOK_INTERVAL_NS, LOOK_INTERVAL_NS, on_look, k, &k->timer);
	if (r < 0) {
		log_error("the kill switch cannot be watched: %s", strerror(-r));
		return r;
	}
	if (file_exists(k)) {
		note(k, KILL_FILE);
		daemon->is_paused = true;
		log_warning("kill switch (file): nothing is attached to the kernel while %s exists",
			    daemon->configuration.kill_switch.file);
	}
	return 0;
}

int kill_switch_watch_signal(struct kill_switch *k, struct loop *loop)
{
	return loop_add_signal(loop, SIGUSR2, on_signal, k, &k->signal);
}

void kill_switch_end(struct kill_switch *k)
{
	k->timer = loop_remove(k->timer);
	k->signal = loop_remove(k->signal);
}

bool kill_switch_permits(struct kill_switch *k)
{
	return !file_exists(k);
}

void kill_switch_release(struct kill_switch *k)
{
	k->reason = KILL_NONE;
	k->was_paused = false;
}

void kill_switch_on_reload(struct kill_switch *k)
{
	if (k->reason && kill_switch_permits(k))
		deactivate(k);
}
