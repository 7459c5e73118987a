/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroups of a selection: paths that a user gave, and the groups that have them now. A path outlives its
 * group: a service that is started again, or a container, gets a new group of the same path, which is
 * another for the kernel. So paths are looked up again when a group of that name is made, and from time
 * to time, since of a v1 hierarchy nothing is told.
 */
#pragma once

#include "base/hash.h"
#include "collect/failure.h"
#include "collect/programs.h"
#include "collect/selection.h"

/* Fills in `ret->cgroups`, whose directories the caller frees. A group that is not there is an error, or, where
 * the selection says that it may come, has id 0, which no task is in. Returns 0 or -errno with *failure. */
int selected_cgroups_resolve(const struct selection *selection, struct programs_selection *ret,
			     struct collect_failure *failure);
void selected_cgroups_free(struct programs_selection *selection);

/* The processes that are in the groups and those below them now, as keys of *ret, which is emptied first.
 * Groups that are not there have none. Returns 0 or -errno: some may be missing. */
int selected_cgroups_read_pids(const struct selection *selection, struct hash *ret);

/* May a new group of this path be one of the selection's? By its name alone: a hierarchy may be mounted
 * anywhere. */
bool selected_cgroups_may_have(const struct selection *selection, const char *path);

/* Says of each path whose group is another than before that it came or went. `before` has an id for each
 * path, and gets the new ones. Returns whether there was a change. */
bool selected_cgroups_note_changes(const struct selection *selection,
				   const struct programs_selection *now,
				   uint64_t before[static MAX_SELECTED_CGROUPS]);
