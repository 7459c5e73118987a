/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is parsed once is not parsed again; what may have changed is. With the real parser child, which
 * is this executable, on files that every host has.
 */
#include "base/clock.h"
#include "base/file.h"
#include "binary/binary_store.h"
#include "binary/line_answers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PROGRAM "/bin/sh"
#define TEXT_FILE "/etc/passwd"

struct asked {
	int callbacks, error;
	char *bytes;
	size_t size;
	int *counter, place;
	struct binary_store *store; /* NULL: it is not asked for the index */
	bool has_index;
};

static void on_answer(void *userdata, int error, const struct artifact *artifact)
{
	struct asked *asked = userdata;
	asked->callbacks++;
	asked->error = error;
	if (asked->counter)
		asked->place = (*asked->counter)++;
	struct symbol_index index, again;
	asked->has_index = asked->store && binary_store_take_index(asked->store, &index);
	if (asked->has_index) {
		assert_true(symbol_index_size(&index) > 0 && symbol_index_is_whole(&index));
		symbol_index_close(&index);
		assert_false(binary_store_take_index(asked->store, &again)); /* the caller has it */
	}
	if (!artifact)
		return;
	asked->size = artifact->size;
	asked->bytes = malloc(artifact->size);
	memcpy(asked->bytes, artifact->bytes, artifact->size);
}

struct fixture {
	char directory[64];
	struct loop *loop;
	struct offload *offload;
	struct parser *parser;
	struct binary_store *store;
};

static pthread_t loop_thread;
static sem_t disk_answers;

/* Whoever writes asks for the time first: a disk that hangs for the threads. */
static uint64_t hanging_now_ns(void)
{
	if (!pthread_equal(pthread_self(), loop_thread))
		while (sem_wait(&disk_answers) < 0)
			;
	return realtime_ns();
}

static void open_store_at(struct fixture *f, uint64_t (*now_ns)(void))
{
	struct artifact_cache *cache;
	struct artifact_cache_options options = {.directory = f->directory, .now_ns = now_ns};
	assert_int_equal(artifact_cache_open(&options, &cache), 0);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(offload_new(f->loop, NS_PER_SECOND, &f->offload), 0);
	assert_int_equal(parser_new(f->loop, NULL, &f->parser), 0);
	assert_int_equal(binary_store_new(f->loop, f->offload, f->parser, cache, &f->store), 0);
}

static void open_store(struct fixture *f)
{
	open_store_at(f, NULL);
}

static void close_store(struct fixture *f)
{
	offload_free(f->offload);
	parser_free(f->parser);
	binary_store_free(f->store);
	loop_free(f->loop);
}

static void begin(struct fixture *f)
{
	strcpy(f->directory, "/tmp/bolometer-store-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	open_store(f);
}

static void end(struct fixture *f)
{
	char command[128];
	close_store(f);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->directory);
	assert_int_equal(system(command), 0);
}

static uint64_t parsed(const struct fixture *f)
{
	struct parser_statistics statistics;
	parser_get_statistics(f->parser, &statistics);
	return statistics.requests;
}

static uint64_t stored(const struct fixture *f)
{
	struct artifact_cache_statistics statistics;
	binary_store_get_statistics(f->store, &statistics);
	return statistics.stored;
}

static struct asked ask_unwind(struct fixture *f, int file)
{
	struct asked asked = {0};
	assert_int_equal(binary_store_request_unwind(f->store, file, PARSER_SOON, on_answer,
						     &asked), 0);
	assert_int_equal(asked.callbacks, 0); /* never from within the request */
	assert_int_equal(binary_store_drain(f->store, 20 * NS_PER_SECOND), 0);
	assert_int_equal(asked.callbacks, 1);
	return asked;
}

static void test_parsed_once(void **state)
{
	struct fixture f;
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	begin(&f);
	struct asked first = ask_unwind(&f, file);
	assert_int_equal(first.error, 0);
	assert_int_equal(parsed(&f), 1);
	assert_int_equal(stored(&f), 1);
	close_store(&f);
	open_store(&f);
	struct asked again = ask_unwind(&f, file);
	assert_int_equal(again.error, 0);
	assert_int_equal(parsed(&f), 0);
	assert_int_equal(again.size, first.size);
	assert_memory_equal(again.bytes, first.bytes, first.size);
	free(first.bytes);
	free(again.bytes);
	end(&f);
}

static void test_failures_are_stored(void **state)
{
	struct fixture f;
	_cleanup_fd_ int file = open(TEXT_FILE, O_RDONLY | O_CLOEXEC);
	begin(&f);
	assert_int_equal(ask_unwind(&f, file).error, -EBADMSG);
	assert_int_equal(parsed(&f), 1);
	assert_int_equal(ask_unwind(&f, file).error, -EBADMSG);
	assert_int_equal(parsed(&f), 1);
	end(&f);
}

