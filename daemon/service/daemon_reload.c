/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the change from one configuration to the next. Everything that can fail comes first (reading,
 * the new exporters, a new recording where one is needed, else the selection); the open interval ends
 * before that, so that no profile is made of two rates or two selections; what follows cannot fail.
 */
#include "service/daemon_state.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

static void log_changes(const struct configuration_changes *changes)
{
	struct text applied = {0}, waiting = {0};
	for (size_t i = 0; i < changes->count; i++) {
		struct text *list = changes->items[i].needs_restart ? &waiting : &applied;
		text_add(list, "%s%s", list->length ? ", " : "", changes->items[i].key);
	}
	const char *none = waiting.bytes ? "nothing that applies at once" : "nothing changed";
	log_info("configuration reloaded: %s", applied.bytes ? applied.bytes : none);
	if (waiting.bytes)
		log_warning("changed, but only a restart applies them: %s", waiting.bytes);
	text_free(&applied);
	text_free(&waiting);
}

static bool has_changed(const struct configuration_changes *changes, const char *key)
{
	size_t length = strlen(key);
	for (size_t i = 0; i < changes->count; i++)
		if (strncmp(changes->items[i].key, key, length) == 0)
			return true;
	return false;
}

/* The interval ends before it: what it holds was selected by the old. */
static int apply_selection(struct daemon *daemon, const struct configuration *new,
			   const struct configuration_changes *changes)
{
	struct selection selection;
	struct recording_failure failure = {0};
	if (!has_changed(changes, "selection.") && !has_changed(changes, "sampling.mode"))
		return 0;
	int r = daemon_selection(new, &selection);
	if (r == 0)
		r = recording_set_selection(daemon->recording, &selection, &failure);
	if (r < 0)
		log_error("%s", failure.text[0] ? failure.text : strerror(-r));
	selection_free(&selection);
	return r;
}

/* What cannot change while sampling: for a budget of memory all limits are set anew. */
static bool needs_new_recording(const struct configuration *old, const struct configuration *new,
				const struct configuration_changes *changes)
{
	return has_changed(changes, "budget.memory") ||
	       (has_changed(changes, "memory.heap.") && (old->memory.heap.enabled || new->memory.heap.enabled));
}

static int renew_recording(struct daemon *daemon, struct configuration *new)
{
	struct recording *recording;
	int r = daemon_load_recording(daemon, new, &recording);
	return r < 0 ? r : daemon_exchange_recording(daemon, recording);
}

/* The last step that can fail. */
static int apply_to_recording(struct daemon *daemon, struct configuration *new,
			      const struct configuration_changes *changes, bool renews)
{
	if (renews)
		return renew_recording(daemon, new);
	daemon_flush(daemon);
	return apply_selection(daemon, new, changes);
}

/* A new recording has all that from its beginning on. */
static void change_recording(struct daemon *daemon, const struct configuration_changes *changes,
			     struct strategies **strategies)
{
	const struct configuration *c = &daemon->configuration;
	if (has_changed(changes, "strategies"))
		recording_set_strategies(daemon->recording, take_pointer(*strategies));
	recording_set_links(daemon->recording, daemon_wants_links(c), c->sampling.trace_labels);
	if (has_changed(changes, "sampling.frequency")) {
		int r = recording_set_frequency(daemon->recording,
						(uint32_t)c->sampling.frequency);
		if (r < 0)
			log_error("a CPU keeps its old rate: %s", strerror(-r));
	}
	if (has_changed(changes, "budget.cpu")) {
		int r = recording_set_max_cpu(daemon->recording, (double)c->budget.cpu_ppm / 1e6);
		if (r < 0)
			log_error("the budget is not in force: %s", strerror(-r));
	}
}

static void apply_rest(struct daemon *daemon, const struct configuration_changes *changes)
{
	const struct configuration *c = &daemon->configuration;
	log_set_level(c->log_level);
	log_set_format(c->log_format);
	if (has_changed(changes, "interval"))
		loop_set_timer(daemon->interval, c->interval_ns, c->interval_ns);
}

static int apply(struct daemon *daemon, struct configuration *new)
{
	struct configuration_changes changes = {0};
	struct exporters_update *update = NULL;
	struct strategies *strategies = NULL;
	int r = configuration_compare(&daemon->configuration, new, &changes);
	if (r == 0)
		r = exporters_prepare(daemon->exporters, new, &update);
	if (r == 0 && has_changed(&changes, "strategies"))
		r = daemon_strategies(new, &strategies);
	bool renews = needs_new_recording(&daemon->configuration, new, &changes);
	if (r == 0)
		r = apply_to_recording(daemon, new, &changes, renews);
	if (r == 0) {
		exporters_commit(daemon->exporters, update);
		configuration_keep_fixed(&daemon->configuration, new);
		struct configuration old = daemon->configuration;
		daemon->configuration = *new;
		*new = old;
		apply_rest(daemon, &changes);
		if (!renews)
			change_recording(daemon, &changes, &strategies);
		log_changes(&changes);
	} else {
		exporters_abandon(update);
	}
	strategies_free(strategies);
	array_free(&changes);
	return r;
}

void daemon_reload(struct daemon *daemon)
{
	_cleanup_configuration_ struct configuration new = {0};
	struct configuration_problems problems = {0};
	notifier_send(&daemon->notifier, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
		      (unsigned long long)(monotonic_ns() / 1000));
	int r = configuration_load(daemon->sources, &new, &problems);
	daemon_log_problems(&problems);
	configuration_problems_free(&problems);
	if (r == 0)
		r = apply(daemon, &new);
	if (r == 0)
		kill_switch_on_reload(&daemon->kill_switch);
	daemon->reload.reloads++;
	daemon->reload.failures += r < 0;
	daemon->reload.last_successful = r == 0;
	daemon->reload.last_realtime_ns = realtime_ns();
	if (!daemon->recording)
		return;
	if (r < 0)
		log_error("the configuration was not reloaded, the old one stays in force");
	notifier_send(&daemon->notifier, "READY=1\nSTATUS=%s",
		      r < 0 ? "the new configuration cannot be applied, the old one is in force"
			    : "configuration reloaded");
}
