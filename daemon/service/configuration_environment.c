/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the names of variables for keys, and the KEY=VALUE of --set. */
#include "service/configuration_environment.h"

#include "base/nearest_word.h"
#include "service/setting.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "BOLOMETER_"
#define MAX_NAME 96
#define MAX_KEYS 96

const char *environment_get(const char *const *environment, const char *name)
{
	size_t length = strlen(name);
	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return (*environment)[length + 1] ? *environment + length + 1 : NULL;
	return NULL;
}

static void variable_name(const struct setting *setting, char name[MAX_NAME])
{
	size_t length = (size_t)snprintf(name, MAX_NAME, PREFIX "%s", setting->key);
	for (size_t i = strlen(PREFIX); i < length; i++)
		name[i] = setting->key[i - strlen(PREFIX)] == '.' ? '_' : (char)toupper(name[i]);
}

static int apply(const struct setting *setting, const char *source, const char *value,
		 struct configuration *configuration, struct configuration_problems *problems)
{
	struct text problem = {0};
	struct setting_origin origin = {.source = source};
	int r = setting_parse(setting, configuration, value, &problem);
	problem_note_place(problems, &origin, setting->key);
	if (r == -EINVAL) {
		problem_add(problems, &origin, setting->key, "%s",
			    problem.bytes ? problem.bytes : "wrong value");
		r = 0;
	}
	text_free(&problem);
	return r;
}

/* Kubernetes sets variables for each service of the namespace: BOLOMETER_SERVICE_HOST, BOLOMETER_PORT,
 * BOLOMETER_PORT_4040_TCP_ADDR; with more words before for services of longer names. */
static bool is_of_kubernetes(const char *name)
{
	size_t length = strlen(name);
	return strstr(name, "_SERVICE_HOST") || strstr(name, "_SERVICE_PORT") ||
	       strstr(name, "_PORT_") || (length > 5 && strcmp(name + length - 5, "_PORT") == 0);
}

/* A slip in the name of a variable would otherwise leave a setting at its default without a word. */
static void find_unknown(const char *const *environment, const char names[][MAX_NAME],
			 size_t count, struct configuration_problems *problems)
{
	const char *candidates[MAX_KEYS];
	for (size_t i = 0; i < count; i++)
		candidates[i] = names[i];
	for (; environment && *environment; environment++) {
		char name[MAX_NAME], source[MAX_NAME + 32];
		if (strncmp(*environment, PREFIX, strlen(PREFIX)) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*environment, "="), *environment);
		bool known = is_of_kubernetes(name);
		for (size_t i = 0; i < count && !known; i++)
			known = strcmp(names[i], name) == 0;
		if (known)
			continue;
		const char *near = nearest_word(name, candidates, count);
		snprintf(source, sizeof(source), "environment variable %s", name);
		struct setting_origin origin = {.source = source};
		if (near)
			problem_add(problems, &origin, NULL, "no setting has this name; did you mean %s?",
				    near);
		else
			problem_add(problems, &origin, NULL, "no setting has this name");
	}
}

int configuration_read_environment(const char *const *environment,
				   struct configuration *configuration,
				   struct configuration_problems *problems)
{
	char names[MAX_KEYS][MAX_NAME];
	size_t count = 0;
	int r = 0;
	for (const struct setting *setting = configuration_settings;
	     setting->kind && r == 0 && count < MAX_KEYS; setting++) {
		variable_name(setting, names[count]);
		const char *value = environment_get(environment, names[count]);
		char source[MAX_NAME + 32];
		snprintf(source, sizeof(source), "environment variable %.*s", MAX_NAME,
			 names[count]);
		count++;
		if (value)
			r = apply(setting, source, value, configuration, problems);
	}
	find_unknown(environment, names, count, problems);
	return r;
}

static void refuse_unknown_set(const char *key, const char *source,
			       struct configuration_problems *problems)
{
	const char *candidates[MAX_KEYS];
	size_t count = 0;
	struct setting_origin origin = {.source = source};
	for (const struct setting *setting = configuration_settings;
	     setting->kind && count < MAX_KEYS; setting++)
		candidates[count++] = setting->key;
	const char *near = nearest_word(key, candidates, count);
	if (near)
		problem_add(problems, &origin, key, "unknown key; did you mean %s?", near);
	else
		problem_add(problems, &origin, key, "unknown key");
}

int configuration_read_sets(const char *const *sets, struct configuration *configuration,
			    struct configuration_problems *problems)
{
	int r = 0;
	for (; sets && *sets && r == 0; sets++) {
		char key[MAX_NAME], source[MAX_NAME + 32];
		size_t length = strcspn(*sets, "=");
		snprintf(key, sizeof(key), "%.*s", (int)length, *sets);
		snprintf(source, sizeof(source), "--set %s", key);
		struct setting_origin origin = {.source = source};
		const struct setting *setting = setting_find(configuration_settings, key);
		if (!(*sets)[length])
			problem_add(problems, &origin, NULL, "wanted KEY=VALUE");
		else if (!setting)
			refuse_unknown_set(key, source, problems);
		else
			r = apply(setting, source, *sets + length + 1, configuration, problems);
	}
	return r;
}
