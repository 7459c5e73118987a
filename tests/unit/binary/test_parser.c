/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser's client against good and hostile children. This executable is its own child: started
 * with "parser-child" and a behaviour, it plays that part (parser_children.h). Whatever the child does, every request
 * gets exactly one callback, and the next good file is served. With the argument "slow" it runs the
 * tests that wait for limits and for children to be killed.
 */
#include "parser_children.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_NS (60 * NS_PER_SECOND) /* only what hangs takes them */

struct asked {
	int callbacks;
	int error;
	char bytes[64];
	size_t size;
};

static void on_answer(void *userdata, int error, const struct artifact *artifact)
{
	struct asked *asked = userdata;
	asked->callbacks++;
	asked->error = error;
	if (!artifact)
		return;
	for (int kind = SECTION_FACTS; kind <= SECTION_LINE_ANSWERS; kind++) {
		size_t size;
		const void *bytes = artifact_section(artifact, kind, &size);
		if (!bytes)
			continue;
		asked->size = size;
		memcpy(asked->bytes, bytes, MIN_OF(size, sizeof(asked->bytes) - 1));
	}
}

/* A file that holds `text`, open for reading. */
static int make_file(const char *text)
{
	char path[] = "/tmp/bolometer-test-XXXXXX";
	_cleanup_fd_ int writable = mkstemp(path);
	assert_true(writable >= 0);
	assert_int_equal(write_all(writable, text, strlen(text)), 0);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

struct fixture {
	struct loop *loop;
	struct parser *parser;
	const char *argv[4];
};

static void begin(struct fixture *f, const char *part, const struct parser_limits *limits)
{
	*f = (struct fixture){.argv = {"bolometer", "parser-child", part, NULL}};
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(parser_new(f->loop, limits, &f->parser), 0);
	parser_set_child_arguments(f->parser, f->argv);
}

static void end(struct fixture *f)
{
	parser_free(f->parser);
	loop_free(f->loop);
}

static void ask(struct fixture *f, const char *text, struct asked *asked)
{
	_cleanup_fd_ int fd = make_file(text);
	assert_int_equal(parser_request_unwind(f->parser, fd, PARSER_SOON, on_answer, asked), 0);
}

static struct parser_statistics statistics_of(const struct fixture *f)
{
	struct parser_statistics statistics;
	parser_get_statistics(f->parser, &statistics);
	return statistics;
}

static void test_answers(void **state)
{
	struct fixture f;
	struct asked unwind = {0}, symbols = {0}, lines = {0};
	begin(&f, "obedient", NULL);
	_cleanup_fd_ int one = make_file("one"), two = make_file("two");
	static const uint64_t addresses[] = {1, 2, 0x1234567890};
	assert_int_equal(parser_request_unwind(f.parser, one, PARSER_SOON, on_answer, &unwind), 0);
	assert_int_equal(parser_request_symbols(f.parser, one, two, PARSER_SOON, on_answer,
						&symbols), 0);
	assert_int_equal(parser_request_lines(f.parser, one, -1, addresses, 3, true, PARSER_SOON,
					      on_answer, &lines), 0);
	assert_int_equal(parser_pending(f.parser), 3);
	assert_int_equal(unwind.callbacks + symbols.callbacks + lines.callbacks, 0);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	assert_int_equal(parser_pending(f.parser), 0);
	assert_int_equal(unwind.callbacks, 1);
	assert_string_equal(unwind.bytes, "one");
	assert_int_equal(symbols.callbacks, 1);
	assert_string_equal(symbols.bytes, "two");
	assert_int_equal(lines.size, sizeof(addresses));
	assert_memory_equal(lines.bytes, addresses, sizeof(addresses));
	struct parser_statistics statistics = statistics_of(&f);
	assert_int_equal(statistics.answered, 3);
	assert_int_equal(statistics.children_started, 1);
	assert_true(statistics.child_cpu_ns > 0);
	end(&f);
}

static void test_errors_told_by_the_child(void **state)
{
	struct fixture f;
	struct asked not_elf = {0}, nothing = {0}, good = {0};
	begin(&f, "obedient", NULL);
	ask(&f, "not", &not_elf);
	ask(&f, "none", &nothing);
	ask(&f, "good", &good);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	assert_int_equal(not_elf.error, -EBADMSG);
	assert_int_equal(nothing.error, -ENODATA);
	assert_int_equal(good.error, 0);
	struct parser_statistics statistics = statistics_of(&f);
	assert_int_equal(statistics.failed, 1);
	assert_int_equal(statistics.answered, 2); /* that there is none is an answer */
	assert_int_equal(statistics.children_started, 1);
	end(&f);
}

/* Every bad file between good ones: only it fails. */
static void test_bad_files(void **state)
{
	static const struct {
		const char *text;
		int error;
	} bad[] = {{"crash", -ECHILD}, {"exit", -ECHILD},   {"spin", -ETIMEDOUT},
		   {"kind", -EPROTO},  {"garbage", -EPROTO}, {"hoard", -E2BIG}};
	struct fixture f;
	struct parser_limits limits = {.child_memory = 64 << 20,
				       .request_cpu_ns = NS_PER_SECOND};
	begin(&f, "obedient", &limits);
	struct asked good[ARRAY_LENGTH(bad) + 1] = {0}, asked[ARRAY_LENGTH(bad)] = {0};
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		ask(&f, "good", &good[i]);
		ask(&f, bad[i].text, &asked[i]);
	}
	ask(&f, "good", &good[ARRAY_LENGTH(bad)]);
	assert_int_equal(parser_drain(f.parser, PATIENCE_NS), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		assert_int_equal(asked[i].callbacks, 1);
		assert_int_equal(asked[i].error, bad[i].error);
		assert_int_equal(good[i].callbacks, 1);
		assert_int_equal(good[i].error, 0);
	}
	assert_int_equal(good[ARRAY_LENGTH(bad)].error, 0);
	end(&f);
}

