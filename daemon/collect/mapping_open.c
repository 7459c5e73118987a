/* SPDX-License-Identifier: Apache-2.0 */
/* See mapping_open.h. */
#include "collect/mapping_open.h"

#include "base/file.h"
#include "base/foreign_file.h"
#include "collect/vdso_file.h"
#include "process/process_open.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

struct opening {
	char *proc_path, *path;
	uint64_t start, end;
	struct mapping_answer answer;
};

/* Apart from the opening, which stays with a thread that hangs. */
struct waiter {
	mapping_callback callback;
	void *userdata;
};

static void opening_free(void *argument)
{
	struct opening *opening = argument;
	close_foreign(opening->answer.file);
	free(opening->proc_path);
	free(opening->path);
	free(opening);
}

static void open_now(void *argument)
{
	struct statfs file_system;
	struct opening *opening = argument;
	struct mapping_answer *answer = &opening->answer;
	answer->file = vdso_is_32_bit(answer->device, answer->inode)
			       ? vdso_open_32()
			       : process_open_mapping(opening->proc_path, answer->pid, opening->start,
						      opening->end, opening->path);
	if (answer->file >= 0 && fstat(answer->file, &answer->st) < 0)
		answer->file = close_fd(answer->file);
	if (answer->file < 0)
		answer->file = -1;
	answer->on_overlay = answer->file >= 0 && fstatfs(answer->file, &file_system) == 0 &&
			     file_system.f_type == OVERLAYFS_SUPER_MAGIC;
}

static void on_opened(void *userdata, int error, void *argument)
{
	struct waiter *waiter = userdata;
	struct opening *opening = argument;
	waiter->callback(waiter->userdata, opening ? &opening->answer : NULL);
	free(waiter);
}

static struct opening *opening_new(const char *proc_path, const struct mapping_question *question)
{
	struct opening *opening = calloc(1, sizeof(*opening));
	if (!opening)
		return NULL;
	opening->answer = (struct mapping_answer){.pid = question->pid,
						  .inode = question->inode,
						  .device = question->device,
						  .file = -1};
	opening->start = question->start;
	opening->end = question->end;
	opening->proc_path = strdup(proc_path);
	opening->path = question->path ? strdup(question->path) : NULL;
	opening->answer.path = opening->path;
	if (opening->proc_path && (opening->path || !question->path))
		return opening;
	opening_free(opening);
	return NULL;
}

int mapping_open(struct offload *offload, const char *proc_path,
		 const struct mapping_question *question, mapping_callback callback,
		 void *userdata)
{
	struct waiter *waiter = malloc(sizeof(*waiter));
	struct opening *opening = opening_new(proc_path, question);
	int r = -ENOMEM;
	if (waiter && opening) {
		*waiter = (struct waiter){callback, userdata};
		r = offload_submit(offload, &(struct offload_work){.key = question->device,
								   .urgent = true,
								   .run = open_now,
								   .done = on_opened,
								   .release = opening_free,
								   .argument = opening,
								   .userdata = waiter});
	}
	if (r < 0) {
		free(waiter);
		if (opening)
			opening_free(opening);
	}
	return r;
}