/* A file written just now might change again without its times telling. */
static void test_fresh_files_are_parsed_each_time(void **state)
{
	struct fixture f;
	char path[] = "/tmp/bolometer-test-XXXXXX";
	_cleanup_fd_ int writable = mkstemp(path);
	assert_int_equal(write_all(writable, "no program", 10), 0);
	_cleanup_fd_ int file = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	begin(&f);
	assert_int_equal(ask_unwind(&f, file).error, -EBADMSG);
	assert_int_equal(ask_unwind(&f, file).error, -EBADMSG);
	assert_int_equal(parsed(&f), 2);
	assert_int_equal(stored(&f), 0);
	end(&f);
}

/* Parsed or cached, the answer can be had from the cache; without one it cannot. */
static void test_the_entry_of_an_answer(void **state)
{
	struct fixture f;
	struct symbol_index index;
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	begin(&f);
	for (int i = 0; i < 2; i++) {
		struct asked asked = {.store = f.store};
		assert_int_equal(binary_store_request_symbols(f.store, file, -1, PARSER_SOON, on_answer, &asked), 0);
		assert_int_equal(binary_store_drain(f.store, 20 * NS_PER_SECOND), 0);
		assert_int_equal(asked.callbacks, 1);
		assert_true(asked.has_index);
		free(asked.bytes);
	}
	assert_int_equal(parsed(&f), 1);
	assert_false(binary_store_take_index(f.store, &index)); /* not from here */
	end(&f);
}

/* Nothing waits for a disk that hangs but the first who wants what is on it, and that for a few seconds only. */
static void test_a_cache_that_hangs(void **state)
{
	struct fixture f;
	struct artifact_cache_statistics statistics;
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	begin(&f);
	close_store(&f);
	loop_thread = pthread_self();
	assert_int_equal(sem_init(&disk_answers, 0, 0), 0);
	open_store_at(&f, hanging_now_ns);
	struct asked table = {0};
	assert_int_equal(binary_store_request_unwind(f.store, file, PARSER_SOON, on_answer, &table), 0);
	uint64_t begin_ns = monotonic_ns();
	while (!table.callbacks && monotonic_ns() - begin_ns < 20 * NS_PER_SECOND)
		loop_run_once(f.loop, 10);
	assert_true(table.callbacks == 1 && table.bytes);
	assert_int_equal(offload_pending(f.offload), 1); /* still being written */
	for (int i = 0; i < 2; i++) {
		struct asked symbols = {.store = f.store};
		assert_int_equal(binary_store_request_symbols(f.store, file, -1, PARSER_SOON, on_answer, &symbols), 0);
		assert_int_equal(binary_store_drain(f.store, 20 * NS_PER_SECOND), 0);
		assert_true(symbols.callbacks == 1 && symbols.bytes);
		assert_false(symbols.has_index);
		free(symbols.bytes);
	}
	binary_store_get_statistics(f.store, &statistics);
	assert_int_equal(statistics.stored, 0);
	assert_int_equal(statistics.store_failures, 3);
	assert_int_equal(offload_stuck(f.offload), 1);
	for (int i = 0; i < 3; i++) /* it looks at the clock twice, or once more with the end of the pause */
		sem_post(&disk_answers);
	while (offload_stuck(f.offload))
		usleep(1000);
	free(table.bytes);
	end(&f);
	sem_destroy(&disk_answers);
}

/* Symbols with a debug file are another entry than those without. */
static void test_debug_file_is_part_of_the_key(void **state)
{
	struct fixture f;
	struct asked without = {0}, with = {0};
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int debug = open(TEXT_FILE, O_RDONLY | O_CLOEXEC);
	begin(&f);
	assert_int_equal(binary_store_request_symbols(f.store, file, -1, PARSER_SOON, on_answer,
						      &without), 0);
	assert_int_equal(binary_store_drain(f.store, 20 * NS_PER_SECOND), 0);
	assert_int_equal(binary_store_request_symbols(f.store, file, debug, PARSER_SOON, on_answer,
						      &with), 0);
	assert_int_equal(binary_store_drain(f.store, 20 * NS_PER_SECOND), 0);
	assert_int_equal(without.callbacks + with.callbacks, 2);
	assert_int_equal(parsed(&f), 2);
	assert_int_equal(stored(&f), 2);
	free(without.bytes);
	free(with.bytes);
	end(&f);
}

