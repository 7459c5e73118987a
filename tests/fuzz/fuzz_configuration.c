/* SPDX-License-Identifier: Apache-2.0 */
/* A file that the reader takes without a word prints as a file that gives the same settings. */
#include "service/configuration_check.h"
#include "service/configuration_file.h"
#include "service/setting.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Reads and prints; false when something is wrong with the file. */
static bool pass(const char *bytes, size_t size, struct text *out)
{
	_cleanup_configuration_ struct configuration configuration = {0};
	struct configuration_problems problems = {0};
	require(settings_set_defaults(configuration_settings, &configuration) == 0);
	require(configuration_read_text("f", bytes, size, &configuration, &problems) == 0);
	require(configuration_check("f", &configuration, &problems) == 0);
	for (size_t i = 0; i < problems.count; i++)
		require(problems.items[i].source && problems.items[i].message);
	configuration_print(&configuration, out);
	configuration_problems_write(&problems, out);
	bool good = problems.count == 0;
	configuration_problems_free(&problems);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text first = {0}, second = {0};
	if (pass((const char *)data, size, &first)) {
		require(pass(first.bytes, first.length, &second));
		require(first.length == second.length &&
			memcmp(first.bytes, second.bytes, first.length) == 0);
	}
	text_free(&first);
	text_free(&second);
	return 0;
}
