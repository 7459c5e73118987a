/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exporter in a process that can be killed, told what to do by lines on standard input; each is
 * answered by a line on standard output. What arrives at the destination is a file that outlives it.
 *
 * Usage: exporter_process DIRECTORY RECEIVED SPOOL-BYTES MEMORY-BYTES
 *
 *	add FIRST COUNT SIZE	hand over payloads; payload N has N samples
 *	durable FIRST COUNT SIZE FILE	the same one by one; FILE gets N when N cannot be lost any more
 *	answer HOW		what the destination does from now on: ok, refuse, lose (takes it, no answer),
 *				hang, slow, reject, nonsense
 *	flush MS		send all, at most so long
 *	statistics
 *	stop
 */
#include "base/clock.h"
#include "base/file.h"
#include "export/exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct destination {
	struct sink sink;
	int received;
	_Atomic char answer; /* first letter of HOW */
	_Atomic bool is_cancelled;
	_Atomic uint64_t slow_ms;
};

static void note_number(int fd, uint64_t number)
{
	char line[32];
	int length = snprintf(line, sizeof(line), "%llu\n", (unsigned long long)number);
	if (write(fd, line, (size_t)length) != length)
		abort();
}

static void destination_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
			     struct sink_result *ret)
{
	struct destination *destination = container_of(sink, struct destination, sink);
	char answer = destination->answer;
	uint64_t end = monotonic_ns() + timeout_ns;
	*ret = (struct sink_result){.outcome = SINK_SENT, .bytes_sent = payload->size};
	for (size_t i = 0; i < payload->size; i++)
		if (payload->bytes[i] != (char)(payload->samples + i))
			abort(); /* never other bytes than were handed over */
	destination->is_cancelled = false;
	while (answer == 'h' && !destination->is_cancelled && monotonic_ns() < end)
		usleep(1000);
	if (answer == 's')
		usleep(3000);
	if (answer == 'o' || answer == 's' || answer == 'l')
		note_number(destination->received, payload->samples);
	if (answer == 'n')
		ret->outcome = (enum sink_outcome)4711;
	else if (answer == 'r')
		ret->outcome = SINK_REJECTED;
	else if (answer != 'o' && answer != 's')
		ret->outcome = SINK_RETRY;
	ret->maybe_received = answer == 'l';
	ret->retry_after_ns = answer == 'n' ? 1 : 0;
}

static void destination_cancel(struct sink *sink)
{
	container_of(sink, struct destination, sink)->is_cancelled = true;
}

static struct sink *destination_free(struct sink *sink)
{
	return NULL;
}

static const struct sink_operations operations = {destination_send, destination_cancel,
						  destination_free};

static void add(struct exporter *exporter, uint64_t number, size_t size)
{
	_cleanup_free_ char *bytes = malloc(size ? size : 1);
	if (!bytes)
		abort();
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(number + i);
	struct payload payload = {.kind = PAYLOAD_OTLP, .bytes = bytes, .size = size,
				  .samples = number};
	if (exporter_add(exporter, &payload) < 0)
		abort();
}

/* Until nothing is only in memory: the writer syncs before it looks for more. */
static void add_durably(struct exporter *exporter, uint64_t number, size_t size, int noted)
{
	struct exporter_statistics statistics;
	add(exporter, number, size);
	do {
		usleep(200);
		exporter_statistics(exporter, &statistics);
	} while (statistics.spool.in_memory.payloads);
	note_number(noted, number);
}

static void print_amount(const char *name, const struct amount *amount)
{
	printf("\"%s\": [%llu, %llu], ", name, (unsigned long long)amount->payloads,
	       (unsigned long long)amount->samples);
}

static void print_statistics(struct exporter *exporter)
{
	struct exporter_statistics statistics;
	exporter_statistics(exporter, &statistics);
	const struct spool_statistics *spool = &statistics.spool;
	printf("{");
	print_amount("taken", &spool->taken);
	print_amount("recovered", &spool->recovered);
	print_amount("sent", &spool->sent);
	print_amount("waiting", &spool->waiting);
	print_amount("in_memory", &spool->in_memory);
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		print_amount(drop_reason_name(i), &spool->dropped[i]);
	printf("\"maybe_repeated\": %llu, \"damaged_bytes\": %llu, \"disk_bytes\": %llu, "
	       "\"disk_error\": %d, \"retries\": %llu, \"unmarked\": %llu}\n",
	       (unsigned long long)spool->maybe_repeated, (unsigned long long)spool->damaged_bytes,
	       (unsigned long long)spool->disk_bytes, spool->disk_error,
	       (unsigned long long)statistics.retries, (unsigned long long)spool->unmarked);
}

static int obey(struct exporter *exporter, struct destination *destination, const char *line)
{
	unsigned long long first, count, size;
	char path[1024];
	if (sscanf(line, "add %llu %llu %llu", &first, &count, &size) == 3) {
		for (uint64_t i = 0; i < count; i++)
			add(exporter, first + i, size);
	} else if (sscanf(line, "durable %llu %llu %llu %1023s", &first, &count, &size, path) == 4) {
		_cleanup_fd_ int noted = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		for (uint64_t i = 0; i < count; i++)
			add_durably(exporter, first + i, size, noted);
	} else if (sscanf(line, "answer %1023s", path) == 1) {
		destination->answer = path[0] == 'r' && path[2] == 'f' ? 'f' : path[0];
	} else if (sscanf(line, "flush %llu", &first) == 1) {
		exporter_flush_start(exporter, first * NS_PER_MS);
		printf("%d\n", exporter_flush_wait(exporter));
		return 0;
	} else if (!strncmp(line, "statistics", 10)) {
		print_statistics(exporter);
		return 0;
	} else {
		exporter_stop(exporter);
		print_statistics(exporter);
		return 1;
	}
	printf("done\n");
	return 0;
}

int main(int argc, char **argv)
{
	char line[2048];
	struct exporter *exporter;
	if (argc != 5)
		return 2;
	struct destination destination = {
		.sink.operations = &operations, .answer = 'f',
		.received = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
	struct exporter_options options = {
		.name = "test",
		.spool = {.directory = argv[1], .max_bytes = strtoull(argv[3], NULL, 10),
			  .max_memory_bytes = strtoull(argv[4], NULL, 10)},
		.retry = {.initial_ns = 5 * NS_PER_MS, .max_ns = 20 * NS_PER_MS},
	};
	setvbuf(stdout, NULL, _IOLBF, 0);
	int r = exporter_new(&options, &destination.sink, &exporter);
	printf("%d\n", r);
	if (r < 0)
		return 1;
	while (fgets(line, sizeof(line), stdin) && obey(exporter, &destination, line) == 0)
		;
	exporter_free(exporter);
	return 0;
}
