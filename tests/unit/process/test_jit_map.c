/* SPDX-License-Identifier: Apache-2.0 */
/* Perf maps and jitdump files below a made-up /proc, as runtimes write, replace and break them. */
#include "jit_update.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "process/jit_codes.h"
#include "binary/jitdump.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define BUDGET (1U << 20)

struct fixture {
	char proc[64], map[128];
	struct process process;
	struct jit_map *jit;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[128], status[128];
	snprintf(f->proc, sizeof(f->proc), "/tmp/bolometer-jit-XXXXXX");
	assert_non_null(mkdtemp(f->proc));
	static const char *const directories[] = {"/7", "/7/root", "/7/root/tmp"};
	for (size_t i = 0; i < ARRAY_LENGTH(directories); i++) {
		snprintf(path, sizeof(path), "%s%s", f->proc, directories[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(path, sizeof(path), "%s/7/status", f->proc);
	int length = snprintf(status, sizeof(status), "Uid:\t%u\t%u\t%u\t%u\nNSpid:\t7\t3\n",
			      getuid(), geteuid(), geteuid(), geteuid());
	assert_int_equal(write_file_atomically(path, status, (size_t)length, 0644), 0);
	snprintf(f->map, sizeof(f->map), "%s/7/root/tmp/perf-3.map", f->proc);
	f->process = (struct process){.references = 1, .pid = 7};
	f->jit = jit_map_of(&f->process);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", f->proc);
	assert_int_equal(system(command), 0);
	jit_map_free(f->jit);
	free(f);
	return 0;
}

static void append(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, bytes, size), 0);
	close(fd);
}

static void append_text(struct fixture *f, const char *text)
{
	append(f->map, text, strlen(text));
}

static int update(struct fixture *f, uint64_t now)
{
	return jit_update(f->jit, &f->process, f->proc, now, BUDGET);
}

/* What was found stays as it is here: no merge goes on beside it. */
static bool find(struct fixture *f, uint64_t address, uint64_t time, struct jit_symbol *ret)
{
	bool found = jit_map_find(f->jit, address, time, ret);
	if (found)
		jit_map_release(f->jit);
	return found;
}

static void free_answer(const struct artifact *artifact)
{
	free((char *)artifact->bytes);
}

static const char *name_at(struct fixture *f, uint64_t address, uint64_t time)
{
	struct jit_symbol symbol;
	return find(f, address, time, &symbol) ? symbol.name : "-";
}

static void test_tail(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(update(f, 5), -ENOENT);
	append_text(f, "1000 100 one\n0x1100 0x10 two words\r\n12");
	assert_int_equal(update(f, 10), 1);
	assert_string_equal(name_at(f, 0x10ff, 10), "one");
	assert_string_equal(name_at(f, 0x1100, 10), "two words");
	assert_string_equal(name_at(f, 0x1110, 10), "-");
	assert_string_equal(name_at(f, 0xfff, 10), "-");
	assert_int_equal(update(f, 20), 0);
	append_text(f, "00 8 late\n"); /* the rest of "12" */
	assert_int_equal(update(f, 30), 1);
	assert_string_equal(name_at(f, 0x1200, 30), "late");
	assert_string_equal(name_at(f, 0x1200, 20), "late"); /* written after the look at 20 */
	assert_string_equal(name_at(f, 0x1200, 19), "-");
}

static void test_last_line_wins_in_time(void **state)
{
	struct fixture *f = *state;
	append_text(f, "1000 100 old\n1000 100 old\n");
	update(f, 10);
	append_text(f, "1040 20 new\n");
	assert_int_equal(update(f, 20), 1);
	assert_string_equal(name_at(f, 0x1040, 9), "old");
	assert_string_equal(name_at(f, 0x1040, 15), "new");
	assert_string_equal(name_at(f, 0x103f, 15), "old");
	assert_string_equal(name_at(f, 0x1060, 15), "old");
	struct jit_symbol a, b;
	assert_true(find(f, 0x1060, 15, &a));
	assert_int_equal(a.start, 0x1000);
	assert_int_equal(a.size, 0x100);
	assert_true(find(f, 0x1040, 15, &b));
	assert_int_not_equal(a.generation, b.generation);
	append_text(f, "1040 20 new\n"); /* said again: still the same code */
	update(f, 30);
	assert_true(find(f, 0x1040, 30, &a));
	assert_int_equal(a.generation, b.generation);
	assert_string_equal(name_at(f, 0x1040, 15), "new");
}

/* Goes as far as to a merge, which is the caller's to run. */
static struct jit_merging *begin_merge(struct fixture *f, uint64_t now)
{
	struct text answer = {0};
	struct artifact artifact;
	jit_map_begin(f->jit, now, BUDGET);
	struct jit_reading *reading = jit_map_read(f->jit, &f->process, f->proc);
	jit_reading_run(reading);
	jit_map_take_reading(f->jit, reading);
	jit_reading_free(reading);
	const struct jit_excerpt *excerpt = jit_map_excerpt(f->jit);
	assert_int_equal(jit_build(excerpt->file, &excerpt->source, &answer), 0);
	assert_int_equal(artifact_check(answer.bytes, answer.length, ARTIFACT_JIT, &artifact), 0);
	assert_true(jit_map_answer(f->jit, 0, &artifact, free_answer));
	assert_int_equal(jit_map_step(f->jit), JIT_MERGE);
	return jit_map_merge(f->jit);
}

static void *run_merging(void *argument)
{
	jit_merging_run(argument);
	return NULL;
}

/* What is known stays known beside a merge in a thread, however often it is asked for. */
static void test_merge_in_a_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	struct jit_symbol symbol;
	append_text(f, "1000 100 known\n");
	update(f, 10);
	for (unsigned i = 0; i < 3000; i++) {
		char line[64];
		snprintf(line, sizeof(line), "%x 10 new_%u\n", 0x100000 + (i * 7919 % 3000) * 0x10, i);
		append_text(f, line);
	}
	struct jit_merging *merging = begin_merge(f, 20);
	assert_false(jit_merging_is_short(merging));
	assert_string_equal(name_at(f, 0x100000, 20), "-");
	assert_int_equal(pthread_create(&thread, NULL, run_merging, merging), 0);
	do {
		assert_true(jit_map_find(f->jit, 0x1000, 20, &symbol));
		assert_int_equal(pthread_mutex_trylock(&merging->known->lock), EBUSY); /* no merge goes on */
		assert_string_equal(symbol.name, "known");
		jit_map_release(f->jit);
	} while (strcmp(name_at(f, 0x100000, 20), "new_0") != 0);
	pthread_join(thread, NULL);
	jit_map_take_merging(f->jit, merging);
	jit_merging_free(merging);
	assert_int_equal(jit_map_step(f->jit), JIT_IDLE);
	assert_string_equal(name_at(f, 0x100000 + 2999 * 7919 % 3000 * 0x10, 20), "new_2999");
}