static void test_cpu_limit(void **state)
{
	struct fixture f;
	struct asked spin = {0};
	struct parser_limits limits = {.request_cpu_ns = 1};
	begin(&f, "obedient", &limits);
	ask(&f, "spin", &spin);
	uint64_t start = monotonic_ns();
	assert_int_equal(parser_drain(f.parser, 30 * NS_PER_SECOND), 0);
	assert_int_equal(spin.error, -ETIMEDOUT);
	assert_true(monotonic_ns() - start < 20 * NS_PER_SECOND);
	assert_int_equal(statistics_of(&f).children_killed, 0); /* the kernel did it */
	/* The limit counts whole ticks, which stolen time shortens. */
	assert_true(statistics_of(&f).child_cpu_ns > 500 * NS_PER_MS);
	end(&f);
}

static void test_hostile_children(void **state)
{
	static const struct {
		const char *part;
		int error;
	} parts[] = {
		{"dies-at-start", -EINTR}, {"never-ready", -ETIMEDOUT},
		{"other-id", -EPROTO},	    {"too-small", -EPROTO},	  {"too-large", -EPROTO},
		{"empty", -EPROTO},	    {"sparse", -EPROTO},	  {"keeps-mapping", -EPROTO},
		{"seals", -EPROTO},	    {"unknown-error", -EPROTO},	  {"short", -EPROTO},
		{"error-with-size", -EPROTO}, {"long", -EPROTO},	  {"zero-length", -EINTR},
		{"closes", -EINTR},	    {"silent", -ETIMEDOUT},	  {"sends-files", 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		struct fixture f;
		struct asked asked[4] = {0};
		/* Short only where it is to pass: a busy host takes long for anything. */
		struct parser_limits limits = {
			.request_wall_ns = parts[i].error == -ETIMEDOUT ? 100 * NS_PER_MS : 0};
		begin(&f, parts[i].part, &limits);
		for (int k = 0; k < 4; k++)
			ask(&f, "good", &asked[k]);
		int r = parser_drain(f.parser, PATIENCE_NS);
		bool as_wanted = r == 0;
		for (int k = 0; k < 4; k++)
			as_wanted = as_wanted && asked[k].callbacks == 1 &&
				    asked[k].error == parts[i].error;
		if (!as_wanted)
			fail_msg("%s: drained %d, errors %d %d %d %d", parts[i].part, r,
				 asked[0].error, asked[1].error, asked[2].error, asked[3].error);
		end(&f);
	}
}

/* A child that answers twice or floods: whoever fails, each gets one callback, and what is accepted
 * is an answer of its own. */
static void test_children_that_answer_too_often(void **state)
{
	static const char *const parts[] = {"answers-twice", "floods", "ready-twice",
					     "answers-unasked"};
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		struct fixture f;
		struct asked asked[6] = {0};
		begin(&f, parts[i], NULL);
		for (int k = 0; k < 6; k++)
			ask(&f, "good", &asked[k]);
		assert_int_equal(parser_drain(f.parser, 20 * NS_PER_SECOND), 0);
		for (int k = 0; k < 6; k++) {
			assert_int_equal(asked[k].callbacks, 1);
			assert_true(asked[k].error == 0 || asked[k].error == -EPROTO ||
				    asked[k].error == -ECHILD || asked[k].error == -EINTR);
		}
		assert_true(statistics_of(&f).answers_rejected > 0);
		end(&f);
	}
}

