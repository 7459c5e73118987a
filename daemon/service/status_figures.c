/* SPDX-License-Identifier: Apache-2.0 */
/* See status_figures.h. */
#include "service/status_figures.h"

#include "service/setting.h"

#include <time.h>

const char *figures_time(char *buffer, size_t size, uint64_t realtime_ns)
{
	struct tm tm;
	time_t second = (time_t)(realtime_ns / NS_PER_SECOND);
	gmtime_r(&second, &tm);
	strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buffer;
}

uint64_t figures_dropped(const struct spool_statistics *spool)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		sum += spool->dropped[i].samples;
	return sum;
}

const char *figures_exporter_type(enum exporter_type type, struct text *out)
{
	struct exporter_configuration exporter = {.type = type};
	setting_write(setting_find(exporter_settings, "type"), &exporter, out);
	return out->bytes ? out->bytes : "";
}
