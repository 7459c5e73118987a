/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of where profiles go: each exporter's requests, and what it took, sent, dropped and has waiting. */
#include "service/metrics_parts.h"

/* One family over all exporters, by an expression of `s`, an exporter's statistics. */
#define EACH_EXPORTER(metric, type, help, expression)							\
	do {												\
		prometheus_family(out, metric, type, help);						\
		for (size_t i = 0; i < m->exporter_count; i++) {					\
			const struct exporter_statistics *s = &m->exporters[i].statistics;		\
			prometheus_sample(out, metric, "exporter", m->exporters[i].name, (expression));	\
		}											\
	} while (0)

void metrics_write_requests(const struct metrics *m, struct text *out)
{
	prometheus_family(out, "export_requests_total", "counter",
			  "Attempts to send, by the answer: a status of HTTP or gRPC, or why there was none.");
	for (size_t i = 0; i < m->exporter_count; i++) {
		const struct exporter_statistics *s = &m->exporters[i].statistics;
		for (size_t k = 0; k < s->answer_count; k++)
			prometheus_sample2(out, "export_requests_total", "exporter", m->exporters[i].name,
					   "code", s->answers[k].code, (double)s->answers[k].sends);
	}
	EACH_EXPORTER("export_retries_total", "counter", "Attempts that are to be repeated.",
		      s->retries);
	EACH_EXPORTER("export_partial_successes_total", "counter",
		      "Attempts that the backend took with some profiles refused.",
		      s->partial_successes);
	EACH_EXPORTER("export_rejected_profiles_total", "counter", "Profiles refused by these.",
		      s->rejected_profiles);
	EACH_EXPORTER("export_maybe_repeated_total", "counter",
		      "Payloads sent again although an earlier answer may have been lost.",
		      s->spool.maybe_repeated);
	EACH_EXPORTER("export_splits_total", "counter",
		      "Payloads that the backend found too large and that became two.",
		      s->spool.splits);
	EACH_EXPORTER("export_failures_in_a_row", "gauge",
		      "Attempts since the last that was answered.", s->failures_in_a_row);
	EACH_EXPORTER("export_disk_failures_total", "counter",
		      "Attempts to write to the spool that failed.", s->spool.disk_failures);
	prometheus_family(out, "exporter_running", "gauge", "Is the exporter there to send?");
	for (size_t i = 0; i < m->exporter_count; i++)
		prometheus_sample(out, "exporter_running", "exporter", m->exporters[i].name,
				  m->exporters[i].is_running);
}

void metrics_write_amounts(const struct metrics *m, struct text *out)
{
	prometheus_family(out, "export_bytes_total", "counter",
			  "Bytes taken into the queue and sent from it, encoded; wire: sent, compressed, with "
			  "failed attempts.");
	for (size_t i = 0; i < m->exporter_count; i++) {
		const struct exporter_state *e = &m->exporters[i];
		const struct spool_statistics *spool = &e->statistics.spool;
		const char *const stages[] = {"taken", "sent", "wire"};
		const uint64_t bytes[] = {spool->taken.bytes, spool->sent.bytes,
					  e->statistics.bytes_sent};
		for (size_t k = 0; k < ARRAY_LENGTH(stages); k++)
			prometheus_sample2(out, "export_bytes_total", "exporter", e->name, "stage", stages[k],
					   (double)bytes[k]);
	}
	EACH_EXPORTER("export_samples_taken_total", "counter",
		      "Samples given to the exporter, with those an earlier run had left.",
		      s->spool.taken.samples + s->spool.recovered.samples);
	EACH_EXPORTER("export_samples_sent_total", "counter", "Samples that arrived.",
		      s->spool.sent.samples);
	prometheus_family(out, "export_samples_dropped_total", "counter",
			  "Samples that never will arrive, by reason.");
	for (size_t i = 0; i < m->exporter_count; i++)
		for (int reason = 0; reason < DROP_REASON_COUNT; reason++)
			prometheus_sample2(out, "export_samples_dropped_total", "exporter",
					   m->exporters[i].name, "reason",
					   drop_reason_name((enum drop_reason)reason),
					   (double)m->exporters[i].statistics.spool.dropped[reason].samples);
	EACH_EXPORTER("export_queue_samples", "gauge", "Samples that wait to be sent.",
		      s->spool.waiting.samples);
	EACH_EXPORTER("export_queue_payloads", "gauge", "Payloads that wait to be sent.",
		      s->spool.waiting.payloads);
	EACH_EXPORTER("export_queue_bytes", "gauge", "Their bytes.", s->spool.waiting.bytes);
	EACH_EXPORTER("export_queue_memory_bytes", "gauge",
		      "Of these, what is only in memory and a kill would lose.",
		      s->spool.in_memory.bytes);
	EACH_EXPORTER("export_queue_disk_bytes", "gauge", "Files of the queue.",
		      s->spool.disk_bytes);
	prometheus_family(out, "export_queue_capacity_bytes", "gauge",
			  "Most bytes of these files, spool.size; 0: the queue is only in memory.");
	for (size_t i = 0; i < m->exporter_count; i++)
		prometheus_sample(out, "export_queue_capacity_bytes", "exporter", m->exporters[i].name,
				  m->exporters[i].capacity_bytes);
}
