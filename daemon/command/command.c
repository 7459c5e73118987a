/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the list of commands, the dispatch on argv[1], and the help pages. */
#include "command/command.h"

#include "base/nearest_word.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&command_record,
	&command_top,
	&command_report,
	&command_flame,
	&command_diff,
	&command_convert,
	&command_merge,
	&command_doctor,
	&command_daemon,
	&command_check_config,
	&command_status,
	&command_start,
	&command_stop,
	&command_reset,
	&command_dump,
};

#define LARGEST_ON_HEAP (256 << 10)
#define USAGE_HINT "Try 'bolometer %s --help'.\n"

/* What it tells of may be a name in somebody's file. */
static void print_message(const struct command *command, const char *format, va_list arguments)
{
	_cleanup_free_ char *message = NULL;
	struct text line = {0};
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL; /* it is undefined then */
	text_add(&line, "bolometer %s: ", command->name);
	text_add_printable(&line, message ? message : strerror(ENOMEM));
	text_add_char(&line, '\n');
	fputs(line.bytes && !line.failed ? line.bytes : "bolometer: out of memory\n", stderr);
	text_free(&line);
}

void command_tell(const struct command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_message(command, format, arguments);
	va_end(arguments);
}

int command_error(const struct command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_message(command, format, arguments);
	va_end(arguments);
	return STATUS_ERROR;
}

int command_usage_error(const struct command *command, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_message(command, format, arguments);
	va_end(arguments);
	fprintf(stderr, USAGE_HINT, command->name);
	return STATUS_USAGE;
}

int command_capture_status(int r)
{
	switch (r) {
	case 0:
		return STATUS_OK;
	case -EPERM:
	case -EACCES:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return STATUS_UNSUPPORTED;
	default:
		return STATUS_ERROR;
	}
}

int command_print(struct text *text)
{
	int error = text->failed ? ENOMEM : 0;
	if (!error && ((text->bytes && fputs(text->bytes, stdout) < 0) || fflush(stdout) != 0))
		error = errno;
	text_free(text);
	if (!error)
		return STATUS_OK;
	fprintf(stderr, "bolometer: cannot write to standard output: %s\n", strerror(error));
	return STATUS_ERROR;
}

static int print_command_help(const struct command *command)
{
	struct text text = {0};
	text_add(&text, "bolometer %s: %s\n\nUsage: bolometer %s %s\n", command->name,
		 command->summary, command->name, command->arguments);
	if (command->options[0].kind != OPTION_HEADING)
		text_add_string(&text, "\nOptions\n");
	options_describe(command->options, &text);
	if (command->details)
		text_add(&text, "\n%s\n", command->details);
	return command_print(&text);
}

/* Words after "--" are ordinary ones unless the command runs them. */
static int merge_rest(const struct command *command, struct option_words *words)
{
	if (command->takes_rest || !words->rest)
		return 0;
	for (char **word = words->rest; *word; word++)
		if (array_add(&words->list, *word) < 0)
			return -ENOMEM;
	words->rest = NULL;
	return 0;
}

static int check_words(const struct command *command, const struct option_words *words)
{
	if (words->list.count < command->min_words)
		return command_usage_error(command, "missing argument; usage: bolometer %s %s",
					   command->name, command->arguments);
	if (words->list.count <= command->max_words)
		return STATUS_OK;
	const char *extra = words->list.items[command->max_words];
	if (command->takes_rest && extra[strspn(extra, "0123456789")] == '\0')
		return command_usage_error(command, "unexpected argument '%s'; several processes: --pid 12,%s",
					   extra, extra);
	if (command->takes_rest)
		return command_usage_error(
			command,
			"unexpected argument '%s'; to profile a command: bolometer %s -- %s", extra,
			command->name, extra);
	return command_usage_error(command, "unexpected argument '%s'", extra);
}

bool command_parse(const struct command *command, void *target, int argc, char **argv,
		   struct option_words *words, int *ret_status)
{
	struct text error = {0};
	int r = options_parse(command->options, target, argc, argv, words, &error);
	if (r == 0)
		r = merge_rest(command, words);
	if (r == 0)
		*ret_status = check_words(command, words);
	else if (r == OPTIONS_HELP)
		*ret_status = print_command_help(command);
	else if (r == -EINVAL && error.bytes)
		*ret_status = command_usage_error(command, "%s", error.bytes);
	else
		*ret_status = command_error(command, "%s", strerror(-r));
	text_free(&error);
	return r == 0 && *ret_status == STATUS_OK;
}

static int print_help(void)
{
	struct text text = {0};
	text_add_string(&text, "bolometer: where the CPU time of a whole Linux host goes\n\n"
			       "Usage: bolometer COMMAND [options]\n\nCommands\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		text_add(&text, "  %-12s  %s\n", commands[i]->name, commands[i]->summary);
	text_add_string(
		&text,
		"\n'bolometer COMMAND --help' explains a command.\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage, 3 no permission or unsupported "
		"kernel.\n");
	return command_print(&text);
}

static int unknown_command(const char *name)
{
	const char *names[ARRAY_LENGTH(commands)];
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		names[i] = commands[i]->name;
	const char *near = nearest_word(name, names, ARRAY_LENGTH(commands));
	fprintf(stderr, "bolometer: unknown %s '%s'", name[0] == '-' ? "option" : "command", name);
	if (near)
		fprintf(stderr, "; did you mean '%s'?", near);
	fputs("\nTry 'bolometer --help'.\n", stderr);
	return STATUS_USAGE;
}

static bool is_one_of(const char *word, const char *a, const char *b, const char *c)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

const struct command *const *command_list(size_t *ret_count)
{
	*ret_count = ARRAY_LENGTH(commands);
	return commands;
}

/* The C library gives each thread an arena of its own and lets what is freed stay in the heap (its thresholds
 * follow the largest block freed): of a recorder that reads files of megabytes now and then, most would be
 * holes. Large blocks are mapped one by one, and go when they are freed. */
static void keep_heap_small(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, LARGEST_ON_HEAP);
	mallopt(M_TRIM_THRESHOLD, 2 * LARGEST_ON_HEAP);
}

int command_main(int argc, char **argv)
{
	keep_heap_small();
	if (argc < 2) {
		fputs("bolometer: no command given\nTry 'bolometer --help'.\n", stderr);
		return STATUS_USAGE;
	}
	const char *name = argv[1];
	if (is_one_of(name, "--version", "-V", "version")) {
		struct text version = {0};
		text_add(&version, "bolometer %s\n", BOLOMETER_VERSION);
		return command_print(&version);
	}
	if (is_one_of(name, "--help", "-h", "help")) {
		const struct command *command = argc > 2 ? find_command(argv[2]) : NULL;
		if (argc > 2 && !command)
			return unknown_command(argv[2]);
		return command ? print_command_help(command) : print_help();
	}
	const struct command *command = find_command(name);
	return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}