struct order {
	struct asked asked;
	int *counter, place;
};

static void on_ordered(void *userdata, int error, const struct artifact *artifact)
{
	struct order *order = userdata;
	on_answer(&order->asked, error, artifact);
	order->place = (*order->counter)++;
}

static void test_priority_then_age(void **state)
{
	struct fixture f;
	struct order orders[20] = {0};
	int counter = 0;
	begin(&f, "obedient", NULL);
	_cleanup_fd_ int fd = make_file("good");
	for (int i = 0; i < 20; i++) {
		orders[i].counter = &counter;
		assert_int_equal(parser_request_unwind(f.parser, fd,
						       i % 2 ? PARSER_SOON : PARSER_WHEN_IDLE,
						       on_ordered, &orders[i]), 0);
	}
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(orders[i].place, i % 2 ? i / 2 : 10 + i / 2);
	end(&f);
}

/* The three priorities, and one that somebody has come to wait for: behind those that were waited for before. */
static void test_hastened(void **state)
{
	static const enum parser_priority priorities[] = {PARSER_WHEN_IDLE, PARSER_AHEAD, PARSER_WHEN_IDLE,
							  PARSER_SOON, PARSER_AHEAD};
	static const int places[] = {4, 2, 1, 0, 3};
	struct fixture f;
	struct order orders[ARRAY_LENGTH(priorities)] = {0};
	int counter = 0;
	begin(&f, "obedient", NULL);
	_cleanup_fd_ int fd = make_file("good");
	for (size_t i = 0; i < ARRAY_LENGTH(priorities); i++) {
		orders[i].counter = &counter;
		assert_int_equal(parser_request_unwind(f.parser, fd, priorities[i], on_ordered,
						       &orders[i]), 0);
	}
	parser_hasten(f.parser, &orders[2]);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(priorities); i++)
		assert_int_equal(orders[i].place, places[i]);
	end(&f);
}

