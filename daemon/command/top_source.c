/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See top_source.h. What the daemon is asked runs in a thread: only the thread touches a job's answer while
 * it runs, and the job outlives a source that cannot wait for it.
 */
#include "command/top_source.h"

#include "base/clock.h"
#include "base/log.h"
#include "command/daemon_client.h"
#include "format/pprof.h"
#include "service/background.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PROBE_TIMEOUT_NS (2 * NS_PER_SECOND)
#define ANSWER_TIMEOUT_NS (30 * NS_PER_SECOND) /* beyond the interval: encoding, a busy host */
#define END_TIMEOUT_NS (100 * NS_PER_MS) /* nobody waits for the end of an interval */

/* One request to the daemon. */
struct job {
	struct top_source *source; /* used on the loop only; NULL: it is gone */
	char *socket_path;
	char path[80];
	uint64_t timeout_ns;
	struct profile *profile;
	char problem[512];
};

struct top_source {
	struct loop *loop;
	struct top_source_options options;
	uint64_t taken; /* intervals */
	bool is_paused;

	struct recording *recording; /* own; NULL: the daemon's */
	struct loop_source *timer;

	char *socket_path;
	struct background *background;
	struct job *job; /* that runs, or NULL */
};

static struct top_source *source_new(struct loop *loop, const struct top_source_options *options)
{
	struct top_source *source = calloc(1, sizeof(*source));
	if (source) {
		source->loop = loop;
		source->options = *options;
	}
	return source;
}

static int deliver(struct top_source *source, struct profile *profile, const char *problem)
{
	int r = source->options.callback(profile, problem, source->options.userdata);
	if (r < 0)
		loop_stop(source->loop, r);
	return r;
}

/* ---- An own recording ------------------------------------------------------------------------------ */

static int on_interval(struct loop_source *timer, uint32_t events, void *userdata)
{
	struct top_source *source = userdata;
	struct profile *profile = NULL;
	bool is_last = ++source->taken == source->options.intervals;
	int r = 0;
	if (is_last) {
		/* Stopped, it waits until the last names are known. */
		source->timer = loop_remove(source->timer);
		r = recording_stop(source->recording);
	}
	if (r == 0)
		r = recording_take_profile(source->recording, &profile);
	/* After a late one the next is as long as any. */
	if (r == 0 && !is_last)
		r = loop_set_timer(source->timer, source->options.delay_ns, 0);
	if (r == 0)
		return deliver(source, profile, NULL);
	profile_free(profile);
	char problem[128];
	snprintf(problem, sizeof(problem), "cannot make the profile: %s", strerror(-r));
	return deliver(source, NULL, problem);
}

int top_source_new_own(struct loop *loop, const struct top_source_options *options,
		       struct recording_options *recording, struct recording_failure *failure,
		       struct top_source **ret)
{
	struct top_source *source = source_new(loop, options);
	int r = source ? recording_new(loop, recording, failure, &source->recording) : -ENOMEM;
	if (r < 0) {
		top_source_free(source);
		return r;
	}
	*ret = source;
	return 0;
}

static int start_own(struct top_source *source, struct recording_failure *failure)
{
	uint64_t delay = source->options.delay_ns;
	int r = recording_start(source->recording, failure);
	return r < 0 ? r
		     : loop_add_timer(source->loop, delay, 0, on_interval, source,
				      &source->timer);
}

/* ---- The daemon's ---------------------------------------------------------------------------------- */

static void job_free(struct job *job)
{
	if (!job)
		return;
	profile_free(job->profile);
	free(job->socket_path);
	free(job);
}

/* In a thread. */
static void fetch(void *userdata)
{
	struct job *job = userdata;
	struct text body = {0}, error = {0};
	struct pprof_failure failure = {{0}, 0};
	struct daemon_request request = {
		.socket = job->socket_path, .path = job->path, .timeout_ns = job->timeout_ns};
	int r = daemon_client_ask(&request, &body, &error);
	if (r < 0)
		snprintf(job->problem, sizeof(job->problem), "%s",
			 error.bytes ? error.bytes : strerror(-r));
	else
		r = pprof_decode(body.bytes ? body.bytes : "", body.length, 0, &failure,
				 &job->profile);
	if (r < 0 && !job->problem[0])
		snprintf(job->problem, sizeof(job->problem), "the daemon's profile is broken: %s",
			 failure.text[0] ? failure.text : strerror(-r));
	text_free(&body);
	text_free(&error);
}

static int ask(struct top_source *source);

