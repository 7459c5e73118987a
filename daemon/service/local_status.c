/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's state for programs; local_status_text.c has it for people. */
#include "service/local_state.h"
#include "service/status_figures.h"

#include <string.h>
#include <unistd.h>

static void add_nonzero(void *userdata, const char *name, uint64_t count)
{
	json_number(userdata, name, count);
}

static void write_sampling(const struct daemon *daemon, const struct recording_statistics *s,
			   struct json *json)
{
	json_open(json, "sampling", '{');
	json_flag(json, "on", !daemon->is_paused);
	json_number(json, "frequency_hz", s->frequency);
	json_number(json, "configured_frequency_hz", daemon->configuration.sampling.frequency);
	json_real(json, "interval_seconds", ns_to_seconds(daemon->configuration.interval_ns));
	json_real(json, "elapsed_seconds", ns_to_seconds(s->elapsed_ns));
	json_real(json, "paused_seconds", ns_to_seconds(s->paused_ns));
	json_number(json, "samples", s->samples);
	json_real(json, "captured_seconds", ns_to_seconds(s->captured_ns));
	json_number(json, "processes", s->tracked_processes);
	json_number(json, "binaries", s->binaries);
	json_number(json, "renewals", daemon->renewal.renewals);
	json_number(json, "renewal_failures", daemon->renewal.failures);
	json_number(json, "growth_samples", s->growth_samples);
	json_number(json, "growth_bytes", s->growth_bytes);
	json_number(json, "heap_places", s->heap_places);
	json_number(json, "heap_allocations", s->counters[COUNTER_HEAP_ALLOCATIONS]);
	json_number(json, "heap_bytes", s->counters[COUNTER_HEAP_BYTES]);
	json_number(json, "heap_processes_always", s->heap_windows.processes_always);
	json_number(json, "heap_processes_in_windows", s->heap_windows.processes_in_windows);
	json_real(json, "heap_window_period_seconds", ns_to_seconds(s->heap_windows.period_ns));
	json_real(json, "heap_probe_cpu_seconds", ns_to_seconds((uint64_t)s->heap_windows.cost_ns));
	json_real(json, "heap_own_cpu_seconds", ns_to_seconds(s->heap_windows.own_ns));
	json_number(json, "oom_victims", s->victims);
	json_number(json, "oom_victims_known", s->victims_known);
	json_number(json, "frames", s->frames);
	json_number(json, "frames_unnamed", s->frames_unnamed);
	json_close(json, '}');
}

static void write_kill_switch(const struct kill_switch *k, struct json *json)
{
	char time[UTC_TEXT_SIZE];
	json_open(json, "kill_switch", '{');
	json_text(json, "reason", k->reason ? kill_reason_name(k->reason) : NULL);
	json_text(json, "since", k->reason ? utc_text(k->since_realtime_ns, time) : NULL);
	json_number(json, "activations", k->activations);
	json_close(json, '}');
}

static void write_losses(const struct recording_statistics *s, struct json *json)
{
	static const char *const counters[] = {
#define COUNTER_NAME(id, name, what) name,
		BOLOMETER_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
	};
	static const char *const ends[] = {
#define STACK_END_NAME(id, text) text,
		BOLOMETER_STACK_ENDS(STACK_END_NAME)
#undef STACK_END_NAME
	};
	json_open(json, "counters", '{');
	for (size_t i = 0; i < COUNTER_MAX; i++)
		json_number(json, counters[i], s->counters[i]);
	json_close(json, '}');
	json_open(json, "stack_ends", '{');
	for (size_t i = 0; i < STACK_END_MAX; i++)
		if (s->ends[i])
			json_number(json, ends[i], s->ends[i]);
	json_close(json, '}');
	json_open(json, "losses", '{');
	json_number(json, "samples", recording_lost_samples(s));
	if (s->sideband_lost)
		json_number(json, "sideband_records", s->sideband_lost);
	losses_each(&s->losses, add_nonzero, json);
	json_close(json, '}');
}

