/* SPDX-License-Identifier: Apache-2.0 */
#include "base/library.h"

#include "base/log.h"

#include <dlfcn.h>

bool library_load(const char *file, const char *const names[], size_t count, void *ret_functions[],
		  const char *without, const char *remedy)
{
	void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	bool complete = handle;
	for (size_t i = 0; complete && i < count; i++) {
		ret_functions[i] = dlsym(handle, names[i]);
		complete = ret_functions[i];
	}
	if (!complete)
		log_error("%s: %s (%s)", without, dlerror(), remedy);
	return complete;
}