static bool is_stopped(uint32_t pid)
{
	char path[64], text[256] = {0};
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (pid == 0 || fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return false;
	const char *end = strrchr(text, ')');
	return end && end[1] && end[2] == 'T';
}

static void run_for(struct fixture *f, uint64_t ns)
{
	for (uint64_t until = monotonic_ns() + ns; monotonic_ns() < until;)
		loop_run_once(f->loop, 1);
}

/* What is granted is used and no more: the child is stopped in the middle of a file, goes on with the next grant, and
 * is not taken for one that hangs. On a busy host it may be through before we come to stopping it. */
static void test_paced(void **state)
{
	struct fixture f;
	struct asked asked = {0};
	const struct parser_limits limits = {.request_wall_ns = NS_PER_SECOND};
	begin(&f, "obedient", &limits);
	parser_grant(f.parser, 0);
	ask(&f, "long", &asked);
	run_for(&f, 20 * NS_PER_MS);
	assert_true(parser_is_held(f.parser));
	assert_int_equal(statistics_of(&f).children_started, 0);
	unsigned stops = 0;
	uint64_t unstopped_ns = 0, since;
	for (int i = 0; i < 40 && !asked.callbacks; i++) {
		since = monotonic_ns();
		parser_grant(f.parser, 20 * NS_PER_MS);
		for (int k = 0; k < 100 && !asked.callbacks && !is_stopped(statistics_of(&f).child_pid); k++)
			run_for(&f, 5 * NS_PER_MS);
		unstopped_ns += monotonic_ns() - since;
		if (i == 1)
			run_for(&f, 1500 * NS_PER_MS); /* longer than a request may take */
		stops += is_stopped(statistics_of(&f).child_pid);
	}
	since = monotonic_ns();
	parser_grant(f.parser, PARSER_UNLIMITED);
	assert_int_equal(parser_drain(f.parser, PATIENCE_NS), 0);
	unstopped_ns += monotonic_ns() - since;
	assert_int_equal(asked.callbacks, 1);
	if (asked.error == -ETIMEDOUT && unstopped_ns > limits.request_wall_ns) {
		printf("undecided: this host is too busy, 0.2 s of CPU time took more than %llu ms without the stops\n",
		       (unsigned long long)(limits.request_wall_ns / NS_PER_MS));
		end(&f);
		skip();
	}
	assert_int_equal(asked.error, 0);
	assert_int_equal(statistics_of(&f).children_started, 1);
	assert_int_equal(statistics_of(&f).children_killed, 0);
	if (stops < 2)
		printf("undecided (%u stops): this host is too busy for stopping a child in time\n", stops);
	end(&f);
}

static void test_changed_file_is_stale(void **state)
{
	struct fixture f;
	begin(&f, "obedient", NULL);
	char path[] = "/tmp/bolometer-test-XXXXXX";
	_cleanup_fd_ int writable = mkstemp(path);
	write_all(writable, "good", 4);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	usleep(30000); /* past the granularity of the file's times */
	struct asked asked = {0};
	assert_int_equal(parser_request_unwind(f.parser, fd, PARSER_SOON, on_answer, &asked), 0);
	write_all(writable, "?", 1);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	assert_int_equal(asked.error, -ESTALE);
	end(&f);
}

/* Truncation raises SIGBUS in the child; the file then is told from a file that crashes it. */
static void test_truncated_while_mapped(void **state)
{
	struct fixture f;
	begin(&f, "obedient", NULL);
	int stale = 0;
	for (int i = 0; i < 30; i++) {
		char path[] = "/tmp/bolometer-test-XXXXXX";
		_cleanup_fd_ int writable = mkstemp(path);
		write_all(writable, "map", 4);
		assert_int_equal(ftruncate(writable, 4 << 20), 0);
		_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
		unlink(path);
		usleep(10000);
		struct asked asked = {0};
		assert_int_equal(parser_request_unwind(f.parser, fd, PARSER_SOON, on_answer,
						       &asked), 0);
		uint64_t until = monotonic_ns() + (uint64_t)i * NS_PER_MS / 2;
		while (monotonic_ns() < until)
			loop_run_once(f.loop, 1);
		assert_int_equal(ftruncate(writable, i % 3 ? 4096 : 0), 0);
		assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
		assert_int_equal(asked.callbacks, 1);
		stale += asked.error == -ESTALE;
	}
	assert_true(stale > 20);
	end(&f);
}

static pid_t child_of_this_process(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	_cleanup_free_ char *text = NULL;
	if (read_whole_file(path, 4096, &text, NULL) < 0)
		return 0;
	return (pid_t)atoi(text);
}

/* kill -9 at any time under load. */
static void test_killed_at_random(void **state)
{
	enum { COUNT = 1000 };
	struct fixture f;
	static struct asked asked[COUNT];
	begin(&f, "obedient", NULL);
	_cleanup_fd_ int fd = make_file("slow");
	memset(asked, 0, sizeof(asked));
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(parser_request_unwind(f.parser, fd, PARSER_SOON, on_answer,
						       &asked[i]), 0);
	uint32_t random = 12345;
	uint64_t start = monotonic_ns();
	while (parser_pending(f.parser) && monotonic_ns() - start < 30 * NS_PER_SECOND) {
		random = random * 1664525 + 1013904223;
		uint64_t until = monotonic_ns() + (random >> 16) % 100 * NS_PER_MS;
		while (parser_pending(f.parser) && monotonic_ns() < until)
			loop_run_once(f.loop, 1);
		pid_t child = child_of_this_process();
		if (child > 0 && parser_pending(f.parser))
			kill(child, SIGKILL);
	}
	int good = 0, died = 0;
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(asked[i].callbacks, 1);
		good += asked[i].error == 0;
		died += asked[i].error == -EINTR;
	}
	struct parser_statistics statistics = statistics_of(&f);
	printf("%d answered, %d lost, %d children\n", good, died,
	       (int)statistics.children_started);
	assert_int_equal(good + died, COUNT);
	assert_int_equal(good, statistics.answered);
	assert_true(good > 0);
	end(&f);
}

