/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk cache against damage of every kind: whatever lies in its directory, reading gives exactly
 * what was written under that key, or nothing.
 */
#include "base/clock.h"
#include "base/file.h"
#include "binary/artifact_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t test_time; /* added to the machine's time */

static uint64_t shifted_realtime_ns(void)
{
	return realtime_ns() + test_time;
}

struct fixture {
	char directory[64];
	struct artifact_cache *cache;
};

static struct artifact_cache *open_cache(const char *directory, uint64_t max_bytes)
{
	struct artifact_cache *cache;
	struct artifact_cache_options options = {
		.directory = directory, .max_bytes = max_bytes, .now_ns = shifted_realtime_ns};
	assert_int_equal(artifact_cache_open(&options, &cache), 0);
	assert_non_null(cache);
	return cache;
}

static void begin(struct fixture *f, uint64_t max_bytes)
{
	test_time = 0;
	strcpy(f->directory, "/tmp/bolometer-cache-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->cache = open_cache(f->directory, max_bytes);
}

static void end(struct fixture *f)
{
	char command[128];
	artifact_cache_free(f->cache);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
	assert_int_equal(system(command), 0);
}

static struct artifact make_artifact(struct text *text, enum artifact_kind kind, char fill,
				     size_t size)
{
	_cleanup_free_ char *bytes = malloc(size);
	struct artifact artifact;
	memset(bytes, fill, size);
	artifact_begin(text, kind);
	artifact_add_section(text, SECTION_FACTS, bytes, size);
	assert_int_equal(artifact_finish(text), 0);
	assert_int_equal(artifact_check(text->bytes, text->length, kind, &artifact), 0);
	return artifact;
}

static struct artifact_key make_key(const struct artifact_cache *cache, uint64_t inode)
{
	struct file_identity identity = {.inode = inode};
	struct artifact_key key;
	artifact_cache_key(cache, ARTIFACT_UNWIND, &identity, NULL, &key);
	return key;
}

static int store(struct artifact_cache *cache, uint64_t inode, size_t size)
{
	struct text text = {0};
	struct artifact artifact = make_artifact(&text, ARTIFACT_UNWIND, (char)inode, size);
	struct artifact_key key = make_key(cache, inode);
	int r = artifact_cache_write(cache, &key, 0, &artifact);
	text_free(&text);
	return r;
}

/* Reads it back and compares. Returns artifact_cache_read()'s value. */
static int fetch(struct artifact_cache *cache, uint64_t inode, size_t size)
{
	_cleanup_free_ char *bytes = NULL;
	struct artifact artifact;
	struct artifact_key key = make_key(cache, inode);
	int r = artifact_cache_read(cache, &key, ARTIFACT_UNWIND, &bytes, &artifact);
	if (r < 0) {
		assert_null(bytes);
		return r;
	}
	struct text text = {0};
	struct artifact wanted = make_artifact(&text, ARTIFACT_UNWIND, (char)inode, size);
	assert_int_equal(artifact.size, wanted.size);
	assert_memory_equal(artifact.bytes, wanted.bytes, wanted.size);
	text_free(&text);
	return r;
}

static struct artifact_cache_statistics statistics_of(const struct fixture *f)
{
	struct artifact_cache_statistics statistics;
	artifact_cache_get_statistics(f->cache, &statistics);
	return statistics;
}

static void entry_path(const struct fixture *f, uint64_t inode, char path[static 256])
{
	struct artifact_key key = make_key(f->cache, inode);
	int n = snprintf(path, 256, "%s/", f->directory);
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		n += snprintf(path + n, 3, "%02x", key.bytes[i]);
}

static void test_round_trip(void **state)
{
	struct fixture f;
	begin(&f, 0);
	assert_int_equal(fetch(f.cache, 1, 100), -ENOENT);
	assert_int_equal(store(f.cache, 1, 100), 0);
	assert_int_equal(store(f.cache, 2, 200), 0);
	assert_int_equal(fetch(f.cache, 1, 100), 0);
	artifact_cache_free(f.cache);
	f.cache = open_cache(f.directory, 0);
	assert_int_equal(fetch(f.cache, 2, 200), 0);
	assert_int_equal(statistics_of(&f).hits, 1);
	struct stat st;
	assert_int_equal(stat(f.directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	end(&f);
}

static void test_lasting_errors(void **state)
{
	struct fixture f;
	begin(&f, 0);
	struct artifact_key key = make_key(f.cache, 1);
	assert_int_equal(artifact_cache_write(f.cache, &key, -ENODATA, NULL), 0);
	assert_int_equal(fetch(f.cache, 1, 1), -ENODATA);
	assert_true(artifact_cache_is_lasting(-EBADMSG));
	assert_false(artifact_cache_is_lasting(-ESTALE));
	assert_false(artifact_cache_is_lasting(-ECHILD));
	end(&f);
}

/* Everything that goes into a key changes it. */
static void test_keys(void **state)
{
	struct fixture f;
	begin(&f, 0);
	struct artifact_key first, other;
	struct file_identity identity = {.size = 5};
	artifact_cache_key(f.cache, ARTIFACT_UNWIND, &identity, NULL, &first);
	artifact_cache_key(f.cache, ARTIFACT_SYMBOLS, &identity, NULL, &other);
	assert_memory_not_equal(&first, &other, sizeof(first));
	artifact_cache_key(f.cache, ARTIFACT_UNWIND, &identity, &identity, &other);
	assert_memory_not_equal(&first, &other, sizeof(first));
	for (size_t i = 0; i < sizeof(identity); i++) {
		struct file_identity changed = identity;
		((uint8_t *)&changed)[i] ^= 1;
		artifact_cache_key(f.cache, ARTIFACT_UNWIND, &changed, NULL, &other);
		assert_memory_not_equal(&first, &other, sizeof(first));
	}
	artifact_cache_key(f.cache, ARTIFACT_UNWIND, &identity, NULL, &other);
	assert_memory_equal(&first, &other, sizeof(first));
	end(&f);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, bytes, size), 0);
}

static void assert_damaged(struct fixture *f, const char *path, size_t damages)
{
	assert_int_equal(fetch(f->cache, 1, 40), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(statistics_of(f).damaged, damages);
}

static void test_truncation_and_bit_flips(void **state)
{
	struct fixture f;
	char path[256];
	_cleanup_free_ char *bytes = NULL;
	size_t size, damages = 0;
	begin(&f, 0);
	assert_int_equal(store(f.cache, 1, 40), 0);
	entry_path(&f, 1, path);
	assert_int_equal(read_whole_file(path, 1 << 20, &bytes, &size), 0);
	for (size_t length = 0; length < size; length++) {
		write_file(path, bytes, length);
		assert_damaged(&f, path, ++damages);
	}
	for (size_t bit = 0; bit < size * 8; bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		write_file(path, bytes, size);
		assert_damaged(&f, path, ++damages);
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	write_file(path, bytes, size);
	assert_int_equal(fetch(f.cache, 1, 40), 0);
	end(&f);
}

/* Another entry's file under our name, a symbolic link, a FIFO, a directory, somebody else's file. */
static void test_foreign_entries(void **state)
{
	struct fixture f;
	char one[256], two[256];
	begin(&f, 0);
	assert_int_equal(store(f.cache, 2, 40), 0);
	entry_path(&f, 1, one);
	entry_path(&f, 2, two);
	assert_int_equal(link(two, one), 0);
	assert_damaged(&f, one, 1);
	assert_int_equal(symlink(two, one), 0);
	assert_damaged(&f, one, 2);
	assert_int_equal(mkfifo(one, 0600), 0);
	assert_damaged(&f, one, 3);
	assert_int_equal(mkdir(one, 0700), 0);
	assert_int_equal(fetch(f.cache, 1, 40), -ENOENT);
	assert_int_equal(rmdir(one), 0);
	if (geteuid() == 0) {
		assert_int_equal(store(f.cache, 1, 40), 0);
		assert_int_equal(chown(one, 12345, 12345), 0);
		assert_damaged(&f, one, 5);
	}
	assert_int_equal(fetch(f.cache, 2, 40), 0);
	end(&f);
}

static int open_error(const char *directory)
{
	struct artifact_cache *cache = NULL;
	struct artifact_cache_options options = {.directory = directory};
	int r = artifact_cache_open(&options, &cache);
	artifact_cache_free(cache);
	return r;
}

static void test_foreign_directory(void **state)
{
	struct fixture f;
	char path[128], target[128];
	begin(&f, 0);
	snprintf(path, sizeof(path), "%s/a/b/c", f.directory);
	assert_int_equal(open_error(path), 0); /* made with its parents */
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(open_error(path), -EPERM);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(open_error(path), 0);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	snprintf(target, sizeof(target), "%s/link", f.directory);
	assert_int_equal(symlink(path, target), 0);
	assert_int_equal(open_error(target), -ENOTDIR);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_int_equal(open_error(path), -EPERM);
	}
	end(&f);
}

static void test_no_cache(void **state)
{
	struct artifact_cache *cache = (void *)1;
	struct artifact_cache_options options = {.directory = ""};
	assert_int_equal(artifact_cache_open(&options, &cache), 0);
	assert_null(cache);
	assert_int_equal(fetch(cache, 1, 1), -ENOENT);
	assert_int_equal(store(cache, 1, 1), 0);
}

static uint64_t directory_bytes(const struct fixture *f, uint64_t inodes)
{
	uint64_t bytes = 0;
	for (uint64_t i = 1; i <= inodes; i++) {
		char path[256];
		struct stat st;
		entry_path(f, i, path);
		bytes += stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
	}
	return bytes;
}

static void set_access_time(const struct fixture *f, uint64_t inode, time_t age)
{
	char path[256];
	struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_nsec = UTIME_OMIT}};
	entry_path(f, inode, path);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_least_recently_used_go(void **state)
{
	enum { COUNT = 40, SIZE = 10000, LIMIT = 100000 };
	struct fixture f;
	begin(&f, LIMIT);
	for (uint64_t i = 1; i <= COUNT; i++) {
		assert_int_equal(store(f.cache, i, SIZE), 0);
		set_access_time(&f, i, 1000000 - (time_t)i * 10000);
		if (i > 1) /* used again and again: stays, although it is the oldest */
			assert_int_equal(fetch(f.cache, 1, SIZE), 0);
		assert_true(directory_bytes(&f, COUNT) <= LIMIT);
	}
	assert_int_equal(fetch(f.cache, 2, SIZE), -ENOENT);
	assert_int_equal(fetch(f.cache, COUNT, SIZE), 0);
	assert_true(statistics_of(&f).evicted >= COUNT - 10);
	assert_int_equal(store(f.cache, 99, LIMIT / 2), -EFBIG);
	end(&f);
}

/* Processes that write little seldom list, and still keep the cache within its size. */
static void test_many_processes_that_write_little(void **state)
{
	enum { COUNT = 4000, SIZE = 1000, LIMIT = 1000000 };
	struct fixture f;
	uint64_t evicted = 0, listed = 0;
	begin(&f, LIMIT);
	for (uint64_t i = 1; i <= COUNT; i++) {
		assert_int_equal(store(f.cache, i, SIZE), 0);
		evicted += statistics_of(&f).evicted;
		listed += statistics_of(&f).evicted > 0;
		/* The digests, other ones with each build, say who lists: more than 60 in a row that do not are one in 60,
		 * and 300 of them one in a billion. */
		if (i % 500 == 0)
			assert_true(directory_bytes(&f, COUNT) <= LIMIT + LIMIT / 4);
		artifact_cache_free(f.cache);
		f.cache = open_cache(f.directory, LIMIT);
	}
	assert_true(evicted >= COUNT - LIMIT / SIZE - LIMIT / SIZE / 4);
	assert_in_range(listed, 5, COUNT / 20);
	end(&f);
}

static void test_leftovers_of_a_crash_are_deleted(void **state)
{
	struct fixture f;
	char path[128];
	begin(&f, 4000); /* so small that the first write lists it */
	snprintf(path, sizeof(path), "%s/.new-1-1", f.directory);
	write_file(path, "x", 1);
	test_time = 7200 * NS_PER_SECOND;
	assert_int_equal(store(f.cache, 1, 10), 0);
	assert_int_equal(access(path, F_OK), -1);
	end(&f);
}

static void test_full_disk(void **state)
{
	struct fixture f;
	begin(&f, 0);
	artifact_cache_free(f.cache);
	f.cache = NULL;
	if (mount("cache", f.directory, "tmpfs", 0, "size=64k,mode=700") < 0) {
		end(&f);
		print_message("SKIP: no right to mount a tmpfs\n");
		skip();
	}
	f.cache = open_cache(f.directory, 0);
	assert_int_equal(store(f.cache, 1, 20000), 0);
	assert_int_equal(store(f.cache, 2, 100000), -ENOSPC);
	assert_int_equal(store(f.cache, 3, 10), 0); /* silently not written */
	assert_int_equal(fetch(f.cache, 3, 10), -ENOENT);
	assert_int_equal(fetch(f.cache, 1, 20000), 0);
	test_time = 601 * NS_PER_SECOND;
	assert_int_equal(store(f.cache, 3, 10), 0);
	assert_int_equal(fetch(f.cache, 3, 10), 0);
	assert_int_equal(statistics_of(&f).store_failures, 1);
	artifact_cache_free(f.cache);
	f.cache = NULL;
	assert_int_equal(umount(f.directory), 0);
	end(&f);
}

/* The sum by hand over what the definition names. */
static void test_htlhash(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8192, 100000};
	static uint8_t bytes[100000];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		size_t size = sizes[i], part = MIN_OF(size, 4096);
		uint8_t length[8] = {0}, wanted[HTLHASH_SIZE], got[HTLHASH_SIZE];
		struct sha256_ctx hash;
		length[5] = (uint8_t)(size >> 16);
		length[6] = (uint8_t)(size >> 8);
		length[7] = (uint8_t)size;
		sha256_init(&hash);
		sha256_update(&hash, part, bytes);
		sha256_update(&hash, part, bytes + size - part);
		sha256_update(&hash, sizeof(length), length);
		sha256_digest(&hash, sizeof(wanted), wanted);
		_cleanup_fd_ int file = memfd_create("bytes", MFD_CLOEXEC);
		assert_int_equal(write_all(file, bytes, size), 0);
		assert_int_equal(file_htlhash(file, size, got), 0);
		assert_memory_equal(got, wanted, sizeof(got));
		assert_int_equal(file_htlhash(file, size + 1, got), -ENODATA);
		memset(got, 0, sizeof(got));
		bytes_htlhash(bytes, size, got);
		assert_memory_equal(got, wanted, sizeof(got));
	}
}