/* One that never comes back keeps what it works on, which the map does without. */
static void test_hanging_merge(void **state)
{
	struct fixture *f = *state;
	struct jit_statistics statistics;
	append_text(f, "1000 100 known\n");
	update(f, 10);
	append_text(f, "2000 100 late\n");
	struct jit_merging *merging = begin_merge(f, 20);
	assert_true(jit_merging_is_short(merging));
	pthread_mutex_lock(&merging->known->lock); /* as the thread has it */
	jit_map_give_up(f->jit);
	assert_int_equal(jit_map_step(f->jit), JIT_IDLE);
	assert_string_equal(name_at(f, 0x1000, 20), "-");
	update(f, 30); /* nothing more is read */
	assert_int_equal(jit_map_step(f->jit), JIT_IDLE);
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.given_up, 1);
	pthread_mutex_unlock(&merging->known->lock);
	jit_merging_run(merging);
	jit_merging_free(merging);
}

/* What a parser child dies of is lost once more each time, and then no more. */
static void test_lost_readings(void **state)
{
	struct fixture *f = *state;
	struct jit_statistics statistics;
	append_text(f, "1000 10 first\n");
	assert_int_equal(jit_update_losing(f->jit, &f->process, f->proc, 10, BUDGET, 0), 0);
	assert_string_equal(name_at(f, 0x1000, 10), "-");
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.readings_lost, 1);
	assert_int_equal(statistics.bytes_unread, 14);
	assert_int_equal(update(f, 20), 1);
	assert_string_equal(name_at(f, 0x1000, 5), "first"); /* as old as if it had not been lost */
	append_text(f, "2000 10 deadly\n");
	for (int i = 0; i < 5; i++)
		jit_update_losing(f->jit, &f->process, f->proc, 30, BUDGET, 0);
	assert_int_equal(update(f, 40), 0);
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.readings_lost, 1 + 3);
	assert_string_equal(name_at(f, 0x1000, 50), "first");
	assert_string_equal(name_at(f, 0x2000, 50), "-");
	assert_int_equal(unlink(f->map), 0);
	append_text(f, "3000 10 of another file\n");
	assert_int_equal(update(f, 50), 1);
}

