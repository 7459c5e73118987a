/* SPDX-License-Identifier: Apache-2.0 */
/* See process_origin.h. */
#include "process/process_origin.h"

#include "base/text.h"
#include "process/container.h"
#include "process/declared_attributes.h"

#include <stdio.h>
#include <string.h>

#define MAX_VISITED (DECLARED_MAX_ATTRIBUTES + 16)

struct visit {
	origin_callback add;
	void *userdata;
	const char *keys[MAX_VISITED]; /* told so far */
	size_t count;
};

static bool has_key(const struct visit *v, const char *key)
{
	for (size_t i = 0; i < v->count; i++)
		if (!strcmp(v->keys[i], key))
			return true;
	return false;
}

/* The first that says something wins. Keys outlive the visit. */
static void tell(struct visit *v, const char *key, const char *value, bool is_guess)
{
	if (!value || !*value || v->count == MAX_VISITED || has_key(v, key))
		return;
	v->keys[v->count++] = key;
	v->add(v->userdata, &(struct origin_attribute){key, value, is_guess});
}

static void tell_declared(struct visit *v, const char *declared)
{
	const char *key, *value;
	while (declared_attributes_next(&declared, &key, &value))
		tell(v, key, value, false);
}

/* A container of Kubernetes: service.* as the conventions derive them where no annotation speaks. */
static void tell_pod(struct visit *v, const struct pod_name *name)
{
	char instance[512];
	tell(v, "k8s.namespace.name", name->namespace_name, false);
	tell(v, "k8s.pod.name", name->pod, false);
	tell(v, "k8s.container.name", name->container, false);
	tell(v, "service.name", name->container, true);
	tell(v, "service.namespace", name->namespace_name, true);
	if (!name->container)
		return;
	snprintf(instance, sizeof(instance), "%s.%s.%s", name->namespace_name, name->pod,
		 name->container);
	tell(v, "service.instance.id", instance, true);
}

void process_origin_visit(const struct process *process, struct pod_names *names, uint64_t now_ns,
			  origin_callback add, void *userdata)
{
	struct visit v = {.add = add, .userdata = userdata};
	struct container_identity identity = {0};
	struct pod_name pod = {0};
	const char *path = process->cgroup_path, *id = process->container_id;
	if (path)
		container_identify((struct slice){path, strlen(path)}, &identity);
	tell(&v, "container.id", id, false);
	tell(&v, "container.name", identity.id_is_name ? id : NULL, false);
	tell(&v, "container.runtime.name", identity.runtime, false);
	tell(&v, "k8s.pod.uid", identity.pod_uid, false);
	bool in_pod = names && (id || identity.pod_uid[0]) &&
		      pod_names_find(names, id ? id : "", identity.pod_uid, now_ns, &pod);
	tell_declared(&v, process->declared);
	if (in_pod)
		tell_pod(&v, &pod);
	tell(&v, "service.name", identity.id_is_name ? id : NULL, true);
	_cleanup_free_ char *service = service_of_unit(identity.unit);
	tell(&v, "service.name", service, true);
}

/* Cuts "-12" off the end: what makes the scopes of one application different. */
static size_t without_number(const char *name, size_t length)
{
	size_t end = length;
	while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
		end--;
	return end > 1 && end < length && name[end - 1] == '-' ? end - 1 : length;
}

char *service_of_unit(struct slice unit)
{
	static const char app[] = "app-";
	const char *type = slice_ends_with(unit, ".service") ? ".service" : ".scope";
	bool is_app = unit.length > strlen(app) && !memcmp(unit.bytes, app, strlen(app));
	bool is_manager = unit.length > 5 && !memcmp(unit.bytes, "user@", 5);
	/* systemd.io/DESKTOP_ENVIRONMENTS: app[-LAUNCHER]-APPLICATION-RANDOM.scope */
	if (!slice_ends_with(unit, type) || is_manager || (*(type + 2) == 'c' && !is_app))
		return NULL;
	unit.length -= strlen(type);
	if (is_app) {
		unit.bytes += strlen(app);
		unit.length -= strlen(app);
		unit.length = without_number(unit.bytes, unit.length);
	}
	return unit.length ? unit_unescape(unit) : NULL;
}
