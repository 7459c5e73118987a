/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hash.h"
#include "base/text.h"
#include "tests/unit/export/scratch.h"

#include <dirent.h>
#include <ftw.h>
#include <string.h>
#include <unistd.h>

char *scratch_make(void)
{
	const char *base = getenv("TMPDIR");
	char *path = text_format("%s/bolometer-XXXXXX", base ? base : "/tmp");
	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

void scratch_remove(char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

void scratch_segment(const char *directory, char name[static 512])
{
	struct dirent *entry;
	int count = 0;
	DIR *listing = opendir(directory);
	assert_non_null(listing);
	while ((entry = readdir(listing))) {
		if (!strstr(entry->d_name, ".spool"))
			continue;
		snprintf(name, 512, "%s/%s", directory, entry->d_name);
		count++;
	}
	closedir(listing);
	assert_int_equal(count, 1);
}

struct payload make_payload(uint32_t number, size_t size)
{
	size = MAX_OF(size, sizeof(number));
	char *bytes = malloc(size);
	assert_non_null(bytes);
	memcpy(bytes, &number, sizeof(number));
	for (size_t i = sizeof(number); i < size; i++)
		bytes[i] = (char)hash_mix(((uint64_t)number << 32) + i);
	return (struct payload){.kind = PAYLOAD_OTLP, .bytes = bytes, .size = size,
				.samples = number, .start_ns = number * 10LL,
				.end_ns = number * 10LL + 10};
}

uint32_t check_payload(const struct payload *payload)
{
	uint32_t number;
	assert_true(payload->size >= sizeof(number));
	memcpy(&number, payload->bytes, sizeof(number));
	struct payload expected = make_payload(number, payload->size);
	assert_memory_equal(expected.bytes, payload->bytes, payload->size);
	assert_int_equal(payload->samples, number);
	assert_int_equal(payload->start_ns, expected.start_ns);
	assert_int_equal(payload->end_ns, expected.end_ns);
	assert_int_equal(payload->kind, PAYLOAD_OTLP);
	free((char *)expected.bytes);
	return number;
}

void spool_add(struct spool *spool, uint32_t number, size_t size)
{
	struct payload payload = make_payload(number, size);
	assert_int_equal(spool_append(spool, &payload), 0);
	free((char *)payload.bytes);
}

void check_balance(const struct spool_statistics *s)
{
	uint64_t out = s->sent.samples + s->waiting.samples;
	for (int i = 0; i < DROP_REASON_COUNT; i++)
		out += s->dropped[i].samples;
	assert_int_equal(s->taken.samples + s->recovered.samples, out);
}

struct spool_statistics balanced_statistics(struct spool *spool)
{
	struct spool_statistics statistics;
	spool_statistics(spool, &statistics);
	check_balance(&statistics);
	return statistics;
}

uint32_t send_one(struct spool *spool)
{
	struct spool_record record;
	int r = spool_next(spool, &record);
	if (r == -ENOENT)
		return 0;
	assert_int_equal(r, 0);
	uint32_t number = check_payload(&record.payload);
	spool_sent(spool, record.sequence);
	spool_record_free(&record);
	return number;
}
