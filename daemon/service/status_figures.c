/* SPDX-License-Identifier: Apache-2.0 */
/* See status_figures.h. */
#include "service/status_figures.h"

#include "service/setting.h"

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
