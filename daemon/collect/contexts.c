/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the map `context_places`. A process's memory is read in threads of our own: one that hangs there holds up
 * nobody who opens files.
 */
#include "collect/contexts.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/offload.h"
#include "bolometer.skel.h"
#include "process/thread_context.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define READ_TIMEOUT_NS (2 * NS_PER_SECOND)
#define LOOK_INTERVAL_NS (100 * NS_PER_MS)
#define FIRST_PAUSE_NS (250 * NS_PER_MS) /* after a look in vain; twice as long after each further one */
#define LONGEST_PAUSE_NS (60 * NS_PER_SECOND)
#define REPEAT_NS (30 * NS_PER_SECOND) /* after a look that found something */
#define MAPS_AT_ONCE 16
#define FORKS_INTERVAL_NS (2 * NS_PER_SECOND)
#define REFUSED_INTERVAL_NS (60 * NS_PER_SECOND)
#define REMEMBERED_REFUSED 65536 /* past it some are counted once more */

struct context_process {
	struct process *process; /* a reference */
	struct thread_variable variable;
	uint64_t bias; /* of the file that has it */
	uint64_t look_ns; /* when to look next */
	uint64_t pause_ns;
	bool is_being_read;
	bool is_told; /* to the BPF side */
	struct context_key key; /* then */
};

struct contexts {
	struct programs *programs;
	const struct binaries *binaries;
	struct process_table *table;
	struct offload *offload;
	struct hash by_program; /* number of a program -> struct context_process *, owned */
	struct hash refused; /* numbers of programs that found no room, since there was none -> 1 */
	size_t files_seen; /* that have the variable, when processes were last looked for */
	ARRAY(uint32_t) unlooked; /* pids of which it is not known whether they map one of these */
	uint64_t looked_ns, forks_ns, refused_ns;
	struct contexts_statistics statistics;
};

int contexts_new(struct loop *loop, struct programs *programs, const struct binaries *binaries,
		 struct process_table *table, struct contexts **ret)
{
	struct contexts *contexts = calloc(1, sizeof(*contexts));
	if (!contexts)
		return -ENOMEM;
	*contexts = (struct contexts){.programs = programs, .binaries = binaries, .table = table};
	int r = offload_new(loop, READ_TIMEOUT_NS, &contexts->offload);
	if (r < 0) {
		free(contexts);
		return r;
	}
	*ret = contexts;
	return 0;
}

struct contexts *contexts_free(struct contexts *contexts)
{
	struct hash_slot *slot;
	if (!contexts)
		return NULL;
	offload_free(contexts->offload);
	for (size_t i = 0; (slot = hash_next(&contexts->by_program, &i));) {
		struct context_process *c = (struct context_process *)(uintptr_t)slot->value;
		process_unreference(c->process);
		free(c);
	}
	hash_free(&contexts->by_program);
	hash_free(&contexts->refused);
	array_free(&contexts->unlooked);
	free(contexts);
	return NULL;
}

/* ---- What the BPF side knows ----------------------------------------------------------------- */

static int places_map(const struct contexts *contexts)
{
	return bpf_map__fd(contexts->programs->skeleton->maps.context_places);
}

static void tell_pids(const struct contexts *contexts)
{
	struct hash_slot *slot;
	uint64_t pids = 0;
	for (size_t i = 0; (slot = hash_next(&contexts->by_program, &i));) {
		const struct context_process *c = (const struct context_process *)(uintptr_t)slot->value;
		if (c->is_told)
			pids |= 1ULL << (c->key.pid & 63);
	}
	programs_set_context_pids(contexts->programs, pids);
}

static void tell(struct contexts *contexts, struct context_process *c, const struct context_place *place)
{
	struct context_key key = {.process_start = c->process->start_time,
				  .pid = c->process->pid,
				  .exec_id = c->process->exec_id};
	if (bpf_map_update_elem(places_map(contexts), &key, place, BPF_ANY) < 0) {
		log_debug("the trace contexts of process %u cannot be read: %s", key.pid, strerror(errno));
		return;
	}
	bool is_new = !c->is_told;
	c->is_told = true;
	c->key = key;
	if (is_new)
		tell_pids(contexts);
}

