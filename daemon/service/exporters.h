/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporters of the configuration, running: each interval's profile is encoded once for each form
 * that is wanted and handed to their queues. Nothing here waits for a disk or a network.
 */
#pragma once

#include "export/exporter.h"
#include "profile/profile.h"
#include "profile/profile_kind.h"
#include "service/configuration.h"

struct exporters;
struct exporters_update;

/* Opens queues and starts their threads. What is wrong has been logged. Returns 0 or -errno. */
int exporters_new(const struct configuration *configuration, struct exporters **ret);

/* Ends all threads and logs the account of each exporter, in samples: taken + recovered = sent + waiting +
 * dropped. What is on disk stays for the next start. */
void exporters_stop(struct exporters *exporters);

/* Stops and frees. Accepts NULL. Returns NULL. */
struct exporters *exporters_free(struct exporters *exporters);

/* Encodes the profile and hands it to every queue. What fails is logged. A queue that could not be opened
 * again after a reload is tried anew; until it is there its samples are lost, counted as DROP_NO_QUEUE. */
void exporters_add(struct exporters *exporters, enum profile_kind kind, const struct profile *profile);

/* Sends all that waits, for at most `timeout_ns` in all. */
void exporters_flush(struct exporters *exporters, uint64_t timeout_ns);

/* For people, one line: "3 exporters, 0 failing, 12 profiles waiting". */
void exporters_describe(struct exporters *exporters, struct text *out);

/* What is known of exporter `index`, in the order of the configuration. */
struct exporter_state {
	const char *name;
	enum exporter_type type;
	uint64_t capacity_bytes; /* of its files of the queue; 0: it has none */
	bool is_running; /* false: its queue could not be opened again after a reload; of the statistics
			  * only what was lost for that */
	struct exporter_statistics statistics;
};

size_t exporters_count(const struct exporters *exporters);
void exporters_get(const struct exporters *exporters, size_t index, struct exporter_state *ret);

/*
 * The change to another configuration in two steps: the first makes what is new and may fail (logged,
 * nothing has changed); the second cannot. An exporter of the same name and kind keeps its queue; one
 * whose destination is equal keeps its connection. `update` is used up by either second step.
 */
int exporters_prepare(struct exporters *exporters, const struct configuration *configuration,
		      struct exporters_update **ret);
void exporters_commit(struct exporters *exporters, struct exporters_update *update);
void exporters_abandon(struct exporters_update *update);
