/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id to path: the cgroup2 file system resolves ids as file handles (open_by_handle_at), which costs
 * two system calls and needs CAP_DAC_READ_SEARCH; without it the tree is walked, at most once a
 * second. Answers are cached, because the directory of a short container is gone by the time
 * its samples are named.
 */
#include "process/cgroup_paths.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "process/cgroup_mounts.h"
#include "process/shared_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define INITIAL_NAMESPACE 0xeffffffbU /* linux/proc_ns.h: PROC_CGROUP_INIT_INO */
#define CGROUP_ROOT_ID 1	 /* kernfs node id of a hierarchy's root */
#define FILEID_KERNFS_TYPE 0xfe	 /* linux/exportfs.h: the handle is the 64-bit node id */
#define MAX_CACHED 16384	 /* past this the cache starts again */
#define MAX_WALKED 100000	 /* directories in one walk */
#define MAX_DEPTH 32		 /* the kernel's own limit is by path length */
#define WALK_INTERVAL (1 * NS_PER_SECOND)

struct cgroup_paths {
	int mount_fd;	  /* of the v2 mount; -1: none */
	char *mount_path; /* as /proc/self/fd shows it */
	bool have_v1;
	bool is_private; /* our cgroup namespace */
	bool handles_denied;
	uint64_t last_walk;
	struct hash by_id; /* shared text */
};

/* The best v2 mount of one mount namespace: the whole hierarchy, else any. */
static int open_unified(const char *proc_path, const char *who, bool *have_v1)
{
	struct cgroup_mounts mounts;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s/mountinfo", proc_path, who);
	if (cgroup_mounts_read(path, &mounts) < 0)
		return -1;
	int best = -1;
	for (size_t i = 0; i < mounts.list.count; i++) {
		const struct cgroup_mount *mount = &mounts.list.items[i];
		*have_v1 = *have_v1 || !mount->unified;
		if (!mount->unified)
			continue;
		snprintf(path, sizeof(path), "%s/%s/root%s", proc_path, who, mount->directory);
		int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct stat st;
		if (fd < 0 || (best >= 0 && (fstat(fd, &st) < 0 || st.st_ino != CGROUP_ROOT_ID))) {
			close_fd(fd);
			continue;
		}
		close_fd(best);
		best = fd;
	}
	cgroup_mounts_free(&mounts);
	return best;
}

static bool is_whole_hierarchy(int fd)
{
	struct stat st;
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == CGROUP_ROOT_ID;
}

/* Where a descriptor points, from the kernel's own /proc. Returns a new string or NULL. */
static char *descriptor_path(int fd)
{
	char link[64], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof(path) - 1);
	return length > 0 ? strndup(path, (size_t)length) : NULL;
}

int cgroup_paths_new(const char *proc_path, struct cgroup_paths **ret)
{
	struct cgroup_paths *paths = calloc(1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	struct stat st;
	paths->is_private =
		stat("/proc/self/ns/cgroup", &st) == 0 && st.st_ino != INITIAL_NAMESPACE;
	paths->mount_fd = open_unified(proc_path, "self", &paths->have_v1);
	if (!is_whole_hierarchy(paths->mount_fd)) {
		int host = open_unified(proc_path, "1", &paths->have_v1);
		if (is_whole_hierarchy(host)) {
			close_fd(paths->mount_fd);
			paths->mount_fd = take_fd(host);
		}
		close_fd(host);
	}
	if (paths->mount_fd >= 0)
		paths->mount_path = descriptor_path(paths->mount_fd);
	*ret = paths;
	return 0;
}

static void forget_all(struct cgroup_paths *paths)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&paths->by_id, &i));)
		shared_text_unreference((char *)(uintptr_t)slot->value);
	hash_clear(&paths->by_id);
}

struct cgroup_paths *cgroup_paths_free(struct cgroup_paths *paths)
{
	if (!paths)
		return NULL;
	forget_all(paths);
	hash_free(&paths->by_id);
	close_fd(paths->mount_fd);
	free(paths->mount_path);
	free(paths);
	return NULL;
}

bool cgroup_paths_have_v1(const struct cgroup_paths *paths)
{
	return paths->have_v1;
}

