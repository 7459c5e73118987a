/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the table: for each pid a chain of the programs it ran, newest first, sorted by begin; and two
 * lists over all programs, alive (least recently heard of first) and ended (in order of their end),
 * which give expiry and eviction their order. The table holds one reference to each.
 *
 * What it believes comes from records in order of time, so most records concern the newest program.
 * Late and missing records are the exception, handled by looking for the program that ran at the
 * record's time, and corrected by the identity that samples carry.
 */
#include "process/process.h"

#include "base/clock.h"
#include "process/jit_map.h"
#include "process/process_table.h"
#include "process/shared_text.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PROCESSES 65536
#define DEFAULT_GRACE (10 * NS_PER_SECOND)
#define MAX_PROGRAMS 64 /* of one pid: a process that execs in a loop must not make long chains */

static void list_append(struct process_list *list, struct process *p)
{
	p->aged_previous = list->last;
	p->aged_next = NULL;
	*(list->last ? &list->last->aged_next : &list->first) = p;
	list->last = p;
	list->count++;
}

static void list_remove(struct process_list *list, struct process *p)
{
	*(p->aged_previous ? &p->aged_previous->aged_next : &list->first) = p->aged_next;
	*(p->aged_next ? &p->aged_next->aged_previous : &list->last) = p->aged_previous;
	list->count--;
}

static struct process_list *list_of(struct process_table *table, const struct process *p)
{
	return p->end ? &table->ended : &table->alive;
}

static void touch(struct process_table *table, struct process *p)
{
	if (p->end || table->alive.last == p)
		return;
	list_remove(&table->alive, p);
	list_append(&table->alive, p);
}

int process_table_new(const char *proc_path, const struct process_limits *limits,
		      process_mapping_callback on_mapping, void *userdata,
		      struct process_table **ret)
{
	struct process_table *table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	*table = (struct process_table){
		.proc_path = strdup(proc_path),
		.buffer = malloc(PROC_BUFFER_SIZE),
		.on_mapping = on_mapping,
		.userdata = userdata,
		.ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK),
	};
	if (limits)
		table->limits = *limits;
	if (table->limits.processes == 0)
		table->limits.processes = DEFAULT_PROCESSES;
	if (table->limits.grace_ns == 0)
		table->limits.grace_ns = DEFAULT_GRACE;
	struct stat st;
	if (stat("/proc/self/ns/pid", &st) == 0)
		table->pid_namespace = st.st_ino;
	int r = table->proc_path && table->buffer ? cgroup_paths_new(proc_path, &table->cgroups)
						  : -ENOMEM;
	if (r < 0) {
		process_table_free(table);
		return r;
	}
	*ret = table;
	return 0;
}

struct process *process_reference(struct process *process)
{
	process->references++;
	return process;
}

struct process *process_unreference(struct process *process)
{
	if (!process || --process->references > 0)
		return NULL;
	shared_text_unreference(process->executable_path);
	shared_text_unreference(process->cgroup_path);
	shared_text_unreference(process->container_id);
	shared_text_unreference(process->declared);
	jit_map_free(process->jit);
	free(process);
	return NULL;
}

/* Takes the program out of its chain and list, and drops the table's reference. */
static void forget(struct process_table *table, struct process *p)
{
	struct process *newest = table_newest(table, p->pid);
	if (newest == p) {
		if (p->next)
			*hash_get(&table->by_pid, p->pid) = (uintptr_t)p->next;
		else
			hash_remove(&table->by_pid, p->pid, NULL);
	} else {
		while (newest->next != p)
			newest = newest->next;
		newest->next = p->next;
	}
	list_remove(list_of(table, p), p);
	p->remembered = false;
	p->next = NULL;
	process_unreference(p);
}

struct process_table *process_table_free(struct process_table *table)
{
	if (!table)
		return NULL;
	while (table->alive.first)
		forget(table, table->alive.first);
	while (table->ended.first)
		forget(table, table->ended.first);
	hash_free(&table->by_pid);
	cgroup_paths_free(table->cgroups);
	free(table->proc_path);
	free(table->buffer);
	free(table);
	return NULL;
}

struct process *table_newest(const struct process_table *table, uint32_t pid)
{
	const uint64_t *value = hash_get(&table->by_pid, pid);
	return value ? (struct process *)(uintptr_t)*value : NULL;
}

struct process *table_at(const struct process_table *table, uint32_t pid, uint64_t time)
{
	struct process *p = table_newest(table, pid);
	while (p && p->begin > time)
		p = p->next;
	return p;
}

void table_end(struct process_table *table, struct process *process, uint64_t time)
{
	if (process->end)
		return;
	list_remove(&table->alive, process);
	process->end = MAX_OF(time, 1ULL); /* 0 says "still runs" */
	list_append(&table->ended, process);
}

static void revive(struct process_table *table, struct process *p)
{
	list_remove(&table->ended, p);
	p->end = 0;
	list_append(&table->alive, p);
}

