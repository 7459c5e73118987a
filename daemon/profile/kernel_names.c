/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_names.h. */
#include "profile/kernel_names.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "binary/artifact_writing.h"
#include "binary/stored_symbols.h"

#include <errno.h>
#include <string.h>

#define WHOLE_INTERVAL_NS (60 * NS_PER_SECOND)
/* The list is printed by the kernel, which does not hang; on a busy host it takes many times its 100 ms. */
#define READ_TIMEOUT_NS (60 * NS_PER_SECOND)
#define MAX_UNKNOWN 256 /* asked for at once; the others the next time */

static const struct kernel_files *files_of(const struct kernel_names *names)
{
	static const struct kernel_files files = KERNEL_FILES_DEFAULT;
	return names->files ? names->files : &files;
}

/* With kernel.kptr_restrict = 2 no right helps; else CAP_SYSLOG does. */
static void warn_no_names(int error)
{
	_cleanup_free_ char *restricted = error == -EACCES ? read_small_file("", "/proc/sys/kernel/kptr_restrict") : NULL;
	const char *help = error != -EACCES			    ? ""
			   : restricted && restricted[0] == '2' ? " (sysctl -w kernel.kptr_restrict=1)"
								    : " (run as root, or with CAP_SYSLOG)";
	log_warning("kernel functions have no names: /proc/kallsyms: %s%s", strerror(-error), help);
}

/* ---- Asking the kernel ----------------------------------------------------------------------- */

static void run_opening(void *argument)
{
	kernel_entry_open(argument);
}

static void run_storing(void *argument)
{
	kernel_entry_store(argument);
}

static void release_entry(void *argument)
{
	kernel_entry_free(argument);
}

/* Returns 0 or -errno. */
static int submit_entry(struct kernel_names *names, const struct offload_work *wanted)
{
	struct offload_work work = *wanted;
	work.timeout_ns = ARTIFACT_WORK_TIMEOUT_NS;
	work.release = release_entry;
	work.userdata = names;
	int r = offload_submit(names->offload, &work);
	if (r < 0)
		kernel_entry_free(work.argument);
	return r;
}

static void use_entry(struct kernel_names *names, struct kernel_entry *entry)
{
	names->symbols = entry->symbols;
	entry->symbols = (struct kernel_symbols){0};
	names->has_symbols = true;
}

/* They are the same, unless others have been read meanwhile or the entry was found damaged. */
static void on_stored(void *userdata, int error, void *argument)
{
	struct kernel_names *names = userdata;
	struct kernel_entry *entry = argument;
	if (error < 0 && names->cache)
		artifact_cache_count_write(names->cache, error);
	if (error < 0 || entry->error < 0) {
		log_debug("kernel symbols are not kept on disk: %s", strerror(error ? -error : -entry->error));
		return;
	}
	if (!names->has_symbols || names->symbols.stored || !names->cache || entry->reading_ns != names->whole_ns)
		return;
	kernel_symbols_free(&names->symbols);
	use_entry(names, entry);
}

/* Afterwards they are read where they lie. */
static void store_symbols(struct kernel_names *names, struct kernel_reading *reading)
{
	struct kernel_entry *entry = kernel_entry_new(names->cache, files_of(names));
	if (!entry)
		return;
	entry->pack = reading->pack;
	reading->pack = (struct text){0};
	entry->reading_ns = names->whole_ns;
	submit_entry(names, &(struct offload_work){.key = ARTIFACT_WRITING_KEY, .run = run_storing,
						   .done = on_stored, .argument = entry});
}

static void take_symbols(struct kernel_names *names, struct kernel_reading *reading)
{
	if (names->has_symbols) {
		known_names_clear(&names->known);
		kernel_symbols_free(&names->symbols);
	}
	names->symbols = reading->symbols;
	names->has_symbols = true;
	reading->symbols = (struct kernel_symbols){0};
	if (reading->pack.length)
		store_symbols(names, reading);
}

/* What the side-band has told since is newer. */
static void take_code(struct kernel_names *names, const struct kernel_reading *reading)
{
	for (size_t i = 0; i < reading->code.functions.count; i++) {
		const struct generated_function *f = &reading->code.functions.items[i];
		bool is_first = !generated_code_covers(names->code, f->start);
		if (!generated_code_knows(names->code, f->start, f->name, reading->start_ns))
			generated_code_add(names->code, f->start, f->size, f->name, is_first ? 0 : reading->start_ns);
	}
}

/* Behind the last function of a module nobody can say whose the code is: the nearest's, if the kernel has just
 * listed them all. */
static void name_by_nearest(struct kernel_names *names, const struct kernel_addresses *addresses)
{
	const char *name, *module;
	uint64_t start;
	for (size_t i = 0; i < addresses->count; i++) {
		uint64_t address = addresses->items[i];
		if (!generated_code_covers(names->code, address) &&
		    kernel_symbols_find(&names->symbols, address, &name, &module, &start))
			known_names_put(&names->known, address, name, module);
	}
}

static void take_reading(struct kernel_names *names, struct kernel_reading *reading)
{
	take_code(names, reading);
	if (names->doubts == names->code->doubts)
		names->last_program = reading->last_program;
	if (!reading->was_whole)
		return;
	names->whole_ns = monotonic_ns();
	if (reading->error < 0) {
		if (!names->has_symbols && !names->is_warned)
			warn_no_names(reading->error);
		names->is_warned = true;
		return;
	}
	take_symbols(names, reading);
	name_by_nearest(names, &reading->addresses);
	name_by_nearest(names, &names->unknown);
	array_free(&names->unknown);
}

static void run(void *argument)
{
	kernel_reading_run(argument);
}

