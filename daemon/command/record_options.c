/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the option table of `record`, the rules between its options, and their translation. */
#include "command/record_options.h"

#include "base/file.h"
#include "base/log.h"
#include "command/executable_link.h"
#include "command/output.h"
#include "format/formats.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct record_options, field)

const struct option_spec record_option_specs[] = {
	OPTIONS_UNDER("What to profile; several kinds must all hold, several of one kind are "
		      "alternatives"),
	OPTION(FLAG, 'a', "all", NULL, AT(all), "every process of the host (default)"),
	SELECTION_OPTIONS(0),
	OPTIONS_UNDER("How"),
	OPTION(TEXT, 'e', "events", "KIND[,KIND]", AT(events),
	       "cpu (time, the default), growth (where memory grows), heap (what\n"
	       "allocates and holds memory); one profile each", .words = "cpu, growth, heap"),
	OPTION(NUMBER, 'F', "frequency", "HZ", AT(frequency),
	       "samples a second and CPU (default 99)", .low = 1, .high = MAX_FREQUENCY),
	OPTION(DURATION, 'd', "duration", "TIME", AT(duration_ns),
	       "stop by itself: 10s, 500ms, 1m30s (default: at Ctrl-C, or when the\n"
	       "processes of --pid have ended)"),
	OPTION(SHARE, 0, "max-cpu", "SHARE", AT(max_cpu_ppm),
	       "what this may cost of the CPU time of all CPUs: 0.5%. The rate goes\n"
	       "down, to 11 Hz and then by chance to nothing, as long as it must"),
	OPTION(SIZE, 0, "max-memory", "SIZE", AT(max_memory),
	       "what this may take of memory while it samples, maps in the kernel\n"
	       "included: 64MiB", .low = MEMORY_BUDGET_LOWEST, .high = 1ULL << 40),
	OPTION(NUMBER, 0, "heap-interval", "BYTES", AT(heap_interval),
	       "heap: bytes between two samples (default 524288)", .low = 1, .high = HEAP_MAX_INTERVAL),
	OPTION(SHARE, 0, "heap-budget", "SHARE", AT(heap_budget_ppm),
	       "heap: what the probes may cost, of each process's own CPU time (default\n"
	       "1%). Where all calls cost more, they are seen in windows; 100%: always"),
	OPTION(NUMBER, 0, "heap-objects", "N", AT(heap_objects),
	       "heap: sampled objects that are followed at once (default 1048576);\n"
	       "when there are more, the interval is raised", .low = 64, .high = 1U << 24),
	OPTION(FLAG, 0, "exact", NULL, AT(exact),
	       "heap: take every allocation, at some microseconds each"),
	OPTION(NUMBER, 0, "heap-processes", "N", AT(heap_processes),
	       "heap: so many processes at most (default 64); others are counted", .low = 1, .high = 4096),
	OPTION(DURATION, 0, "heap-age", "TIME", AT(heap_age_ns),
	       "heap: of a whole host or cgroup, only programs that have run for so\n"
	       "long (default 1s); those that end before are counted"),
	OPTION(NUMBER, 0, "max-frames", "N", AT(max_frames),
	       "user frames of a stack (default 1024)", .low = 1, .high = MAX_USER_FRAMES),
	OPTION(UNFLAG, 0, "no-symbolize", NULL, AT(symbolize),
	       "addresses and build ids, no names: another tool names them"),
	OPTION(YES_NO, 0, "inlines", "yes|no", AT(inlines),
	       "inlined functions as frames of their own (default yes)"),
	OPTION(UNFLAG, 0, "no-labels", NULL, AT(labels), "no process, thread and container labels"),
	OPTION(UNFLAG, 0, "no-cache", NULL, AT(cache),
	       "neither read nor write the cache of binaries"),
	OPTION(FLAG, 0, "ignore-kernel-bugs", NULL, AT(ignore_kernel_bugs),
	       "no safe mode on a kernel that is known to hang"),
	OPTION(FLAG, 0, "safe-mode", NULL, AT(safe_mode),
	       "leave out what is known to hang some kernels, on this one too"),
	OPTIONS_UNDER("Output"),
	OPTION(TEXT_LIST, 'o', "output", "FILE", AT(outputs),
	       "format by extension: .pb.gz (pprof), .otlp, .folded, .html (flame\n"
	       "graph), .speedscope.json, .txt; repeatable; '-' is standard output;\n"
	       "%h host, %p process id, %t start time, %e kind\n"
	       "(default bolometer-%h-%t.pb.gz, with -%e if that is not cpu)"),
	OPTION(TEXT, 0, "format", "NAME", AT(format),
	       "where no extension tells: " FORMAT_WORDS, .words = FORMAT_WORDS),
	OPTION(FLAG, 'q', "quiet", NULL, AT(quiet), "no progress, no summary"),
	OPTION(FLAG, 'v', "verbose", NULL, AT(verbose), "more messages"),
	OPTIONS_END,
};