static void test_priority_of_cached_answers(void **state)
{
	struct fixture f;
	struct asked asked[8] = {0};
	int counter = 0;
	_cleanup_fd_ int file = open(TEXT_FILE, O_RDONLY | O_CLOEXEC);
	begin(&f);
	ask_unwind(&f, file);
	for (int i = 0; i < 8; i++) {
		asked[i].counter = &counter;
		assert_int_equal(binary_store_request_unwind(f.store, file,
							     i % 2 ? PARSER_SOON
								   : PARSER_WHEN_IDLE,
							     on_answer, &asked[i]), 0);
	}
	uint64_t until = monotonic_ns() + 10 * NS_PER_SECOND;
	/* Which comes first is asked of those that wait: first a thread looks at all the files. */
	while (offload_pending(f.offload) && monotonic_ns() < until)
		offload_run_once(f.offload, -1, 10 * NS_PER_MS);
	while (counter < 8 && monotonic_ns() < until) /* from the loop, without a drain */
		loop_run_once(f.loop, 10);
	for (int i = 0; i < 8; i++)
		assert_int_equal(asked[i].place, i % 2 ? i / 2 : 4 + i / 2);
	end(&f);
}

/* Somebody has come to wait for the last one of those that nobody waited for. */
static void test_hastened(void **state)
{
	struct fixture f;
	struct asked asked[4] = {0};
	int counter = 0;
	_cleanup_fd_ int file = open(TEXT_FILE, O_RDONLY | O_CLOEXEC);
	begin(&f);
	ask_unwind(&f, file);
	for (int i = 0; i < 4; i++) {
		asked[i].counter = &counter;
		assert_int_equal(binary_store_request_unwind(f.store, file, PARSER_AHEAD, on_answer,
							     &asked[i]), 0);
	}
	uint64_t until = monotonic_ns() + 10 * NS_PER_SECOND;
	binary_store_hasten(f.store, ARTIFACT_UNWIND, &asked[2]); /* while its file is being looked at */
	while (offload_pending(f.offload) && monotonic_ns() < until)
		offload_run_once(f.offload, -1, 10 * NS_PER_MS);
	binary_store_hasten(f.store, ARTIFACT_UNWIND, &asked[3]); /* while it waits */
	binary_store_hasten(f.store, ARTIFACT_SYMBOLS, &asked[1]); /* there is none */
	while (counter < 4 && monotonic_ns() < until)
		loop_run_once(f.loop, 10);
	assert_int_equal(asked[2].place, 0);
	assert_int_equal(asked[3].place, 1);
	assert_int_equal(asked[0].place, 2);
	assert_int_equal(asked[1].place, 3);
	end(&f);
}

static struct asked ask_lines(struct fixture *f, int file, const uint64_t *addresses, size_t count)
{
	struct asked asked = {0};
	assert_int_equal(binary_store_request_lines(f->store, file, -1, addresses, count,
						    PARSER_SOON, on_answer, &asked), 0);
	assert_int_equal(binary_store_drain(f->store, 20 * NS_PER_SECOND), 0);
	assert_int_equal(asked.callbacks, 1);
	return asked;
}

static bool knows(const struct asked *asked, uint64_t address)
{
	struct artifact artifact;
	struct line_answers answers;
	assert_int_equal(artifact_check(asked->bytes, asked->size, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &answers), 0);
	return line_answers_know(&answers, address);
}

/* A program of ours, old enough that the cache takes it. */
static int open_program(const char *path, bool then_unlink)
{
	struct file_identity identity;
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (then_unlink)
		unlink(path);
	while (file_identity_read(file, realtime_ns(), &identity) == -EAGAIN)
		usleep(100000);
	return file;
}

static int open_own_program(void)
{
	return open_program("/proc/self/exe", false);
}

/* The entry grows; what it has is not parsed for again, also where nothing is known. */
static void test_lines_add_up(void **state)
{
	static const uint64_t addresses[] = {1, 2, 3};
	struct fixture f;
	_cleanup_fd_ int file = open_own_program();
	begin(&f);
	struct asked first = ask_lines(&f, file, addresses, 2);
	if (first.error == -ENODATA) {
		fprintf(stderr, "skipped: this test was built without debug information\n");
		exit(77);
	}
	assert_int_equal(parsed(&f), 2); /* is it compressed? and its lines */
	struct asked second = ask_lines(&f, file, addresses + 1, 2);
	assert_int_equal(parsed(&f), 3);
	close_store(&f);
	open_store(&f);
	struct asked third = ask_lines(&f, file, addresses, 3);
	assert_int_equal(parsed(&f), 0);
	assert_true(knows(&first, 2) && !knows(&first, 3));
	assert_true(knows(&second, 1) && knows(&second, 3));
	assert_true(knows(&third, 1) && knows(&third, 2) && knows(&third, 3));
	free(first.bytes);
	free(second.bytes);
	free(third.bytes);
	end(&f);
}