static void test_identity_follows_change(void **state)
{
	struct file_identity before, after;
	uint64_t later = realtime_ns() + 10 * NS_PER_SECOND;
	_cleanup_fd_ int file = open("/tmp", O_RDWR | O_TMPFILE, 0600);
	assert_true(file >= 0);
	assert_int_equal(write_all(file, "contents", 8), 0);
	assert_int_equal(file_identity_read(file, realtime_ns(), &before), -EAGAIN);
	assert_int_equal(file_identity_read(file, 1, &before), -EAGAIN); /* from the future */
	assert_int_equal(file_identity_read(file, later, &before), 0);
	assert_true(file_identity_holds(&before, file));
	usleep(30000);
	assert_int_equal(pwrite(file, "CONTENTS", 8, 0), 8);
	assert_false(file_identity_holds(&before, file));
	assert_int_equal(file_identity_read(file, later, &after), 0);
	assert_memory_not_equal(&before, &after, sizeof(before));
	int pair[2];
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(file_identity_read(pair[0], later, &after), -EINVAL);
	close(pair[0]);
	close(pair[1]);
}

static void read_sealed_memfd(char middle, struct file_identity *ret)
{
	char bytes[20000] = {0};
	bytes[10000] = middle;
	_cleanup_fd_ int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write_all(file, bytes, sizeof(bytes)), 0);
	assert_int_equal(file_identity_read(file, realtime_ns(), ret), -EAGAIN);
	assert_int_equal(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(file_identity_read(file, realtime_ns(), ret), 0);
	assert_true(file_identity_holds(ret, file));
}

/* What is sealed is known by all its bytes, wherever and whenever it was made. */
static void test_identity_of_sealed_memory(void **state)
{
	struct file_identity first, same, other;
	read_sealed_memfd(1, &first);
	read_sealed_memfd(1, &same);
	read_sealed_memfd(2, &other);
	assert_memory_equal(&first, &same, sizeof(first));
	assert_memory_not_equal(&first, &other, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_lasting_errors),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_truncation_and_bit_flips),
		cmocka_unit_test(test_foreign_entries),
		cmocka_unit_test(test_foreign_directory),
		cmocka_unit_test(test_no_cache),
		cmocka_unit_test(test_least_recently_used_go),
		cmocka_unit_test(test_many_processes_that_write_little),
		cmocka_unit_test(test_leftovers_of_a_crash_are_deleted),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_htlhash),
		cmocka_unit_test(test_identity_follows_change),
		cmocka_unit_test(test_identity_of_sealed_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