static void write_interval(const struct interval_figures *f, struct json *json)
{
	json_open(json, "last_interval", '{');
	json_real(json, "seconds", ns_to_seconds(f->duration_ns));
	json_number(json, "samples", f->samples);
	json_number(json, "lost", f->lost);
	json_real(json, "samples_per_second", figures_ratio(f->samples, 1) / ns_to_seconds(f->duration_ns));
	json_real(json, "captured_seconds", ns_to_seconds(f->captured_ns));
	json_real(json, "own_cpus", figures_ratio(f->own_cpu_ns, f->duration_ns));
	json_real(json, "bpf_cpus", figures_ratio(f->bpf_ns, f->duration_ns));
	json_close(json, '}');
}

static void write_budget(const struct budget_report *b, struct json *json)
{
	if (b->share == 0)
		return;
	json_open(json, "budget", '{');
	json_real(json, "cpu_ratio", b->share);
	json_real(json, "cost_ratio", b->cost);
	json_real(json, "minute_cost_ratio", b->window_cost);
	json_real(json, "dearest_minute_cost_ratio", b->dearest_cost);
	json_number(json, "frequency_hz", b->setting.frequency);
	json_text(json, "frequency_limit", budget_rate_limit_name(b->rate_limit));
	json_text(json, "frequency_limit_reason", budget_rate_limit_words(b->rate_limit));
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		json_flag(json, budget_lever_name((enum budget_lever)i),
			  !(b->setting.used & BUDGET_LEVER_BIT(i)));
	json_real(json, "chance", b->chance);
	json_real(json, "heap_ratio", b->setting.heap_share);
	json_flag(json, "infeasible", b->infeasible);
	json_close(json, '}');
}

static void write_strategy(const struct strategy_report *report, struct json *json)
{
	const struct strategy_statistics *s = &report->statistics;
	char description[128], time[32];
	strategy_rule_describe(report->rule, description, sizeof(description));
	json_open(json, NULL, '{');
	json_text(json, "name", report->rule->name);
	json_text(json, "event", profile_kind_word(report->rule->kind));
	json_text(json, "strategy", strategy_name(report->rule->options.kind));
	json_text(json, "description", description);
	json_number(json, "offered", s->offered);
	json_number(json, "taken", s->taken);
	json_number(json, "not_taken", s->offered - s->taken);
	json_real(json, "effective_ratio", figures_ratio(s->taken, s->offered));
	json_number(json, "offered_weight", s->offered_weight);
	json_number(json, "taken_weight", s->taken_weight);
	json_real(json, "counted_weight", s->counted_weight);
	json_number(json, "services", report->services);
	json_text(json, "since", utc_text(report->since_ns, time));
	json_close(json, '}');
}

static void write_strategies(const struct strategies *strategies, struct json *json)
{
	struct strategy_report report;
	json_open(json, "strategies", '[');
	for (size_t i = 0; i < strategies_count(strategies); i++) {
		strategies_get(strategies, i, &report);
		write_strategy(&report, json);
	}
	json_close(json, ']');
}

static void write_memory_budget(const struct memory_budget *b, struct json *json)
{
	if (!b->limit)
		return;
	json_open(json, "memory_budget", '{');
	json_number(json, "bytes", b->limit);
	json_number(json, "used_bytes", b->bytes);
	json_number(json, "peak_bytes", b->peak);
	json_open(json, "gave_up", '{');
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++)
		json_number(json, memory_lever_name((enum memory_lever)i), b->moved[i]);
	json_close(json, '}');
	json_flag(json, "infeasible", b->infeasible);
	json_close(json, '}');
}

static void write_safe_mode(unsigned safe_mode, struct json *json)
{
	json_open(json, "safe_mode", '{');
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		json_flag(json, safe_mode_name((enum safe_mode_feature)i), safe_mode & SAFE_MODE_BIT(i));
	json_close(json, '}');
}

