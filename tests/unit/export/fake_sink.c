/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "tests/unit/export/fake_sink.h"
#include "tests/unit/export/scratch.h"

#include <sched.h>
#include <string.h>

void fake_sink_receive(struct fake_sink *fake, const struct payload *payload)
{
	uint32_t number = 0;
	memcpy(&number, payload->bytes, sizeof(number));
	pthread_mutex_lock(&fake->lock);
	if (fake->count < ARRAY_LENGTH(fake->received))
		fake->received[fake->count] = number;
	fake->count++;
	fake->samples += payload->samples;
	pthread_mutex_unlock(&fake->lock);
}

void fake_sink_hang(struct fake_sink *fake)
{
	pthread_mutex_lock(&fake->lock);
	fake->is_cancelled = false;
	while (!fake->is_cancelled)
		pthread_cond_wait(&fake->changed, &fake->lock);
	pthread_mutex_unlock(&fake->lock);
}

static void fake_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
		      struct sink_result *ret)
{
	struct fake_sink *fake = container_of(sink, struct fake_sink, sink);
	*ret = (struct sink_result){.outcome = SINK_SENT, .bytes_sent = payload->size};
	if (fake->answer)
		fake->answer(fake, payload, ret);
	if (ret->outcome == SINK_SENT || ret->maybe_received)
		fake_sink_receive(fake, payload);
}

static void fake_cancel(struct sink *sink)
{
	struct fake_sink *fake = container_of(sink, struct fake_sink, sink);
	pthread_mutex_lock(&fake->lock);
	fake->is_cancelled = true;
	pthread_cond_broadcast(&fake->changed);
	pthread_mutex_unlock(&fake->lock);
}

static struct sink *fake_free(struct sink *sink)
{
	struct fake_sink *fake = container_of(sink, struct fake_sink, sink);
	if (fake->freed)
		(*fake->freed)++;
	else
		fake_sink_release(fake);
	return NULL;
}

static const struct sink_operations operations = {fake_send, fake_cancel, fake_free};

struct fake_sink *fake_sink_new(fake_answer answer, void *userdata, int *freed)
{
	struct fake_sink *fake = calloc(1, sizeof(*fake));
	assert_non_null(fake);
	fake->sink.operations = &operations;
	fake->answer = answer;
	fake->userdata = userdata;
	fake->freed = freed;
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->changed, NULL);
	return fake;
}

void fake_sink_release(struct fake_sink *fake)
{
	free(fake);
}

static uint64_t fake_now(void *userdata)
{
	struct fake_clock *clock = userdata;
	return clock->now_ns;
}

static void fake_wait(void *userdata, pthread_cond_t *condition, pthread_mutex_t *mutex,
		      uint64_t until_ns)
{
	struct fake_clock *clock = userdata;
	if (until_ns == UINT64_MAX) {
		pthread_cond_wait(condition, mutex);
		return;
	}
	if (until_ns > clock->now_ns)
		clock->now_ns = until_ns;
	pthread_mutex_unlock(mutex);
	sched_yield();
	pthread_mutex_lock(mutex);
}

static uint64_t fake_random(void *userdata)
{
	struct fake_clock *clock = userdata;
	return hash_mix(clock->random += 0x9e3779b97f4a7c15ULL);
}

struct exporter_clock fake_clock_of(struct fake_clock *clock)
{
	return (struct exporter_clock){fake_now, fake_wait, fake_random, clock};
}