static bool make_compressed(const char *path)
{
	char own[4096] = "", command[2 * sizeof(own)];
	assert_true(readlink("/proc/self/exe", own, sizeof(own) - 1) > 0);
	snprintf(command, sizeof(command),
		 "objcopy --compress-debug-sections=zlib '%s' '%s' 2>/dev/null", own, path);
	return system(command) == 0;
}

/* Overwrites the beginning of the largest entry: the copy. */
static void damage_copy(const struct fixture *f)
{
	char command[256];
	snprintf(command, sizeof(command),
		 "cd '%s' && dd if=/dev/zero of=\"$(ls -S | head -n 1)\" bs=4096 count=1 conv=notrunc 2>/dev/null",
		 f->directory);
	assert_int_equal(system(command), 0);
}

static void expect_same(struct asked *a, struct asked *b)
{
	assert_int_equal(a->error, b->error);
	assert_int_equal(a->size, b->size);
	assert_memory_equal(a->bytes, b->bytes, a->size);
	free(a->bytes);
	free(b->bytes);
}

extern const char __ehdr_start[];

/* Compressed DWARF is decompressed once; the copy in the cache answers as the file does, and where it is damaged,
 * the file does. */
static void test_compressed_lines(void **state)
{
	const uint64_t addresses[] = {(uint64_t)((uintptr_t)begin - (uintptr_t)__ehdr_start) + 4,
				      (uint64_t)((uintptr_t)end - (uintptr_t)__ehdr_start) + 4,
				      (uint64_t)((uintptr_t)open_store - (uintptr_t)__ehdr_start) + 4};
	struct fixture f;
	char path[] = "/tmp/bolometer-test-XXXXXX";
	close(mkstemp(path));
	if (!make_compressed(path)) {
		unlink(path);
		fprintf(stderr, "not tried: there is no objcopy\n");
		skip();
	}
	_cleanup_fd_ int plain = open_own_program();
	_cleanup_fd_ int compressed = open_program(path, true);
	begin(&f);
	for (int i = 0; i < 3; i++) {
		if (i == 2)
			damage_copy(&f);
		struct asked from_plain = ask_lines(&f, plain, addresses + i, 1);
		uint64_t before = parsed(&f);
		struct asked from_copy = ask_lines(&f, compressed, addresses + i, 1);
		if (from_plain.error == -ENODATA)
			skip(); /* built without debug information */
		assert_int_equal(parsed(&f) - before, i == 1 ? 1 : 2);
		expect_same(&from_plain, &from_copy);
	}
	end(&f);
}

static void never(void *userdata, int error, const struct artifact *artifact)
{
	fail();
}

/* Each answer counts once, by what was asked for, also when it is a failure; what only looks into the cache does
 * not. */
static void test_durations(void **state)
{
	struct fixture f;
	struct asked asked = {0};
	struct answer_durations durations;
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int text = open(TEXT_FILE, O_RDONLY | O_CLOEXEC);
	uint64_t began = monotonic_ns(), address = 0x1000;
	begin(&f);
	assert_int_equal(binary_store_request_symbols(f.store, file, -1, PARSER_SOON, on_answer, &asked), 0);
	assert_int_equal(binary_store_drain(f.store, 20 * NS_PER_SECOND), 0);
	free(asked.bytes);
	free(ask_lines(&f, text, &address, 1).bytes);
	free(ask_lines(&f, text, NULL, 0).bytes);
	free(ask_unwind(&f, file).bytes);
	binary_store_get_durations(f.store, &durations);
	assert_int_equal(durations.symbols.count, 1);
	assert_int_equal(durations.lines.count, 1);
	assert_in_range(durations.symbols.sum_ns, 1, monotonic_ns() - began);
	end(&f);
}

static void test_free_drops_requests(void **state)
{
	struct fixture f;
	_cleanup_fd_ int file = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	begin(&f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(binary_store_request_unwind(f.store, file, PARSER_SOON, never,
							     NULL), 0);
	assert_int_equal(binary_store_request_unwind(f.store, -1, PARSER_SOON, never, NULL),
			 -EBADF);
	end(&f);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "parser-child") == 0)
		return parser_child_main();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parsed_once),
		cmocka_unit_test(test_failures_are_stored),
		cmocka_unit_test(test_fresh_files_are_parsed_each_time),
		cmocka_unit_test(test_the_entry_of_an_answer),
		cmocka_unit_test(test_a_cache_that_hangs),
		cmocka_unit_test(test_debug_file_is_part_of_the_key),
		cmocka_unit_test(test_priority_of_cached_answers),
		cmocka_unit_test(test_hastened),
		cmocka_unit_test(test_lines_add_up),
		cmocka_unit_test(test_compressed_lines),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_free_drops_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
