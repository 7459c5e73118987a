/* SPDX-License-Identifier: Apache-2.0 */
/* See parser_protocol.h. Everything here that reads what the child sent is fuzzed. */
#include "binary/parser_protocol.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int parser_send(int socket, const void *message, size_t size, const int *fds, size_t fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(PARSER_MAX_FDS * sizeof(int))];
	} control = {0};
	struct iovec iovec = {.iov_base = (void *)message, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iovec, .msg_iovlen = 1};
	if (fd_count) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static size_t take_descriptors(struct msghdr *msg, int fds[static PARSER_MAX_FDS])
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds + count, CMSG_DATA(c), here * sizeof(int));
		count += here;
	}
	return count;
}

int parser_receive(int socket, void *message, size_t size, int fds[static PARSER_MAX_FDS])
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(PARSER_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iovec = {.iov_base = message, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iovec, .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n;
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENODATA;
	size_t count = take_descriptors(&msg, fds);
	if ((size_t)n == size && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return (int)count;
	while (count)
		close_fd(fds[--count]);
	return -EPROTO;
}

int parser_reply_check(const void *bytes, size_t size, struct parser_reply *ret)
{
	struct parser_reply reply;
	if (size != sizeof(reply))
		return -EPROTO;
	memcpy(&reply, bytes, sizeof(reply));
	switch (reply.error) {
	case 0:
		break;
	case -EBADMSG:
	case -ENODATA:
	case -E2BIG:
		if (reply.size != 0 || reply.id == PARSER_READY_ID)
			return -EPROTO;
		break;
	default:
		return -EPROTO;
	}
	*ret = reply;
	return 0;
}

int parser_make_memfd(void)
{
	int fd = memfd_create("bolometer-parser", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* Is it all there? A hole would become memory only when we read it. */
static bool fully_written(int memfd, uint64_t size)
{
	struct stat st;
	return fstat(memfd, &st) == 0 && (uint64_t)st.st_size == size &&
	       (uint64_t)st.st_blocks * 512 >= size;
}

int parser_map_answer(int memfd, uint64_t size, enum artifact_kind kind, struct artifact *ret)
{
	if (size == 0 || size > PARSER_MAX_ANSWER)
		return -EPROTO;
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -EPROTO;
	if (!fully_written(memfd, size))
		return -EPROTO;
	void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (bytes == MAP_FAILED)
		return -EPROTO;
	if (artifact_check(bytes, size, kind, ret) < 0) {
		munmap(bytes, size);
		return -EPROTO;
	}
	return 0;
}

void parser_unmap_answer(const struct artifact *artifact)
{
	munmap((void *)artifact->bytes, artifact->size);
}
