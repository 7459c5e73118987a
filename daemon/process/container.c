/* SPDX-License-Identifier: Apache-2.0 */
/* See container.h. The path is walked from its end, one component at a time. */
#include "process/container.h"

#include <string.h>

#define ID_LENGTH 64	    /* hex digits of a container id */
#define ECS_TASK_LENGTH 32  /* hex digits before the dash of an ECS container */
#define POD_UID_LENGTH 36   /* 8-4-4-4-12 */
#define STATIC_POD_LENGTH 32 /* hex digits of a pod that the kubelet read from a file */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t hex_prefix(struct slice s)
{
	size_t n = 0;
	while (n < s.length && is_hex(s.bytes[n]))
		n++;
	return n;
}

static struct slice slice_from(struct slice s, size_t offset)
{
	return (struct slice){s.bytes + offset, s.length - offset};
}

static bool starts_with(struct slice s, const char *prefix)
{
	size_t length = strlen(prefix);
	return s.length >= length && !memcmp(s.bytes, prefix, length);
}

static struct slice without_suffix(struct slice s, const char *suffix)
{
	if (slice_ends_with(s, suffix))
		s.length -= strlen(suffix);
	return s;
}

/* Cuts the last component off `path`. Returns false when none is left. */
static bool take_last(struct slice *path, struct slice *ret)
{
	while (path->length > 0 && path->bytes[path->length - 1] == '/')
		path->length--;
	if (path->length == 0)
		return false;
	const char *slash = memrchr(path->bytes, '/', path->length);
	size_t start = slash ? (size_t)(slash - path->bytes) + 1 : 0;
	*ret = slice_from(*path, start);
	path->length = start;
	return true;
}

static struct slice parent_of(struct slice path)
{
	struct slice last = {0};
	take_last(&path, &last);
	return last;
}

/* 32 hex digits, a dash, a decimal number: a container of an ECS task. */
static bool is_ecs_id(struct slice s)
{
	if (hex_prefix(s) != ECS_TASK_LENGTH || s.length < ECS_TASK_LENGTH + 2 ||
	    s.bytes[ECS_TASK_LENGTH] != '-')
		return false;
	for (size_t i = ECS_TASK_LENGTH + 1; i < s.length; i++)
		if (!is_digit(s.bytes[i]))
			return false;
	return true;
}

/* An id that stands behind an engine's prefix. The monitor that watches a container (conmon) is not
 * in it, and libpod_pod_ names the pod. */
static struct slice id_after_prefix(struct slice name)
{
	const struct slice none = {0};
	if (name.length <= ID_LENGTH)
		return none;
	struct slice prefix = {name.bytes, name.length - ID_LENGTH};
	struct slice id = slice_from(name, prefix.length);
	char separator = prefix.bytes[prefix.length - 1];
	if (hex_prefix(id) != ID_LENGTH || (separator != '-' && separator != ':'))
		return none;
	return slice_ends_with(prefix, "conmon-") ? none : id;
}

/* Names that people choose, known by the directory they stand in. */
static struct slice id_by_parent(struct slice parents, struct slice name)
{
	const struct slice none = {0};
	struct slice parent = parent_of(parents);
	if (starts_with(name, "lxc.payload."))
		return slice_from(name, strlen("lxc.payload."));
	if (slice_equals(parent, "lxc") || slice_equals(parent, "lxc.payload") ||
	    slice_equals(parent, "k8s.io"))
		return name;
	if (slice_equals(parent, "buildkit") && slice_ends_with(parents, "/docker/buildkit/"))
		return name;
	return none;
}

