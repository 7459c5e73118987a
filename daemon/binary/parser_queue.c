/* SPDX-License-Identifier: Apache-2.0 */
/* See parser_queue.h. */
#include "binary/parser_queue.h"

#include "base/file.h"
#include "base/foreign_file.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* -- the queue ------------------------------------------------------------------------------ */

void parser_queue_init(struct parser_queue *queue)
{
	for (size_t i = 0; i < PARSER_PRIORITY_COUNT; i++)
		queue->lists[i] = (struct parser_request_list){.last = &queue->lists[i].first};
}

bool parser_queue_is_empty(const struct parser_queue *queue)
{
	for (size_t i = 0; i < PARSER_PRIORITY_COUNT; i++)
		if (queue->lists[i].first)
			return false;
	return true;
}

void parser_queue_add(struct parser_queue *queue, struct parser_request *request)
{
	struct parser_request_list *list = &queue->lists[request->priority];
	request->next = NULL;
	*list->last = request;
	list->last = &request->next;
}

void parser_queue_put_back(struct parser_queue *queue, struct parser_request *request)
{
	struct parser_request_list *list = &queue->lists[request->priority];
	request->next = list->first;
	if (!list->first)
		list->last = &request->next;
	list->first = request;
}

static struct parser_request *list_take(struct parser_request_list *list)
{
	struct parser_request *request = list->first;
	if (!request)
		return NULL;
	list->first = request->next;
	if (!list->first)
		list->last = &list->first;
	return request;
}

struct parser_request *parser_queue_take(struct parser_queue *queue)
{
	struct parser_request *request = NULL;
	for (size_t i = 0; i < PARSER_PRIORITY_COUNT && !request; i++)
		request = list_take(&queue->lists[i]);
	return request;
}

void parser_queue_hasten(struct parser_queue *queue, const void *userdata)
{
	for (size_t i = PARSER_SOON + 1; i < PARSER_PRIORITY_COUNT; i++) {
		struct parser_request_list all = queue->lists[i];
		struct parser_request *request;
		queue->lists[i] = (struct parser_request_list){.last = &queue->lists[i].first};
		while ((request = list_take(&all))) {
			if (request->userdata == userdata)
				request->priority = PARSER_SOON;
			parser_queue_add(queue, request);
		}
	}
}

/* -- a request ------------------------------------------------------------------------------ */

static int take_file(int fd, int *ret_fd, struct stat *ret_before)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || stat_cached(fd, ret_before) < 0)
		return -errno;
	if ((flags & (O_ACCMODE | O_PATH)) != O_RDONLY || !S_ISREG(ret_before->st_mode))
		return -EINVAL;
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -errno : 0;
}

int parser_request_new(const struct parser_request *wanted, int file, int second_file,
		       struct parser_request **ret)
{
	struct parser_request *request = malloc(sizeof(*request));
	if (!request) {
		free(wanted->addresses);
		return -ENOMEM;
	}
	*request = *wanted;
	request->file = request->second_file = request->answer = -1;
	int r = take_file(file, &request->file, &request->before);
	if (r == 0 && second_file >= 0)
		r = take_file(second_file, &request->second_file, &request->second_before);
	if (r < 0) {
		parser_request_free(request);
		return r;
	}
	*ret = request;
	return 0;
}

void parser_request_free(struct parser_request *request)
{
	close_foreign(request->file);
	close_foreign(request->second_file);
	close_fd(request->answer);
	free(request->addresses);
	free(request);
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* A file that is deleted or replaced meanwhile gets another ctime, and keeps its contents. */
static bool file_changed(int fd, const struct stat *before)
{
	struct stat now;
	return fd >= 0 && (stat_cached(fd, &now) < 0 || now.st_size != before->st_size ||
			   !same_time(now.st_mtim, before->st_mtim) ||
			   (!same_time(now.st_ctim, before->st_ctim) &&
			    now.st_nlink == before->st_nlink));
}

bool parser_request_is_stale(const struct parser_request *request)
{
	return file_changed(request->file, &request->before) ||
	       file_changed(request->second_file, &request->second_before);
}

/* -- the question --------------------------------------------------------------------------- */

static int make_address_memfd(const struct parser_request *request)
{
	int fd = parser_make_memfd();
	if (fd < 0)
		return fd;
	int r = write_all(fd, request->addresses, request->address_count * sizeof(uint64_t));
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	return fd;
}

int parser_request_send(struct parser_request *request, int socket)
{
	_cleanup_fd_ int addresses = -1;
	struct parser_question question = {
		.id = request->id,
		.kind = request->kind,
		.address_count = request->address_count,
		.jit = request->jit,
	};
	int fds[PARSER_MAX_FDS];
	size_t count = 0;
	request->answer = parser_make_memfd();
	if (request->answer < 0)
		return request->answer;
	fds[count++] = request->answer;
	fds[count++] = request->file;
	if (request->second_file >= 0) {
		question.flags |= PARSER_SECOND_FILE;
		fds[count++] = request->second_file;
	}
	if (request->kind == ARTIFACT_LINES) {
		question.flags |= request->with_inlines ? PARSER_WITH_INLINES : 0;
		addresses = make_address_memfd(request);
		if (addresses < 0)
			return addresses;
		fds[count++] = addresses;
	}
	return parser_send(socket, &question, sizeof(question), fds, count);
}
