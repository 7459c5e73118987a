/* SPDX-License-Identifier: Apache-2.0 */
/* See exporter.h: what the daemon's loop calls. The threads are in exporter_threads.c. */
#include "export/exporter.h"

#include "base/clock.h"
#include "base/log.h"
#include "export/exporter_state.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define SEND_TIMEOUT_NS (10 * NS_PER_SECOND)
#define MAX_HANDOFF_BYTES ((uint64_t)32 << 20)
#define CANCEL_PERIOD_NS (20 * NS_PER_MS)

/* -- the system's clock --------------------------------------------------------------------- */

static uint64_t system_now(void *userdata)
{
	return monotonic_ns();
}

static void system_wait(void *userdata, pthread_cond_t *condition, pthread_mutex_t *mutex,
			uint64_t until_ns)
{
	struct timespec until = {(time_t)(until_ns / NS_PER_SECOND), (long)(until_ns % NS_PER_SECOND)};
	if (until_ns == UINT64_MAX)
		pthread_cond_wait(condition, mutex);
	else
		pthread_cond_timedwait(condition, mutex, &until);
}

static uint64_t system_random(void *userdata)
{
	uint64_t bits;
	if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		bits = monotonic_ns() * 0x9e3779b97f4a7c15ULL;
	return bits;
}

static const struct exporter_clock system_clock = {system_now, system_wait, system_random, NULL};

/* -- opening and closing -------------------------------------------------------------------- */

static void initialize_locks(struct exporter *exporter)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&exporter->lock, NULL);
	pthread_cond_init(&exporter->wake_writer, &attributes);
	pthread_cond_init(&exporter->wake_sender, &attributes);
	pthread_cond_init(&exporter->moved, &attributes);
	pthread_condattr_destroy(&attributes);
}

static int start_threads(struct exporter *exporter)
{
	int r = pthread_create(&exporter->writer, NULL, exporter_run_writer, exporter);
	if (r != 0)
		return -r;
	exporter->has_writer = true;
	r = pthread_create(&exporter->sender, NULL, exporter_run_sender, exporter);
	if (r != 0)
		return -r;
	exporter->has_sender = true;
	return 0;
}

int exporter_new(const struct exporter_options *options, struct sink *sink, struct exporter **ret)
{
	struct exporter *exporter = calloc(1, sizeof(*exporter));
	if (!exporter)
		return -ENOMEM;
	initialize_locks(exporter);
	exporter->options = *options;
	backoff_set_defaults(&exporter->options.retry);
	if (!exporter->options.send_timeout_ns)
		exporter->options.send_timeout_ns = SEND_TIMEOUT_NS;
	if (!exporter->options.max_handoff_bytes)
		exporter->options.max_handoff_bytes = MAX_HANDOFF_BYTES;
	exporter->clock = options->clock ? *options->clock : system_clock;
	exporter->has_work = true; /* an earlier run may have left something */
	exporter->name = strdup(options->name);
	int r = exporter->name ? spool_open(&options->spool, &exporter->spool) : -ENOMEM;
	exporter->options.spool.directory = NULL;
	exporter->sink = sink;
	if (r == 0)
		r = start_threads(exporter);
	if (r < 0) {
		exporter_stop(exporter);
		exporter->sink = NULL; /* the caller's, as before */
		exporter_free(exporter);
		return r;
	}
	*ret = exporter;
	return 0;
}

void exporter_stop(struct exporter *exporter)
{
	pthread_mutex_lock(&exporter->lock);
	exporter->is_stopping = true;
	pthread_cond_broadcast(&exporter->wake_writer);
	pthread_cond_broadcast(&exporter->wake_sender);
	/* Over and over: one that comes just before the attempt begins is not felt by it. */
	while (exporter->has_sender && !exporter->sender_ended) {
		exporter->sink->operations->cancel(exporter->sink);
		system_wait(NULL, &exporter->moved, &exporter->lock,
			    monotonic_ns() + CANCEL_PERIOD_NS);
	}
	pthread_mutex_unlock(&exporter->lock);
	if (exporter->has_writer)
		pthread_join(exporter->writer, NULL);
	if (exporter->has_sender)
		pthread_join(exporter->sender, NULL);
	exporter->has_writer = exporter->has_sender = false;
	if (exporter->spool)
		spool_drop_memory(exporter->spool, DROP_SHUTDOWN);
}

struct exporter *exporter_free(struct exporter *exporter)
{
	if (!exporter)
		return NULL;
	exporter_stop(exporter);
	spool_free(exporter->spool);
	struct sink *sinks[] = {exporter->sink, exporter->next_sink};
	for (size_t i = 0; i < ARRAY_LENGTH(sinks); i++)
		if (sinks[i])
			sinks[i]->operations->free(sinks[i]);
	array_free(&exporter->handoff);
	pthread_cond_destroy(&exporter->wake_writer);
	pthread_cond_destroy(&exporter->wake_sender);
	pthread_cond_destroy(&exporter->moved);
	pthread_mutex_destroy(&exporter->lock);
	free(exporter->name);
	free(exporter);
	return NULL;
}

/* -- in ------------------------------------------------------------------------------------- */

static void count(struct amount *amount, const struct payload *payload, int64_t sign)
{
	amount->payloads += (uint64_t)sign;
	amount->samples += (uint64_t)sign * payload->samples;
	amount->bytes += (uint64_t)sign * payload->size;
}

