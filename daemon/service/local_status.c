/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's state for programs and for people, and turning sampling off and on. */
#include "service/local_state.h"

#include "base/clock.h"
#include "service/setting.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_SECOND;
}

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* "2026-11-25T10:00:00Z" */
static const char *format_time(char *buffer, size_t size, uint64_t realtime)
{
	struct tm tm;
	time_t second = (time_t)(realtime / NS_PER_SECOND);
	gmtime_r(&second, &tm);
	strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buffer;
}

static uint64_t dropped_samples(const struct spool_statistics *spool)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < DROP_REASON_COUNT; i++)
		sum += spool->dropped[i].samples;
	return sum;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void add_nonzero(void *userdata, const char *name, uint64_t count)
{
	json_number(userdata, name, count);
}

static void write_sampling(const struct daemon *daemon, const struct recording_statistics *s,
			   struct json *json)
{
	json_open(json, "sampling", '{');
	json_flag(json, "on", !daemon->is_paused);
	json_number(json, "frequency_hz", daemon->configuration.sampling.frequency);
	json_real(json, "interval_seconds", seconds(daemon->configuration.interval_ns));
	json_real(json, "elapsed_seconds", seconds(s->elapsed_ns));
	json_real(json, "paused_seconds", seconds(s->paused_ns));
	json_number(json, "samples", s->samples);
	json_real(json, "captured_seconds", seconds(s->captured_ns));
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
	json_real(json, "heap_window_period_seconds", seconds(s->heap_windows.period_ns));
	json_real(json, "heap_probe_cpu_seconds", seconds((uint64_t)s->heap_windows.cost_ns));
	json_real(json, "heap_own_cpu_seconds", seconds(s->heap_windows.own_ns));
	json_number(json, "oom_victims", s->victims);
	json_number(json, "oom_victims_known", s->victims_known);
	json_number(json, "frames", s->frames);
	json_number(json, "frames_unnamed", s->frames_unnamed);
	json_close(json, '}');
}

static void write_kill_switch(const struct kill_switch *k, struct json *json)
{
	char time[32];
	json_open(json, "kill_switch", '{');
	json_text(json, "reason", k->reason ? kill_reason_name(k->reason) : NULL);
	json_text(json, "since", k->reason ? format_time(time, sizeof(time), k->since_realtime_ns) : NULL);
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
	json_number(json, "samples", daemon_lost_samples(s));
	if (s->sideband_lost)
		json_number(json, "sideband_records", s->sideband_lost);
	losses_each(&s->losses, add_nonzero, json);
	json_close(json, '}');
}