static void test_replaced_and_truncated(void **state)
{
	struct fixture *f = *state;
	append_text(f, "1000 10 first\n2000 10 second\n");
	update(f, 10);
	assert_int_equal(unlink(f->map), 0);
	append_text(f, "3000 10 third\n4000 10 fourth, so that it is longer than before\n");
	assert_int_equal(update(f, 20), 1);
	assert_string_equal(name_at(f, 0x3000, 20), "third");
	assert_int_equal(truncate(f->map, 0), 0);
	append_text(f, "5000 10 fifth\n");
	assert_int_equal(update(f, 30), 1);
	assert_string_equal(name_at(f, 0x5000, 30), "fifth");
}

static void test_lies(void **state)
{
	struct fixture *f = *state;
	append_text(f, "\n\n1000\n1000 10\n1000 10 \nzz 10 a\n1000 0 empty\n"
		       "ffffffffffffffff ff over\n1000 ffffffffffffffff huge\n"
		       "11111111111111111 1 long\n");
	append(f->map, "6000 10 nul\0name\n", 17);
	update(f, 10);
	struct jit_statistics statistics;
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.bad_lines, 11);
	assert_int_equal(statistics.entries, 0);

	char *line = malloc(200000);
	memset(line, 'x', 200000);
	append(f->map, line, 200000); /* longer than any window */
	free(line);
	append_text(f, "\n7000 10 after\n");
	update(f, 20);
	assert_string_equal(name_at(f, 0x7000, 20), "after");
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.bad_lines, 12);
}

static void test_refuses(void **state)
{
	struct fixture *f = *state;
	char target[160];
	snprintf(target, sizeof(target), "%s.real", f->map);
	append(target, "1000 10 a\n", 10);
	assert_int_equal(symlink(target, f->map), 0);
	assert_true(update(f, 10) < 0);
	unlink(f->map);
	assert_int_equal(mkfifo(f->map, 0644), 0);
	assert_true(update(f, 10) < 0);
	unlink(f->map);
	append_text(f, "1000 10 a\n");
	if (geteuid() == 0) {
		assert_int_equal(chown(f->map, 12345, 12345), 0);
		assert_int_equal(update(f, 10), -EPERM);
		assert_int_equal(chown(f->map, 0, 0), 0);
	}
	assert_int_equal(update(f, 10), 1);
}

static void test_stale(void **state)
{
	struct fixture *f = *state;
	append_text(f, "1000 10 of an earlier process\n");
	struct timespec old[2] = {{.tv_sec = time(NULL) - 60}, {.tv_sec = time(NULL) - 60}};
	assert_int_equal(utimensat(AT_FDCWD, f->map, old, 0), 0);
	f->process.begin = monotonic_ns() - 30 * NS_PER_SECOND;
	assert_int_equal(update(f, 10), -ENOENT);
	f->process.begin -= 31 * NS_PER_SECOND;
	assert_int_equal(update(f, 10), 1);
}

