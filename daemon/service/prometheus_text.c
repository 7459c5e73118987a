/* SPDX-License-Identifier: Apache-2.0 */
/* See prometheus_text.h. */
#include "service/prometheus_text.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>

#define MAX_NAME 64

void prometheus_family(struct text *out, const char *name, const char *type, const char *help)
{
	text_add(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void label(struct text *out, const char *separator, const char *key, const char *value)
{
	text_add(out, "%s%s=\"", separator, key);
	for (const char *p = value; *p; p++) {
		if (*p == '\\' || *p == '"')
			text_add_char(out, '\\');
		if (*p == '\n')
			text_add_string(out, "\\n");
		else
			text_add_char(out, *p);
	}
	text_add_char(out, '"');
}

void prometheus_sample2(struct text *out, const char *name, const char *key, const char *value,
			const char *key2, const char *value2, double number)
{
	text_add(out, PREFIX "%s", name);
	if (key)
		label(out, "{", key, value);
	if (key2)
		label(out, ",", key2, value2);
	/* Counts are written in full, whatever their size. */
	text_add(out, number == floor(number) ? "%s %.0f\n" : "%s %.15g\n", key ? "}" : "", number);
}

void prometheus_sample(struct text *out, const char *name, const char *key, const char *value,
		       uint64_t number)
{
	prometheus_sample2(out, name, key, value, NULL, NULL, (double)number);
}

void prometheus_single(struct text *out, const char *name, const char *type, const char *help,
		       double number)
{
	prometheus_family(out, name, type, help);
	prometheus_sample2(out, name, NULL, NULL, NULL, NULL, number);
}

void prometheus_histogram(struct text *out, const char *name, const char *key, const char *value,
			  const struct durations *d)
{
	char sample_name[MAX_NAME], bound[32];
	uint64_t up_to = 0;
	snprintf(sample_name, sizeof(sample_name), "%s_bucket", name);
	for (size_t i = 0; i < ARRAY_LENGTH(DURATION_BOUNDS); i++) {
		up_to += d->within[i];
		snprintf(bound, sizeof(bound), "%g", ns_to_seconds(DURATION_BOUNDS[i]));
		prometheus_sample2(out, sample_name, key, value, "le", bound, (double)up_to);
	}
	prometheus_sample2(out, sample_name, key, value, "le", "+Inf", (double)d->count);
	snprintf(sample_name, sizeof(sample_name), "%s_sum", name);
	prometheus_sample2(out, sample_name, key, value, NULL, NULL, ns_to_seconds(d->sum_ns));
	snprintf(sample_name, sizeof(sample_name), "%s_count", name);
	prometheus_sample(out, sample_name, key, value, d->count);
}
