/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the reading of a spool's segment, which a crash, a failing disk or anybody else left. The
 * input is a segment file as it is, and again with magic and checksums set right wherever the chain of
 * lengths leads, so that what lies behind them is reached. The spool must take it up, give out what is
 * left, account for all of it, and go on.
 */
#include "base/file.h"
#include "export/spool.h"
#include "export/spool_format.h"
#include "export/spool_segment.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOOT 77

static char directory[64];

static const char *scratch(void)
{
	if (directory[0])
		return directory;
	/* In memory where there is such a place: thousands of spools are made. */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(directory, sizeof(directory), "%s/fuzz-spool-XXXXXX", base);
	if (!mkdtemp(directory))
		abort();
	return directory;
}

static void write_segment(const char *path, const void *bytes, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, bytes, size) < 0)
		abort();
}

static void check_balance(struct spool *spool)
{
	struct spool_statistics s;
	spool_statistics(spool, &s);
	uint64_t out = s.sent.samples + s.waiting.samples;
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		out += s.dropped[i].samples;
	if (s.taken.samples + s.recovered.samples != out)
		abort();
}

/* Takes the spool up, sends some, drops some, splits one, adds one, and looks again. */
static void run_spool(uint32_t boot)
{
	struct spool *spool;
	struct spool_record record;
	struct spool_options options = {.directory = scratch(), .max_bytes = 1 << 20, .boot = boot};
	if (spool_open(&options, &spool) < 0)
		abort();
	check_balance(spool);
	struct payload added = {.kind = PAYLOAD_PPROF, .bytes = "added", .size = 5, .samples = 5};
	if (spool_append(spool, &added) < 0)
		abort();
	for (int i = 0; i < 64 && spool_next(spool, &record) == 0; i++) {
		struct payload halves[2] = {record.payload, added};
		halves[0].samples = record.payload.samples - added.samples;
		if (i % 4 == 0)
			spool_sent(spool, record.sequence);
		else if (i % 4 == 1)
			spool_drop(spool, record.sequence, DROP_REJECTED);
		else if (i % 4 == 2 || spool_replace(spool, record.sequence, halves) < 0)
			spool_again(spool, record.sequence, true);
		spool_record_free(&record);
		check_balance(spool);
	}
	spool_free(spool);
}

static void remove_all(const char *path)
{
	char command[128];
	unlink(path);
	/* What the spool itself made, which has other names. */
	if (rmdir(scratch()) == 0) {
		directory[0] = '\0';
		return;
	}
	snprintf(command, sizeof(command), "rm -rf %s", scratch());
	if (system(command) != 0)
		abort();
	directory[0] = '\0';
}

static void run(const void *bytes, size_t size, const struct segment *named)
{
	char name[SEGMENT_NAME_SIZE], path[192];
	segment_name(named, name);
	snprintf(path, sizeof(path), "%s/%s", scratch(), name);
	write_segment(path, bytes, size);
	run_spool(BOOT);
	run_spool(BOOT + 1);
	remove_all(path);
}

/* Seals every record that the chain of lengths reaches. */
static void repair(char *bytes, size_t size, uint64_t nonce)
{
	for (size_t offset = 0; size - offset >= sizeof(struct record_header);) {
		struct record_header header;
		memcpy(&header, bytes + offset, sizeof(header));
		size_t room = size - offset - sizeof(header);
		header.size %= 4096; /* now and then past the end */
		if (header.size <= room)
			record_seal(&header, bytes + offset + sizeof(header), nonce);
		memcpy(bytes + offset, &header, sizeof(header));
		if (record_size(&header) > size - offset)
			return;
		offset += record_size(&header);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct segment named = {.first_sequence = 1, .nonce = 1};
	_cleanup_free_ char *bytes = malloc(size ? size : 1);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	run(bytes, size, &named);
	repair(bytes, size, named.nonce);
	run(bytes, size, &named);
	return 0;
}