static void evict_one(struct process_table *table)
{
	struct process *p = table->ended.first ? table->ended.first : table->alive.first;
	table->statistics.evicted++;
	forget(table, p);
}

/* Puts `p` into its pid's chain. Returns the number of programs in it, or -ENOMEM. */
static int chain_insert(struct process_table *table, struct process *p)
{
	int programs = 1;
	struct process *newer = table_newest(table, p->pid);
	if (!newer || newer->begin <= p->begin) {
		p->next = newer;
		if (hash_put(&table->by_pid, p->pid, (uintptr_t)p) < 0)
			return -ENOMEM;
	} else {
		for (; newer->next && newer->next->begin > p->begin; programs++)
			newer = newer->next;
		p->next = newer->next;
		newer->next = p;
		programs++;
	}
	for (const struct process *older = p->next; older; older = older->next)
		programs++;
	return programs;
}

struct process *table_insert(struct process_table *table, uint32_t pid, uint64_t begin)
{
	if (table->alive.count + table->ended.count >= table->limits.processes)
		evict_one(table);
	struct process *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->references = 1;
	p->pid = pid;
	p->begin = begin;
	p->number = p->life = table->statistics.created + 1;
	p->executable_name = p->comm;
	p->remembered = true;
	int programs = chain_insert(table, p);
	if (programs < 0) {
		free(p);
		return NULL;
	}
	list_append(&table->alive, p);
	table->statistics.created++;
	struct process *newest = table_newest(table, pid);
	if (newest != p) {
		struct process *newer = newest;
		while (newer->next != p)
			newer = newer->next;
		table_end(table, p, newer->begin);
	}
	if (p->next)
		table_end(table, p->next, begin);
	if (programs > MAX_PROGRAMS) {
		struct process *oldest = p;
		while (oldest->next)
			oldest = oldest->next;
		if (oldest != p) {
			table->statistics.evicted++;
			forget(table, oldest);
		}
	}
	return p;
}

void process_set_comm(struct process *process, const char *comm)
{
	memset(process->comm, 0, sizeof(process->comm));
	memcpy(process->comm, comm, strnlen(comm, sizeof(process->comm) - 1));
}

/* Could a program without an identity yet be the one that a sample with this start time is of? */
static bool may_adopt(const struct process_table *table, const struct process *p,
		      uint64_t start_time)
{
	if (p->start_time != 0)
		return false;
	if (p->begin != 0 && !p->scan)
		return start_time <= p->begin; /* a process starts before its fork is recorded */
	return p->start_ticks == 0 || start_ticks_match(table, p->start_ticks, start_time);
}

static bool has_identity(const struct process *p, uint64_t start_time, uint32_t exec_id)
{
	return p->start_time != 0 && p->start_time == start_time && p->exec_id == exec_id;
}

/* A program that only a sample tells of: its records were lost. */
static struct process *make_from_sample(struct process_table *table, uint32_t pid, uint64_t time,
					uint64_t start_time, uint32_t exec_id, const char *comm)
{
	uint64_t life = 0;
	for (const struct process *p = table_newest(table, pid); p; p = p->next)
		life = p->start_time == start_time ? p->life : life;
	struct process *p = table_insert(table, pid, life ? time : start_time);
	if (!p)
		return NULL;
	p->life = life ? life : p->life;
	process_set_comm(p, comm);
	p->start_time = start_time;
	p->exec_id = exec_id;
	/* /proc tells of the newest program only, and perhaps of another process by now. */
	bool read = table_newest(table, pid) == p && process_read(table, p) == 0;
	if (!read || (!p->executable_path && !p->kernel_task))
		table->statistics.unnamed++;
	return p;
}

struct process *process_table_find(struct process_table *table, uint32_t pid, uint64_t time,
				   uint64_t start_time, uint32_t exec_id, const char *comm)
{
	struct process *p;
	for (p = table_newest(table, pid); p; p = p->next) {
		if (has_identity(p, start_time, exec_id)) {
			touch(table, p);
			return p;
		}
	}
	p = table_at(table, pid, time);
	if (p && may_adopt(table, p, start_time)) {
		p->start_time = start_time;
		p->exec_id = exec_id;
		touch(table, p);
		return p;
	}
	return make_from_sample(table, pid, time, start_time, exec_id, comm);
}

void process_table_expire(struct process_table *table, uint64_t now)
{
	struct process *p;
	while ((p = table->ended.first) && p->end + table->limits.grace_ns < now) {
		/* The main thread may have gone before the others. */
		if (p->has_threads && table_newest(table, p->pid) == p &&
		    table_pid_exists(table, p->pid))
			revive(table, p);
		else
			forget(table, p);
	}
}

void process_table_get_statistics(const struct process_table *table,
				  struct process_statistics *ret)
{
	*ret = table->statistics;
	ret->alive = table->alive.count;
	ret->remembered = table->alive.count + table->ended.count;
}
