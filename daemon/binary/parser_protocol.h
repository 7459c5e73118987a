/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon and its parser child say to each other over a SOCK_SEQPACKET socket: one struct a
 * message, in the layout of this machine, because both ends are the same executable.
 *
 * The daemon makes the memfd the child writes its answer to and sends it along with the files. So
 * nothing but numbers comes back: the daemon receives no descriptor from a process it does not
 * trust, and the child needs no right to make one. Sealing against write succeeds only when
 * nobody has the memfd mapped writable any more, so sealed bytes that were checked stay as they are.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"
#include "binary/jit_layout.h"

#include <sys/types.h>

#define PARSER_CHILD_SOCKET 3
#define PARSER_PROTOCOL_MAGIC 0x504c4f42 /* "BOLP" */
#define PARSER_MAX_ANSWER (512ULL << 20) /* bytes of one artifact */
#define PARSER_MAX_ADDRESSES (1U << 20)	 /* of one question about lines */
#define PARSER_MAX_FDS 4

/* First message to the child. */
struct parser_setup {
	uint32_t magic;
	uint32_t padding;
	uint64_t memory;	 /* bytes */
	uint64_t request_cpu_ns; /* CPU time for one question */
};

enum parser_question_flag {
	PARSER_SECOND_FILE = 1 << 0,
	PARSER_WITH_INLINES = 1 << 1,
};

/* Carries, in this order, the answer's memfd, the file, the second file if flagged, and for
 * ARTIFACT_LINES a memfd with `address_count` addresses. */
struct parser_question {
	uint64_t id; /* never 0 */
	uint32_t kind; /* enum artifact_kind */
	uint32_t flags;
	uint64_t address_count;
	struct jit_source jit; /* of ARTIFACT_JIT, whose file is the excerpt */
};

#define PARSER_READY_ID 0

/* From the child. With PARSER_READY_ID it says that the confinement stands; `size` is then its
 * sandbox layers. */
struct parser_reply {
	uint64_t id;
	int32_t error; /* 0, -EBADMSG, -ENODATA or -E2BIG */
	uint32_t padding;
	uint64_t size; /* bytes of the answer, 0 with an error */
};

/* Sends one message with up to PARSER_MAX_FDS descriptors, without blocking. Returns 0 or -errno. */
int parser_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count);

/* Blocks for one message of exactly `size` bytes. Returns the number of descriptors that came with
 * it (the caller's), -ENODATA when the peer is gone, -EPROTO when it is not such a message, or
 * -errno. */
int parser_receive(int socket, void *message, size_t size, int fds[static PARSER_MAX_FDS]);

/* Is this a reply a child may send? Returns 0 or -EPROTO. */
int parser_reply_check(const void *bytes, size_t size, struct parser_reply *ret);

/* A new memfd that can be sealed. Returns a descriptor or -errno. */
int parser_make_memfd(void);

/* Seals the answer's memfd, maps and checks it. Returns 0 (the caller unmaps with
 * parser_unmap_answer()) or -EPROTO. */
int parser_map_answer(int memfd, uint64_t size, enum artifact_kind kind, struct artifact *ret);
void parser_unmap_answer(const struct artifact *artifact);