/* A writer that hangs in the disk leaves no other place: the oldest go. */
static void bound_handoff(struct exporter *exporter)
{
	size_t dropped = 0;
	uint64_t waiting = 0;
	for (size_t i = 0; i < exporter->handoff.count; i++)
		waiting += exporter->handoff.items[i].size;
	while (dropped < exporter->handoff.count && waiting > exporter->options.max_handoff_bytes) {
		struct payload *oldest = &exporter->handoff.items[dropped++];
		waiting -= oldest->size;
		count(&exporter->handed, oldest, -1);
		count(&exporter->overflown, oldest, 1);
		free((char *)oldest->bytes);
	}
	exporter->handoff.count -= dropped;
	memmove(exporter->handoff.items, exporter->handoff.items + dropped,
		exporter->handoff.count * sizeof(struct payload));
}

int exporter_add(struct exporter *exporter, const struct payload *payload)
{
	struct payload copy = *payload;
	char *bytes = malloc(payload->size ? payload->size : 1);
	if (bytes && payload->size)
		memcpy(bytes, payload->bytes, payload->size);
	copy.bytes = bytes;
	pthread_mutex_lock(&exporter->lock);
	int r = bytes ? array_add(&exporter->handoff, copy) : -ENOMEM;
	if (r == 0) {
		count(&exporter->handed, &copy, 1);
		bound_handoff(exporter);
		pthread_cond_signal(&exporter->wake_writer);
	} else {
		count(&exporter->no_memory, payload, 1);
		free(bytes);
	}
	pthread_mutex_unlock(&exporter->lock);
	return r;
}

void exporter_lose(struct exporter *exporter, uint64_t samples, enum drop_reason reason)
{
	pthread_mutex_lock(&exporter->lock);
	exporter->lost[reason].samples += samples;
	pthread_mutex_unlock(&exporter->lock);
}

uint64_t exporter_size_limit(struct exporter *exporter)
{
	pthread_mutex_lock(&exporter->lock);
	uint64_t limit = exporter->counts.size_limit;
	pthread_mutex_unlock(&exporter->lock);
	return limit;
}

/* -- control -------------------------------------------------------------------------------- */

void exporter_set_sink(struct exporter *exporter, struct sink *sink)
{
	pthread_mutex_lock(&exporter->lock);
	struct sink *unused = exporter->next_sink;
	exporter->next_sink = sink;
	exporter->sink->operations->cancel(exporter->sink);
	pthread_cond_signal(&exporter->wake_sender);
	pthread_mutex_unlock(&exporter->lock);
	if (unused)
		unused->operations->free(unused);
}

void exporter_flush_start(struct exporter *exporter, uint64_t timeout_ns)
{
	pthread_mutex_lock(&exporter->lock);
	exporter->flush_until_ns = exporter->clock.now_ns(exporter->clock.userdata) + timeout_ns;
	exporter->next_attempt_ns = 0;
	exporter->is_idle = false;
	exporter->has_work = true;
	pthread_cond_signal(&exporter->wake_sender);
	pthread_mutex_unlock(&exporter->lock);
}

/* 1: go on waiting. */
static int flush_result(const struct exporter *exporter, uint64_t now)
{
	if (exporter->is_idle && !exporter->has_work && !exporter->handed.payloads)
		return 0;
	if (now >= exporter->flush_until_ns)
		return -ETIMEDOUT;
	return exporter->next_attempt_ns > exporter->flush_until_ns && !exporter->handed.payloads
		       ? -EAGAIN : 1;
}

int exporter_flush_wait(struct exporter *exporter)
{
	int r;
	const struct exporter_clock *clock = &exporter->clock;
	pthread_mutex_lock(&exporter->lock);
	while ((r = flush_result(exporter, clock->now_ns(clock->userdata))) > 0)
		clock->wait(clock->userdata, &exporter->moved, &exporter->lock,
			    exporter->flush_until_ns);
	if (r == -ETIMEDOUT)
		exporter->sink->operations->cancel(exporter->sink);
	exporter->flush_until_ns = 0;
	pthread_mutex_unlock(&exporter->lock);
	return r;
}

static void sum(struct amount *total, const struct amount *more)
{
	total->payloads += more->payloads;
	total->samples += more->samples;
	total->bytes += more->bytes;
}

/* What is handed over and not in the spool's account yet. With the lock held. */
static struct amount still_handed(const struct exporter *exporter, const struct spool_statistics *spool)
{
	struct amount handed = exporter->handed;
	if (exporter->appending && spool->taken.payloads > exporter->appended)
		count(&handed, exporter->appending, -1);
	return handed;
}

void exporter_statistics(struct exporter *exporter, struct exporter_statistics *ret)
{
	pthread_mutex_lock(&exporter->lock);
	uint64_t now = exporter->clock.now_ns(exporter->clock.userdata);
	*ret = exporter->counts;
	ret->pause_ns = exporter->next_attempt_ns > now ? exporter->next_attempt_ns - now : 0;
	spool_statistics(exporter->spool, &ret->spool);
	ret->handoff = still_handed(exporter, &ret->spool);
	sum(&ret->spool.waiting, &ret->handoff);
	sum(&ret->spool.in_memory, &ret->handoff);
	sum(&ret->spool.dropped[DROP_DISK], &exporter->overflown);
	sum(&ret->spool.dropped[DROP_MEMORY], &exporter->no_memory);
	sum(&ret->spool.taken, &ret->handoff);
	sum(&ret->spool.taken, &exporter->overflown);
	sum(&ret->spool.taken, &exporter->no_memory);
	for (int i = 0; i < DROP_REASON_COUNT; i++) {
		sum(&ret->spool.dropped[i], &exporter->lost[i]);
		sum(&ret->spool.taken, &exporter->lost[i]);
	}
	pthread_mutex_unlock(&exporter->lock);
}