static void write_interval(const struct interval_figures *f, struct json *json)
{
	json_open(json, "last_interval", '{');
	json_real(json, "seconds", seconds(f->duration_ns));
	json_number(json, "samples", f->samples);
	json_number(json, "lost", f->lost);
	json_real(json, "samples_per_second", ratio(f->samples, 1) / seconds(f->duration_ns));
	json_real(json, "captured_seconds", seconds(f->captured_ns));
	json_real(json, "own_cpus", ratio(f->own_cpu_ns, f->duration_ns));
	json_real(json, "bpf_cpus", ratio(f->bpf_ns, f->duration_ns));
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
	json_number(json, "frequency_hz", b->setting.frequency);
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
	json_real(json, "effective_ratio", ratio(s->taken, s->offered));
	json_number(json, "offered_weight", s->offered_weight);
	json_number(json, "taken_weight", s->taken_weight);
	json_real(json, "counted_weight", s->counted_weight);
	json_number(json, "services", report->services);
	json_text(json, "since", format_time(time, sizeof(time), report->since_ns));
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
	json_real(json, "own_cpu_seconds", seconds(s->own_cpu_ns));
	json_real(json, "bpf_cpu_seconds", seconds(s->bpf_ns));
	json_number(json, "memory_bytes", s->memory_bytes - s->map_bytes);
	json_number(json, "bpf_map_bytes", s->map_bytes);
	json_number(json, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_close(json, '}');
}

static const char *type_name(enum exporter_type type, struct text *out)
{
	struct exporter_configuration exporter = {.type = type};
	setting_write(setting_find(exporter_settings, "type"), &exporter, out);
	return out->bytes ? out->bytes : "";
}

static void write_exporter(const struct exporter_state *e, struct json *json)
{
	const struct exporter_statistics *s = &e->statistics;
	struct text type = {0};
	json_open(json, NULL, '{');
	json_text(json, "name", e->name);
	json_text(json, "type", type_name(e->type, &type));
	json_flag(json, "running", e->is_running);
	json_number(json, "samples_taken", s->spool.taken.samples + s->spool.recovered.samples);
	json_number(json, "samples_sent", s->spool.sent.samples);
	json_number(json, "samples_dropped", dropped_samples(&s->spool));
	json_number(json, "samples_waiting", s->spool.waiting.samples);
	json_number(json, "bytes_waiting", s->spool.waiting.bytes);
	json_number(json, "bytes_on_wire", s->bytes_sent);
	json_number(json, "requests", s->sends);
	json_number(json, "retries", s->retries);
	json_number(json, "failures_in_a_row", s->failures_in_a_row);
	json_real(json, "next_attempt_seconds", seconds(s->pause_ns));
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
	char time[32], host[256] = "";
	recording_get_statistics(daemon->recording, &s);
	gethostname(host, sizeof(host) - 1);
	json_open(json, name, '{');
	json_text(json, "version", BOLOMETER_VERSION);
	json_text(json, "host", host);
	json_number(json, "pid", (uint64_t)getpid());
	json_text(json, "since", format_time(time, sizeof(time), daemon->start_realtime_ns));
	json_text(json, "configuration_file", daemon->sources->path);
	json_open(json, "configuration", '{');
	json_flag(json, "last_read_in_force", daemon->reload.last_successful);
	json_text(json, "last_read",
		  format_time(time, sizeof(time), daemon->reload.last_realtime_ns));
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

/* ---- For people -------------------------------------------------------------------------------------- */

static void describe_exporter(const struct exporter_state *e, struct text *out)
{
	const struct exporter_statistics *s = &e->statistics;
	struct text type = {0};
	char size[32];
	text_add(out, "exporter    %s (%s): ", e->name, type_name(e->type, &type));
	text_free(&type);
	if (!e->is_running) {
		text_add(out, "its queue cannot be opened, see the log; %llu samples dropped\n",
			 (unsigned long long)dropped_samples(&s->spool));
		return;
	}
	text_add(out, "%llu samples sent, %llu waiting (%s), %llu dropped",
		 (unsigned long long)s->spool.sent.samples,
		 (unsigned long long)s->spool.waiting.samples,
		 text_size(size, sizeof(size), s->spool.waiting.bytes),
		 (unsigned long long)dropped_samples(&s->spool));
	if (s->failures_in_a_row)
		text_add(out, "; failing (%llu in a row)", (unsigned long long)s->failures_in_a_row);
	if (s->last_message[0])
		text_add(out, "\n            last error: %s", s->last_message);
	text_add_char(out, '\n');
}

static void describe_budget(const struct budget_report *b, struct text *out)
{
	text_add(out, "budget      %.2f %% of all CPUs, the last minute cost %.2f %%; at %u Hz",
		 100 * b->share, 100 * b->window_cost, b->setting.frequency);
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		if (b->setting.used & BUDGET_LEVER_BIT(i))
			text_add(out, ", %s", budget_lever_words((enum budget_lever)i));
	if (b->chance < 1)
		text_add(out, ", %.0f %% of the time", 100 * b->chance);
	text_add_string(out, b->infeasible ? "; it cannot be kept (budget_infeasible)\n" : "\n");
}

static void describe_memory_budget(const struct memory_budget *b, struct text *out)
{
	char limit[32], peak[32];
	text_add(out, "budget      %s of memory, %s at most by now", text_size(limit, sizeof(limit), b->limit),
		 text_size(peak, sizeof(peak), b->peak));
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++)
		if (b->moved[i])
			text_add(out, ", gave up %s %llu times", memory_lever_name((enum memory_lever)i),
				 (unsigned long long)b->moved[i]);
	text_add_string(out, b->infeasible ? "; it cannot be kept (budget_infeasible)\n" : "\n");
}

static void describe_heap(const struct recording_statistics *s, struct text *out)
{
	const struct heap_windows_statistics *w = &s->heap_windows;
	char bytes[32];
	text_add(out,
		 "heap        %llu allocations of %s seen; %llu processes probed all the time, %llu in windows, "
		 "each once in %.0f s; %.2f %% of their CPU time, and %.1f s of our own\n",
		 (unsigned long long)s->counters[COUNTER_HEAP_ALLOCATIONS],
		 text_size(bytes, sizeof(bytes), s->counters[COUNTER_HEAP_BYTES]),
		 (unsigned long long)w->processes_always, (unsigned long long)w->processes_in_windows,
		 seconds(w->period_ns), 100 * ratio((uint64_t)w->cost_ns, (uint64_t)w->cpu_ns), seconds(w->own_ns));
}

static void describe_strategies(const struct strategies *strategies, struct text *out)
{
	char description[128], time[32];
	for (size_t i = 0; i < strategies_count(strategies); i++) {
		struct strategy_report report;
		strategies_get(strategies, i, &report);
		strategy_rule_describe(report.rule, description, sizeof(description));
		text_add(out, "strategy    %s (%s, %s): %llu of %llu %s taken (%.2f %%) since %s\n",
			 report.rule->name, profile_kind_word(report.rule->kind), description,
			 (unsigned long long)report.statistics.taken,
			 (unsigned long long)report.statistics.offered,
			 report.rule->kind == PROFILE_KIND_HEAP ? "programs" : "samples",
			 100 * ratio(report.statistics.taken, report.statistics.offered),
			 format_time(time, sizeof(time), report.since_ns));
	}
}

static void describe_interval(const struct daemon *daemon, const struct recording_statistics *s,
			      struct text *out)
{
	const struct interval_figures *f = &daemon->interval_figures;
	char memory[32], maps[32];
	if (f->duration_ns)
		text_add(out,
			 "interval    %.1f s: %llu samples, %llu lost; cost %.2f %% of a CPU, "
			 "%.2f %% in the kernel\n",
			 seconds(f->duration_ns), (unsigned long long)f->samples,
			 (unsigned long long)f->lost, 100 * ratio(f->own_cpu_ns, f->duration_ns),
			 100 * ratio(f->bpf_ns, f->duration_ns));
	text_add(out, "in all      %llu samples, %llu lost; %llu processes, %llu binaries known\n",
		 (unsigned long long)s->samples, (unsigned long long)daemon_lost_samples(s),
		 (unsigned long long)s->tracked_processes, (unsigned long long)s->binaries);
	if (s->growth_samples)
		text_add(out, "growth      %llu samples, %s of memory\n",
			 (unsigned long long)s->growth_samples,
			 text_size(memory, sizeof(memory), s->growth_bytes));
	if (daemon->configuration.memory.heap.enabled)
		describe_heap(s, out);
	if (s->budget.share > 0)
		describe_budget(&s->budget, out);
	if (s->memory_budget.limit)
		describe_memory_budget(&s->memory_budget, out);
	text_add(out, "memory      %s, and %s of BPF maps\n",
		 text_size(memory, sizeof(memory), s->memory_bytes - s->map_bytes),
		 text_size(maps, sizeof(maps), s->map_bytes));
}

void local_status_describe(struct local_server *local, struct text *out)
{
	const struct daemon *daemon = local->daemon;
	struct recording_statistics s;
	struct exporter_state exporter;
	char time[32], command[PATH_MAX];
	recording_get_statistics(daemon->recording, &s);
	text_add(out, "bolometer " BOLOMETER_VERSION ", pid %d, since %s\n", (int)getpid(),
		 format_time(time, sizeof(time), daemon->start_realtime_ns));
	text_add(out, "sampling    %s, %llu Hz, an interval of %.1f s",
		 daemon->is_paused ? "OFF" : "on",
		 (unsigned long long)daemon->configuration.sampling.frequency,
		 seconds(daemon->configuration.interval_ns));
	if (s.paused_ns)
		text_add(out, "; was off for %.1f s", seconds(s.paused_ns));
	if (daemon->kill_switch.reason)
		text_add(out, "\nkill switch detached everything (%s) at %s; %s ends it",
			 kill_reason_name(daemon->kill_switch.reason),
			 format_time(time, sizeof(time), daemon->kill_switch.since_realtime_ns),
			 kill_switch_way_back(&daemon->kill_switch, command, sizeof(command)));
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		if (s.safe_mode & SAFE_MODE_BIT(i))
			text_add(out, "\nsafe mode   %s", safe_mode_meaning((enum safe_mode_feature)i));
	text_add(out, "\nconfigured  %s%s\n",
		 daemon->sources->path ? daemon->sources->path : "by defaults and environment",
		 daemon->reload.last_successful ? ""
						: "; its present text is wrong, the one before it "
						  "is in force");
	describe_interval(daemon, &s, out);
	describe_strategies(recording_strategies(daemon->recording), out);
	if (!exporters_count(daemon->exporters))
		text_add_string(out, "exporter    none: profiles are made and thrown away\n");
	for (size_t i = 0; i < exporters_count(daemon->exporters); i++) {
		exporters_get(daemon->exporters, i, &exporter);
		describe_exporter(&exporter, out);
	}
}

/* ---- Requests ---------------------------------------------------------------------------------------- */

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

/* A page of another site can make a browser post here, with the token the browser remembers; it cannot
 * keep the browser from saying so. */
static bool is_from_elsewhere(const struct http_exchange *exchange)
{
	const char *origin = http_header(exchange, "Origin");
	const char *host = http_header(exchange, "Host");
	if (!origin)
		return false;
	return !host || strncmp(origin, "http://", 7) != 0 || strcmp(origin + 7, host) != 0;
}

static void control(struct http_exchange *exchange, struct local_server *local, bool on)
{
	if (is_from_elsewhere(exchange)) {
		http_respond_text(exchange, 403, "a page of another site may not do this");
		return;
	}
	bool was_on = !local->daemon->is_paused;
	int r = on ? daemon_resume(local->daemon) : daemon_pause(local->daemon);
	if (r == -EBUSY)
		http_respond_text(exchange, 409, "the kill switch is on while %s exists; remove it",
				  local->daemon->configuration.kill_switch.file);
	else if (r < 0)
		http_respond_text(exchange, 500, "not on all CPUs: %s", strerror(-r));
	else
		http_respond_text(exchange, 200, "sampling %s %s", was_on == on ? "was already" : "is",
				  on ? "on" : "off");
}

void local_stop(struct http_exchange *exchange, void *userdata)
{
	control(exchange, userdata, false);
}

void local_start(struct http_exchange *exchange, void *userdata)
{
	control(exchange, userdata, true);
}

void local_reset(struct http_exchange *exchange, void *userdata)
{
	struct strategies *strategies = recording_strategies(((struct local_server *)userdata)->daemon->recording);
	if (is_from_elsewhere(exchange)) {
		http_respond_text(exchange, 403, "a page of another site may not do this");
		return;
	}
	if (!strategies) {
		http_respond_text(exchange, 409, "no strategies are configured");
		return;
	}
	strategies_reset(strategies, realtime_ns());
	http_respond_text(exchange, 200, "the statistics of %zu strategies begin anew", strategies_count(strategies));
}
