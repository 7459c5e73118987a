/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kill switch: a file, SIGUSR2, or a budget that is overrun for long detach everything of ours from the
 * kernel. The file is looked for twice a second, by name: no event can be lost, and its directory need not be
 * there. What a file switched off comes back when it goes; anything else with `bolometer start` or a reload,
 * never while the file is there.
 */
#pragma once

#include "base/loop.h"

struct daemon;

enum kill_reason { KILL_NONE, KILL_FILE, KILL_SIGNAL, KILL_OVERRUN, KILL_REASON_COUNT };

struct kill_switch {
	struct daemon *daemon;
	struct loop_source *timer, *signal;
	enum kill_reason reason; /* KILL_NONE: it is off */
	bool was_paused;	 /* by somebody, before it came */
	bool is_unreadable;	 /* whether the file exists cannot be told, which has been said */
	uint64_t since_realtime_ns;
	uint64_t over_since_ns; /* the last minute cost too much since; 0: it does not */
	uint64_t activations;
};

/* "file", "signal", "overrun" */
const char *kill_reason_name(enum kill_reason reason);

/* The command that ends it: "rm FILE" or "bolometer start". Returns `buffer`, where a longer one is cut. */
const char *kill_switch_way_back(const struct kill_switch *kill_switch, char *buffer, size_t size);

/* Before the recording starts: where the file exists by then, daemon->is_paused says to start detached. Returns
 * 0 or -errno. */
int kill_switch_begin(struct kill_switch *kill_switch, struct daemon *daemon);

/* Signals are blocked before any thread starts, so this comes before kill_switch_begin(). Returns 0 or -errno. */
int kill_switch_watch_signal(struct kill_switch *kill_switch, struct loop *loop);
void kill_switch_end(struct kill_switch *kill_switch);

/* May sampling begin again? Not while the file exists. */
bool kill_switch_permits(struct kill_switch *kill_switch);

/* Sampling begins again. */
void kill_switch_release(struct kill_switch *kill_switch);

/* A new configuration is in force: begins again what the switch had ended, if it may. */
void kill_switch_on_reload(struct kill_switch *kill_switch);
