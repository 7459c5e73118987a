/* SPDX-License-Identifier: Apache-2.0 */
/* From the cgroup a user names to its id; see cgroup_paths.h. */
#include "base/file.h"
#include "base/text.h"
#include "process/cgroup_mounts.h"
#include "process/cgroup_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lower is preferred. Named hierarchies come last: they have no controller that the kernel could
 * test a task by. */
static int mount_rank(const struct cgroup_mount *mount)
{
	static const char *const preferred[] = {"pids", "cpu", "memory"};
	struct slice controllers = {mount->controllers, strlen(mount->controllers)};
	if (mount->unified)
		return 0;
	for (size_t i = 0; i < ARRAY_LENGTH(preferred); i++)
		if (controllers_contain(controllers, preferred[i]))
			return 1 + (int)i;
	return strncmp(mount->controllers, "name=", 5) == 0 ? 100 : 50;
}

static int fill_target(const struct cgroup_mount *mount, const char *directory,
		       struct cgroup_target *ret)
{
	struct stat st;
	if (stat(directory, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	char *copy = strdup(directory);
	if (!copy)
		return -ENOMEM;
	*ret = (struct cgroup_target){
		.unified = mount->unified, .id = st.st_ino, .directory = copy};
	snprintf(ret->controllers, sizeof(ret->controllers), "%s", mount->controllers);
	return 0;
}

/* Is `path` the directory of the mount or below it? */
static bool path_is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);
	return strncmp(path, directory, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

/* An absolute path that lies in a cgroup file system already. The longest mount point wins, and of
 * equal ones the last, which hides the others. */
static int resolve_absolute(const struct cgroup_mounts *mounts, const char *path,
			    struct cgroup_target *ret)
{
	char real[PATH_MAX];
	if (path[0] != '/' || !realpath(path, real))
		return -ENOENT;
	const struct cgroup_mount *found = NULL;
	for (size_t i = 0; i < mounts->list.count; i++) {
		const struct cgroup_mount *mount = &mounts->list.items[i];
		if (path_is_below(real, mount->directory) &&
		    (!found || strlen(mount->directory) >= strlen(found->directory)))
			found = mount;
	}
	return found ? fill_target(found, real, ret) : -ENOENT;
}

/* "a/../../.." would leave the hierarchy. */
static bool has_parent_component(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

static int resolve_below(const struct cgroup_mounts *mounts, const char *path,
			 struct cgroup_target *ret)
{
	int best_rank = INT_MAX, result = -ENOENT;
	if (has_parent_component(path))
		return -EINVAL;
	for (size_t i = 0; i < mounts->list.count; i++) {
		const struct cgroup_mount *mount = &mounts->list.items[i];
		int rank = mount_rank(mount);
		if (rank >= best_rank)
			continue;
		/* Bind mounts show a part of the hierarchy under its own path. */
		const char *below = path + strspn(path, "/");
		_cleanup_free_ char *directory = text_format("%s/%s", mount->directory, below);
		struct cgroup_target target;
		if (!directory)
			return -ENOMEM;
		int r = fill_target(mount, directory, &target);
		if (r < 0)
			continue;
		if (result == 0)
			free(ret->directory);
		*ret = target;
		best_rank = rank;
		result = 0;
	}
	return result;
}

int cgroup_resolve_at(const char *mountinfo_path, const char *path, struct cgroup_target *ret)
{
	struct cgroup_mounts mounts;
	if (path[0] == '\0')
		return -EINVAL;
	int r = cgroup_mounts_read(mountinfo_path, &mounts);
	if (r < 0)
		return r;
	r = resolve_absolute(&mounts, path, ret);
	if (r == -ENOENT)
		r = resolve_below(&mounts, path, ret);
	cgroup_mounts_free(&mounts);
	return r;
}

int cgroup_resolve(const char *path, struct cgroup_target *ret)
{
	return cgroup_resolve_at("/proc/self/mountinfo", path, ret);
}
