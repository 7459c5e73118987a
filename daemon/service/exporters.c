/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the list of running exporters, in the order of the configuration in force, and its change. */
#include "service/exporters.h"

#include "service/exporters_encode.h"
#include "service/running_exporter.h"
#include "service/setting.h"

#include <errno.h>
#include <string.h>

struct exporters {
	const struct configuration *configuration; /* in force; item i of it is running[i] */
	struct running_exporter *running;
	size_t count;
	char *spool_directory; /* as it was at the start: only a restart changes it; NULL: none */
};

/* One exporter of the configuration to come. */
struct next_exporter {
	size_t old;		   /* which running one goes on; SIZE_MAX: none */
	bool replace_queue;	   /* it ends first, and a new one takes up its spool */
	struct sink *sink;	   /* new destination; NULL: the old one is equal */
	struct exporter *exporter; /* that began with the update */
};

struct exporters_update {
	const struct configuration *configuration;
	struct next_exporter *next;
	size_t count;
};

static void free_sink(struct sink *sink)
{
	if (sink)
		sink->operations->free(sink);
}

/* ---- Change ------------------------------------------------------------------------------------------ */

static bool is_of_queue(const struct setting *setting)
{
	return strncmp(setting->key, "spool.", strlen("spool.")) == 0 ||
	       strncmp(setting->key, "retry.", strlen("retry.")) == 0;
}

/* Are all settings equal of the queue, or else of the destination? */
static bool are_equal(const struct exporter_configuration *a, const struct exporter_configuration *b,
		      bool of_queue)
{
	for (const struct setting *setting = exporter_settings; setting->kind; setting++)
		if (is_of_queue(setting) == of_queue && !setting_equal(setting, a, b))
			return false;
	return true;
}

static size_t find_old(const struct exporters *exporters, const struct exporter_configuration *new)
{
	for (size_t i = 0; i < exporters->count; i++) {
		const struct exporter_configuration *old =
			&exporters->configuration->exporters.items[i];
		bool both_directories = (old->type == EXPORTER_PPROF_DIRECTORY) ==
					(new->type == EXPORTER_PPROF_DIRECTORY);
		if (strcmp(old->name, new->name) == 0 && both_directories &&
		    payload_kind_of(old->type) == payload_kind_of(new->type))
			return i;
	}
	return SIZE_MAX;
}

static int prepare_one(const struct exporters *exporters, const struct exporter_configuration *new,
		       struct next_exporter *next)
{
	next->old = find_old(exporters, new);
	if (next->old != SIZE_MAX) {
		const struct exporter_configuration *old =
			&exporters->configuration->exporters.items[next->old];
		next->replace_queue = !are_equal(old, new, true);
		if (!next->replace_queue && are_equal(old, new, false))
			return 0;
	}
	int r = running_exporter_make_sink(new, &next->sink);
	if (r == 0 && next->old == SIZE_MAX)
		r = running_exporter_start(exporters->spool_directory, new, &next->sink, &next->exporter);
	return r;
}

int exporters_prepare(struct exporters *exporters, const struct configuration *configuration,
		      struct exporters_update **ret)
{
	size_t count = configuration->exporters.count;
	struct exporters_update *update = calloc(1, sizeof(*update));
	if (!update)
		return -ENOMEM;
	update->configuration = configuration;
	update->next = calloc(MAX_OF(count, 1u), sizeof(*update->next));
	int r = update->next ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && r == 0; i++) {
		update->count = i + 1;
		r = prepare_one(exporters, &configuration->exporters.items[i], &update->next[i]);
	}
	if (r < 0)
		exporters_abandon(update);
	else
		*ret = update;
	return r;
}

void exporters_abandon(struct exporters_update *update)
{
	if (!update)
		return;
	for (size_t i = 0; i < update->count; i++) {
		exporter_free(update->next[i].exporter);
		free_sink(update->next[i].sink);
	}
	free(update->next);
	free(update);
}

static struct running_exporter commit_one(struct exporters *exporters,
					  struct exporters_update *update, size_t index)
{
	struct next_exporter *next = &update->next[index];
	if (next->old == SIZE_MAX)
		return (struct running_exporter){.exporter = take_pointer(next->exporter)};
	struct running_exporter running = exporters->running[next->old];
	exporters->running[next->old] = (struct running_exporter){0};
	if (next->replace_queue) {
		running_exporter_stop(&running, exporters->configuration->exporters.items[next->old].name);
		exporter_free(running.exporter);
		running = (struct running_exporter){0};
		running_exporter_start(exporters->spool_directory, &update->configuration->exporters.items[index],
			       &next->sink, &running.exporter);
	} else if (next->sink && running.exporter) {
		exporter_set_sink(running.exporter, take_pointer(next->sink));
	}
	return running;
}

void exporters_commit(struct exporters *exporters, struct exporters_update *update)
{
	struct running_exporter *running = calloc(MAX_OF(update->count, 1u), sizeof(*running));
	for (size_t i = 0; running && i < update->count; i++)
		running[i] = commit_one(exporters, update, i);
	exporters_stop(exporters);
	for (size_t i = 0; i < exporters->count; i++)
		exporter_free(exporters->running[i].exporter);
	free(exporters->running);
	exporters->running = running;
	exporters->count = running ? update->count : 0;
	if (!running)
		log_error("no memory for the exporters: nothing is exported until the next reload");
	exporters_abandon(update);
}

