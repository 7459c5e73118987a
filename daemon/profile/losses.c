/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/losses.h"

void losses_collect(struct recording_losses *losses, const struct collector_statistics *c)
{
#define LOSS_SOURCE(name, source, what) .name = (source),
	*losses = (struct recording_losses){RECORDING_LOSSES(LOSS_SOURCE)};
#undef LOSS_SOURCE
}

void losses_add_jit(struct recording_losses *losses, const struct jit_map *map)
{
	struct jit_statistics jit;
	jit_map_get_statistics(map, &jit);
	losses->jit_lines_bad += jit.bad_lines;
	losses->jit_entries_dropped += jit.dropped;
	losses->jit_bytes_unread += jit.bytes_unread;
	losses->jit_readings_lost += jit.readings_lost;
	losses->jit_maps_hanging += jit.given_up;
}

void losses_each(const struct recording_losses *losses, losses_callback callback, void *userdata)
{
#define LOSS_CALL(name, source, what)    \
	if (losses->name)        \
		callback(userdata, #name, losses->name);
	RECORDING_LOSSES(LOSS_CALL)
#undef LOSS_CALL
}
