/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. Owns the order of the families, and those of the daemon itself: its state, cost and budgets. */
#include "service/metrics_parts.h"

static void write_cost(const struct metrics *m, struct text *out)
{
	const struct recording_statistics *s = m->recording;
	prometheus_single(out, "process_cpu_seconds_total", "counter",
			  "CPU time of the daemon and its parser children.", ns_to_seconds(s->own_cpu_ns));
	prometheus_single(out, "bpf_cpu_seconds_total", "counter",
			  "CPU time of the BPF programs; 0 where the kernel does not tell.",
			  ns_to_seconds(s->bpf_ns));
	prometheus_single(out, "process_resident_memory_bytes", "gauge", "Resident memory of the daemon.",
			  (double)m->resident_bytes);
	prometheus_single(out, "process_proportional_memory_bytes", "gauge",
			  "Memory of the daemon, shared pages by their part; of the last seconds.",
			  (double)(s->memory_bytes - s->map_bytes));
	prometheus_single(out, "bpf_map_bytes", "gauge", "Kernel memory of the BPF maps.",
			  (double)s->map_bytes);
	prometheus_family(out, "bpf_map_entries", "gauge", "Entries of the BPF maps that can be full.");
	for (size_t i = 0; i < m->map_count; i++)
		prometheus_sample(out, "bpf_map_entries", "map", m->maps[i].name, m->maps[i].entries);
	prometheus_family(out, "bpf_map_capacity", "gauge", "How many entries they can have.");
	for (size_t i = 0; i < m->map_count; i++)
		prometheus_sample(out, "bpf_map_capacity", "map", m->maps[i].name, m->maps[i].capacity);
}

static void write_budget(const struct budget_report *b, struct text *out)
{
	prometheus_single(out, "budget_cpu_ratio", "gauge", "Share of all CPUs that profiling may cost.", b->share);
	prometheus_single(out, "budget_cost_ratio", "gauge", "Share of all CPUs that the last minute cost.",
			  b->window_cost);
	prometheus_single(out, "budget_frequency_hertz", "gauge", "Samples a second and CPU, as the budget allows.",
			  b->setting.frequency);
	prometheus_family(out, "budget_frequency_limit", "gauge", "Is this why it is no higher?");
	for (int i = 0; i < BUDGET_RATE_LIMIT_COUNT; i++)
		prometheus_sample(out, "budget_frequency_limit", "reason",
				  budget_rate_limit_name((enum budget_rate_limit)i), b->rate_limit == (unsigned)i);
	prometheus_single(out, "budget_chance_ratio", "gauge", "Share of the time in which sampling is on at all.",
			  b->chance);
	prometheus_family(out, "budget_given_up", "gauge", "Is this given up for the budget?");
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		prometheus_sample(out, "budget_given_up", "what", budget_lever_name((enum budget_lever)i),
				  b->setting.used >> i & 1);
	prometheus_single(out, "budget_heap_ratio", "gauge", "Share of all CPUs that looking at allocators may cost.",
			  b->setting.heap_share);
	prometheus_single(out, "budget_infeasible", "gauge", "Is the cost above the budget with every lever used?",
			  b->infeasible);
}

static void write_memory_budget(const struct memory_budget *b, struct text *out)
{
	prometheus_single(out, "budget_memory_bytes", "gauge", "Bytes of memory that profiling may take.",
			  (double)b->limit);
	prometheus_single(out, "budget_memory_used_bytes", "gauge",
			  "Bytes that it took lately, maps in the kernel included.",
			  (double)b->bytes);
	prometheus_family(out, "budget_memory_given_up_total", "counter", "How often this was given up for the budget.");
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++)
		prometheus_sample(out, "budget_memory_given_up_total", "what", memory_lever_name((enum memory_lever)i),
				  (double)b->moved[i]);
	prometheus_single(out, "budget_memory_infeasible", "gauge", "Is it above the budget with everything given up?",
			  b->infeasible);
}

