/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the strings of a selection; the patterns are matched here, once for each name. */
#include "collect/selection.h"

#include <string.h>

#define LONGEST_COMM 15 /* TASK_COMM_LEN without the NUL */
#define WILDCARDS "*?[\\"

void selection_free(struct selection *selection)
{
	for (size_t i = 0; i < selection->comm_patterns.count; i++)
		free(selection->comm_patterns.items[i]);
	for (size_t i = 0; i < selection->exe_patterns.count; i++)
		free(selection->exe_patterns.items[i]);
	for (size_t i = 0; i < selection->cgroup_paths.count; i++)
		free(selection->cgroup_paths.items[i]);
	array_free(&selection->pids);
	array_free(&selection->comm_patterns);
	array_free(&selection->exe_patterns);
	array_free(&selection->cgroup_paths);
}

bool selection_matches_comm(const struct selection *selection, const char *comm)
{
	for (size_t i = 0; i < selection->comm_patterns.count; i++)
		if (text_matches(selection->comm_patterns.items[i], comm))
			return true;
	return selection->comm_patterns.count == 0;
}

bool selection_matches_executable(const struct selection *selection, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	const char *name = slash ? slash + 1 : path;
	for (size_t i = 0; path && i < selection->exe_patterns.count; i++)
		if (text_matches(selection->exe_patterns.items[i], path) ||
		    text_matches(selection->exe_patterns.items[i], name))
			return true;
	return selection->exe_patterns.count == 0;
}

bool selection_check_comm(const char *pattern, struct text *problem)
{
	if (strpbrk(pattern, WILDCARDS) || strlen(pattern) <= LONGEST_COMM)
		return true;
	text_add(problem, "no thread is called '%s': the kernel keeps %d characters of a name, '%.*s'", pattern,
		 LONGEST_COMM, LONGEST_COMM, pattern);
	return false;
}

bool selection_check_executable(const char *pattern, struct text *problem)
{
	if (strchr("/" WILDCARDS, pattern[0]) || !strchr(pattern, '/'))
		return true;
	text_add(problem, "'%s' is neither a base name nor a path from the root; perhaps '*/%s'", pattern, pattern);
	return false;
}

bool selection_is_whole_host(const struct selection *selection)
{
	return !selection->pids.count && !selection->comm_patterns.count &&
	       !selection->exe_patterns.count && !selection->cgroup_paths.count;
}
