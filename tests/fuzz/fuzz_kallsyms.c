/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of kallsyms. Symbol names of modules and BPF programs are chosen by whoever loads them. A symbol
 * that was read must be found at its address.
 */
#include "base/file.h"
#include "binary/kernel_symbols.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct kernel_symbols *symbols)
{
	for (size_t i = 0; i < symbols->symbols.count; i++) {
		const struct kernel_symbol *symbol = &symbols->symbols.items[i];
		const char *name, *module;
		uint64_t start;
		if (i && symbol->address < symbol[-1].address)
			abort();
		if (!kernel_symbols_find(symbols, symbol->address, &name, &module, &start) ||
		    start != symbol->address)
			abort();
		if (strlen(name) + strlen(module) > symbols->names_size)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	struct kernel_symbols symbols;
	_cleanup_fd_ int fd = memfd_create("kallsyms", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || write_all(fd, data, size) < 0 || kernel_symbols_load(path, &symbols) < 0)
		return 0;
	look(&symbols);
	kernel_symbols_free(&symbols);
	return 0;
}
