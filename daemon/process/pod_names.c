/* SPDX-License-Identifier: Apache-2.0 */
/* See pod_names.h. Pods and containers share one table: their ids are different texts. */
#include "process/pod_names.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/text.h"
#include "process/host.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define MAX_NAMES 8192	 /* past this the table starts again */
#define MAX_ENTRIES 16384 /* looked at in one directory */
#define READ_INTERVAL (100 * NS_PER_MS)
#define ID_LENGTH 64

/* "ID\0NAMESPACE\0POD\0CONTAINER": the container is missing for a pod. */
struct entry {
	char *texts;
	const char *namespace_name, *pod, *container;
};

struct pod_names {
	char *roots[2]; /* the second may be missing */
	uint64_t read_ns;
	ARRAY(struct entry) entries;
	struct hash by_id; /* hash of the id -> index */
};

static struct slice part(struct slice s, size_t from, size_t to)
{
	return (struct slice){s.bytes + from, to - from};
}

/* Names, ids: what Kubernetes lets them be, and so no separator. */
static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		char c = s.bytes[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			return false;
	}
	return s.length > 0;
}

/* Cuts at the first two "_". */
static bool cut(struct slice s, struct slice ret[3])
{
	const char *first = memchr(s.bytes, '_', s.length);
	size_t one = first ? (size_t)(first - s.bytes) : s.length;
	const char *second = first ? memchr(first + 1, '_', s.length - one - 1) : NULL;
	if (!second)
		return false;
	size_t two = (size_t)(second - s.bytes);
	ret[0] = part(s, 0, one);
	ret[1] = part(s, one + 1, two);
	ret[2] = part(s, two + 1, s.length);
	return is_name(ret[0]) && is_name(ret[1]) && is_name(ret[2]);
}

bool pod_log_directory_parse(struct slice name, struct slice *ret_namespace, struct slice *ret_pod,
			     struct slice *ret_uid)
{
	struct slice parts[3];
	if (!name.length || !cut(name, parts))
		return false;
	*ret_namespace = parts[0];
	*ret_pod = parts[1];
	*ret_uid = parts[2];
	return true;
}

bool container_log_parse(struct slice name, struct slice *ret_pod, struct slice *ret_namespace,
			 struct slice *ret_container, struct slice *ret_id)
{
	struct slice parts[3];
	const size_t tail = 1 + ID_LENGTH + strlen(".log");
	if (!slice_ends_with(name, ".log") || name.length <= tail || !cut(name, parts) ||
	    parts[2].length <= tail)
		return false;
	size_t dash = parts[2].length - tail;
	if (parts[2].bytes[dash] != '-')
		return false;
	*ret_pod = parts[0];
	*ret_namespace = parts[1];
	*ret_container = part(parts[2], 0, dash);
	*ret_id = part(parts[2], dash + 1, dash + 1 + ID_LENGTH);
	return true;
}

int pod_names_new(const char *root, struct pod_names **ret)
{
	struct pod_names *names = calloc(1, sizeof(*names));
	if (!names)
		return -ENOMEM;
	const char *host = root ? "" : host_root();
	names->roots[0] = strdup(root ? root : "");
	names->roots[1] = *host ? strdup(host) : NULL;
	if (!names->roots[0] || (*host && !names->roots[1])) {
		pod_names_free(names);
		return -ENOMEM;
	}
	*ret = names;
	return 0;
}

static void forget_all(struct pod_names *names)
{
	for (size_t i = 0; i < names->entries.count; i++)
		free(names->entries.items[i].texts);
	names->entries.count = 0;
	hash_clear(&names->by_id);
}

struct pod_names *pod_names_free(struct pod_names *names)
{
	if (!names)
		return NULL;
	forget_all(names);
	array_free(&names->entries);
	hash_free(&names->by_id);
	free(names->roots[0]);
	free(names->roots[1]);
	free(names);
	return NULL;
}

static const struct entry *find_entry(const struct pod_names *names, const char *id, size_t length)
{
	const uint64_t *index = length ? hash_get(&names->by_id, hash_bytes(id, length)) : NULL;
	const struct entry *entry = index ? &names->entries.items[*index] : NULL;
	return entry && strlen(entry->texts) == length && !memcmp(entry->texts, id, length) ? entry
											     : NULL;
}

/* `container` is empty for a pod. Out of memory: it stays unknown, and is tried again. */
static void keep(struct pod_names *names, struct slice id, struct slice namespace_name,
		 struct slice pod, struct slice container)
{
	struct text texts = {0};
	if (find_entry(names, id.bytes, id.length) || names->entries.count >= MAX_NAMES)
		return;
	const struct slice parts[] = {id, namespace_name, pod, container};
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++) {
		text_add_bytes(&texts, parts[i].bytes, parts[i].length);
		text_add_char(&texts, '\0');
	}
	struct entry entry = {.texts = text_take(&texts)};
	if (!entry.texts)
		return;
	entry.namespace_name = entry.texts + id.length + 1;
	entry.pod = entry.namespace_name + namespace_name.length + 1;
	entry.container = container.length ? entry.pod + pod.length + 1 : NULL;
	if (array_add(&names->entries, entry) < 0) {
		free(entry.texts);
		return;
	}
	if (hash_put(&names->by_id, hash_bytes(id.bytes, id.length), names->entries.count - 1) < 0)
		free(names->entries.items[--names->entries.count].texts);
}

static void keep_name(struct pod_names *names, struct slice name, bool is_pod)
{
	struct slice pod, namespace_name, container = {0}, id;
	if (is_pod ? pod_log_directory_parse(name, &namespace_name, &pod, &id)
		   : container_log_parse(name, &pod, &namespace_name, &container, &id))
		keep(names, id, namespace_name, pod, container);
}

static void read_directory(struct pod_names *names, const char *root, const char *below, bool is_pod)
{
	_cleanup_free_ char *path = text_format("%s%s", root, below);
	DIR *directory = path ? opendir(path) : NULL;
	const struct dirent *entry;
	if (!directory)
		return; /* no kubelet here */
	for (int i = 0; i < MAX_ENTRIES && (entry = readdir(directory)); i++)
		keep_name(names, (struct slice){entry->d_name, strlen(entry->d_name)}, is_pod);
	closedir(directory);
}

static void read_again(struct pod_names *names, uint64_t now)
{
	if (names->read_ns && now - names->read_ns < READ_INTERVAL)
		return;
	names->read_ns = now;
	if (names->entries.count >= MAX_NAMES)
		forget_all(names);
	for (size_t i = 0; i < ARRAY_LENGTH(names->roots) && names->roots[i]; i++) {
		read_directory(names, names->roots[i], "/var/log/pods", true);
		read_directory(names, names->roots[i], "/var/log/containers", false);
	}
}

bool pod_names_find(struct pod_names *names, const char *container_id, const char *pod_uid,
		    uint64_t now_ns, struct pod_name *ret)
{
	size_t id_length = strlen(container_id), uid_length = strlen(pod_uid);
	const struct entry *entry = find_entry(names, container_id, id_length);
	if (!entry) {
		read_again(names, now_ns);
		entry = find_entry(names, container_id, id_length);
	}
	if (!entry)
		entry = find_entry(names, pod_uid, uid_length);
	if (!entry)
		return false;
	*ret = (struct pod_name){entry->namespace_name, entry->pod, entry->container};
	return true;
}