static void write_cost(const struct recording_statistics *s, struct json *json)
{
	json_open(json, "cost", '{');
	json_real(json, "own_cpu_seconds", ns_to_seconds(s->own_cpu_ns));
	json_real(json, "bpf_cpu_seconds", ns_to_seconds(s->bpf_ns));
	json_number(json, "memory_bytes", s->memory_bytes - s->map_bytes);
	json_number(json, "bpf_map_bytes", s->map_bytes);
	json_number(json, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_close(json, '}');
}

static void write_exporter(const struct exporter_state *e, struct json *json)
{
	const struct exporter_statistics *s = &e->statistics;
	struct text type = {0};
	json_open(json, NULL, '{');
	json_text(json, "name", e->name);
	json_text(json, "type", figures_exporter_type(e->type, &type));
	json_flag(json, "running", e->is_running);
	json_number(json, "samples_taken", s->spool.taken.samples + s->spool.recovered.samples);
	json_number(json, "samples_sent", s->spool.sent.samples);
	json_number(json, "samples_dropped", figures_dropped(&s->spool));
	json_number(json, "samples_waiting", s->spool.waiting.samples);
	json_number(json, "bytes_waiting", s->spool.waiting.bytes);
	json_number(json, "bytes_on_wire", s->bytes_sent);
	json_number(json, "requests", s->sends);
	json_number(json, "retries", s->retries);
	json_number(json, "failures_in_a_row", s->failures_in_a_row);
	json_number(json, "refusals_in_a_row", s->refusals_in_a_row);
	json_real(json, "next_attempt_seconds", ns_to_seconds(s->pause_ns));
	json_text(json, "last_error", s->last_message[0] ? s->last_message : NULL);
	json_close(json, '}');
	text_free(&type);
}

static void write_exporters(const struct daemon *daemon, struct json *json)
{
	struct exporter_state state;
	json_open(json, "exporters", '[');
	for (size_t i = 0; i < exporters_count(daemon->exporters); i++) {
		exporters_get(daemon->exporters, i, &state);
		write_exporter(&state, json);
	}
	json_close(json, ']');
}

void local_status_write(struct local_server *local, struct json *json, const char *name)
{
	const struct daemon *daemon = local->daemon;
	struct recording_statistics s;
	char time[UTC_TEXT_SIZE], host[256] = "";
	recording_get_statistics(daemon->recording, &s);
	gethostname(host, sizeof(host) - 1);
	json_open(json, name, '{');
	json_text(json, "version", BOLOMETER_VERSION);
	json_text(json, "host", host);
	json_number(json, "pid", (uint64_t)getpid());
	json_text(json, "since", utc_text(daemon->start_realtime_ns, time));
	json_text(json, "configuration_file", daemon->sources->path);
	json_open(json, "configuration", '{');
	json_flag(json, "last_read_in_force", daemon->reload.last_successful);
	json_text(json, "last_read",
		  utc_text(daemon->reload.last_realtime_ns, time));
	json_number(json, "reloads", daemon->reload.reloads);
	json_number(json, "reload_failures", daemon->reload.failures);
	json_close(json, '}');
	write_sampling(daemon, &s, json);
	write_kill_switch(&daemon->kill_switch, json);
	write_safe_mode(s.safe_mode, json);
	write_interval(&daemon->interval_figures, json);
	write_losses(&s, json);
	write_cost(&s, json);
	write_budget(&s.budget, json);
	json_number(json, "not_taken", s.not_taken);
	write_strategies(recording_strategies(daemon->recording), json);
	write_memory_budget(&s.memory_budget, json);
	write_exporters(daemon, json);
	json_number(json, "profiles_being_taken", local_pprof_count(local));
	json_close(json, '}');
}

void local_status(struct http_exchange *exchange, void *userdata)
{
	const char *format = http_query(exchange, "format");
	struct text body = {0};
	struct json json = {.out = &body};
	if (format && strcmp(format, "text") == 0) {
		local_status_describe(userdata, &body);
		http_respond(exchange, 200, "text/plain; charset=utf-8", &body);
		return;
	}
	local_status_write(userdata, &json, NULL);
	text_add_char(&body, '\n');
	http_respond(exchange, 200, "application/json", &body);
}
