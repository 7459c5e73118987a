/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the root object, its start and its end. Order at the start: the exporters before the recording,
 * so that their queues are there for the first profile; READY only when ticks come. At the end the
 * reverse: sampling stops, its last profile goes to the exporters, the exporters flush.
 */
#include "service/daemon.h"

#include "base/clock.h"
#include "service/daemon_state.h"
#include "service/oom_files.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

/* Of the five seconds that are promised: names come before it, and there is a margin. */
#define FLUSH_TIMEOUT_NS (3 * NS_PER_SECOND)
#define HEARTBEAT_NS (1 * NS_PER_SECOND)

static void log_lines(enum log_level level, struct text *lines)
{
	char *rest = lines->bytes;
	for (char *line; rest && (line = strsep(&rest, "\n"));)
		if (*line)
			log_message(level, "%s", line);
	text_free(lines);
}

void daemon_log_problems(const struct configuration_problems *problems)
{
	struct text lines = {0};
	configuration_problems_write(problems, &lines);
	log_lines(LOG_LEVEL_ERROR, &lines);
}

void daemon_log_warnings(const struct configuration *configuration)
{
	struct text lines = {0};
	configuration_warnings(configuration, &lines);
	log_lines(LOG_LEVEL_WARNING, &lines);
}

/* ---- Signals, timers and the watchdog ---------------------------------------------------------------- */

static int on_interval(struct loop_source *source, uint32_t events, void *userdata)
{
	struct daemon *daemon = userdata;
	daemon_flush(daemon);
	daemon_renew_recording(daemon);
	return daemon->recording ? 0 : -EIO;
}

static int on_hangup(struct loop_source *source, uint32_t signal, void *userdata)
{
	struct daemon *daemon = userdata;
	daemon_reload(daemon);
	return daemon->recording ? 0 : -EIO;
}

static int on_end(struct loop_source *source, uint32_t signal, void *userdata)
{
	struct daemon *daemon = userdata;
	log_info("%s: ending", signal == SIGTERM ? "SIGTERM" : "SIGINT");
	loop_stop(daemon->loop, 0);
	return 0;
}

/* The rings are drained by the same loop: while this comes, so do samples. */
static int on_watchdog(struct loop_source *source, uint32_t events, void *userdata)
{
	notifier_send(&((struct daemon *)userdata)->notifier, "WATCHDOG=1");
	return 0;
}

static int on_heartbeat(struct loop_source *source, uint32_t events, void *userdata)
{
	struct daemon *daemon = userdata;
	if (!daemon->is_paused)
		open_interval_heartbeat(daemon->open_interval, (int64_t)realtime_ns());
	return 0;
}

static int watch(struct daemon *daemon)
{
	uint64_t alive = daemon->notifier.watchdog_ns / 2;
	uint64_t interval = daemon->configuration.interval_ns;
	int r = loop_add_signal(daemon->loop, SIGTERM, on_end, daemon, &daemon->term);
	if (r == 0)
		r = loop_add_signal(daemon->loop, SIGINT, on_end, daemon, &daemon->interrupt);
	if (r == 0)
		r = loop_add_signal(daemon->loop, SIGHUP, on_hangup, daemon, &daemon->hangup);
	if (r == 0)
		r = kill_switch_watch_signal(&daemon->kill_switch, daemon->loop);
	if (r == 0 && alive)
		r = loop_add_timer(daemon->loop, alive, alive, on_watchdog, daemon,
				   &daemon->watchdog);
	if (r == 0)
		r = loop_add_timer(daemon->loop, HEARTBEAT_NS, HEARTBEAT_NS, on_heartbeat, daemon,
				   &daemon->heartbeat);
	if (r == 0)
		r = loop_add_timer(daemon->loop, interval, interval, on_interval, daemon,
				   &daemon->interval);
	return r;
}

/* From now on a second TERM or INT has its default meaning: it ends the process at once. What the
 * exporters have on disk survives that. */
static void unwatch_ends(struct daemon *daemon)
{
	sigset_t set;
	daemon->term = loop_remove(daemon->term);
	daemon->interrupt = loop_remove(daemon->interrupt);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- Start and end ----------------------------------------------------------------------------------- */

/* From here on this memory holds credentials: no core dump has them, also where core_pattern is a pipe to a
 * crash reporter, and no process without CAP_SYS_PTRACE reads them. Our own /proc/self stays open to us, as to
 * every thread of the process itself. */
static void keep_memory_private(void)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warning("core dumps of this process may hold credentials: %s", strerror(errno));
}

static int load_configuration(struct daemon *daemon)
{
	struct configuration_problems problems = {0};
	keep_memory_private();
	int r = configuration_load(daemon->sources, &daemon->configuration, &problems);
	daemon_log_problems(&problems);
	if (r < 0 && !problems.count)
		log_error("cannot read the configuration: %s", strerror(-r));
	configuration_problems_free(&problems);
	if (r == 0)
		daemon_log_warnings(&daemon->configuration);
	log_set_level(daemon->configuration.log_level);
	log_set_format(daemon->configuration.log_format);
	daemon->reload = (struct reload_statistics){.last_successful = r == 0,
						    .last_realtime_ns = realtime_ns()};
	return r;
}

