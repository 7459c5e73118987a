/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of a child's confinement, in the order in which each can still be entered:
 * what needs a path or a capability first, seccomp last because it forbids the rest.
 *
 * The parser's system-call filter is a list of what parsing needs: memory, reading what is open, one socket.
 * Opening by path fails with EACCES instead of killing, because libdw looks for split and alternate
 * DWARF by itself and is to go on without it; anything else outside the list kills the process.
 * Memory is private or read-only and never executable: then RLIMIT_DATA bounds all of it.
 */
#include "binary/sandbox.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY 65534

/* Enough for the standard three, the socket and the descriptors of one request. */
#define MAX_OPEN_FILES 16

/* Mapped files are no memory of its own, but address space: room for the largest debug files. */
#define MAPPED_FILES_SIZE (64ULL << 30)

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ADDRESS_SANITIZER true /* its shadow is terabytes of private memory */
#else
#define WITH_ADDRESS_SANITIZER false
#endif

static int limit_resource(int resource, uint64_t value)
{
	struct rlimit limit = {.rlim_cur = value, .rlim_max = value};
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

static int limit_resources(const struct sandbox_limits *limits)
{
	const struct {
		int resource;
		uint64_t value;
	} wanted[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_NPROC, 0},
		{RLIMIT_NOFILE, MAX_OPEN_FILES},
		{RLIMIT_FSIZE, limits->file_size},
		{RLIMIT_MEMLOCK, 0},
		{RLIMIT_DATA, limits->memory},
		{RLIMIT_AS, limits->memory + MAPPED_FILES_SIZE},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		int resource = wanted[i].resource;
		if (WITH_ADDRESS_SANITIZER && (resource == RLIMIT_DATA || resource == RLIMIT_AS))
			continue;
		int r = limit_resource(resource, wanted[i].value);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Prefer this process when memory runs out: what it does can be done again. Best effort. */
static void offer_to_oom_killer(void)
{
	_cleanup_fd_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		write_all(fd, "500", 3);
}

static bool has_capability(cap_t capabilities, cap_value_t which)
{
	cap_flag_value_t value = CAP_CLEAR;
	return cap_get_flag(capabilities, which, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

/* Only with CAP_KILL too: without it the parent could not kill a child of another user. */
static bool may_change_user(void)
{
	cap_t capabilities = cap_get_proc();
	if (!capabilities)
		return false;
	bool may = has_capability(capabilities, CAP_SETUID) &&
		   has_capability(capabilities, CAP_SETGID) &&
		   has_capability(capabilities, CAP_KILL);
	cap_free(capabilities);
	return may;
}

/* In a user namespace nobody may have no mapping: the other layers stand without it. */
static bool become_nobody(void)
{
	return may_change_user() && setgroups(0, NULL) == 0 &&
	       setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* All but the named ones. */
static int drop_capabilities(const cap_value_t *kept, int count)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	cap_t capabilities = cap_init();
	if (!capabilities)
		return -ENOMEM;
	int r = 0;
	if ((count && (cap_set_flag(capabilities, CAP_PERMITTED, count, kept, CAP_SET) < 0 ||
		       cap_set_flag(capabilities, CAP_EFFECTIVE, count, kept, CAP_SET) < 0)) ||
	    cap_set_proc(capabilities) < 0)
		r = -errno;
	cap_free(capabilities);
	return r;
}

/* landlock(7), include/uapi/linux/landlock.h; spelt out because older headers lack the later ABIs. */
struct landlock_ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped;	     /* ABI 6 */
};
#define LANDLOCK_CREATE_RULESET_CALL 444
#define LANDLOCK_RESTRICT_SELF_CALL 446
#define LANDLOCK_ASK_VERSION 1U

/* Handles every right this kernel knows and allows none. */
static bool enter_landlock(void)
{
	static const unsigned fs_rights[] = {0, 13, 14, 15, 15, 16}; /* bits by ABI */
	long abi = syscall(LANDLOCK_CREATE_RULESET_CALL, NULL, 0, LANDLOCK_ASK_VERSION);
	if (abi < 1)
		return false;
	size_t known = MIN_OF((size_t)abi, ARRAY_LENGTH(fs_rights) - 1);
	struct landlock_ruleset ruleset = {
		.handled_access_fs = (1ULL << fs_rights[known]) - 1,
		.handled_access_net = abi >= 4 ? 3 : 0, /* bind and connect TCP */
		.scoped = abi >= 6 ? 3 : 0,		/* abstract sockets, signals */
	};
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
	_cleanup_fd_ int fd = (int)syscall(LANDLOCK_CREATE_RULESET_CALL, &ruleset, size, 0);
	return fd >= 0 && syscall(LANDLOCK_RESTRICT_SELF_CALL, fd, 0) == 0;
}

static int allow_calls(scmp_filter_ctx filter)
{
	static const int allowed[] = {
		SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(lseek),
		SCMP_SYS(fstat), SCMP_SYS(close), SCMP_SYS(munmap), SCMP_SYS(mremap),
		SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(recvmsg), SCMP_SYS(ppoll), SCMP_SYS(sendto),
		SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(getrandom),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
		SCMP_SYS(exit_group),
		SCMP_SYS(sysinfo), /* qsort of the C library sizes its buffer by it */
	};
	static const int for_sanitizer[] = {
		SCMP_SYS(mprotect), SCMP_SYS(sigaltstack), SCMP_SYS(getpid), SCMP_SYS(gettid),
		SCMP_SYS(sched_yield), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(allowed) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; WITH_ADDRESS_SANITIZER && i < ARRAY_LENGTH(for_sanitizer) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, for_sanitizer[i], 0);
	return r;
}

/* The calls that are harmless with the right arguments only. */
static int allow_calls_in_part(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				 SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE, MAP_PRIVATE));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				     SCMP_A2(SCMP_CMP_EQ, PROT_READ),
				     SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE, MAP_SHARED));
	if (r == 0) /* how glibc spells fstat() */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
				     SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH));
	if (r == 0) /* how libelf asks whether a descriptor is open, and whether it may read */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, F_GETFD));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, F_GETFL));
	if (r == 0) /* one more portion of CPU time for each request, for itself alone */
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
				     SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU));
	return r;
}

