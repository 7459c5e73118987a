/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of /metrics, each a file of its own, for metrics.c alone; see metrics.h. */
#pragma once

#include "service/metrics.h"
#include "service/prometheus_text.h"

/* Of metrics_samples.c. `strategies` NULL: none. */
void metrics_write_samples(const struct recording_statistics *statistics, struct text *out);
void metrics_write_strategies(const struct strategies *strategies, struct text *out);
void metrics_write_growth(const struct recording_statistics *statistics, struct text *out);
void metrics_write_heap(const struct recording_statistics *statistics, struct text *out);
void metrics_write_stacks(const struct recording_statistics *statistics, struct text *out);

/* Of metrics_export.c. */
void metrics_write_requests(const struct metrics *metrics, struct text *out);
void metrics_write_amounts(const struct metrics *metrics, struct text *out);
