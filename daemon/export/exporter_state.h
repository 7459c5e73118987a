/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of an exporter, for exporter.c and exporter_threads.c alone. */
#pragma once

#include "base/array.h"
#include "export/exporter.h"

struct exporter {
	char *name;
	struct exporter_options options; /* defaults filled in; the spool's directory is not kept */
	struct exporter_clock clock;
	struct spool *spool; /* has its own lock */

	pthread_mutex_t lock; /* all below; never held while disk or network work */
	pthread_cond_t wake_writer, wake_sender, moved;
	pthread_t writer, sender;
	bool has_writer, has_sender; /* threads to join */
	bool is_stopping, writer_ended, sender_ended;

	ARRAY(struct payload) handoff; /* copies that the writer is to take */
	struct amount handed;	       /* these, and those the writer has in its hands */
	const struct payload *appending; /* of them, the one being given to the spool; NULL: none */
	uint64_t appended;		 /* what the spool had taken before it */
	struct amount overflown;       /* dropped from the hand-over */
	struct amount no_memory;       /* never got in */
	struct amount lost[DROP_REASON_COUNT]; /* of exporter_lose() */

	struct sink *sink, *next_sink;
	bool has_work; /* something was appended since the sender found nothing */
	bool is_idle;  /* the sender found nothing */
	struct backoff backoff;
	uint64_t next_attempt_ns; /* not before; 0: at once */
	uint64_t flush_until_ns;  /* 0: no flush */
	struct exporter_statistics counts; /* `spool` unused */

	uint64_t refused_size; /* of the smallest payload found too large; 0: none was; the sender's */
	uint64_t logged_rejection_ns, logged_failure_ns; /* the sender's */
	bool failure_is_logged;
	uint64_t logged_drop_ns[DROP_REASON_COUNT]; /* the writer's */
	uint64_t logged_drops[DROP_REASON_COUNT];   /* payloads at that time */
};

void *exporter_run_writer(void *exporter);
void *exporter_run_sender(void *exporter);