static void write_state(const struct metrics *m, struct text *out)
{
	prometheus_family(out, "build_info", "gauge", "The version that runs.");
	prometheus_sample(out, "build_info", "version", m->version, 1);
	prometheus_single(out, "start_time_seconds", "gauge", "When the daemon started, since 1970.",
			  m->start_time);
	prometheus_single(out, "sampling_enabled", "gauge", "Is sampling on?", !m->is_paused);
	prometheus_family(out, "kill_switch_active", "gauge",
			  "Is everything detached from the kernel, and by what?");
	for (int i = KILL_NONE + 1; i < KILL_REASON_COUNT; i++)
		prometheus_sample(out, "kill_switch_active", "reason", kill_reason_name((enum kill_reason)i),
				  m->kill_switch[i]);
	prometheus_single(out, "kill_switch_activations_total", "counter", "How often that came.",
			  (double)m->kill_switch_activations);
	prometheus_family(out, "safe_mode", "gauge",
			  "Is this left out, as a known bug of the kernel or the configuration wants it?");
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		prometheus_sample(out, "safe_mode", "feature", safe_mode_name((enum safe_mode_feature)i),
				  m->recording->safe_mode >> i & 1);
	prometheus_single(out, "sampling_frequency_hertz", "gauge", "Samples a second and CPU that are asked for.",
			  (double)m->frequency);
	prometheus_single(out, "sampling_present_frequency_hertz", "gauge", "Samples a second and CPU now.",
			  m->recording->frequency);
	if (m->recording->budget.share > 0)
		write_budget(&m->recording->budget, out);
	if (m->recording->memory_budget.limit)
		write_memory_budget(&m->recording->memory_budget, out);
	prometheus_single(out, "sampling_paused_seconds_total", "counter",
			  "Time in which sampling was off because somebody stopped it.",
			  ns_to_seconds(m->recording->paused_ns));
	prometheus_family(out, "recording_renewals_total", "counter",
			  "Times a new recording was begun because the one before had met millions of files.");
	prometheus_sample(out, "recording_renewals_total", "result", "success", m->renewals);
	prometheus_sample(out, "recording_renewals_total", "result", "failure", m->renewal_failures);
	prometheus_single(out, "config_last_reload_successful", "gauge",
			  "Is the configuration that was last read in force?", m->last_reload_successful);
	prometheus_single(out, "config_last_reload_timestamp_seconds", "gauge",
			  "When the configuration was last read, since 1970.", m->last_reload_time);
	prometheus_family(out, "config_reloads_total", "counter", "Times the configuration was read again.");
	prometheus_sample(out, "config_reloads_total", "result", "success", m->reloads - m->reload_failures);
	prometheus_sample(out, "config_reloads_total", "result", "failure", m->reload_failures);
}

static void write_listeners(const struct metrics *m, struct text *out)
{
	prometheus_family(out, "http_requests_total", "counter", "Requests to the local server.");
	for (size_t i = 0; i < m->listener_count; i++)
		prometheus_sample(out, "http_requests_total", "listener", m->listeners[i].name,
				  m->listeners[i].statistics.requests);
	prometheus_family(out, "http_requests_refused_total", "counter",
			  "Of these, refused for path, method, host, size or token.");
	for (size_t i = 0; i < m->listener_count; i++)
		prometheus_sample(out, "http_requests_refused_total", "listener", m->listeners[i].name,
				  m->listeners[i].statistics.refused);
	prometheus_family(out, "pull_profiles_total", "counter",
			  "Profiles that were asked for at /debug/pprof/profile.");
	prometheus_sample(out, "pull_profiles_total", "result", "served", m->profiles_served);
	prometheus_sample(out, "pull_profiles_total", "result", "refused", m->profiles_refused);
	prometheus_single(out, "pull_profiles_open", "gauge", "Those that are being taken.",
			  (double)m->profiles_open);
}

void metrics_write(const struct metrics *m, struct text *out)
{
	write_state(m, out);
	metrics_write_samples(m->recording, out);
	metrics_write_strategies(m->strategies, out);
	metrics_write_growth(m->recording, out);
	metrics_write_heap(m->recording, out);
	metrics_write_stacks(m->recording, out);
	write_cost(m, out);
	metrics_write_requests(m, out);
	metrics_write_amounts(m, out);
	write_listeners(m, out);
}
