/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One exporter of the configuration while it runs: its destination, its queue, its account. What goes wrong is logged
 * here, where the names are known.
 */
#pragma once

#include "export/exporter.h"
#include "service/configuration.h"

struct running_exporter {
	struct exporter *exporter; /* NULL: its queue could not be opened again after a reload */
	uint64_t lost;		   /* samples, while that is so */
};

/* The destination. Returns 0 or -errno, which has been logged. */
int running_exporter_make_sink(const struct exporter_configuration *c, struct sink **ret);

/* Has it a queue on disk? A directory has none, its files would only be written twice. `spool_directory` NULL: none
 * has. */
bool running_exporter_has_spool(const char *spool_directory, const struct exporter_configuration *c);

/* Opens the queue and starts the threads; takes *sink over and leaves NULL there, if it returns 0. Otherwise -errno,
 * which has been logged: -EBUSY when another process has the queue. */
int running_exporter_start(const char *spool_directory, const struct exporter_configuration *c, struct sink **sink,
		   struct exporter **ret);

/* With what was lost while there was no queue. */
void running_exporter_statistics(const struct running_exporter *running, struct exporter_statistics *ret);

/* Ends the exporter's threads and says what became of all samples: one line that adds up. */
void running_exporter_stop(const struct running_exporter *running, const char *name);