bool cgroup_paths_are_private(const struct cgroup_paths *paths)
{
	return paths->is_private;
}

void cgroup_paths_remember(struct cgroup_paths *paths, uint64_t id, char *path)
{
	uint64_t *known = hash_get(&paths->by_id, id);
	if (known && !strcmp((char *)(uintptr_t)*known, path))
		return;
	if (!known && paths->by_id.count >= MAX_CACHED)
		forget_all(paths);
	else if (known)
		shared_text_unreference((char *)(uintptr_t)*known);
	shared_text_reference(path);
	if (hash_put(&paths->by_id, id, (uintptr_t)path) < 0)
		shared_text_unreference(path);
}

static void remember_text(struct cgroup_paths *paths, uint64_t id, const char *path, size_t length)
{
	char *shared = length ? shared_text_new(path, length) : shared_text_new("/", 1);
	if (!shared)
		return;
	cgroup_paths_remember(paths, id, shared);
	shared_text_unreference(shared);
}

/* Returns 0 when the cache now has the id, -EPERM when handles may not be opened, or -errno. */
static int find_by_handle(struct cgroup_paths *paths, uint64_t id)
{
	union {
		struct file_handle handle;
		char bytes[sizeof(struct file_handle) + sizeof(id)];
	} node = {.handle = {.handle_bytes = sizeof(id), .handle_type = FILEID_KERNFS_TYPE}};
	memcpy(node.handle.f_handle, &id, sizeof(id));
	_cleanup_fd_ int mount = openat(paths->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return -errno;
	_cleanup_fd_ int fd = open_by_handle_at(mount, &node.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	_cleanup_free_ char *path = descriptor_path(fd);
	size_t prefix = paths->mount_path ? strlen(paths->mount_path) : 0;
	if (!path || strncmp(path, paths->mount_path, prefix) != 0)
		return -ENOENT;
	remember_text(paths, id, path + prefix,
		      path_length_without_deleted(path + prefix, strlen(path + prefix)));
	return 0;
}

struct walk {
	struct cgroup_paths *paths;
	struct text path;
	size_t directories;
};

static void walk_directory(struct walk *walk, int directory_fd, int depth)
{
	DIR *directory = fdopendir(directory_fd); /* owns the descriptor from here */
	if (!directory) {
		close_fd(directory_fd);
		return;
	}
	size_t length = walk->path.length;
	const struct dirent *entry;
	while (walk->directories < MAX_WALKED && (entry = readdir(directory))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		int fd = openat(dirfd(directory), entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		text_add(&walk->path, "/%s", entry->d_name);
		walk->directories++;
		if (!walk->path.failed)
			remember_text(walk->paths, entry->d_ino, walk->path.bytes,
				      walk->path.length);
		if (depth < MAX_DEPTH)
			walk_directory(walk, fd, depth + 1);
		else
			close_fd(fd);
		walk->path.length = length;
	}
	closedir(directory);
}

static void walk_hierarchy(struct cgroup_paths *paths)
{
	uint64_t now = monotonic_ns();
	if (paths->last_walk && now - paths->last_walk < WALK_INTERVAL)
		return;
	paths->last_walk = now;
	struct walk walk = {.paths = paths};
	int root = openat(paths->mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	if (root >= 0 && fstat(root, &st) == 0)
		remember_text(paths, st.st_ino, "/", 1);
	if (root >= 0)
		walk_directory(&walk, root, 0);
	text_free(&walk.path);
}

/* ESTALE: the cgroup is gone. The others pass. */
static bool says_handles_do_not_work(int error)
{
	return error < 0 && error != -ESTALE && error != -EMFILE && error != -ENFILE && error != -ENOMEM;
}

char *cgroup_paths_find(struct cgroup_paths *paths, uint64_t id)
{
	uint64_t *known = hash_get(&paths->by_id, id);
	if (!known && id != 0 && paths->mount_fd >= 0) {
		int r = paths->handles_denied ? -EPERM : find_by_handle(paths, id);
		if (says_handles_do_not_work(r)) {
			paths->handles_denied = true;
			walk_hierarchy(paths);
		}
		known = hash_get(&paths->by_id, id);
	}
	return known ? (char *)(uintptr_t)*known : NULL;
}
