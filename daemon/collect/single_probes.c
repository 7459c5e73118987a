/* SPDX-License-Identifier: Apache-2.0 */
/* See single_probes.h. */
#include "collect/single_probes.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bpf/wire.h" /* the skeleton speaks of its types */
#include "bolometer.skel.h"
#include "collect/skeleton.h"
#include "collect/uprobe_multi.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

/* The values of the constants are those that the first one was loaded with, as they are in such a map, too. */
static int share_maps(const struct bolometer_bpf *from, struct bolometer_bpf *to)
{
	struct bpf_map *map;
	bpf_object__for_each_map(map, to->obj) {
		struct bpf_map *shared = bpf_object__find_map_by_name(from->obj, bpf_map__name(map));
		int r = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : -ENOENT;
		if (r < 0)
			return r;
	}
	return 0;
}

static void choose_programs(struct bolometer_bpf *s)
{
	struct bpf_program *program;
	bpf_object__for_each_program(program, s->obj)
		bpf_program__set_autoload(program, program == s->progs.on_allocator_call ||
							   program == s->progs.on_allocator_return);
	bpf_program__set_expected_attach_type(s->progs.on_allocator_call, (enum bpf_attach_type)UPROBE_MULTI);
	bpf_program__set_expected_attach_type(s->progs.on_allocator_return, (enum bpf_attach_type)UPROBE_MULTI);
}

static int load(const struct bolometer_bpf *first, struct bolometer_bpf **ret)
{
	_cleanup_fd_ int types = -1;
	struct bolometer_bpf *s = skeleton_open(&types);
	if (!s)
		return -errno;
	choose_programs(s);
	int r = share_maps(first, s);
	if (r == 0)
		r = bolometer_bpf__load(s);
	if (r < 0) {
		bolometer_bpf__destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

const struct bolometer_bpf *single_probes_load(struct single_probes *probes, const struct bolometer_bpf *first)
{
	struct bolometer_bpf *s = NULL;
	if (probes->skeleton || probes->error)
		return probes->skeleton;
	uint64_t begin = thread_cpu_ns();
	probes->error = load(first, &s);
	if (probes->error < 0) {
		log_warning("allocators whose calls and returns need a probe each are not looked at, the programs do not "
			    "load: %s; `-v` prints the verifier's words", strerror(-probes->error));
		return NULL;
	}
	log_debug("probes on calls and returns apart are needed: their programs took %.1f ms",
		  (double)(thread_cpu_ns() - begin) / NS_PER_MS);
	__atomic_store_n(&probes->skeleton, s, __ATOMIC_RELEASE);
	return s;
}

const struct bolometer_bpf *single_probes_get(const struct single_probes *probes)
{
	return __atomic_load_n(&probes->skeleton, __ATOMIC_ACQUIRE);
}

void single_probes_close(struct single_probes *probes)
{
	bolometer_bpf__destroy(probes->skeleton);
	*probes = (struct single_probes){0};
}