/* ---- All of them ------------------------------------------------------------------------------------- */

int exporters_new(const struct configuration *configuration, struct exporters **ret)
{
	static const struct configuration none;
	struct exporters_update *update;
	struct exporters *exporters = calloc(1, sizeof(*exporters));
	if (!exporters)
		return -ENOMEM;
	exporters->configuration = &none;
	int r = 0;
	if (configuration->spool_directory) {
		exporters->spool_directory = strdup(configuration->spool_directory);
		r = exporters->spool_directory ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = exporters_prepare(exporters, configuration, &update);
	if (r < 0) {
		exporters_free(exporters);
		return r;
	}
	exporters_commit(exporters, update);
	exporters->configuration = configuration;
	if (!configuration->exporters.count)
		log_warning("no exporter is configured: profiles are made and thrown away");
	*ret = exporters;
	return 0;
}

void exporters_stop(struct exporters *exporters)
{
	for (size_t i = 0; i < exporters->count; i++)
		running_exporter_stop(&exporters->running[i],
			      exporters->configuration->exporters.items[i].name);
}

struct exporters *exporters_free(struct exporters *exporters)
{
	if (!exporters)
		return NULL;
	for (size_t i = 0; i < exporters->count; i++)
		exporter_free(exporters->running[i].exporter);
	free(exporters->running);
	free(exporters->spool_directory);
	free(exporters);
	return NULL;
}

/* Another try for a queue that could not be opened at a reload; what was lost goes to its account. Returns
 * 0 or -errno, which has been logged. */
static int start_again(struct exporters *exporters, size_t index)
{
	const struct exporter_configuration *c = &exporters->configuration->exporters.items[index];
	struct running_exporter *running = &exporters->running[index];
	struct sink *sink = NULL;
	int r = running_exporter_make_sink(c, &sink);
	if (r == 0)
		r = running_exporter_start(exporters->spool_directory, c, &sink, &running->exporter);
	if (r == 0) {
		log_info("exporter %s: its queue is open again, %llu samples were lost", c->name,
			 (unsigned long long)running->lost);
		exporter_lose(running->exporter, running->lost, DROP_NO_QUEUE);
		running->lost = 0;
	}
	free_sink(sink);
	return r;
}

void exporters_add(struct exporters *exporters, enum profile_kind kind, const struct profile *profile)
{
	struct encoding encoding = {.configuration = exporters->configuration,
				    .profile = profile,
				    .kind = kind};
	for (size_t i = 0; i < exporters->count; i++) {
		const struct exporter_configuration *c =
			&exporters->configuration->exporters.items[i];
		struct running_exporter *running = &exporters->running[i];
		if (!running->exporter && start_again(exporters, i) < 0) {
			running->lost += encoding_samples(&encoding);
			continue;
		}
		int r = encode_for(&encoding, c, running->exporter);
		if (r < 0)
			log_error("exporter %s: an interval is lost: %s", c->name, strerror(-r));
	}
	encoding_free(&encoding);
}

void exporters_flush(struct exporters *exporters, uint64_t timeout_ns)
{
	for (size_t i = 0; i < exporters->count; i++)
		if (exporters->running[i].exporter)
			exporter_flush_start(exporters->running[i].exporter, timeout_ns);
	for (size_t i = 0; i < exporters->count; i++) {
		struct exporter_statistics statistics;
		struct exporter *exporter = exporters->running[i].exporter;
		if (!exporter || exporter_flush_wait(exporter) == 0)
			continue;
		exporter_statistics(exporter, &statistics);
		log_warning("exporter %s: %llu profiles were not sent%s%s%s",
			    exporters->configuration->exporters.items[i].name,
			    (unsigned long long)statistics.spool.waiting.payloads,
			    statistics.spool.in_memory.payloads ? ", and those in memory alone are lost"
								: " and wait on the disk for the next start",
			    statistics.last_message[0] ? ": " : "", statistics.last_message);
	}
}

void exporters_describe(struct exporters *exporters, struct text *out)
{
	uint64_t failing = 0, waiting = 0;
	for (size_t i = 0; i < exporters->count; i++) {
		struct exporter_statistics statistics;
		running_exporter_statistics(&exporters->running[i], &statistics);
		failing += !exporters->running[i].exporter || statistics.failures_in_a_row ||
			   statistics.refusals_in_a_row;
		waiting += statistics.spool.waiting.payloads;
	}
	text_add(out, "%zu exporters, %llu failing, %llu profiles waiting", exporters->count,
		 (unsigned long long)failing, (unsigned long long)waiting);
}

size_t exporters_count(const struct exporters *exporters)
{
	return exporters->count;
}

void exporters_get(const struct exporters *exporters, size_t index, struct exporter_state *ret)
{
	const struct exporter_configuration *c = &exporters->configuration->exporters.items[index];
	*ret = (struct exporter_state){.name = c->name, .type = c->type};
	if (running_exporter_has_spool(exporters->spool_directory, c))
		ret->capacity_bytes = c->spool_bytes;
	ret->is_running = exporters->running[index].exporter != NULL;
	running_exporter_statistics(&exporters->running[index], &ret->statistics);
}
