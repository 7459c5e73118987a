/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts below /proc/PID, which programs have their hands in: names, paths, cgroups. The first byte
 * chooses the text. What a parser returns must lie within what it was given.
 */
#include "process/cgroup_mounts.h"
#include "process/container.h"
#include "process/declared_attributes.h"
#include "process/pod_names.h"
#include "process/proc_text.h"
#include "process/process_cgroup.h"
#include "process/process_origin.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAPS, STAT, STATUS, CGROUP, CONTAINER, MOUNTINFO, ENVIRONMENT, LOG_NAME, MODES };

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void require_within(struct slice part, struct slice whole)
{
	require(part.length == 0 ||
		(part.bytes >= whole.bytes &&
		 part.bytes + part.length <= whole.bytes + whole.length));
}

static void parse_maps(struct slice text)
{
	struct slice rest = text, line;
	while (slice_next_line(&rest, &line)) {
		struct maps_line parsed;
		if (maps_line_parse(line, &parsed) < 0)
			continue;
		require(parsed.start < parsed.end);
		require_within(parsed.path, line);
		char *path = (char *)parsed.path.bytes; /* the copy below is ours to write */
		size_t length = maps_path_unescape(path, parsed.path.length);
		require(length <= parsed.path.length &&
			path_length_without_deleted(path, length) <= length);
	}
}

static void parse_stat(struct slice text)
{
	struct proc_stat stat;
	if (proc_stat_parse(text, &stat) == 0)
		require(strnlen(stat.comm, sizeof(stat.comm)) < sizeof(stat.comm));
}

static void identify(struct slice path)
{
	struct container_identity identity;
	container_identify(path, &identity);
	require_within(identity.id, path);
	require_within(identity.unit, path);
	require(strnlen(identity.pod_uid, sizeof(identity.pod_uid)) < sizeof(identity.pod_uid));
	char *unit = unit_unescape(identity.unit);
	require(!unit || strlen(unit) <= identity.unit.length);
	free(unit);
	char *service = service_of_unit(identity.unit);
	require(!service || strlen(service) <= identity.unit.length);
	free(service);
}

static void parse_cgroup(struct slice text)
{
	struct slice rest = text, line, chosen, unified;
	while (slice_next_line(&rest, &line)) {
		struct cgroup_line parsed;
		if (cgroup_line_parse(line, &parsed) < 0)
			continue;
		require_within(parsed.path, line);
		require_within(parsed.controllers, line);
		controllers_contain(parsed.controllers, "cpu");
	}
	cgroup_choose(text, &chosen, &unified);
	require_within(chosen, text);
	require_within(unified, text);
	identify(chosen);
}

static void parse_mountinfo(struct slice text)
{
	struct cgroup_mounts mounts;
	if (cgroup_mounts_parse(text, &mounts) < 0)
		return;
	for (size_t i = 0; i < mounts.list.count; i++)
		require(strlen(mounts.list.items[i].directory) <= text.length &&
			strlen(mounts.list.items[i].root) <= text.length);
	cgroup_mounts_free(&mounts);
}

static void parse_environment(struct slice text)
{
	struct text declared = {0};
	size_t count = 0;
	declared_attributes_parse(text, &declared);
	require(declared.length <= DECLARED_MAX_BYTES + 1);
	const char *at = declared.bytes, *key, *value;
	for (; declared_attributes_next(&at, &key, &value); count++)
		require(key[0] && value[0]);
	require(count <= DECLARED_MAX_ATTRIBUTES);
	require(!declared.bytes || at == declared.bytes + declared.length - 1);
	text_free(&declared);
}

static void parse_log_names(struct slice text)
{
	struct slice rest = text, name, parts[4];
	while (slice_next_line(&rest, &name)) {
		size_t count = pod_log_directory_parse(name, &parts[0], &parts[1], &parts[2]) ? 3 : 0;
		for (size_t i = 0; i < count; i++)
			require_within(parts[i], name);
		count = container_log_parse(name, &parts[0], &parts[1], &parts[2], &parts[3]) ? 4 : 0;
		for (size_t i = 0; i < count; i++)
			require_within(parts[i], name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	/* No NUL behind it. */
	char *copy = malloc(size - 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	struct slice text = {copy, size - 1};
	struct proc_status status;
	switch (data[0] % MODES) {
	case MAPS:
		parse_maps(text);
		break;
	case STAT:
		parse_stat(text);
		break;
	case STATUS:
		proc_status_parse(text, &status);
		break;
	case CGROUP:
		parse_cgroup(text);
		break;
	case CONTAINER:
		identify(text);
		break;
	case MOUNTINFO:
		parse_mountinfo(text);
		break;
	case ENVIRONMENT:
		parse_environment(text);
		break;
	case LOG_NAME:
		parse_log_names(text);
		break;
	}
	free(copy);
	return 0;
}
