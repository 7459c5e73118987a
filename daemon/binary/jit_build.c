/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_build.h. */
#include "binary/jit_build.h"

#include "base/file.h"
#include "binary/jit_output.h"
#include "binary/jitdump.h"
#include "binary/perf_map.h"

#include <errno.h>
#include <sys/stat.h>

static int read_excerpt(int fd, char **ret, size_t *ret_size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > JIT_MAX_EXCERPT)
		return -E2BIG;
	*ret_size = (size_t)st.st_size;
	*ret = malloc(*ret_size + 1);
	return *ret ? read_exactly_at(fd, *ret, *ret_size, 0) : -ENOMEM;
}

int jit_build(int excerpt, const struct jit_source *source, struct text *answer)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_(jit_output_free) struct jit_output output = {.summary.state = source->state};
	size_t size = 0;
	int r = read_excerpt(excerpt, &bytes, &size);
	if (r < 0)
		return r;
	if (source->available < size)
		return -EINVAL;
	if (source->format == JIT_DUMP)
		jitdump_parse((const uint8_t *)bytes, size, source->available, &output);
	else
		perf_map_parse(bytes, size, &output);
	return jit_output_finish(&output, answer);
}