/* The engine, by what stands before the id or by the directory; constants, NULL when neither tells. */
static const char *runtime_of(struct slice parents, struct slice component, struct slice id)
{
	static const struct {
		const char *mark, *runtime;
	} prefixes[] = {{"docker-", "docker"},
			{"libpod-", "podman"},
			{"cri-containerd-", "containerd"},
			{":cri-containerd:", "containerd"},
			{"crio-", "cri-o"},
			{"lxc.payload.", "lxc"}},
	  directories[] = {{"docker", "docker"},
			   {"buildkit", "docker"},
			   {"k8s.io", "containerd"},
			   {"lxc", "lxc"},
			   {"lxc.payload", "lxc"}};
	struct slice prefix = {component.bytes, (size_t)(id.bytes - component.bytes)};
	struct slice parent = parent_of(parents);
	for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++)
		if (slice_ends_with(prefix, prefixes[i].mark))
			return prefixes[i].runtime;
	for (size_t i = 0; i < ARRAY_LENGTH(directories); i++)
		if (prefix.length == 0 && slice_equals(parent, directories[i].mark))
			return directories[i].runtime;
	return NULL;
}

/* Fills in what the component says of a container; nothing when it is not one's. */
static void identify_component(struct slice parents, struct slice component,
			       struct container_identity *ret)
{
	struct slice name = without_suffix(component, ".scope");
	if ((name.length == ID_LENGTH && hex_prefix(name) == ID_LENGTH) || is_ecs_id(name))
		ret->id = name;
	else
		ret->id = id_after_prefix(name);
	if (ret->id.length == 0) {
		ret->id = id_by_parent(parents, component);
		ret->id_is_name = ret->id.length > 0;
	}
	if (ret->id.length > 0)
		ret->runtime = runtime_of(parents, component, ret->id);
}

/* "pod<uid>" at the end of a component, where systemd's slices write _ for -. */
static bool component_pod(struct slice component, char pod_uid[POD_UID_LENGTH + 1])
{
	/* containerd without the unified layout: pod….slice:cri-containerd:<id> */
	const char *colon = memchr(component.bytes, ':', component.length);
	if (colon)
		component.length = (size_t)(colon - component.bytes);
	struct slice name = without_suffix(component, ".slice");
	const size_t lengths[] = {POD_UID_LENGTH, STATIC_POD_LENGTH};
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		size_t length = lengths[i];
		if (name.length < length + 3)
			continue;
		struct slice prefix = {name.bytes, name.length - length};
		struct slice uid = slice_from(name, prefix.length);
		if (!slice_equals(prefix, "pod") && !slice_ends_with(prefix, "-pod"))
			continue;
		bool valid = true;
		for (size_t k = 0; k < length; k++) {
			bool dash = length == POD_UID_LENGTH && (k == 8 || k == 13 || k == 18 || k == 23);
			char c = uid.bytes[k] == '_' ? '-' : uid.bytes[k];
			valid = valid && (dash ? c == '-' : is_hex(c));
			pod_uid[k] = c;
		}
		pod_uid[valid ? length : 0] = '\0';
		if (valid)
			return true;
	}
	return false;
}

static bool is_unit(struct slice parents, struct slice component)
{
	return slice_ends_with(component, ".service") || slice_ends_with(component, ".scope") ||
	       slice_equals(parent_of(parents), "podruntime"); /* Talos has no systemd */
}

void container_identify(struct slice cgroup_path, struct container_identity *ret)
{
	*ret = (struct container_identity){0};
	struct slice rest = cgroup_path, component, unit = {0};
	while (take_last(&rest, &component)) {
		if (ret->id.length == 0)
			identify_component(rest, component, ret);
		if (unit.length == 0 && is_unit(rest, component))
			unit = component;
		if (ret->pod_uid[0] == '\0')
			component_pod(component, ret->pod_uid);
	}
	if (ret->id.length == 0)
		ret->unit = unit;
}

static int hex_value(char c)
{
	return is_digit(c) ? c - '0' : c - 'a' + 10;
}

char *unit_unescape(struct slice unit)
{
	char *text = malloc(unit.length + 1);
	if (!text)
		return NULL;
	size_t to = 0;
	for (size_t from = 0; from < unit.length; to++) {
		const char *c = unit.bytes + from;
		if (unit.length - from >= 4 && c[0] == '\\' && c[1] == 'x' && is_hex(c[2]) &&
		    is_hex(c[3]) && (c[2] != '0' || c[3] != '0')) {
			text[to] = (char)(hex_value(c[2]) << 4 | hex_value(c[3]));
			from += 4;
		} else {
			text[to] = unit.bytes[from++];
		}
	}
	text[to] = '\0';
	return text;
}
