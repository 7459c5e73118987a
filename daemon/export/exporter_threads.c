/* SPDX-License-Identifier: Apache-2.0 */
/* The two threads of an exporter. Both give the lock back before disk or network are touched. */
#include "base/clock.h"
#include "base/log.h"
#include "export/exporter_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOG_PAUSE_NS (600 * NS_PER_SECOND)
#define NO_MEMORY_PAUSE_NS NS_PER_SECOND
/* A backend that takes less takes nothing useful: no shower of tiny requests for its sake. */
#define SMALLEST_SIZE_LIMIT ((uint64_t)16 << 10)

static uint64_t now_ns(const struct exporter *exporter)
{
	return exporter->clock.now_ns(exporter->clock.userdata);
}

/* Says that payloads are being lost, for each reason once in a while; the counters say how many. What the backend
 * refuses is log_result()'s to say. From the writer alone. */
static void log_drops(struct exporter *exporter)
{
	struct spool_statistics statistics;
	spool_statistics(exporter->spool, &statistics);
	uint64_t now = now_ns(exporter);
	for (int i = 0; i < DROP_REASON_COUNT; i++) {
		uint64_t count = statistics.dropped[i].payloads, *logged = &exporter->logged_drop_ns[i];
		if (i == DROP_REJECTED || count <= exporter->logged_drops[i] || (*logged && now - *logged < LOG_PAUSE_NS))
			continue;
		log_warning("exporter %s: %llu payloads dropped since the start (%s), of %llu samples",
			    exporter->name, (unsigned long long)count, drop_reason_name(i),
			    (unsigned long long)statistics.dropped[i].samples);
		exporter->logged_drops[i] = count;
		*logged = now;
	}
}

/* -- the writer ----------------------------------------------------------------------------- */

static void begin_append(struct exporter *exporter, const struct payload *payload)
{
	struct spool_statistics statistics;
	pthread_mutex_lock(&exporter->lock);
	spool_statistics(exporter->spool, &statistics);
	exporter->appended = statistics.taken.payloads;
	exporter->appending = payload;
	pthread_mutex_unlock(&exporter->lock);
}

/* What it has written leaves the hand-over's account when it is in the spool's; for the moment between,
 * exporter_statistics() looks which of them has it. */
static void write_payloads(struct exporter *exporter, struct payload *payloads, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		begin_append(exporter, &payloads[i]);
		spool_append(exporter->spool, &payloads[i]);
		free((char *)payloads[i].bytes);
		pthread_mutex_lock(&exporter->lock);
		exporter->appending = NULL;
		exporter->handed.payloads--;
		exporter->handed.samples -= payloads[i].samples;
		exporter->handed.bytes -= payloads[i].size;
		exporter->has_work = true;
		pthread_mutex_unlock(&exporter->lock);
	}
	spool_sync(exporter->spool);
}

void *exporter_run_writer(void *userdata)
{
	struct exporter *exporter = userdata;
	pthread_setname_np(pthread_self(), "spool-writer");
	pthread_mutex_lock(&exporter->lock);
	while (exporter->handoff.count || !exporter->is_stopping) {
		if (!exporter->handoff.count) {
			pthread_cond_wait(&exporter->wake_writer, &exporter->lock);
			continue;
		}
		struct payload *payloads = take_pointer(exporter->handoff.items);
		size_t count = exporter->handoff.count;
		exporter->handoff.count = exporter->handoff.capacity = 0;
		pthread_mutex_unlock(&exporter->lock);
		write_payloads(exporter, payloads, count);
		free(payloads);
		log_drops(exporter);
		pthread_mutex_lock(&exporter->lock);
		pthread_cond_broadcast(&exporter->moved);
		pthread_cond_signal(&exporter->wake_sender);
	}
	exporter->writer_ended = true;
	pthread_mutex_unlock(&exporter->lock);
	return NULL;
}

/* -- the sender ----------------------------------------------------------------------------- */

static void free_halves(struct payload halves[2])
{
	free((char *)halves[0].bytes);
	free((char *)halves[1].bytes);
}

/* Puts two halves into the payload's place. Returns 0 or -errno; then it is still out. */
static int split(struct exporter *exporter, const struct spool_record *record)
{
	struct payload halves[2] = {{0}};
	int r = exporter->options.split ? exporter->options.split(&record->payload, halves) : -E2BIG;
	if (r == 0)
		r = spool_replace(exporter->spool, record->sequence, halves);
	free_halves(halves);
	return r;
}

/* What is no smaller than a payload that was refused is not sent to hear that again: payloads that were made
 * before the limit was known. One that may have arrived keeps its bytes; one that cannot be split is asked
 * for. Returns whether it was split. */