static bool selects_processes(const struct record_options *options)
{
	return options->pids.list.count || options->comms.list.count ||
	       options->executables.list.count || options->cgroups.list.count;
}

bool record_options_select(const struct record_options *options)
{
	return selects_processes(options) || options->kernel_only || options->user_only;
}

uint32_t record_frequency(const struct record_options *options)
{
	return options->frequency ? (uint32_t)options->frequency : DEFAULT_FREQUENCY;
}

/* The process that a thread belongs to, which is itself for a process; 0 when that cannot be told. */
static uint32_t process_of(uint32_t thread)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%u/status", thread);
	_cleanup_free_ char *status = read_small_file("", path);
	const char *found = status ? strstr(status, "\nTgid:") : NULL;
	return found ? (uint32_t)strtoul(found + strlen("\nTgid:"), NULL, 10) : 0;
}

static int check_processes(const struct command *command, const struct record_options *options)
{
	for (size_t i = 0; i < options->pids.list.count; i++) {
		uint32_t pid = options->pids.list.items[i];
		if (kill((pid_t)pid, 0) < 0 && errno == ESRCH)
			return command_error(command, "--pid: there is no process %u", pid);
		uint32_t process = process_of(pid);
		if (process && process != pid) /* no tick would ever match it */
			return command_error(command,
					     "--pid: %u is a thread of process %u: -p %u takes them all, with --comm NAME "
					     "those of a name",
					     pid, process, process);
	}
	return STATUS_OK;
}

/* A pattern that nothing can match would give an empty profile, and nobody would know why. */
static int check_patterns(const struct command *command, const struct record_options *options)
{
	struct text problem = {0};
	const char *of = NULL;
	for (size_t i = 0; i < options->comms.list.count && !of; i++)
		if (!selection_check_comm(options->comms.list.items[i], &problem))
			of = "comm";
	for (size_t i = 0; i < options->executables.list.count && !of; i++)
		if (!selection_check_executable(options->executables.list.items[i], &problem))
			of = "exe";
	int status = of ? command_usage_error(command, "--%s: %s", of, problem.bytes) : STATUS_OK;
	text_free(&problem);
	return status;
}

/* In a container the name may be a file's own: no error. */
static void warn_of_links(const struct record_options *options)
{
	for (size_t i = 0; i < options->executables.list.count; i++) {
		const char *name = options->executables.list.items[i];
		_cleanup_free_ char *target = strpbrk(name, "*?[") ? NULL : executable_link_target(name);
		if (target)
			log_warning("--exe %s: that is a link to %s, by which its processes are known: --exe %s, or --comm %.15s",
				    name, target, target, text_base_name(name));
	}
}

/* An option that means nothing was meant for something: it is not passed over. */
static int check_heap_options(const struct command *command, const struct record_options *options)
{
	const char *stray = options->exact	      ? "exact"
			    : options->heap_interval  ? "heap-interval"
			    : options->heap_budget_ppm ? "heap-budget"
			    : options->heap_objects    ? "heap-objects"
			    : options->heap_processes  ? "heap-processes"
			    : options->heap_age_ns     ? "heap-age"
						       : NULL;
	if (!(options->kinds & PROFILE_KIND_BIT(PROFILE_KIND_HEAP)))
		return stray ? command_usage_error(command, "--%s needs --events heap", stray) : STATUS_OK;
	if (options->exact && (options->heap_interval || options->heap_budget_ppm))
		return command_usage_error(command, "--exact excludes --heap-interval and --heap-budget");
	return STATUS_OK;
}

/* Profiles of several kinds need names that differ. */
static int check_outputs(const struct command *command, const struct record_options *options)
{
	bool is_one_kind = (options->kinds & (options->kinds - 1)) == 0;
	for (size_t i = 0; i < options->outputs.list.count; i++)
		if (!is_one_kind && !output_tells_kind(options->outputs.list.items[i]))
			return command_usage_error(
				command,
				"--output: '%s': one file a kind of profile: put %%e into the name",
				options->outputs.list.items[i]);
	return STATUS_OK;
}