/* Where there is no room for more, no more is read, and what is not read is counted. */
static void test_memory_limit(void **state)
{
	struct fixture *f = *state;
	struct text text = {0};
	for (unsigned i = 0; i < 400000; i++)
		text_add(&text, "%x 10 a_rather_long_function_name_that_takes_room_%u\n",
			 0x1000 + 0x20 * i, i);
	append(f->map, text.bytes, text.length);
	struct jit_statistics statistics, later;
	for (int i = 0; i < 100; i++) {
		update(f, 10);
		jit_map_get_statistics(f->jit, &statistics);
		assert_true(statistics.bytes_read <= BUDGET * (i + 1ULL));
	}
	assert_true(statistics.entries > 50000);
	assert_true(statistics.dropped > 0 && statistics.dropped < 20000); /* of the excerpt for which there was no room */
	assert_int_equal(statistics.bytes_read + statistics.bytes_unread, text.length);
	append(f->map, text.bytes, text.length);
	update(f, 20);
	jit_map_get_statistics(f->jit, &later);
	assert_int_equal(later.bytes_read, statistics.bytes_read);
	assert_int_equal(later.bytes_unread, statistics.bytes_unread + text.length);
	assert_string_equal(name_at(f, 0x1000 + 0x20 * 5, 10),
			    "a_rather_long_function_name_that_takes_room_5");
	text_free(&text);
}

/* Against a simple model: an array that says for each address who covered it last, and since when. */
static void test_overlaps_against_model(void **state)
{
	enum { SPACE = 512, ROUNDS = 60, BATCH = 40 };
	static int model[ROUNDS + 1][SPACE];
	struct jit_codes codes = {.memory_limit = 64 << 20};
	unsigned seed = 7;
	memset(model, -1, sizeof(model));
	for (int round = 1, id = 0; round <= ROUNDS; round++) {
		memcpy(model[round], model[round - 1], sizeof(model[0]));
		for (int k = 0; k < BATCH; k++, id++) {
			char name[16];
			unsigned start = (unsigned)rand_r(&seed) % (SPACE - 1);
			unsigned size = 1 + (unsigned)rand_r(&seed) % MIN_OF(64U, SPACE - start);
			int length = snprintf(name, sizeof(name), "f%d", id);
			jit_codes_add(&codes, start, size, name, (size_t)length, (uint64_t)round,
				      JIT_NO_LINES);
			for (unsigned a = start; a < MIN_OF(start + size, (unsigned)SPACE); a++)
				model[round][a] = id;
		}
		assert_int_equal(jit_codes_commit(&codes), 0);
	}
	for (int time = 1; time <= ROUNDS; time++) {
		for (int a = 0; a < SPACE; a++) {
			struct jit_piece piece;
			char wanted[16];
			bool found = jit_codes_find(&codes, (uint64_t)a, (uint64_t)time, &piece);
			assert_int_equal(found, model[time][a] >= 0);
			snprintf(wanted, sizeof(wanted), "f%d", model[time][a]);
			if (found)
				assert_string_equal(strings_get(&codes.names, piece.name), wanted);
		}
	}
	jit_codes_free(&codes);
}

static void put(struct text *t, uint64_t value, size_t size, bool swapped)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < size; i++)
		bytes[swapped ? size - 1 - i : i] = (uint8_t)(value >> (8 * i));
	text_add_bytes(t, bytes, size);
}

static void put_record(struct text *t, uint32_t id, uint64_t time, const struct text *body, bool s)
{
	put(t, id, 4, s);
	put(t, 16 + body->length, 4, s);
	put(t, time, 8, s);
	text_add_bytes(t, body->bytes, body->length);
}

static void put_load(struct text *t, uint64_t time, uint64_t address, uint64_t size,
		     const char *name, bool s)
{
	struct text body = {0};
	put(&body, 7 | 7ULL << 32, 8, s);
	put(&body, address, 8, s);
	put(&body, address, 8, s);
	put(&body, size, 8, s);
	put(&body, 1, 8, s);
	text_add_bytes(&body, name, strlen(name) + 1);
	for (uint64_t i = 0; i < size; i++)
		text_add_char(&body, (char)0xc3);
	put_record(t, 0, time, &body, s);
	text_free(&body);
}