static bool split_unasked(struct exporter *exporter, const struct spool_record *record)
{
	uint64_t limit = exporter->counts.size_limit, size = record->payload.size; /* this thread's */
	return limit && size > limit && size >= exporter->refused_size && !record->maybe_repeated &&
	       split(exporter, record) == 0;
}

/* Returns -ENOMEM when it is to be tried again, else 0. */
static int split_or_drop(struct exporter *exporter, const struct spool_record *record)
{
	int r = split(exporter, record);
	if (r == -ENOMEM)
		spool_again(exporter->spool, record->sequence, false);
	else if (r < 0)
		spool_drop(exporter->spool, record->sequence, DROP_TOO_LARGE);
	return r == -ENOMEM ? r : 0;
}

/* Tells the spool what became of the payload. What cannot be done is a reason to try again. */
static void settle(struct exporter *exporter, const struct spool_record *record,
		   struct sink_result *result)
{
	result->message[sizeof(result->message) - 1] = '\0';
	switch (result->outcome) {
	case SINK_SENT:
		spool_sent(exporter->spool, record->sequence);
		return;
	case SINK_REJECTED:
		spool_drop(exporter->spool, record->sequence, DROP_REJECTED);
		return;
	case SINK_TOO_LARGE:
		if (split_or_drop(exporter, record) < 0)
			result->outcome = SINK_RETRY;
		return;
	case SINK_RETRY:
		break;
	}
	result->outcome = SINK_RETRY;
	spool_again(exporter->spool, record->sequence, result->maybe_received);
}

/* Did we end the attempt ourselves? Then the backend is not to blame. With the lock held. */
static bool is_cancelled(const struct exporter *exporter)
{
	return exporter->next_sink || exporter->is_stopping;
}

/* Once in a while; *last: when it was. */
static bool may_log(struct exporter *exporter, uint64_t *last)
{
	uint64_t now = now_ns(exporter);
	if (*last && now - *last < LOG_PAUSE_NS)
		return false;
	*last = now;
	return true;
}

/* Before the attempt is counted, without the lock: standard error may block. */
static void log_result(struct exporter *exporter, const struct sink_result *result)
{
	uint64_t failures = exporter->counts.failures_in_a_row; /* written by this thread alone */
	const char *message = result->message[0] ? result->message : "no reason given";
	pthread_mutex_lock(&exporter->lock);
	bool by_us = is_cancelled(exporter);
	pthread_mutex_unlock(&exporter->lock);
	if (result->outcome == SINK_RETRY && !failures && !by_us &&
	    may_log(exporter, &exporter->logged_failure_ns)) {
		log_warning("exporter %s: %s; what is collected is kept and sent later",
			    exporter->name, message);
		exporter->failure_is_logged = true;
	}
	if (result->outcome != SINK_RETRY && failures && exporter->failure_is_logged) {
		log_info("exporter %s: the backend answers again, after %llu failed attempts",
			 exporter->name, (unsigned long long)failures);
		exporter->failure_is_logged = false;
	}
	bool is_refused = result->outcome == SINK_REJECTED ||
			  (result->outcome == SINK_SENT && result->rejected_profiles);
	if (is_refused && may_log(exporter, &exporter->logged_rejection_ns))
		log_warning("exporter %s: the backend refuses for good: %s; what it refuses is dropped and counted",
			    exporter->name, message);
}

/* Where the backend does not name its limit the halves will tell whether they are below it. */
static void learn_size_limit(struct exporter *exporter, uint64_t refused, uint64_t named)
{
	uint64_t limit = MAX_OF(named ? named : refused / 2, SMALLEST_SIZE_LIMIT);
	uint64_t *known = &exporter->counts.size_limit;
	pthread_mutex_lock(&exporter->lock);
	if (!*known || limit < *known)
		*known = limit;
	pthread_mutex_unlock(&exporter->lock);
	if (!exporter->refused_size || refused < exporter->refused_size)
		exporter->refused_size = refused;
}

static void count_answer(struct exporter_statistics *counts, const struct sink_result *result)
{
	static const char *const outcomes[] = {
		[SINK_SENT] = "sent",
		[SINK_RETRY] = "retry",
		[SINK_REJECTED] = "rejected",
		[SINK_TOO_LARGE] = "too_large",
	};
	const char *code = result->code[0] ? result->code : outcomes[result->outcome];
	size_t i = 0;
	while (i < counts->answer_count && strcmp(counts->answers[i].code, code) != 0)
		i++;
	if (i >= EXPORTER_MAX_ANSWERS - 1) { /* the last place is theirs who find none */
		i = EXPORTER_MAX_ANSWERS - 1;
		code = "other";
	}
	snprintf(counts->answers[i].code, sizeof(counts->answers[i].code), "%s", code);
	counts->answers[i].sends++;
	counts->answer_count = MAX_OF(counts->answer_count, i + 1);
}