static int refuse_paths(scmp_filter_ctx filter)
{
	static const int by_path[] = {
		SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat),
		SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(stat),
		SCMP_SYS(lstat),
	};
	int r = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(by_path) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), by_path[i], 0);
	return r;
}

static int allow_parsing(void *filter)
{
	int r = allow_calls(filter);
	if (r == 0)
		r = allow_calls_in_part(filter);
	return r == 0 ? refuse_paths(filter) : r;
}

static int enter_seccomp(int (*add_rules)(void *filter))
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return -ENOMEM;
	int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* No debugger, no longer life than the parent's, no rights by executing. After a change of user, which
 * resets the first two. */
static int end_with_parent(void)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_enter(const struct sandbox_limits *limits, int highest_kept_fd, uint32_t *ret_layers)
{
	uint32_t layers = 0;
	if (syscall(SYS_close_range, (unsigned)highest_kept_fd + 1, ~0U, 0) < 0)
		return -errno;
	offer_to_oom_killer();
	int r = limit_resources(limits);
	if (r < 0)
		return r;
	if (become_nobody())
		layers |= SANDBOX_OTHER_USER;
	r = drop_capabilities(NULL, 0);
	if (r == 0)
		r = end_with_parent();
	if (r < 0)
		return r;
	if (enter_landlock())
		layers |= SANDBOX_LANDLOCK;
	r = enter_seccomp(allow_parsing);
	if (r < 0)
		return r;
	*ret_layers = layers;
	return 0;
}

int sandbox_enter_with_capabilities(const int *capabilities, size_t count,
				    int (*add_rules)(void *filter), int highest_kept_fd)
{
	if (syscall(SYS_close_range, (unsigned)highest_kept_fd + 1, ~0U, 0) < 0)
		return -errno;
	int r = limit_resource(RLIMIT_CORE, 0);
	if (r == 0)
		r = drop_capabilities(capabilities, (int)count);
	if (r == 0)
		r = end_with_parent();
	if (r < 0)
		return r;
	enter_landlock();
	return enter_seccomp(add_rules);
}