static void on_answer(void *userdata)
{
	struct job *job = userdata;
	struct top_source *source = job->source;
	if (source)
		source->job = NULL;
	if (source && !source->is_paused) {
		bool is_last = ++source->taken == source->options.intervals;
		/* The next interval begins before this one is looked at. */
		int r = job->profile && !is_last ? ask(source) : 0;
		if (r < 0)
			snprintf(job->problem, sizeof(job->problem), "cannot ask the daemon: %s",
				 strerror(-r));
		if (r < 0)
			job->profile = profile_free(job->profile);
		deliver(source, take_pointer(job->profile), job->problem);
	}
	job_free(job);
}

/* Up, never to nothing. */
static uint64_t whole_seconds(uint64_t ns)
{
	return (ns + NS_PER_SECOND - 1) / NS_PER_SECOND * NS_PER_SECOND;
}

static int ask(struct top_source *source)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	uint64_t seconds = source->options.delay_ns / NS_PER_SECOND;
	job->source = source;
	job->timeout_ns = seconds * NS_PER_SECOND + ANSWER_TIMEOUT_NS;
	snprintf(job->path, sizeof(job->path), "/debug/pprof/profile?seconds=%llu",
		 (unsigned long long)seconds);
	int r = (job->socket_path = strdup(source->socket_path)) ? 0 : -ENOMEM;
	if (r == 0)
		r = background_run(source->background, fetch, on_answer, job);
	if (r < 0)
		job_free(job);
	else
		source->job = job;
	return r;
}

/* Is somebody there who answers as the daemon does? */
static int probe(const char *socket_path, struct recording_failure *failure)
{
	struct text body = {0}, error = {0};
	struct daemon_request request = {
		.socket = socket_path, .path = "/debug/pprof/", .timeout_ns = PROBE_TIMEOUT_NS};
	int r = daemon_client_ask(&request, &body, &error);
	if (r < 0)
		snprintf(failure->text, sizeof(failure->text), "%s",
			 error.bytes ? error.bytes : strerror(-r));
	text_free(&body);
	text_free(&error);
	return r;
}

int top_source_new_daemon(struct loop *loop, const struct top_source_options *options,
			  const char *socket_path, struct recording_failure *failure,
			  struct top_source **ret)
{
	struct top_source *source = source_new(loop, options);
	int r = source && (source->socket_path = strdup(socket_path)) ? 0 : -ENOMEM;
	if (r == 0)
		source->options.delay_ns = whole_seconds(options->delay_ns);
	/* Two: an interval that was given up may still be on its way out. */
	if (r == 0)
		r = background_new(loop, 2, &source->background);
	if (r == 0)
		r = probe(socket_path, failure);
	if (r < 0) {
		top_source_free(source);
		return r;
	}
	*ret = source;
	return 0;
}

static int start_daemon(struct top_source *source, struct recording_failure *failure)
{
	int r = ask(source);
	if (r < 0)
		snprintf(failure->text, sizeof(failure->text), "cannot ask the daemon: %s",
			 strerror(-r));
	return r;
}

/* ---- Both ------------------------------------------------------------------------------------------ */

struct top_source *top_source_free(struct top_source *source)
{
	if (!source)
		return NULL;
	loop_remove(source->timer);
	recording_free(source->recording);
	if (source->job)
		source->job->source = NULL;
	background_free(source->background, END_TIMEOUT_NS);
	free(source->socket_path);
	free(source);
	return NULL;
}

int top_source_start(struct top_source *source, struct recording_failure *failure)
{
	return source->recording ? start_own(source, failure) : start_daemon(source, failure);
}

int top_source_set_delay(struct top_source *source, uint64_t delay_ns)
{
	source->options.delay_ns = source->recording ? delay_ns : whole_seconds(delay_ns);
	return source->timer ? loop_set_timer(source->timer, delay_ns, 0) : 0;
}

void top_source_pause(struct top_source *source)
{
	source->is_paused = true;
	if (source->recording)
		recording_pause(source->recording);
}

void top_source_resume(struct top_source *source)
{
	struct recording_failure failure = {0};
	source->is_paused = false;
	if (source->recording) {
		if (recording_resume(source->recording, &failure) < 0)
			log_error("sampling stays off: %s", failure.text);
		loop_set_timer(source->timer, source->options.delay_ns, 0);
	} else if (!source->job) {
		ask(source);
	}
}

uint64_t top_source_delay(const struct top_source *source)
{
	return source->options.delay_ns;
}