static void count_result(struct exporter *exporter, const struct sink_result *result)
{
	struct exporter_statistics *counts = &exporter->counts;
	counts->sends++;
	count_answer(counts, result);
	counts->bytes_sent += result->bytes_sent;
	if (result->message[0])
		snprintf(counts->last_message, sizeof(counts->last_message), "%.255s",
			 result->message);
	if (result->outcome == SINK_SENT && result->rejected_profiles) {
		counts->partial_successes++;
		counts->rejected_profiles += result->rejected_profiles;
	}
	if (result->outcome == SINK_SENT)
		counts->refusals_in_a_row = 0;
	counts->refusals_in_a_row += result->outcome == SINK_REJECTED;
	if (result->outcome != SINK_RETRY) {
		counts->failures_in_a_row = 0;
		exporter->backoff = (struct backoff){0};
		exporter->next_attempt_ns = 0;
	} else if (is_cancelled(exporter)) {
		counts->retries++;
	} else {
		counts->retries++;
		counts->failures_in_a_row++;
		exporter->next_attempt_ns =
			now_ns(exporter) + backoff_next(&exporter->backoff, &exporter->options.retry,
							result->retry_after_ns,
							exporter->clock.random(
								exporter->clock.userdata));
	}
}

/* Without the lock. */
static void send_record(struct exporter *exporter, const struct spool_record *record, uint64_t timeout_ns,
			struct sink_result *ret)
{
	struct sink *sink = exporter->sink; /* only this thread replaces it */
	sink->operations->send(sink, &record->payload, timeout_ns, ret);
	if (ret->outcome == SINK_TOO_LARGE)
		learn_size_limit(exporter, record->payload.size, ret->size_limit);
	settle(exporter, record, ret);
	log_result(exporter, ret);
}

/* One attempt with the oldest payload. Called, and returns, with the lock held. */
static void attempt(struct exporter *exporter, uint64_t now)
{
	struct spool_record record;
	struct sink_result result = {.outcome = SINK_RETRY};
	bool was_split = false;
	uint64_t timeout = exporter->options.send_timeout_ns;
	if (exporter->flush_until_ns > now)
		timeout = MIN_OF(timeout, exporter->flush_until_ns - now);
	exporter->has_work = exporter->is_idle = false;
	pthread_mutex_unlock(&exporter->lock);
	int r = spool_next(exporter->spool, &record);
	if (r == 0) {
		was_split = split_unasked(exporter, &record);
		if (!was_split)
			send_record(exporter, &record, timeout, &result);
		spool_record_free(&record);
	}
	pthread_mutex_lock(&exporter->lock);
	if (r == -ENOENT) {
		exporter->is_idle = !exporter->has_work;
		exporter->next_attempt_ns = 0;
	} else if (r < 0) {
		exporter->next_attempt_ns = now_ns(exporter) + NO_MEMORY_PAUSE_NS;
	} else if (!was_split) {
		count_result(exporter, &result);
	}
	pthread_cond_broadcast(&exporter->moved);
}

static void take_next_sink(struct exporter *exporter)
{
	struct sink *old = exporter->sink;
	exporter->sink = take_pointer(exporter->next_sink);
	exporter->counts.size_limit = exporter->refused_size = 0;
	exporter->backoff = (struct backoff){0};
	exporter->next_attempt_ns = 0;
	pthread_mutex_unlock(&exporter->lock);
	old->operations->free(old);
	pthread_mutex_lock(&exporter->lock);
}

void *exporter_run_sender(void *userdata)
{
	struct exporter *exporter = userdata;
	pthread_setname_np(pthread_self(), "export-sender");
	pthread_mutex_lock(&exporter->lock);
	while (!exporter->is_stopping) {
		uint64_t now = now_ns(exporter);
		bool is_idle = exporter->is_idle && !exporter->has_work;
		if (exporter->next_sink)
			take_next_sink(exporter);
		else if (is_idle || exporter->next_attempt_ns > now)
			exporter->clock.wait(exporter->clock.userdata, &exporter->wake_sender,
					     &exporter->lock,
					     is_idle ? UINT64_MAX : exporter->next_attempt_ns);
		else
			attempt(exporter, now);
	}
	exporter->sender_ended = true;
	pthread_cond_broadcast(&exporter->moved);
	pthread_mutex_unlock(&exporter->lock);
	return NULL;
}
