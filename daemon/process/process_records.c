/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what the side-band's records and mappings say of processes: what a fork and an exec inherit, and which file runs. */
#include "process/process.h"

#include "process/jit_map.h"
#include "process/process_table.h"
#include "process/shared_text.h"

#include <string.h>

static void set_executable_shared(struct process *process, char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	process->executable_path = path;
	process->executable_name = slash && slash[1] ? slash + 1 : process->comm;
}

void process_set_executable(struct process *process, const char *path, size_t length)
{
	char *shared = shared_text_new(path, path_length_without_deleted(path, length));
	if (!shared)
		return;
	shared_text_unreference(process->executable_path);
	set_executable_shared(process, shared);
}

static void inherit_origin(struct process *p, const struct process *from)
{
	p->cgroup_path = shared_text_reference(from->cgroup_path);
	p->container_id = shared_text_reference(from->container_id);
	p->cgroup_id = from->cgroup_id;
	p->declared = shared_text_reference(from->declared);
}

static void apply_fork(struct process_table *table, const struct sideband_record *record)
{
	struct process *parent = table_at(table, record->parent_pid, record->time);
	if (record->pid == record->parent_pid) { /* a thread */
		if (parent)
			parent->has_threads = true;
		return;
	}
	struct process *newest = table_newest(table, record->pid);
	if (newest && newest->begin == 0 && !newest->end && newest->scan) {
		newest->begin = record->time; /* the scan saw it before its fork was read */
		return;
	}
	if (parent)
		process_reference(parent); /* inserting may evict it */
	struct process *child = table_insert(table, record->pid, record->time);
	if (child)
		child->parent_pid = record->parent_pid;
	if (child && parent) {
		child->kernel_task = parent->kernel_task;
		memcpy(child->comm, parent->comm, sizeof(child->comm));
		set_executable_shared(child, shared_text_reference(parent->executable_path));
		inherit_origin(child, parent);
		child->environment_checked = parent->environment_checked;
	}
	process_unreference(parent);
}

static void apply_exec(struct process_table *table, const struct sideband_record *record)
{
	struct process *old = table_at(table, record->pid, record->time);
	if (old)
		process_reference(old); /* inserting may evict it */
	struct process *p = table_insert(table, record->pid, record->time);
	if (p) {
		process_set_comm(p, record->comm);
		p->awaits_executable = true;
	}
	if (p && old) {
		p->parent_pid = old->parent_pid;
		p->inner_pid = old->inner_pid;
		p->start_ticks = old->start_ticks;
		p->start_time = old->start_time;
		p->life = old->life;
		p->exec_id = old->exec_id + 1;
		inherit_origin(p, old);
	}
	process_unreference(old);
}

static void apply_comm(struct process_table *table, const struct sideband_record *record)
{
	struct process *p = table_at(table, record->pid, record->time);
	if (p && record->tid == record->pid)
		process_set_comm(p, record->comm);
}

static void apply_exit(struct process_table *table, const struct sideband_record *record)
{
	struct process *p = table_at(table, record->pid, record->time);
	if (p && record->tid == record->pid)
		table_end(table, p, record->time);
}

static void apply_mapping(struct process_table *table, const struct sideband_record *record)
{
	struct process *p = table_at(table, record->pid, record->time);
	if (!p) {
		p = table_insert(table, record->pid, record->time);
		if (!p || process_read(table, p) < 0)
			return;
	}
	struct process_mapping mapping = {
		.start = record->start,
		.end = record->start + record->length,
		.offset = record->offset,
		.inode = record->inode,
		.device = record->device,
		.path = record->path,
	};
	if (mapping.end > mapping.start)
		table_note_mapping(table, p, &mapping);
}

void process_table_apply(struct process_table *table, const struct sideband_record *record)
{
	if ((int32_t)record->pid <= 0) /* the idle task, the kernel itself, another pid namespace */
		return;
	switch (record->kind) {
	case SIDEBAND_FORK:
		return apply_fork(table, record);
	case SIDEBAND_EXEC:
		return apply_exec(table, record);
	case SIDEBAND_COMM:
		return apply_comm(table, record);
	case SIDEBAND_MMAP:
		return apply_mapping(table, record);
	case SIDEBAND_EXIT:
		return apply_exit(table, record);
	case SIDEBAND_CODE_COMES: /* of no process */
	case SIDEBAND_CODE_GOES:
		return;
	}
}

/* jit-PID.dump, which a runtime maps executable for us to see; see jit_map.h. */
static bool is_jitdump(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	size_t length = strlen(name);
	return !strncmp(name, "jit-", 4) && length > 9 && !strcmp(name + length - 5, ".dump");
}

void table_note_mapping(struct process_table *table, struct process *process,
			const struct process_mapping *mapping)
{
	if (mapping->path[0] != '/' || mapping->inode == 0) /* "[vdso]", "//anon" */
		return;
	/* "//toolong" and "//enomem" stand for a file's name that the kernel could not print. */
	if (process->awaits_executable && mapping->path[1] != '/') {
		process->awaits_executable = false;
		process_set_executable(process, mapping->path, strlen(mapping->path));
	}
	if (is_jitdump(mapping->path)) {
		struct jit_map *jit = jit_map_of(process);
		if (jit)
			jit_map_set_dump(jit, mapping->path);
		return;
	}
	if (table->on_mapping)
		table->on_mapping(table->userdata, process, mapping);
}
