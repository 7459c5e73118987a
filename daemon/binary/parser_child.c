/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's loop: one question, one answer. It trusts its parent and nothing in the files; what
 * goes wrong with a file in a way that a builder reports is an error reply, everything else (a
 * crash, a truncated mapping, too much CPU time) is its death, which the daemon sees.
 */
#include "binary/parser_child.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/file_pages.h"
#include "binary/parser_protocol.h"
#include "binary/sandbox.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Free heap beyond this goes back to the system after a question. Below it, what one file needed (above
 * all, sections decompressed) serves the next one, without a page fault for each 4 KiB. */
#define KEPT_HEAP_BYTES (16U << 20)
/* When no question has come for so long, all of it goes back. */
#define IDLE_NS (50 * 1000 * 1000L)
#define LARGEST_ON_HEAP (32 << 20)

/* The descriptors of one question, by role; -1 when absent. */
struct question_files {
	int answer, file, second, addresses;
};

static void question_files_close(struct question_files *files)
{
	close_fd(files->answer);
	close_fd(files->file);
	close_fd(files->second);
	close_fd(files->addresses);
}

static struct question_files sort_files(const struct parser_question *question,
					const int *fds, int count)
{
	struct question_files files = {.answer = -1, .file = -1, .second = -1, .addresses = -1};
	int next = 0;
	if (next < count)
		files.answer = fds[next++];
	if (next < count)
		files.file = fds[next++];
	if ((question->flags & PARSER_SECOND_FILE) && next < count)
		files.second = fds[next++];
	if (question->kind == ARTIFACT_LINES && next < count)
		files.addresses = fds[next++];
	return files;
}

static int answer_lines(const struct parser_operations *operations,
			const struct parser_question *question, const struct question_files *files,
			struct text *answer)
{
	if (question->address_count > PARSER_MAX_ADDRESSES)
		return -E2BIG;
	size_t size = question->address_count * sizeof(uint64_t);
	_cleanup_free_ uint64_t *addresses = malloc(size ? size : 1);
	if (!addresses)
		return -ENOMEM;
	int r = read_exactly_at(files->addresses, addresses, size, 0);
	if (r < 0)
		return r;
	return operations->lines(files->file, files->second, addresses, question->address_count,
				 question->flags & PARSER_WITH_INLINES, answer);
}

static int build_answer(const struct parser_operations *operations,
			const struct parser_question *question, const struct question_files *files,
			struct text *answer)
{
	switch (question->kind) {
	case ARTIFACT_UNWIND:
		return operations->unwind(files->file, answer);
	case ARTIFACT_ALLOCATORS:
		return operations->allocators(files->file, answer);
	case ARTIFACT_DWARF:
		return operations->dwarf(files->file, answer);
	case ARTIFACT_SYMBOLS:
		return operations->symbols(files->file, files->second, answer);
	case ARTIFACT_LINES:
		return answer_lines(operations, question, files, answer);
	case ARTIFACT_JIT:
		return operations->jit(files->file, &question->jit, answer);
	default:
		return -EBADMSG;
	}
}

/* The errors the daemon tells apart; whatever else a library says of a file, it is damaged. */
static int told_error(int error)
{
	switch (error) {
	case -ENODATA:
		return -ENODATA;
	case -E2BIG:
	case -EFBIG:
	case -ENOMEM:
		return -E2BIG;
	default:
		return -EBADMSG;
	}
}

static struct parser_reply answer_question(const struct parser_operations *operations,
					   const struct parser_question *question,
					   const struct question_files *files)
{
	struct text answer = {0};
	int r = build_answer(operations, question, files, &answer);
	if (r == 0 && (answer.failed || answer.length > PARSER_MAX_ANSWER))
		r = -E2BIG;
	if (r == 0)
		r = write_all(files->answer, answer.bytes, answer.length);
	struct parser_reply reply = {
		.id = question->id,
		.error = r < 0 ? told_error(r) : 0,
		.size = r < 0 ? 0 : answer.length,
	};
	text_free(&answer);
	return reply;
}

/* RLIMIT_CPU counts the life of the process in whole seconds: each question gets its share on top of
 * what was used before. */
static void grant_cpu_time(uint64_t request_cpu_ns)
{
	uint64_t until = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + request_cpu_ns;
	struct rlimit limit = {.rlim_cur = (until + NS_PER_SECOND - 1) / NS_PER_SECOND,
			       .rlim_max = RLIM_INFINITY};
	setrlimit(RLIMIT_CPU, &limit);
}

static bool is_idle(void)
{
	struct pollfd socket = {.fd = PARSER_CHILD_SOCKET, .events = POLLIN};
	struct timespec wait = {.tv_nsec = IDLE_NS};
	return ppoll(&socket, 1, &wait, NULL) == 0;
}

static void give_back_memory(void)
{
	if (mallinfo2().fordblks > KEPT_HEAP_BYTES || is_idle())
		malloc_trim(0);
}

static int serve(const struct parser_operations *operations, uint64_t request_cpu_ns)
{
	for (;;) {
		struct parser_question question;
		int fds[PARSER_MAX_FDS];
		int count = parser_receive(PARSER_CHILD_SOCKET, &question, sizeof(question), fds);
		if (count == -ENODATA || count == -ECONNRESET)
			return 0;
		if (count < 0)
			return count;
		grant_cpu_time(request_cpu_ns);
		struct question_files files = sort_files(&question, fds, count);
		struct parser_reply reply = answer_question(operations, &question, &files);
		question_files_close(&files);
		if (send(PARSER_CHILD_SOCKET, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			return -errno;
		give_back_memory();
	}
}

static int enter_sandbox(const struct parser_setup *setup)
{
	struct sandbox_limits limits = {.memory = setup->memory, .file_size = PARSER_MAX_ANSWER};
	uint32_t layers = 0;
	int r = file_pages_start();
	if (r == 0)
		r = sandbox_enter(&limits, PARSER_CHILD_SOCKET, &layers);
	if (r < 0)
		return r;
	struct parser_reply ready = {.id = PARSER_READY_ID, .size = layers};
	return send(PARSER_CHILD_SOCKET, &ready, sizeof(ready), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int parser_child_run(const struct parser_operations *operations)
{
	struct parser_setup setup;
	int fds[PARSER_MAX_FDS];
	int r = parser_receive(PARSER_CHILD_SOCKET, &setup, sizeof(setup), fds);
	if (r < 0 || setup.magic != PARSER_PROTOCOL_MAGIC)
		return EXIT_FAILURE;
	r = enter_sandbox(&setup);
	mallopt(M_MMAP_THRESHOLD, LARGEST_ON_HEAP);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_ON_HEAP);
	if (r == 0)
		r = serve(operations, setup.request_cpu_ns);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
