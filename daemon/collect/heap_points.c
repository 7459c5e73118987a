/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel has links of sessions (Linux 6.13), one link holds all probes of a file, and the program says at
 * each call whether it wants to see the return. Elsewhere returns have a link of their own: it is set first, since a
 * call that is met must be seen returning. Both go at once, when nothing is counted any more.
 *
 * The kernel sets the points of a link in their order. Those that free are first: a block of which only the allocation
 * is seen would be in use for good.
 */
#include "collect/heap_points.h"

#include "bolometer.skel.h"
#include "collect/uprobe_multi.h"

#include <bpf/libbpf.h>
#include <errno.h>

int heap_points_attach(struct programs *programs, int file, uint32_t pid, const struct heap_points *points,
		   bool frees, struct heap_attached *ret)
{
	bool in_session = programs->has_sessions;
	const struct bolometer_bpf *s = programs->skeleton;
	struct uprobe_multi_target target = {.file = file,
					     .offsets = points->offsets + points->free_count,
					     .cookies = points->cookies + points->free_count,
					     .count = points->count - points->free_count,
					     .pid = pid,
					     .returns = true};
	*ret = (struct heap_attached)HEAP_ATTACHED_NONE;
	if (!in_session) {
		int link = uprobe_multi_attach(bpf_program__fd(s->progs.on_allocator_return),
					       UPROBE_MULTI, &target);
		if (link < 0)
			return link;
		ret->returns = link;
	}
	uint32_t first = frees ? 0 : points->free_count;
	target.offsets = points->offsets + first;
	target.cookies = points->cookies + first;
	target.count = points->count - first;
	target.returns = false;
	int link = uprobe_multi_attach(bpf_program__fd(in_session ? s->progs.on_allocator_session
								  : s->progs.on_allocator_call),
				       in_session ? UPROBE_MULTI_SESSION : UPROBE_MULTI, &target);
	ret->calls = MAX_OF(link, -1);
	if (link < 0)
		heap_points_detach(ret);
	return MIN_OF(link, 0);
}

void heap_points_detach(struct heap_attached *links)
{
	struct closing_links closing = {0};
	heap_points_leave(links, &closing);
	closing_links_close(&closing);
}

void heap_points_leave(struct heap_attached *links, struct closing_links *closing)
{
	closing_links_add(closing, &links->calls);
	closing_links_add(closing, &links->returns);
}
