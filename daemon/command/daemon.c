/* SPDX-License-Identifier: Apache-2.0 */
/* `bolometer daemon`: options and exit statuses; what the daemon does is in service/daemon.c. */
#include "command/command.h"

#include "service/daemon.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct daemon_options {
	const char *path;
	struct option_texts sets;
	bool print_reference;
};

#define AT(field) offsetof(struct daemon_options, field)

static const struct option_spec specs[] = {
	OPTION(TEXT, 'c', "config", "FILE", AT(path), "the configuration; without, all defaults"),
	OPTION(TEXT_LIST, 0, "set", "KEY=VALUE", AT(sets),
	       "a setting that comes before environment and file; repeatable"),
	OPTION(FLAG, 0, "print-config-reference", NULL, AT(print_reference),
	       "print a configuration file with every key, what it takes and its\ndefault"),
	OPTIONS_END,
};

static int run(const struct daemon_options *options, const char *const *sets)
{
	struct configuration_sources sources = {
		.path = options->path,
		.environment = (const char *const *)environ,
		.sets = sets,
	};
	struct daemon *daemon;
	int r = daemon_new(&sources, &daemon);
	if (r < 0)
		return command_capture_status(r);
	r = daemon_run(daemon);
	daemon_free(daemon);
	return command_capture_status(r);
}

static int print_reference(void)
{
	struct text text = {0};
	configuration_print_reference(&text);
	return command_print(&text);
}

static int daemon_command_run(int argc, char **argv)
{
	struct daemon_options options = {0};
	struct option_words words = {0};
	int status;
	bool go = command_parse(&command_daemon, &options, argc, argv, &words, &status);
	const char *word = words.list.count ? words.list.items[0] : NULL;
	option_words_free(&words);
	if (go && word)
		status = command_usage_error(&command_daemon, "unexpected argument '%s'; a configuration is named by --config %s",
					     word, word);
	else if (go && options.print_reference)
		status = print_reference();
	else if (go && array_add(&options.sets.list, NULL) < 0)
		status = command_error(&command_daemon, "%s", strerror(ENOMEM));
	else if (go)
		status = run(&options, options.sets.list.items);
	array_free(&options.sets.list);
	return status;
}

const struct command command_daemon = {
	.name = "daemon",
	.arguments = "[options]",
	.summary = "profile this host all the time and export the profiles",
	.details = "SIGHUP reads the configuration again, SIGTERM sends what is left and ends,\n"
		   "SIGUSR2 detaches everything from the kernel until `bolometer start` or SIGHUP.",
	.options = specs,
	.max_words = 1, /* which is refused with what was probably meant */
	.run = daemon_command_run,
};
