/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_names.h. */
#include "profile/kernel_names.h"

#include "base/clock.h"
#include "base/log.h"
#include "binary/stored_symbols.h"

#include <errno.h>
#include <string.h>

#define KERNEL_RELOAD_NS (60 * NS_PER_SECOND)

static void warn_no_names(int error)
{
	log_warning("kernel functions have no names: /proc/kallsyms: %s%s", strerror(-error),
		    error == -EACCES ? " (sysctl -w kernel.kptr_restrict=1, or run with CAP_SYSLOG)"
				     : "");
}

static void take_symbols(struct kernel_names *names, bool from_cache)
{
	static const struct kernel_files files = KERNEL_FILES_DEFAULT;
	struct kernel_symbols loaded;
	int r = from_cache ? kernel_symbols_get(names->cache, &files, &loaded)
			   : kernel_symbols_load(files.kallsyms, &loaded);
	if (r < 0 && !names->loaded_ns)
		warn_no_names(r);
	names->loaded_ns = monotonic_ns();
	if (r < 0)
		return;
	known_names_clear(&names->known);
	kernel_symbols_free(&names->symbols);
	names->symbols = loaded;
}

void kernel_names_prepare(struct kernel_names *names)
{
	if (!names->loaded_ns)
		take_symbols(names, true);
}

bool kernel_names_find(struct kernel_names *names, uint64_t address, const char **ret_name, const char **ret_module)
{
	uint64_t start;
	if (known_names_get(&names->known, address, ret_name, ret_module))
		return true;
	kernel_names_prepare(names);
	bool certain = kernel_symbols_are_certain(&names->symbols, address);
	if (!certain) {
		*ret_module = "bpf";
		if (bpf_symbols_find(&names->bpf, address, ret_name))
			return true;
		take_symbols(names, false);
	}
	if (kernel_symbols_find(&names->symbols, address, ret_name, ret_module, &start)) {
		if (names->come_again && certain && names->symbols.stored)
			known_names_put(&names->known, address, *ret_name, *ret_module);
		return true;
	}
	if (monotonic_ns() - names->loaded_ns < KERNEL_RELOAD_NS)
		return false;
	take_symbols(names, false);
	return kernel_symbols_find(&names->symbols, address, ret_name, ret_module, &start);
}

bool kernel_names_replace_damaged(struct kernel_names *names)
{
	if (!names->symbols.stored || stored_symbols_are_whole(names->symbols.stored))
		return false;
	take_symbols(names, false);
	return true;
}

size_t kernel_names_bytes(const struct kernel_names *names)
{
	return known_names_bytes(&names->known);
}

void kernel_names_free(struct kernel_names *names)
{
	known_names_clear(&names->known);
	kernel_symbols_free(&names->symbols);
	bpf_symbols_free(&names->bpf);
}
