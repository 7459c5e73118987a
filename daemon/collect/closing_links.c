/* SPDX-License-Identifier: Apache-2.0 */
/* See closing_links.h. */
#include "collect/closing_links.h"

#include "base/clock.h"
#include "base/file.h"

#include <pthread.h>

static void close_some(struct closing_links *closing)
{
	size_t at;
	while ((at = __atomic_fetch_add(&closing->next, 1, __ATOMIC_RELAXED)) < closing->count)
		closing->links[at] = close_fd(closing->links[at]);
}

static void *help(void *argument)
{
	struct closing_links *closing = argument;
	close_some(closing);
	__atomic_fetch_add(&closing->helpers_ns, thread_cpu_ns(), __ATOMIC_RELAXED);
	return NULL;
}

void closing_links_add(struct closing_links *closing, int *link)
{
	if (*link < 0)
		return;
	if (closing->count == CLOSING_LINKS)
		closing_links_close(closing);
	closing->links[closing->count++] = *link;
	*link = -1;
}

void closing_links_close(struct closing_links *closing)
{
	pthread_t helpers[CLOSING_LINKS];
	size_t started = 0;
	closing->next = 0;
	while (started + 1 < closing->count && pthread_create(&helpers[started], NULL, help, closing) == 0)
		started++;
	close_some(closing); /* with too few helpers: one after another */
	for (size_t i = 0; i < started; i++)
		pthread_join(helpers[i], NULL);
	closing->count = 0;
}
