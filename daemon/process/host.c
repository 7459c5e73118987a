/* SPDX-License-Identifier: Apache-2.0 */
/* See host.h. */
#include "process/host.h"

#include "base/file.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE 65536

#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#endif

static char *read_file(const char *root, const char *path)
{
	char *bytes = NULL;
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	if (full)
		read_whole_file(full, MAX_FILE, &bytes, NULL);
	return bytes;
}

static void copy_line(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)strcspn(from, "\n"), from);
}

/* The value of KEY=value, KEY="value" or KEY='value' in os-release(5); "" when it is not there. */
static void copy_release(char *to, size_t size, const char *text, const char *key)
{
	size_t length = strlen(key);
	to[0] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) != 0 || line[length] != '=')
			continue;
		const char *value = line + length + 1;
		bool quoted = *value == '"' || *value == '\'';
		char end[3] = {quoted ? *value : '\n', '\n', '\0'};
		value += quoted;
		snprintf(to, size, "%.*s", (int)strcspn(value, end), value);
		return;
	}
}

const char *host_root(void)
{
	return access("/proc/1/root/proc", F_OK) == 0 ? "/proc/1/root" : "";
}

/* A pod has a host name of its own. Other programs use the variable for other things: only a pod, where
 * the kubelet sets the second one, is asked. */
static void read_node(struct host_facts *facts)
{
	const char *node = getenv("NODE_NAME");
	if (!node || !*node || !getenv("KUBERNETES_SERVICE_HOST"))
		return;
	snprintf(facts->node, sizeof(facts->node), "%s", node);
	snprintf(facts->name, sizeof(facts->name), "%s", node);
}

void host_facts_read(const char *root, struct host_facts *ret)
{
	*ret = (struct host_facts){0};
	if (gethostname(ret->name, sizeof(ret->name) - 1) < 0)
		ret->name[0] = '\0';
	read_node(ret);
	_cleanup_free_ char *id = read_file(root, "/etc/machine-id");
	copy_line(ret->id, sizeof(ret->id), id ? id : "");
	_cleanup_free_ char *release = read_file(root, "/etc/os-release");
	copy_release(ret->os_name, sizeof(ret->os_name), release ? release : "", "NAME");
	copy_release(ret->os_version, sizeof(ret->os_version), release ? release : "",
		     "VERSION_ID");
}

void host_facts_visit(const struct host_facts *facts,
		      void (*add)(void *userdata, const char *key, const char *text),
		      void *userdata)
{
	const struct {
		const char *key, *text;
	} attributes[] = {
		{"k8s.node.name", facts->node},
		{"host.name", facts->name},
		{"host.id", facts->id},
#ifdef HOST_ARCH
		{"host.arch", HOST_ARCH},
#endif
		{"os.type", "linux"},
		{"os.name", facts->os_name},
		{"os.version", facts->os_version},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(attributes); i++)
		if (attributes[i].text[0])
			add(userdata, attributes[i].key, attributes[i].text);
}
