/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parser children as the tests of the parser's client want them: an obedient one, which is confined as the real one and
 * does what the file says that it is asked about, and hostile ones, each with one bad habit.
 */
#include "parser_children.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_child.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int build_artifact(struct text *answer, enum artifact_kind kind,
			  enum artifact_section_kind section, const void *bytes, size_t size)
{
	artifact_begin(answer, kind);
	artifact_add_section(answer, section, bytes, size);
	return artifact_finish(answer);
}

/* Takes memory until there is none. */
static int hoard(void)
{
	char *p;
	while ((p = malloc(1 << 20)))
		memset(p, 1, 1 << 20);
	return -ENOMEM;
}

/* Does what the file's first word says. */
static int obedient_unwind(int file, struct text *answer)
{
	char word[16] = {0};
	if (pread(file, word, sizeof(word) - 1, 0) < 0)
		return -errno;
	if (strcmp(word, "crash") == 0)
		abort();
	if (strcmp(word, "spin") == 0)
		for (volatile int forever = 1; forever;)
			;
	if (strcmp(word, "slow") == 0)
		for (uint64_t until = monotonic_ns() + NS_PER_MS; monotonic_ns() < until;)
			;
	if (strcmp(word, "long") == 0)
		for (uint64_t until = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + 200 * NS_PER_MS;
		     clock_ns(CLOCK_PROCESS_CPUTIME_ID) < until;)
			;
	if (strcmp(word, "exit") == 0)
		_exit(0);
	if (strcmp(word, "not") == 0)
		return -EBADMSG;
	if (strcmp(word, "none") == 0)
		return -ENODATA;
	if (strcmp(word, "hoard") == 0)
		return hoard();
	if (strcmp(word, "kind") == 0)
		return build_artifact(answer, ARTIFACT_SYMBOLS, SECTION_SYMBOLS, "x", 1);
	if (strcmp(word, "garbage") == 0) {
		text_add_string(answer, "this is no artifact, whatever the reply says of it");
		return 0;
	}
	if (strcmp(word, "map") == 0) {
		struct stat st;
		fstat(file, &st);
		volatile const char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
						  file, 0);
		char sum = 0;
		for (int i = 0; i < 3000; i++)
			for (off_t at = 0; at < st.st_size; at += 4096)
				sum += bytes[at];
		munmap((void *)bytes, (size_t)st.st_size);
		return build_artifact(answer, ARTIFACT_UNWIND, SECTION_FACTS, &sum, 1);
	}
	return build_artifact(answer, ARTIFACT_UNWIND, SECTION_FACTS, word, strlen(word));
}

static int second_files_word(int file, int debug_file, struct text *answer)
{
	char word[16] = {0};
	if (pread(debug_file >= 0 ? debug_file : file, word, sizeof(word) - 1, 0) < 0)
		return -errno;
	return build_artifact(answer, ARTIFACT_SYMBOLS, SECTION_SYMBOLS, word, strlen(word));
}

static int addresses_back(int dwarf_file, int supplementary_file, const uint64_t *addresses,
			  size_t count, bool with_inlines, struct text *answer)
{
	artifact_begin(answer, ARTIFACT_LINES);
	artifact_add_section(answer, SECTION_LINE_ANSWERS, addresses, count * sizeof(*addresses));
	artifact_add_section(answer, SECTION_LINE_FRAMES, &with_inlines, sizeof(with_inlines));
	return artifact_finish(answer);
}

const struct parser_operations obedient_operations = {
	.unwind = obedient_unwind,
	.symbols = second_files_word,
	.lines = addresses_back,
};

static void reply(uint64_t id, int error, uint64_t size)
{
	struct parser_reply message = {.id = id, .error = error, .size = size};
	send(PARSER_CHILD_SOCKET, &message, sizeof(message), MSG_NOSIGNAL);
}

int play_hostile_child(const char *part)
{
	struct parser_setup setup;
	struct parser_question question;
	int fds[PARSER_MAX_FDS];
	if (strcmp(part, "dies-at-start") == 0)
		return 1;
	parser_receive(PARSER_CHILD_SOCKET, &setup, sizeof(setup), fds);
	if (strcmp(part, "answers-unasked") == 0)
		reply(1, 0, 100);
	if (strcmp(part, "never-ready") != 0)
		reply(PARSER_READY_ID, 0, 0);
	if (strcmp(part, "ready-twice") == 0)
		reply(PARSER_READY_ID, 0, 0);
	while (parser_receive(PARSER_CHILD_SOCKET, &question, sizeof(question), fds) >= 2) {
		struct text good = {0};
		if (build_artifact(&good, question.kind, SECTION_FACTS, "good", 4) < 0)
			return 1;
		write_all(fds[0], good.bytes, good.length);
		if (strcmp(part, "answers-twice") == 0) {
			reply(question.id, 0, good.length);
			reply(question.id, 0, good.length);
		} else if (strcmp(part, "other-id") == 0) {
			reply(question.id + 7, 0, good.length);
		} else if (strcmp(part, "too-small") == 0) {
			reply(question.id, 0, good.length - 1);
		} else if (strcmp(part, "too-large") == 0) {
			reply(question.id, 0, UINT64_MAX);
		} else if (strcmp(part, "empty") == 0) {
			reply(question.id, 0, 0);
		} else if (strcmp(part, "sparse") == 0) {
			ftruncate(fds[0], 400 << 20);
			reply(question.id, 0, 400 << 20);
		} else if (strcmp(part, "keeps-mapping") == 0) {
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
			reply(question.id, 0, good.length);
		} else if (strcmp(part, "seals") == 0) {
			fcntl(fds[0], F_ADD_SEALS, F_SEAL_SEAL);
			reply(question.id, 0, good.length);
		} else if (strcmp(part, "unknown-error") == 0) {
			reply(question.id, 5, 0);
		} else if (strcmp(part, "error-with-size") == 0) {
			reply(question.id, -EBADMSG, 10);
		} else if (strcmp(part, "short") == 0) {
			send(PARSER_CHILD_SOCKET, "x", 1, MSG_NOSIGNAL);
		} else if (strcmp(part, "long") == 0) {
			char bytes[64] = {0};
			send(PARSER_CHILD_SOCKET, bytes, sizeof(bytes), MSG_NOSIGNAL);
		} else if (strcmp(part, "zero-length") == 0) {
			send(PARSER_CHILD_SOCKET, "", 0, MSG_NOSIGNAL);
		} else if (strcmp(part, "sends-files") == 0) {
			struct parser_reply message = {.id = question.id, .size = good.length};
			parser_send(PARSER_CHILD_SOCKET, &message, sizeof(message), fds, 2);
		} else if (strcmp(part, "floods") == 0) {
			for (int i = 0; i < 10000; i++)
				reply(question.id, 0, good.length);
		} else if (strcmp(part, "closes") == 0) {
			close(PARSER_CHILD_SOCKET);
			for (;;)
				pause();
		} else if (strcmp(part, "silent") == 0) {
			for (;;)
				pause();
		}
		text_free(&good);
		close(fds[0]);
		close(fds[1]);
	}
	return 0;
}
