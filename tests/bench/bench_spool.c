/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool against the disk under it: writing with a sync for each interval, reading back with every
 * checksum, and taking up 1 GB after a restart; each beside a plain file of the same bytes, written,
 * synced and read in the same pieces in the same run. Reading is from the disk: the page cache is told
 * to forget the files first.
 *
 * Usage: bench_spool [DIRECTORY]     DIRECTORY: on the disk to measure; default: TMPDIR or /var/tmp
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "export/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define TOTAL ((uint64_t)1000 << 20)
#define PIECE ((size_t)3 << 20) /* a large interval */
#define SMALL ((size_t)40 << 10) /* one of a quiet host */
#define PIECES_PER_SYNC 4
#define ROUNDS 3

static char *payload_bytes;

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

static double seconds_since(uint64_t start)
{
	return (double)(monotonic_ns() - start) / 1e9;
}

/* -- a plain file --------------------------------------------------------------------------- */

static double write_plain(const char *path)
{
	uint64_t start = monotonic_ns();
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd < 0 ? -errno : 0, path);
	for (uint64_t i = 0; i < TOTAL / PIECE; i++) {
		check(write_all(fd, payload_bytes, PIECE), "write");
		if (i % PIECES_PER_SYNC == PIECES_PER_SYNC - 1)
			fdatasync(fd);
	}
	fdatasync(fd);
	return seconds_since(start);
}

static void forget(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static double read_plain(const char *path)
{
	_cleanup_free_ char *buffer = malloc(PIECE);
	forget(path);
	uint64_t start = monotonic_ns();
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd < 0 || !buffer ? -ENOMEM : 0, path);
	for (uint64_t i = 0; i < TOTAL / PIECE; i++)
		check(read_exactly_at(fd, buffer, PIECE, i * PIECE), "read");
	return seconds_since(start);
}

/* -- the spool ------------------------------------------------------------------------------ */

static struct spool *open_spool(const char *directory)
{
	struct spool *spool;
	struct spool_options options = {.directory = directory, .max_bytes = 2 * TOTAL};
	check(spool_open(&options, &spool), directory);
	return spool;
}

static double write_spool(const char *directory, size_t piece)
{
	struct spool *spool = open_spool(directory);
	struct payload payload = {.kind = PAYLOAD_OTLP, .bytes = payload_bytes, .size = piece,
				  .samples = 1};
	size_t per_sync = PIECES_PER_SYNC * PIECE / piece;
	uint64_t start = monotonic_ns();
	for (uint64_t i = 0; i < TOTAL / piece; i++) {
		check(spool_append(spool, &payload), "append");
		if (i % per_sync == per_sync - 1)
			check(spool_sync(spool), "sync");
	}
	check(spool_sync(spool), "sync");
	double seconds = seconds_since(start);
	spool_free(spool);
	return seconds;
}

static void forget_all(const char *directory)
{
	struct dirent *entry;
	DIR *listing = opendir(directory);
	while (listing && (entry = readdir(listing))) {
		_cleanup_free_ char *path = text_format("%s/%s", directory, entry->d_name);
		if (path && entry->d_name[0] != '.')
			forget(path);
	}
	if (listing)
		closedir(listing);
}

static double recover_spool(const char *directory, bool is_cold, uint64_t expected)
{
	struct spool_statistics statistics;
	if (is_cold)
		forget_all(directory);
	uint64_t start = monotonic_ns();
	struct spool *spool = open_spool(directory);
	double seconds = seconds_since(start);
	spool_statistics(spool, &statistics);
	spool_free(spool);
	check(statistics.recovered.payloads == expected ? 0 : -EBADMSG, "recovery");
	return seconds;
}

static double read_spool(const char *directory, size_t piece)
{
	struct spool_record record;
	uint64_t count = 0;
	forget_all(directory);
	struct spool *spool = open_spool(directory);
	uint64_t start = monotonic_ns();
	for (; spool_next(spool, &record) == 0; count++) {
		spool_sent(spool, record.sequence);
		spool_record_free(&record);
	}
	double seconds = seconds_since(start);
	spool_free(spool);
	check(count == TOTAL / piece ? 0 : -EBADMSG, "reading back");
	return seconds;
}

static double checksum_speed(void)
{
	uint64_t start = monotonic_ns();
	uint32_t sum = 0;
	for (int i = 0; i < 50; i++)
		sum += (uint32_t)crc32_z(sum, (const unsigned char *)payload_bytes, PIECE);
	return 50.0 * PIECE / seconds_since(start) / 1e6 + (sum == 1);
}

static double at_best(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	return remove(path);
}

static void measure(const char *top, const char *directory, const char *plain)
{
	double write_file = 0, read_file = 0, write = 0, read = 0, warm = 0, cold = 0, small = 0;
	const double mb = TOTAL / 1e6;
	for (int i = 0; i < ROUNDS; i++) {
		write_file = at_best(write_file, write_plain(plain));
		read_file = at_best(read_file, read_plain(plain));
		unlink(plain);
		write = at_best(write, write_spool(directory, PIECE));
		warm = at_best(warm, recover_spool(directory, false, TOTAL / PIECE));
		cold = at_best(cold, recover_spool(directory, true, TOTAL / PIECE));
		read = at_best(read, read_spool(directory, PIECE));
	}
	write_spool(directory, SMALL);
	small = recover_spool(directory, true, TOTAL / SMALL);
	printf("%s, %.0f MB in payloads of %zu MiB, best of %d\n", top, mb, PIECE >> 20, ROUNDS);
	printf("write    plain file %6.0f MB/s   spool %6.0f MB/s   ratio %.2f\n", mb / write_file,
	       mb / write, write_file / write);
	printf("read     plain file %6.0f MB/s   spool %6.0f MB/s   ratio %.2f   (CRC-32 alone "
	       "%.0f MB/s)\n", mb / read_file, mb / read, read_file / read, checksum_speed());
	printf("recovery %.3f s from the page cache, %.3f s from the disk; with payloads of %zu KiB "
	       "%.3f s from the disk   (at most 2 s)\n", warm, cold, SMALL >> 10, small);
}

int main(int argc, char **argv)
{
	const char *base = argc > 1 ? argv[1] : getenv("TMPDIR");
	_cleanup_free_ char *top = text_format("%s/bench-spool-XXXXXX", base ? base : "/var/tmp");
	payload_bytes = malloc(PIECE);
	if (!top || !payload_bytes || !mkdtemp(top)) {
		perror(base ? base : "/var/tmp");
		return 1;
	}
	for (size_t i = 0; i < PIECE / 8; i++)
		((uint64_t *)payload_bytes)[i] = hash_mix(i);
	_cleanup_free_ char *directory = text_format("%s/spool", top);
	_cleanup_free_ char *plain = text_format("%s/plain", top);
	if (directory && plain)
		measure(top, directory, plain);
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(payload_bytes);
	return 0;
}