static void take_back(struct contexts *contexts, struct context_process *c)
{
	if (!c->is_told)
		return;
	bpf_map_delete_elem(places_map(contexts), &c->key);
	c->is_told = false;
	tell_pids(contexts);
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct context_work {
	struct thread_context_reading reading;
	uint64_t program;
};

static struct context_process *find_program(const struct contexts *contexts, uint64_t number)
{
	const uint64_t *found = hash_get(&contexts->by_program, number);
	return found ? (struct context_process *)(uintptr_t)*found : NULL;
}

static void run_work(void *argument)
{
	thread_context_read(&((struct context_work *)argument)->reading);
}

static void wait_longer(struct context_process *c, uint64_t now)
{
	c->pause_ns = c->pause_ns ? MIN_OF(2 * c->pause_ns, LONGEST_PAUSE_NS) : FIRST_PAUSE_NS;
	c->look_ns = now + c->pause_ns;
}

/* The process is ending, or has nothing to say. */
static bool is_expected(int error)
{
	return error == -ENODATA || error == -ENOENT || error == -ESRCH;
}

/* A reading that took too long has no argument: its process is not looked into again. */
static void on_read(void *userdata, int error, void *argument)
{
	struct contexts *contexts = userdata;
	const struct context_work *work = argument;
	if (!work || (work->reading.error && !is_expected(work->reading.error)))
		contexts->statistics.failed++;
	struct context_process *c = work ? find_program(contexts, work->program) : NULL;
	if (!c)
		return;
	c->is_being_read = false;
	uint64_t now = monotonic_ns();
	if (error == 0 && work->reading.error == 0) {
		tell(contexts, c, &work->reading.place);
		c->pause_ns = 0;
		c->look_ns = now + REPEAT_NS;
		return;
	}
	if (!is_expected(work->reading.error))
		log_debug("process %u: where its trace contexts are is not known: %s", c->process->pid,
			  strerror(-work->reading.error));
	take_back(contexts, c);
	wait_longer(c, now);
}

static void read_process(struct contexts *contexts, struct context_process *c, uint64_t now)
{
	struct context_work *work = calloc(1, sizeof(*work));
	if (!work)
		return;
	*work = (struct context_work){
		.reading = {.proc_path = "/proc", .pid = c->process->pid, .variable = c->variable, .bias = c->bias},
		.program = c->process->number,
	};
	struct offload_work offload = {.key = c->process->pid, .run = run_work, .done = on_read, .release = free,
				       .argument = work, .userdata = contexts};
	c->is_being_read = offload_submit(contexts->offload, &offload) == 0;
	if (c->is_being_read)
		return;
	free(work);
	wait_longer(c, now);
}

/* ---- Which processes ------------------------------------------------------------------------- */

/* A program is met with each file that it maps, and as a fork again and again: it is counted once. */
static void refuse(struct contexts *contexts, const struct process *process)
{
	if (hash_get(&contexts->refused, process->number))
		return;
	if (contexts->refused.count >= REMEMBERED_REFUSED)
		hash_clear(&contexts->refused);
	hash_put(&contexts->refused, process->number, 1); /* without: it is counted once more */
	contexts->statistics.refused++;
}

static void add_process(struct contexts *contexts, struct process *process,
			const struct thread_variable *variable, uint64_t bias)
{
	if (find_program(contexts, process->number))
		return;
	if (contexts->by_program.count >= CONTEXTS_MAX_PROCESSES) {
		refuse(contexts, process);
		return;
	}
	struct context_process *c = calloc(1, sizeof(*c));
	if (!c || hash_put(&contexts->by_program, process->number, (uintptr_t)c) < 0) {
		free(c);
		refuse(contexts, process);
		return;
	}
	*c = (struct context_process){.process = process_reference(process), .variable = *variable, .bias = bias};
}

/* What is to be added to an address in the file where it is mapped. */
static bool bias_of(const struct binary_facts *facts, const struct process_mapping *mapping, uint64_t *ret)
{
	for (uint32_t i = 0; i < facts->segment_count; i++) {
		const struct facts_segment *s = &facts->segments[i];
		if (s->offset >= mapping->offset + (mapping->end - mapping->start) ||
		    s->offset + s->file_size <= mapping->offset || !s->file_size)
			continue;
		*ret = (mapping->start - mapping->offset) - (s->address - s->offset);
		return true;
	}
	return false;
}

void contexts_on_mapping(struct contexts *contexts, struct process *process,
			 const struct process_mapping *mapping)
{
	uint64_t bias;
	if (!contexts || !contexts->binaries->with_contexts)
		return;
	const struct binary *binary = binaries_find_file(contexts->binaries, mapping->device, mapping->inode);
	if (binary && binary->has_facts && binary->facts.context.access != THREAD_VARIABLE_NONE &&
	    bias_of(&binary->facts, mapping, &bias))
		add_process(contexts, process, &binary->facts.context, bias);
}

/* Programs that were forked by one that is known, and run it still. */
struct forks {
	struct contexts *contexts;
	struct hash parents; /* pid -> struct context_process * */
	ARRAY(const struct process *) found;
};

static void find_fork(void *userdata, struct process *process)
{
	struct forks *forks = userdata;
	const uint64_t *known = hash_get(&forks->parents, process->parent_pid);
	const struct context_process *parent = known ? (const struct context_process *)(uintptr_t)*known : NULL;
	if (parent && process->executable_path == parent->process->executable_path &&
	    !find_program(forks->contexts, process->number))
		array_add(&forks->found, process); /* out of memory: found the next time */
}

static void look_for_forks(struct contexts *contexts)
{
	struct forks forks = {.contexts = contexts};
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&contexts->by_program, &i));) {
		const struct context_process *c = (const struct context_process *)(uintptr_t)slot->value;
		hash_put(&forks.parents, c->process->pid, slot->value);
	}
	process_table_each_alive(contexts->table, find_fork, &forks);
	for (size_t i = 0; i < forks.found.count; i++) {
		const struct process *p = forks.found.items[i];
		const struct context_process *parent =
			(const struct context_process *)(uintptr_t)*hash_get(&forks.parents, p->parent_pid);
		add_process(contexts, (struct process *)p, &parent->variable, parent->bias);
	}
	hash_free(&forks.parents);
	array_free(&forks.found);
}

