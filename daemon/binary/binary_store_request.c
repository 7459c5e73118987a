/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request, its lists, its end.
 */
#include "binary/binary_store_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/foreign_file.h"

#include <stdlib.h>

void store_list_add(struct store_list *list, struct store_request *request)
{
	request->previous = list->last;
	request->next = NULL;
	if (list->last)
		list->last->next = request;
	else
		list->first = request;
	list->last = request;
}

void store_list_remove(struct store_list *list, struct store_request *request)
{
	if (request->previous)
		request->previous->next = request->next;
	else
		list->first = request->next;
	if (request->next)
		request->next->previous = request->previous;
	else
		list->last = request->previous;
}

void store_request_free(struct store_request *request)
{
	close_foreign(request->file);
	close_foreign(request->debug_file);
	store_entry_free(&request->entry);
	free(request->addresses);
	artifact_writing_free(request->writing);
	free(request);
}

void store_list_free(struct store_list *list)
{
	struct store_request *request;
	while ((request = list->first)) {
		store_list_remove(list, request);
		store_request_free(request);
	}
}

void store_request_answer(struct store_request *request, int error, const struct artifact *artifact)
{
	if (request->durations)
		durations_add(request->durations, monotonic_ns() - request->asked_ns);
	request->store->answering = request;
	request->callback(request->userdata, error, artifact);
	request->store->answering = NULL;
	store_request_free(request);
}
