/* SPDX-License-Identifier: Apache-2.0 */
/* See executable_link.h. */
#include "command/executable_link.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *look_up(const char *name)
{
	const char *directories = getenv("PATH");
	_cleanup_free_ char *copy = strdup(directories ? directories : "/usr/local/bin:/usr/bin:/bin");
	char *rest = copy;
	for (char *directory; rest && (directory = strsep(&rest, ":"));) {
		_cleanup_free_ char *path = text_format("%s/%s", *directory ? directory : ".", name);
		if (path && access(path, X_OK) == 0)
			return take_pointer(path);
	}
	return NULL;
}

char *executable_link_target(const char *name)
{
	bool is_path = name[0] == '/';
	_cleanup_free_ char *path = is_path ? strdup(name) : look_up(name);
	_cleanup_free_ char *target = path ? realpath(path, NULL) : NULL;
	if (!target || strcmp(is_path ? target : text_base_name(target), name) == 0)
		return NULL;
	return take_pointer(target);
}