static void test_idle_child_is_ended_and_comes_back(void **state)
{
	struct fixture f;
	struct asked first = {0}, second = {0};
	struct parser_limits limits = {.idle_exit_ns = 20 * NS_PER_MS};
	begin(&f, "obedient", &limits);
	ask(&f, "first", &first);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	assert_true(child_of_this_process() > 0);
	uint64_t end_at = monotonic_ns() + 5 * NS_PER_SECOND;
	while (child_of_this_process() > 0 && monotonic_ns() < end_at)
		loop_run_once(f.loop, 10);
	assert_int_equal(child_of_this_process(), 0);
	ask(&f, "second", &second);
	assert_int_equal(parser_drain(f.parser, 10 * NS_PER_SECOND), 0);
	assert_string_equal(second.bytes, "second");
	assert_int_equal(statistics_of(&f).children_started, 2);
	assert_int_equal(statistics_of(&f).children_killed, 0);
	end(&f);
}

static void test_refused_descriptors(void **state)
{
	struct fixture f;
	begin(&f, "obedient", NULL);
	int pair[2];
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(parser_request_unwind(f.parser, pair[0], 0, on_answer, NULL), -EINVAL);
	_cleanup_fd_ int writable = open("/tmp", O_RDWR | O_TMPFILE, 0600);
	assert_int_equal(parser_request_unwind(f.parser, writable, 0, on_answer, NULL), -EINVAL);
	assert_int_equal(parser_request_unwind(f.parser, -1, 0, on_answer, NULL), -EBADF);
	assert_int_equal(parser_pending(f.parser), 0);
	close(pair[0]);
	close(pair[1]);
	end(&f);
}

static void never(void *userdata, int error, const struct artifact *artifact)
{
	fail();
}

static void test_free_drops_requests(void **state)
{
	struct fixture f;
	begin(&f, "silent", NULL);
	_cleanup_fd_ int fd = make_file("good");
	for (int i = 0; i < 5; i++)
		assert_int_equal(parser_request_unwind(f.parser, fd, 0, never, NULL), 0);
	for (int i = 0; i < 20; i++)
		loop_run_once(f.loop, 10);
	assert_true(child_of_this_process() > 0);
	end(&f);
	assert_int_equal(child_of_this_process(), 0);
}

int main(int argc, char **argv)
{
	if (argc >= 3 && strcmp(argv[1], "parser-child") == 0)
		return strcmp(argv[2], "obedient") == 0 ? parser_child_run(&obedient_operations)
							 : play_hostile_child(argv[2]);
	const struct CMUnitTest quick[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_errors_told_by_the_child),
		cmocka_unit_test(test_priority_then_age),
		cmocka_unit_test(test_hastened),
		cmocka_unit_test(test_paced),
		cmocka_unit_test(test_changed_file_is_stale),
		cmocka_unit_test(test_idle_child_is_ended_and_comes_back),
		cmocka_unit_test(test_refused_descriptors),
		cmocka_unit_test(test_free_drops_requests),
	};
	const struct CMUnitTest slow[] = {
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_cpu_limit),
		cmocka_unit_test(test_hostile_children),
		cmocka_unit_test(test_children_that_answer_too_often),
		cmocka_unit_test(test_truncated_while_mapped),
		cmocka_unit_test(test_killed_at_random),
	};
	if (argc == 2 && strcmp(argv[1], "slow") == 0)
		return cmocka_run_group_tests(slow, NULL, NULL);
	return cmocka_run_group_tests(quick, NULL, NULL);
}
