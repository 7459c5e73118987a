/* SPDX-License-Identifier: Apache-2.0 */
/* See debug_lookup.h. */
#include "profile/debug_lookup.h"

#include "base/foreign_file.h"

#include <errno.h>
#include <string.h>

/* The thread's, with copies of all it reads. */
struct task {
	struct debug_lookup lookup;
	struct binary_facts facts;
	char *proc_path, *path, *supplementary_path;
	uint8_t id[BUILD_ID_MAX];
	size_t id_size;
};

/* Apart from the task, which stays with a thread that hangs. */
struct waiter {
	debug_lookup_callback callback;
	void *userdata;
};

static void task_free(void *argument)
{
	struct task *task = argument;
	close_foreign(task->lookup.file);
	free(task->proc_path);
	free(task->path);
	free(task->supplementary_path);
	free(task);
}

static void look_up(void *argument)
{
	struct task *task = argument;
	struct debug_search *search = &task->lookup.search;
	int file = task->supplementary_path
			   ? debug_search_supplementary(search, task->id, task->id_size,
							task->supplementary_path)
			   : debug_search_next(search);
	task->lookup.file = file < 0 ? -1 : file;
}

static void on_looked_up(void *userdata, int error, void *argument)
{
	struct waiter *waiter = userdata;
	struct task *task = argument;
	waiter->callback(waiter->userdata, task ? &task->lookup : NULL);
	free(waiter);
}

/* Returns false when out of memory. */
static bool copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return !text || *ret;
}

static struct task *task_new(const struct debug_lookup_request *request)
{
	struct task *task = calloc(1, sizeof(*task));
	if (!task)
		return NULL;
	struct debug_search *search = &task->lookup.search;
	task->lookup.file = -1;
	task->facts = *request->search->facts;
	task->id_size = MIN_OF(request->supplementary_id_size, sizeof(task->id));
	if (task->id_size)
		memcpy(task->id, request->supplementary_id, task->id_size);
	*search = *request->search;
	if (!copy_text(request->search->proc_path, &task->proc_path) ||
	    !copy_text(request->search->path, &task->path) ||
	    !copy_text(request->supplementary_path, &task->supplementary_path)) {
		task_free(task);
		return NULL;
	}
	search->proc_path = task->proc_path;
	search->path = task->path;
	search->facts = &task->facts;
	return task;
}

int debug_lookup_start(struct offload *offload, const struct debug_lookup_request *request)
{
	struct waiter *waiter = malloc(sizeof(*waiter));
	struct task *task = task_new(request);
	int r = -ENOMEM;
	if (waiter && task) {
		*waiter = (struct waiter){request->callback, request->userdata};
		r = offload_submit(offload, &(struct offload_work){.key = request->key,
								   .run = look_up,
								   .done = on_looked_up,
								   .release = task_free,
								   .argument = task,
								   .userdata = waiter});
	}
	if (r < 0) {
		free(waiter);
		if (task)
			task_free(task);
	}
	return r;
}
