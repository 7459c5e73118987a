/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text format of Prometheus 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): a family is its HELP and
 * TYPE, its samples follow. Names are given without our prefix, label values as they are.
 */
#pragma once

#include "base/text.h"
#include "profile/recording.h"

#define PREFIX "bolometer_"

/* `type`: "counter", "gauge" or "histogram". */
void prometheus_family(struct text *out, const char *name, const char *type, const char *help);

/* A sample with up to two labels; `key` NULL: without. */
void prometheus_sample2(struct text *out, const char *name, const char *key, const char *value, const char *key2,
			const char *value2, double number);
void prometheus_sample(struct text *out, const char *name, const char *key, const char *value, uint64_t number);

/* A family of one sample without labels. */
void prometheus_single(struct text *out, const char *name, const char *type, const char *help, double number);

/* The samples of one series of a histogram. A bucket counts everything up to its bound. */
void prometheus_histogram(struct text *out, const char *name, const char *key, const char *value,
			  const struct durations *durations);
