/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as both forms of the status, for programs and for people, have them. */
#pragma once

#include "base/clock.h"
#include "service/exporters.h"

/* 0 of nothing. */
static inline double figures_ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* In samples, for any reason. */
uint64_t figures_dropped(const struct spool_statistics *spool);

/* The type's word in the configuration, "otlp-grpc"; *out owns it. */
const char *figures_exporter_type(enum exporter_type type, struct text *out);
