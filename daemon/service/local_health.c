/* SPDX-License-Identifier: Apache-2.0 */
/* For orchestrators and Prometheus. What these tell is the same for everybody and names no process. */
#include "service/local_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "service/metrics.h"

#include <stdio.h>
#include <unistd.h>

#define DRAIN_TIMEOUT_NS (5 * NS_PER_SECOND)

/* The loop that drains the rings is the one that answers. */
void local_healthz(struct http_exchange *exchange, void *userdata)
{
	http_respond_text(exchange, 200, "ok");
}

void local_readyz(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	struct recording_statistics s;
	recording_get_statistics(local->daemon->recording, &s);
	uint64_t since = monotonic_ns() - s.drained_ns;
	if (s.drained_ns && since < DRAIN_TIMEOUT_NS)
		http_respond_text(exchange, 200, "%s",
				  local->daemon->is_paused ? "ready, sampling is off" : "ready");
	else
		http_respond_text(exchange, 503, "the rings were not read for %.1f s",
				  (double)since / 1e9);
}

static uint64_t resident_bytes(void)
{
	char *text;
	unsigned long long size, resident = 0;
	if (read_whole_file("/proc/self/statm", 4096, &text, NULL) < 0)
		return 0;
	if (sscanf(text, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	free(text);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static size_t list_listeners(const struct local_server *local, struct metrics_listener ret[3])
{
	const struct http_server *const servers[] = {local->health, local->unix_socket, local->tcp};
	static const char *const names[] = {"health", "unix", "tcp"};
	size_t count = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(servers); i++) {
		if (!servers[i])
			continue;
		ret[count].name = names[i];
		http_server_get_statistics(servers[i], &ret[count++].statistics);
	}
	return count;
}

static void write_metrics(const struct local_server *local, struct exporter_state *exporters,
			  struct text *out)
{
	const struct daemon *daemon = local->daemon;
	struct recording_statistics s;
	struct metrics_listener listeners[3];
	struct map_usage maps[MAP_USAGE_MAX];
	size_t count = exporters_count(daemon->exporters);
	for (size_t i = 0; i < count; i++)
		exporters_get(daemon->exporters, i, &exporters[i]);
	recording_get_statistics(daemon->recording, &s);
	struct metrics metrics = {
		.version = BOLOMETER_VERSION,
		.start_time = (double)daemon->start_realtime_ns / 1e9,
		.frequency = daemon->configuration.sampling.frequency,
		.is_paused = daemon->is_paused,
		.kill_switch_activations = daemon->kill_switch.activations,
		.recording = &s,
		.strategies = recording_strategies(local->daemon->recording),
		.maps = maps,
		.map_count = recording_get_maps(daemon->recording, maps, ARRAY_LENGTH(maps)),
		.resident_bytes = resident_bytes(),
		.exporters = exporters,
		.exporter_count = count,
		.renewals = daemon->renewal.renewals,
		.renewal_failures = daemon->renewal.failures,
		.reloads = daemon->reload.reloads,
		.reload_failures = daemon->reload.failures,
		.last_reload_successful = daemon->reload.last_successful,
		.last_reload_time = (double)daemon->reload.last_realtime_ns / 1e9,
		.listeners = listeners,
		.listener_count = list_listeners(local, listeners),
		.profiles_served = local->profiles_served,
		.profiles_refused = local->profiles_refused,
		.profiles_open = local_pprof_count(local),
	};
	if (daemon->kill_switch.reason)
		metrics.kill_switch[daemon->kill_switch.reason] = true;
	metrics_write(&metrics, out);
}

void local_metrics(struct http_exchange *exchange, void *userdata)
{
	struct local_server *local = userdata;
	struct text body = {0};
	size_t count = exporters_count(local->daemon->exporters);
	struct exporter_state *exporters = calloc(MAX_OF(count, 1u), sizeof(*exporters));
	if (exporters)
		write_metrics(local, exporters, &body);
	else
		body.failed = true;
	free(exporters);
	http_respond(exchange, 200, METRICS_CONTENT_TYPE, &body);
}
