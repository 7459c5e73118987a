/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer check-config`: what the daemon would say of a configuration file, without starting it. */
#include "command/command.h"

#include "service/configuration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct check_options {
	bool json, effective, environment;
	struct option_texts sets;
};

#define AT(field) offsetof(struct check_options, field)

static const struct option_spec specs[] = {
	OPTION(FLAG, 0, "effective", NULL, AT(effective),
	       "print every setting as it would be in force; secrets are left out"),
	OPTION(FLAG, 0, "environment", NULL, AT(environment),
	       "also take the BOLOMETER_* and OTEL_* variables of this environment"),
	OPTION(TEXT_LIST, 0, "set", "KEY=VALUE", AT(sets), "as for 'bolometer daemon'; repeatable"),
	OPTION(FLAG, 0, "json", NULL, AT(json), "what is wrong as one JSON object"),
	OPTIONS_END,
};

static int report(const struct check_options *options, const char *file,
		  const struct configuration *configuration,
		  const struct configuration_problems *problems)
{
	struct text out = {0}, warnings = {0};
	if (!problems->count)
		configuration_warnings(configuration, &warnings);
	if (options->json) {
		configuration_problems_write_json(file, problems, warnings.bytes, &out);
	} else if (problems->count) {
		struct text errors = {0};
		configuration_problems_write(problems, &errors);
		if (errors.bytes)
			fputs(errors.bytes, stderr);
		text_free(&errors);
	} else if (options->effective) {
		configuration_print(configuration, &out);
	} else {
		text_add(&out, "%s: good\n", file);
	}
	char *rest = options->json ? NULL : warnings.bytes;
	for (char *line; rest && (line = strsep(&rest, "\n"));)
		if (*line)
			fprintf(stderr, "warning: %s\n", line);
	text_free(&warnings);
	int status = command_print(&out);
	return problems->count ? STATUS_ERROR : status;
}

static int check(struct check_options *options, const char *file)
{
	_cleanup_configuration_ struct configuration configuration = {0};
	struct configuration_problems problems = {0};
	int status;
	if (array_add(&options->sets.list, NULL) < 0)
		return command_error(&command_check_config, "%s", strerror(ENOMEM));
	struct configuration_sources sources = {
		.path = file,
		.environment = options->environment ? (const char *const *)environ : NULL,
		.sets = options->sets.list.items,
	};
	int r = configuration_load(&sources, &configuration, &problems);
	if (r < 0 && !problems.count)
		status = command_error(&command_check_config, "%s", strerror(-r));
	else
		status = report(options, file, &configuration, &problems);
	configuration_problems_free(&problems);
	return status;
}

static int check_config_run(int argc, char **argv)
{
	struct check_options options = {0};
	struct option_words words = {0};
	int status;
	bool go = command_parse(&command_check_config, &options, argc, argv, &words, &status);
	if (go && options.json && options.effective)
		status = command_usage_error(&command_check_config,
					     "--json and --effective exclude each other");
	else if (go)
		status = check(&options, words.list.items[0]);
	array_free(&options.sets.list);
	option_words_free(&words);
	return status;
}

const struct command command_check_config = {
	.name = "check-config",
	.arguments = "[options] FILE",
	.summary = "say what is wrong with a configuration file, by line and column",
	.details = "Exit status 0: nothing is wrong. Every key: bolometer daemon "
		   "--print-config-reference.",
	.options = specs,
	.min_words = 1,
	.max_words = 1,
	.run = check_config_run,
};