static void go_on(struct kernel_names *names);

static void on_read(void *userdata, int error, void *argument)
{
	struct kernel_names *names = userdata;
	names->is_reading = false;
	if (error == 0) {
		take_reading(names, argument);
	} else {
		names->whole_ns = monotonic_ns();
		log_debug("the kernel's symbols were not read: %s", strerror(-error));
	}
	go_on(names);
}

static void release(void *argument)
{
	kernel_reading_free(argument);
}

/* With what is asked for, all that is unknown. NULL: out of memory. */
static struct kernel_reading *new_reading(struct kernel_names *names)
{
	struct kernel_reading *reading = calloc(1, sizeof(*reading));
	if (!reading)
		return NULL;
	if (names->doubts != names->code->doubts)
		names->last_program = 0;
	names->doubts = names->code->doubts;
	reading->start_ns = monotonic_ns();
	reading->files = *files_of(names);
	reading->last_program = names->last_program;
	reading->may_be_whole = !names->whole_ns || reading->start_ns - names->whole_ns >= WHOLE_INTERVAL_NS;
	reading->whole = reading->may_be_whole && !names->has_symbols;
	reading->packed = names->cache != NULL;
	reading->addresses = names->unknown;
	names->unknown = (struct kernel_addresses){0};
	return reading;
}

/* What the cache has need not be asked for. */
static void forget_listed(struct kernel_names *names)
{
	size_t kept = 0;
	struct kernel_addresses *unknown = &names->unknown;
	for (size_t i = 0; i < unknown->count; i++)
		if (!kernel_symbols_are_certain(&names->symbols, unknown->items[i]))
			unknown->items[kept++] = unknown->items[i];
	unknown->count = kept;
}

static void on_opened(void *userdata, int error, void *argument)
{
	struct kernel_names *names = userdata;
	struct kernel_entry *entry = argument;
	names->is_reading = false;
	if (error == 0 && entry->error == 0) {
		use_entry(names, entry);
		forget_listed(names);
	}
	go_on(names);
}

/* Asks the cache, before the kernel is. */
static bool start_opening(struct kernel_names *names)
{
	struct kernel_entry *entry = kernel_entry_new(names->cache, files_of(names));
	return entry && submit_entry(names, &(struct offload_work){.key = ARTIFACT_READING_KEY, .run = run_opening,
								   .done = on_opened, .argument = entry}) == 0;
}

static void start_reading(struct kernel_names *names)
{
	bool asks_cache = !names->is_reading && !names->is_begun && names->cache;
	names->is_begun = true;
	if (asks_cache && start_opening(names)) {
		names->is_reading = true;
		return;
	}
	struct kernel_reading *reading = names->is_reading ? NULL : new_reading(names);
	if (!reading)
		return;
	struct offload_work work = {.timeout_ns = READ_TIMEOUT_NS,
				    .run = run,
				    .done = on_read,
				    .release = release,
				    .argument = reading,
				    .userdata = names};
	names->is_reading = offload_submit(names->offload, &work) == 0;
	if (!names->is_reading)
		kernel_reading_free(reading);
}

/* Asks for what is unknown, one question after the other. */
static void go_on(struct kernel_names *names)
{
	if (names->unknown.count)
		start_reading(names);
}

static void ask_for(struct kernel_names *names, uint64_t address)
{
	struct kernel_addresses *unknown = &names->unknown;
	for (size_t i = 0; i < unknown->count; i++)
		if (unknown->items[i] == address)
			return;
	if (unknown->count < MAX_UNKNOWN && array_add(unknown, address) == 0)
		go_on(names);
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* The name in the kernel or one of its modules. */
static bool find_listed(struct kernel_names *names, uint64_t address, const char **ret_name, const char **ret_module)
{
	uint64_t start;
	if (known_names_get(&names->known, address, ret_name, ret_module))
		return true;
	if (!names->has_symbols || !kernel_symbols_are_certain(&names->symbols, address) ||
	    !kernel_symbols_find(&names->symbols, address, ret_name, ret_module, &start))
		return false;
	if (names->symbols.stored)
		known_names_put(&names->known, address, *ret_name, *ret_module);
	return true;
}

bool kernel_names_are_awaited(const struct kernel_names *names)
{
	return names->is_reading && !names->has_symbols && !names->is_warned;
}

void kernel_names_prepare(struct kernel_names *names, uint64_t address)
{
	const char *name, *module;
	if (!generated_code_covers(names->code, address) && !find_listed(names, address, &name, &module))
		ask_for(names, address);
}

bool kernel_names_find(struct kernel_names *names, uint64_t address, uint64_t time_ns, const char **ret_name,
		       const char **ret_module)
{
	const struct generated_function *function = generated_code_find(names->code, address, time_ns);
	if (function) {
		*ret_name = function->name;
		*ret_module = generated_code_module(function);
		return true;
	}
	if (find_listed(names, address, ret_name, ret_module))
		return true;
	ask_for(names, address);
	return false;
}

bool kernel_names_replace_damaged(struct kernel_names *names)
{
	if (!names->has_symbols || !names->symbols.stored || stored_symbols_are_whole(names->symbols.stored))
		return false;
	kernel_symbols_free(&names->symbols);
	names->has_symbols = false;
	names->cache = NULL;
	names->whole_ns = 0;
	start_reading(names);
	return true;
}

size_t kernel_names_bytes(const struct kernel_names *names)
{
	return known_names_bytes(&names->known);
}

void kernel_names_free(struct kernel_names *names)
{
	known_names_clear(&names->known);
	if (names->has_symbols)
		kernel_symbols_free(&names->symbols);
	array_free(&names->unknown);
}