int record_options_check(const struct command *command, struct record_options *options,
			 char **command_line)
{
	if (profile_kinds_parse(options->events, &options->kinds) < 0)
		return command_usage_error(command, "--events: '%s': known are cpu, growth and heap",
					   options->events);
	if (command_line && !command_line[0])
		return command_usage_error(command, "no command after '--'");
	if (options->all && selects_processes(options))
		return command_usage_error(command,
					   "--all goes with no other selection of processes");
	if (command_line && (options->all || options->pids.list.count))
		return command_usage_error(command,
					   "--%s and a command after '--' exclude each other",
					   options->all ? "all" : "pid");
	if (options->kernel_only && options->user_only)
		return command_usage_error(command,
					   "--kernel-only and --user-only exclude each other");
	if (options->children && !options->pids.list.count && !command_line)
		return command_usage_error(command, "--children needs --pid");
	if (options->frequency && !(options->kinds & PROFILE_KIND_BIT(PROFILE_KIND_CPU)))
		return command_usage_error(command, "--frequency is of CPU samples: it needs --events cpu,%s",
					   options->events);
	int status = check_heap_options(command, options);
	if (status == STATUS_OK)
		status = check_patterns(command, options);
	if (status == STATUS_OK)
		status = check_outputs(command, options);
	if (status == STATUS_OK)
		warn_of_links(options);
	return status == STATUS_OK ? check_processes(command, options) : status;
}

int record_failed(const struct command *command, const struct recording_failure *failure, int error)
{
	command_error(command, "%s", failure->text[0] ? failure->text : strerror(-error));
	int status = command_capture_status(error);
	if (status == STATUS_UNSUPPORTED && !strstr(failure->text, "bolometer doctor"))
		fputs("'bolometer doctor' says what this host lacks.\n", stderr);
	return status;
}

#define COPY_TEXTS(from, to)                                          \
	({                                                            \
		int _result = 0;                                      \
		for (size_t _i = 0; _i < (from)->list.count; _i++) {  \
			char *_copy = strdup((from)->list.items[_i]); \
			if (!_copy || array_add((to), _copy) < 0) {   \
				free(_copy);                          \
				_result = -ENOMEM;                    \
			}                                             \
		}                                                     \
		_result;                                              \
	})

static int fill_selection(const struct record_options *options, uint32_t command_pid,
			  struct selection *ret)
{
	ret->children = options->children || command_pid;
	ret->kernel_only = options->kernel_only;
	ret->user_only = options->user_only;
	for (size_t i = 0; i < options->pids.list.count; i++)
		if (array_add(&ret->pids, options->pids.list.items[i]) < 0)
			return -ENOMEM;
	if (command_pid && array_add(&ret->pids, command_pid) < 0)
		return -ENOMEM;
	if (COPY_TEXTS(&options->comms, &ret->comm_patterns) < 0 ||
	    COPY_TEXTS(&options->executables, &ret->exe_patterns) < 0 ||
	    COPY_TEXTS(&options->cgroups, &ret->cgroup_paths) < 0)
		return -ENOMEM;
	return 0;
}

int record_options_apply(const struct record_options *options, uint32_t command_pid,
			 struct recording_options *ret)
{
	*ret = (struct recording_options)RECORDING_OPTIONS_DEFAULT;
	ret->kinds = options->kinds;
	ret->heap_interval = options->exact ? HEAP_EXACT_INTERVAL : options->heap_interval;
	ret->heap_budget = options->exact ? 1 : (double)options->heap_budget_ppm / 1e6;
	ret->heap_objects = (uint32_t)options->heap_objects;
	ret->frequency = record_frequency(options);
	ret->max_frames = (uint32_t)options->max_frames;
	ret->limits.heap_processes = (uint32_t)options->heap_processes;
	ret->limits.heap_age_ns = options->heap_age_ns ? options->heap_age_ns : HEAP_AGE_NS;
	ret->max_cpu = (double)options->max_cpu_ppm / 1e6;
	ret->max_memory = options->max_memory;
	ret->symbolize = options->symbolize;
	ret->inlines = options->inlines;
	ret->labels = options->labels;
	ret->ignore_kernel_bugs = options->ignore_kernel_bugs;
	ret->safe_mode = options->safe_mode;
	ret->pids_are_unborn = command_pid != 0;
	ret->cache_directory = options->cache ? NULL : "";
	return fill_selection(options, command_pid, &ret->selection);
}

void record_options_free(struct record_options *options)
{
	array_free(&options->pids.list);
	array_free(&options->comms.list);
	array_free(&options->executables.list);
	array_free(&options->cgroups.list);
	array_free(&options->outputs.list);
}
