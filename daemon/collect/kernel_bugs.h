/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels on which sampling can hang the host, each with the commit that mended it. A
 * distribution's kernel may carry the fix under an older number; that is what --ignore-kernel-bugs
 * is for.
 */
#pragma once

#include "base/attributes.h"

#include <stdio.h>
#include <string.h>

struct kernel_version {
	unsigned major, minor, patch;
};

struct kernel_bug {
	struct kernel_version first; /* with the bug */
	struct kernel_version fixed; /* of the same series without it */
};

/*
 * bpf_probe_read_user() in an interrupt takes vmap_area_lock when CONFIG_HARDENED_USERCOPY checks
 * the destination, and the interrupted code may hold it: the CPU, then the host, stops. Brought by
 * 0aef499f3172 ("mm/usercopy: Detect vmalloc overruns"), mended by d319f344561d ("mm: Fix
 * copy_from_user_nofault().") in 6.4 and the stable series below.
 */
static const struct kernel_bug kernel_bugs_user_read[] = {
	{{5, 19, 0}, {6, 1, 36}}, /* 5.19 and 6.0 ended unmended */
	{{6, 2, 0}, {6, 3, 10}},  /* 6.2 ended unmended */
};

static inline int kernel_version_compare(struct kernel_version a, struct kernel_version b)
{
	if (a.major != b.major)
		return a.major < b.major ? -1 : 1;
	if (a.minor != b.minor)
		return a.minor < b.minor ? -1 : 1;
	return a.patch < b.patch ? -1 : a.patch > b.patch;
}

/*
 * The version a kernel is really built from. `version` is the text of /proc/version: Debian's
 * release
 * ("6.1.0-37-amd64") hides it, but "Debian 6.1.140-1" is in there. `signature` (NULL: none) is
 * Ubuntu's /proc/version_signature, "Ubuntu 5.15.0-91.101-generic 5.15.131". Returns 0 or -1.
 */
static inline int kernel_version_parse(const char *release, const char *version,
				       const char *signature, struct kernel_version *ret)
{
	struct kernel_version v;
	const char *debian = version ? strstr(version, " Debian ") : NULL;
	const char *ubuntu = signature ? strrchr(signature, ' ') : NULL;
	if ((debian && sscanf(debian, " Debian %u.%u.%u-", &v.major, &v.minor, &v.patch) == 3) ||
	    (ubuntu && sscanf(ubuntu, " %u.%u.%u", &v.major, &v.minor, &v.patch) == 3)) {
		*ret = v;
		return 0;
	}
	v.patch = 0;
	if (!release || sscanf(release, "%u.%u.%u", &v.major, &v.minor, &v.patch) < 2)
		return -1;
	*ret = v;
	return 0;
}

/* The version that mends reading user memory on this kernel, or NULL when it has not the bug. */
static inline const struct kernel_version *kernel_bug_user_read(struct kernel_version version)
{
	for (size_t i = 0; i < ARRAY_LENGTH(kernel_bugs_user_read); i++) {
		const struct kernel_bug *bug = &kernel_bugs_user_read[i];
		if (kernel_version_compare(version, bug->first) >= 0 &&
		    kernel_version_compare(version, bug->fixed) < 0)
			return &bug->fixed;
	}
	return NULL;
}
