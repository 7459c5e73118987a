/* SPDX-License-Identifier: Apache-2.0 */
/* See safe_mode.h. */
#include "collect/safe_mode.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <zlib.h>

#define CONFIG_LIMIT (4 << 20)

/* Does a kernel configuration, gzipped or plain, say CONFIG_HARDENED_USERCOPY=y? -1: not readable. */
static int config_has_usercopy(const char *root, const char *path)
{
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	_cleanup_free_ char *bytes = malloc(CONFIG_LIMIT + 1);
	gzFile file = full && bytes ? gzopen(full, "rbe") : NULL;
	if (!file)
		return -1;
	int size = gzread(file, bytes, CONFIG_LIMIT);
	gzclose(file);
	if (size <= 0)
		return -1;
	bytes[size] = '\0';
	return strstr(bytes, "\nCONFIG_HARDENED_USERCOPY=y") != NULL;
}

static bool read_usercopy(const char *root, const char *release)
{
	_cleanup_free_ char *boot = text_format("/boot/config-%s", release);
	int has = config_has_usercopy(root, "/proc/config.gz");
	if (has < 0 && boot)
		has = config_has_usercopy(root, boot);
	return has != 0;
}

void kernel_facts_read(const char *root, struct kernel_facts *ret)
{
	_cleanup_free_ char *release = read_small_file(root, "/proc/sys/kernel/osrelease");
	_cleanup_free_ char *version = read_small_file(root, "/proc/version");
	_cleanup_free_ char *signature = read_small_file(root, "/proc/version_signature");
	*ret = (struct kernel_facts){.is_realtime = version && strstr(version, " PREEMPT_RT ")};
	if (release)
		snprintf(ret->release, sizeof(ret->release), "%.*s", (int)strcspn(release, "\n"),
			 release);
	kernel_version_parse(release, version, signature, &ret->version);
	ret->has_hardened_usercopy = read_usercopy(root, ret->release);
}

int safe_mode_decide(const struct kernel_facts *facts)
{
	bool is_known = facts->version.major != 0;
	if (!is_known || !facts->has_hardened_usercopy || !kernel_bug_user_read(facts->version))
		return 0;
	return facts->is_realtime ? -ENOTSUP : (int)SAFE_MODE_BIT(SAFE_MODE_KERNEL_TICKS);
}

const char *safe_mode_name(enum safe_mode_feature feature)
{
	static const char *const names[] = {
#define SAFE_MODE_NAME(id, name, what) name,
		SAFE_MODE_FEATURES(SAFE_MODE_NAME)
#undef SAFE_MODE_NAME
	};
	return names[feature];
}

const char *safe_mode_meaning(enum safe_mode_feature feature)
{
	static const char *const meanings[] = {
#define SAFE_MODE_MEANING(id, name, what) what,
		SAFE_MODE_FEATURES(SAFE_MODE_MEANING)
#undef SAFE_MODE_MEANING
	};
	return meanings[feature];
}