static void put_dump(struct text *t, bool s)
{
	put(t, 0x4a695444, 4, s);
	put(t, 1, 4, s);
	put(t, 40, 4, s);
	put(t, 62, 4, s);
	put(t, 7ULL << 32, 8, s);
	put(t, 0, 8, s);
	put(t, 0, 8, s);
	put_load(t, 100, 0x1000, 0x100, "alpha", s);
	struct text body = {0};
	put(&body, 0x2000, 8, s);
	put(&body, 3, 8, s);
	const struct {
		uint64_t address;
		uint32_t line;
		const char *file;
	} lines[] = {{0x2000, 10, "a.js"}, {0x2010, 12, "\xff"}, {0x2020, 5, "b.js"}};
	for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
		put(&body, lines[i].address, 8, s);
		put(&body, lines[i].line, 4, s);
		put(&body, 0, 4, s);
		text_add_bytes(&body, lines[i].file, strlen(lines[i].file) + 1);
	}
	put_record(t, 2, 150, &body, s);
	text_free(&body);
	put_load(t, 200, 0x2000, 200000, "beta", s); /* longer than the window */
	put(&body, 7 | 7ULL << 32, 8, s);
	put(&body, 0x1000, 8, s);
	put(&body, 0x1000, 8, s);
	put(&body, 0x90000, 8, s);
	put(&body, 0x100, 8, s);
	put(&body, 1, 8, s);
	put_record(t, 1, 300, &body, s);
	text_free(&body);
	put_load(t, 400, 0x1000, 0x80, "gamma", s);
}

static void check_dump(void **state, bool swapped)
{
	struct fixture *f = *state;
	char path[128];
	struct text t = {0};
	snprintf(path, sizeof(path), "%s/7/root/tmp/jit-3.dump", f->proc);
	put_dump(&t, swapped);
	jit_map_set_dump(f->jit, "/tmp/jit-3.dump");
	append(path, t.bytes, t.length - 0x80 - 3); /* gamma is not complete yet */
	assert_int_equal(update(f, 1000), 1);
	assert_string_equal(name_at(f, 0x1000, 99), "-");
	assert_string_equal(name_at(f, 0x1000, 500), "alpha");
	assert_string_equal(name_at(f, 0x90010, 299), "-");
	assert_string_equal(name_at(f, 0x90010, 300), "alpha");
	append(path, t.bytes + t.length - 0x80 - 3, 0x80 + 3);
	assert_int_equal(update(f, 2000), 1);
	assert_string_equal(name_at(f, 0x1000, 399), "alpha");
	assert_string_equal(name_at(f, 0x1000, 400), "gamma");
	assert_string_equal(name_at(f, 0x1080, 400), "alpha");
	struct jit_symbol symbol;
	assert_true(find(f, 0x2018, 500, &symbol));
	assert_string_equal(symbol.name, "beta");
	assert_string_equal(symbol.file, "a.js");
	assert_int_equal(symbol.line, 12);
	assert_true(find(f, 0x2020, 500, &symbol));
	assert_string_equal(symbol.file, "b.js");
	struct jit_statistics statistics;
	jit_map_get_statistics(f->jit, &statistics);
	assert_int_equal(statistics.bad_lines, 0);
	text_free(&t);
}

static void test_jitdump(void **state)
{
	check_dump(state, false);
}

static void test_jitdump_other_byte_order(void **state)
{
	check_dump(state, true);
}

static void test_jitdump_cut_anywhere(void **state)
{
	struct text t = {0};
	put_dump(&t, false);
	for (size_t n = 0; n < 700; n++) {
		struct jit_output output = {0};
		uint8_t *copy = malloc(n + 1);
		memcpy(copy, t.bytes, n);
		jitdump_parse(copy, n, n, &output);
		assert_true(output.summary.used <= n);
		assert_false(output.summary.state & JIT_BROKEN);
		free(copy);
		jit_output_free(&output);
	}
	text_free(&t);
}

#define JIT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		JIT_TEST(test_tail),
		JIT_TEST(test_last_line_wins_in_time),
		JIT_TEST(test_merge_in_a_thread),
		JIT_TEST(test_hanging_merge),
		JIT_TEST(test_lost_readings),
		JIT_TEST(test_replaced_and_truncated),
		JIT_TEST(test_lies),
		JIT_TEST(test_refuses),
		JIT_TEST(test_stale),
		JIT_TEST(test_memory_limit),
		cmocka_unit_test(test_overlaps_against_model),
		JIT_TEST(test_jitdump),
		JIT_TEST(test_jitdump_other_byte_order),
		cmocka_unit_test(test_jitdump_cut_anywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