static void keep_victims(struct daemon *daemon)
{
	const struct memory_configuration *memory = &daemon->configuration.memory;
	if (!memory->growth || !memory->oom_directory)
		return;
	int r = oom_files_new(memory->oom_directory, memory->oom_bytes, &daemon->oom_files);
	if (r < 0)
		log_warning("profiles of processes that are killed for lack of memory are not kept: %s",
			    strerror(-r));
}

/* The capability that opens events where perf_event_paranoid is 3 goes to a process of its own. */
static void start_opener(struct daemon *daemon)
{
	int r = opener_is_useful() ? opener_start(&daemon->opener) : 0;
	if (r < 0)
		log_warning("CAP_SYS_ADMIN stays in this process, its confined opener does not "
			    "start: %s",
			    strerror(-r));
}

static void tell_lost_interval(const struct lost_interval *lost)
{
	log_warning("an earlier run was killed: its last %.1f s of samples were not handed over and "
		    "are lost",
		    (double)(lost->last_seen_ns - lost->start_ns) / 1e9);
}

static void take_open_interval(struct daemon *daemon)
{
	struct lost_interval lost;
	const char *directory = daemon->configuration.spool_directory;
	int r = directory ? open_interval_take(directory, &daemon->open_interval, &lost) : 0;
	if (r > 0)
		tell_lost_interval(&lost);
	else if (r < 0)
		log_warning("%s cannot be used, profiles that wait are only in memory: %s",
			    directory, strerror(-r));
	open_interval_begin(daemon->open_interval, (int64_t)realtime_ns());
}

/* Signals are blocked before any thread starts, so that they reach the loop and nothing else. */
static int start(struct daemon *daemon)
{
	int r = loop_new(&daemon->loop);
	if (r == 0)
		r = watch(daemon);
	if (r < 0) {
		log_error("cannot make the event loop: %s", strerror(-r));
		return r;
	}
	r = exporters_new(&daemon->configuration, &daemon->exporters);
	if (r == 0)
		keep_victims(daemon);
	if (r == 0)
		r = kill_switch_begin(&daemon->kill_switch, daemon);
	if (r == 0)
		r = daemon_begin_recording(daemon);
	if (r == 0)
		r = local_server_new(daemon, &daemon->local);
	if (r == 0)
		take_open_interval(daemon);
	return r;
}

int daemon_new(const struct configuration_sources *sources, struct daemon **ret)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	if (!daemon)
		return -ENOMEM;
	daemon->sources = sources;
	daemon->start_realtime_ns = realtime_ns();
	log_set_journal(log_is_journal(getenv("JOURNAL_STREAM"), 2));
	log_set_limited(true);
	int r = notifier_open(&daemon->notifier);
	if (r < 0)
		log_warning("the service manager cannot be told anything, its socket does not "
			    "answer: %s",
			    strerror(-r));
	r = load_configuration(daemon);
	if (r == 0) {
		start_opener(daemon);
		r = start(daemon);
	}
	if (r < 0) {
		daemon_free(daemon);
		return r;
	}
	*ret = daemon;
	return 0;
}

int daemon_run(struct daemon *daemon)
{
	log_info("bolometer " BOLOMETER_VERSION ": sampling at %llu Hz, a profile every %.1f s",
		 (unsigned long long)daemon->configuration.sampling.frequency,
		 (double)daemon->configuration.interval_ns / 1e9);
	notifier_send(&daemon->notifier, "READY=1\nSTATUS=sampling, the first interval is open");
	int r = loop_run(daemon->loop);
	notifier_send(&daemon->notifier, "STOPPING=1\nSTATUS=sending what is left");
	unwatch_ends(daemon);
	log_set_limited(false); /* each exporter's account is told, however many they are */
	daemon->local = local_server_free(daemon->local);
	if (r < 0 && daemon->recording)
		log_error("the event loop failed: %s", strerror(-r));
	int stopped = daemon->recording ? recording_stop(daemon->recording) : r;
	int flushed = stopped < 0 ? stopped : daemon_flush(daemon);
	if (flushed == 0)
		daemon->open_interval = open_interval_close(daemon->open_interval);
	exporters_flush(daemon->exporters, FLUSH_TIMEOUT_NS);
	exporters_stop(daemon->exporters);
	daemon->oom_files = oom_files_free(daemon->oom_files, FLUSH_TIMEOUT_NS);
	if (daemon->recording)
		daemon_tell_account(daemon);
	log_info("ended");
	return r < 0 ? r : flushed;
}

struct daemon *daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return NULL;
	loop_remove(daemon->interval);
	loop_remove(daemon->watchdog);
	loop_remove(daemon->heartbeat);
	loop_remove(daemon->hangup);
	loop_remove(daemon->term);
	loop_remove(daemon->interrupt);
	kill_switch_end(&daemon->kill_switch);
	local_server_free(daemon->local);
	recording_free(daemon->recording);
	oom_files_free(daemon->oom_files, 0);
	exporters_free(daemon->exporters);
	opener_free(daemon->opener);
	loop_free(daemon->loop);
	notifier_close(&daemon->notifier);
	configuration_free(&daemon->configuration);
	free(daemon);
	return NULL;
}
