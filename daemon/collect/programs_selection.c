/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs test before a sample is taken, told while they run. Verdicts that the daemon left under what was
 * selected before are forgotten after the new selection is told: none of them outlives it.
 */
#include "collect/programs_state.h"

#include "bolometer.skel.h"
#include "collect/tick_state.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/btf.h>
#include <stdio.h>
#include <string.h>

/* Index of a v1 controller in css_set.subsys, from the running kernel's own enum. -1: unknown. */
static int subsystem_index(const struct btf *btf, const char *controllers)
{
	char name[64];
	size_t length = strcspn(controllers, ",");
	snprintf(name, sizeof(name), "%.*s_cgrp_id", (int)length, controllers);
	int id = btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM);
	if (id < 0)
		return -1;
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_enum *values = (const struct btf_enum *)(type + 1);
	for (int i = 0; i < BTF_INFO_VLEN(type->info); i++)
		if (strcmp(btf__name_by_offset(btf, values[i].name_off), name) == 0)
			return values[i].val;
	return -1;
}

static int find_cgroups(const struct programs_selection *selection, struct selected_cgroup *ret,
			struct collect_failure *failure)
{
	struct btf *btf = NULL; /* large: not for nothing */
	int r = 0;
	for (size_t i = 0; i < selection->cgroup_count && r == 0; i++) {
		const struct cgroup_target *target = &selection->cgroups[i];
		if (!target->unified && !btf)
			btf = btf__load_vmlinux_btf();
		int subsystem = target->unified ? CGROUP_DEFAULT_HIERARCHY
						: subsystem_index(btf, target->controllers);
		if (subsystem < 0)
			r = collect_fail(failure, -EOPNOTSUPP,
					 "--cgroup %s: the hierarchy '%s' has no controller that the "
					 "kernel can be asked for; name the group's directory in the "
					 "unified or in a controller's hierarchy",
					 target->directory, target->controllers);
		ret[i].id = target->id;
		ret[i].subsystem = (uint32_t)subsystem;
	}
	btf__free(btf);
	return r;
}

static void forget_verdicts(const struct bpf_map *map)
{
	char key[64];
	int fd = bpf_map__fd(map);
	/* A key may be evicted between the two calls: that is as good. */
	for (int i = 0; i < 2 * VERDICTS && bpf_map_get_next_key(fd, NULL, key) == 0; i++)
		bpf_map_delete_elem(fd, key);
}

int programs_select_cgroups(struct programs *programs, const struct programs_selection *selection,
			    struct collect_failure *failure)
{
	struct bolometer_bpf__data_settings *settings = programs->settings;
	struct selected_cgroup cgroups[MAX_SELECTED_CGROUPS];
	int r = find_cgroups(selection, cgroups, failure);
	if (r < 0)
		return r;
	for (size_t i = 0; i < selection->cgroup_count; i++) {
		settings->selected_cgroups[i].id = cgroups[i].id;
		settings->selected_cgroups[i].subsystem = cgroups[i].subsystem;
	}
	settings->selected_cgroup_count = (uint32_t)selection->cgroup_count;
	return programs_publish(programs);
}

/* Is every tick asked for? */
static bool takes_all(const struct programs *programs, const struct programs_selection *selection)
{
	return !programs->select_by_pid && !selection->cgroup_count && !selection->by_executable &&
	       !selection->by_comm && !selection->kernel_only && !selection->user_only;
}

int programs_select(struct programs *programs, const struct programs_selection *selection,
		    struct collect_failure *failure)
{
	struct bolometer_bpf *s = programs->skeleton;
	struct bolometer_bpf__data_settings *settings = programs->settings;
	int r = programs_select_cgroups(programs, selection, failure);
	if (r < 0)
		return r;
	settings->select_by_executable = selection->by_executable;
	settings->select_by_comm = selection->by_comm;
	programs->tick_settings.kernel_only = selection->kernel_only;
	programs->tick_settings.user_only = selection->user_only;
	programs->tick_settings.takes_all = takes_all(programs, selection);
	int told = programs_publish(programs);
	r = programs_publish_to_ticks(programs);
	r = told < 0 ? told : r;
	forget_verdicts(s->maps.executable_verdicts);
	forget_verdicts(s->maps.comm_verdicts);
	left_out_clear(&programs->left_out);
	return r;
}

uint32_t programs_pid_key(const struct programs *programs, uint32_t pid)
{
	return programs->in_pid_namespace ? pid | SELECTED_INNER_PID : pid;
}

int programs_select_pid(struct programs *programs, uint32_t pid)
{
	uint32_t one = 1, key = programs_pid_key(programs, pid);
	int map = bpf_map__fd(programs->skeleton->maps.selected_pids);
	if (bpf_map_update_elem(map, &key, &one, BPF_ANY) < 0)
		return -errno;
	programs->tick_settings.generation++;
	return programs_publish_to_ticks(programs);
}