static void note_pid(void *userdata, struct process *process)
{
	struct contexts *contexts = userdata;
	if (!process->kernel_task)
		array_add(&contexts->unlooked, process->pid); /* out of memory: it is missed until it maps again */
}

/* A file with the variable has become known after processes may have mapped it: what all of them map is read,
 * of a few at a time. */
static void look_for_mappings(struct contexts *contexts)
{
	if (contexts->files_seen != contexts->binaries->with_contexts) {
		contexts->files_seen = contexts->binaries->with_contexts;
		contexts->unlooked.count = 0;
		process_table_each_alive(contexts->table, note_pid, contexts);
	}
	for (unsigned i = 0; i < MAPS_AT_ONCE && contexts->unlooked.count; i++)
		process_table_read_maps(contexts->table, contexts->unlooked.items[--contexts->unlooked.count]);
}

static void forget_ended(struct contexts *contexts)
{
	struct hash_slot *slot;
	ARRAY(struct context_process *) ended = {0};
	for (size_t i = 0; (slot = hash_next(&contexts->by_program, &i));) {
		struct context_process *c = (struct context_process *)(uintptr_t)slot->value;
		if (c->process->end || !c->process->remembered)
			array_add(&ended, c);
	}
	for (size_t i = 0; i < ended.count; i++) {
		take_back(contexts, ended.items[i]);
		hash_remove(&contexts->by_program, ended.items[i]->process->number, NULL);
		process_unreference(ended.items[i]->process);
		free(ended.items[i]);
	}
	array_free(&ended);
}

/* Once there is room for them. Not often: what all processes map is read for it. */
static void look_for_refused(struct contexts *contexts, uint64_t now)
{
	if (!contexts->refused.count || contexts->by_program.count >= CONTEXTS_MAX_PROCESSES ||
	    now - contexts->refused_ns < REFUSED_INTERVAL_NS)
		return;
	contexts->refused_ns = now;
	hash_clear(&contexts->refused);
	contexts->files_seen = 0; /* look_for_mappings() begins anew */
}

static void look(struct contexts *contexts, uint64_t now)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&contexts->by_program, &i));) {
		struct context_process *c = (struct context_process *)(uintptr_t)slot->value;
		if (!c->is_being_read && now >= c->look_ns && c->process->start_time)
			read_process(contexts, c, now);
	}
}

void contexts_update(struct contexts *contexts, uint64_t now)
{
	if (!contexts || !contexts->binaries->with_contexts || now - contexts->looked_ns < LOOK_INTERVAL_NS)
		return;
	contexts->looked_ns = now;
	look_for_mappings(contexts);
	if (!contexts->by_program.count)
		return;
	forget_ended(contexts);
	look_for_refused(contexts, now);
	if (now - contexts->forks_ns >= FORKS_INTERVAL_NS) {
		contexts->forks_ns = now;
		look_for_forks(contexts);
	}
	look(contexts, now);
}

void contexts_get_statistics(const struct contexts *contexts, struct contexts_statistics *ret)
{
	*ret = contexts ? contexts->statistics : (struct contexts_statistics){0};
}
