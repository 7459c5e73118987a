/* SPDX-License-Identifier: Apache-2.0 */
/* The root object, for the files of the daemon alone. */
#pragma once

#include "base/loop.h"
#include "collect/opener.h"
#include "export/open_interval.h"
#include "profile/recording.h"
#include "service/configuration.h"
#include "service/exporters.h"
#include "service/kill_switch.h"
#include "service/local_server.h"
#include "service/loss_watch.h"
#include "service/notify.h"

struct reload_statistics {
	uint64_t reloads, failures;
	bool last_successful;
	uint64_t last_realtime_ns; /* of the last attempt; the start counts as one */
};

/* Recordings that took the place of a used up one. */
struct renewal_statistics {
	uint64_t renewals, failures;
	uint64_t not_before; /* the next attempt, CLOCK_MONOTONIC ns */
};

/* What the last interval was. */
struct interval_figures {
	uint64_t duration_ns; /* 0: none has ended yet */
	uint64_t ticks, samples, lost, captured_ns;
	uint64_t own_cpu_ns, bpf_ns;
};

struct daemon {
	const struct configuration_sources *sources;
	struct configuration configuration; /* in force */
	struct loop *loop;
	struct recording *recording; /* NULL: none could be begun after a reload */
	struct oom_files *oom_files; /* NULL: none are kept */
	struct exporters *exporters;
	struct local_server *local;
	struct notifier notifier;
	struct opener *opener;		     /* NULL: this process opens its events itself */
	struct open_interval *open_interval; /* NULL: what a kill loses will not be known */
	struct loop_source *interval, *watchdog, *heartbeat, *term, *interrupt, *hangup;
	bool is_paused;	      /* sampling is off, no interval is open */
	bool heap_is_refused; /* it was wanted, and could not be probed */
	uint64_t start_realtime_ns;
	struct kill_switch kill_switch;
	struct reload_statistics reload;
	struct renewal_statistics renewal;
	struct recording_statistics last; /* at the end of the last interval */
	struct interval_figures interval_figures;
	struct loss_watch ring_losses, limit_losses;
};

/* Of daemon_strategies.c: NULL where none is configured. Returns 0 or -errno. */
int daemon_strategies(const struct configuration *configuration, struct strategies **ret);

/* Of daemon_recording.c. Has it an output that says in which span a sample was taken? */
bool daemon_wants_links(const struct configuration *configuration);

/* Of daemon_recording.c. What the configuration selects, the caller's to free. Returns 0 or -ENOMEM. */
int daemon_selection(const struct configuration *configuration, struct selection *ret);

/* Begins the recording by the configuration in force. Returns 0 or -errno, which was logged. */
int daemon_begin_recording(struct daemon *daemon);

/* Another recording, by `new` where that needs no restart, ready to take the place of the one that samples meanwhile.
 * Returns 0 or -errno, which was logged; then nothing has changed. */
int daemon_load_recording(struct daemon *daemon, struct configuration *new, struct recording **ret);

/* Puts it there; the interval ends before. Uses `new` up. Returns 0 or -errno, which was logged; then the old one goes
 * on, or one by the configuration in force, or daemon->recording is NULL and the daemon has to end. */
int daemon_exchange_recording(struct daemon *daemon, struct recording *new);

/* Where the recording is used up, another by the configuration in force takes its place; to be called between two
 * intervals. As daemon_exchange_recording() where that fails, which is logged and tried again later. */
void daemon_renew_recording(struct daemon *daemon);

/* What there was to export in all; with the exporters' own accounts it shows where each sample went. */
void daemon_tell_account(struct daemon *daemon);

/* Logs each problem on a line of its own. */
void daemon_log_problems(const struct configuration_problems *problems);

/* And what it should know though it is no mistake. */
void daemon_log_warnings(const struct configuration *configuration);

/* Of daemon_interval.c. Ends the open interval: takes its profile and gives it to the exporters. Returns 0 or -errno. */
int daemon_flush(struct daemon *daemon);

/* Sampling off and on again: the open interval ends with its profile, the next one begins when sampling
 * does, and the time between is counted. Return 0 or -errno. */
int daemon_pause(struct daemon *daemon);
void daemon_detach(struct daemon *daemon); /* and nothing of ours is in the kernel's way, see kill_switch.h */
int daemon_resume(struct daemon *daemon);

/* Reads the configuration again and applies it, all or nothing. */
void daemon_reload(struct daemon *daemon);
