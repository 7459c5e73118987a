/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From inside the sandbox: what must be refused is tried for real, each attempt in a process of its
 * own, because most end it.
 */
#include "base/file.h"
#include "binary/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* An attempt returns 0 when all is as it should be inside. */
typedef int (*attempt)(void);

#define EXIT_NOT_CONFINED 99

static const struct sandbox_limits limits = {.memory = 64 << 20, .file_size = 1 << 20};

/* wait(2)'s status of a confined process that makes the attempt. */
static int status_of(attempt try)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		uint32_t layers;
		_exit(sandbox_enter(&limits, 2, &layers) < 0 ? EXIT_NOT_CONFINED : try());
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int succeed(void)
{
	return 0;
}

static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY) == -1 && errno == EACCES ? 0 : 1;
}

static int open_directly(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR) == -1 && errno == EACCES ? 0 : 1;
}

static int make_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int execute(void)
{
	return execl("/bin/true", "true", NULL);
}

static int trace(void)
{
	return (int)ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int fork_again(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static int kill_parent(void)
{
	return (int)syscall(SYS_kill, 1, 0);
}

static int map_executable(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return 1;
}

static int map_shared_writable(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return 1;
}

static int protect_executable(void)
{
	return mprotect(NULL, 4096, PROT_READ | PROT_EXEC);
}

static int make_ring(void)
{
	return (int)syscall(425 /* io_uring_setup */, 1, NULL);
}

static int become_root(void)
{
	return (int)syscall(SYS_setresuid, 0, 0, 0);
}

static int limit_others(void)
{
	struct rlimit limit;
	return (int)syscall(SYS_prlimit64, 1, RLIMIT_CPU, NULL, &limit);
}

static int raise_memory_limit(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	return setrlimit(RLIMIT_DATA, &limit);
}

/* What parsing needs goes on working. */
static int work(void)
{
	char *memory = malloc(10 << 20);
	if (!memory)
		return 1;
	memset(memory, 1, 10 << 20);
	memory = realloc(memory, 20 << 20);
	free(memory);
	struct stat st;
	struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY};
	if (fstat(0, &st) < 0 || setrlimit(RLIMIT_CPU, &limit) < 0)
		return 2;
	return 0;
}

static int take_too_much_memory(void)
{
	for (int i = 0; i < 100; i++)
		if (!malloc(1 << 20))
			return 0;
	return 1;
}

static void test_killed_for(void **state)
{
	static const struct {
		const char *name;
		attempt attempt;
	} attempts[] = {
		{"socket", make_socket}, {"exec", execute}, {"ptrace", trace},
		{"clone", fork_again}, {"kill", kill_parent}, {"mmap exec", map_executable},
		{"mmap shared", map_shared_writable}, {"mprotect exec", protect_executable},
		{"io_uring", make_ring}, {"setresuid", become_root}, {"prlimit", limit_others},
		{"setrlimit", raise_memory_limit},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(attempts); i++) {
		int status = status_of(attempts[i].attempt);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s was not killed: status 0x%x", attempts[i].name, status);
	}
}

static void test_refused(void **state)
{
	assert_int_equal(status_of(open_file), 0);
	assert_int_equal(status_of(open_directly), 0);
	assert_int_equal(status_of(take_too_much_memory), 0);
}

static void test_allowed(void **state)
{
	assert_int_equal(status_of(succeed), 0);
	assert_int_equal(status_of(work), 0);
}

/* A line such as "CapEff:\t0000000000000000" of another process's status. */
static void status_line(pid_t pid, const char *key, char *value, size_t size)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	_cleanup_free_ char *text = NULL;
	assert_int_equal(read_whole_file(path, 1 << 16, &text, NULL), 0);
	char *line = strstr(text, key);
	assert_non_null(line);
	snprintf(value, size, "%.*s", (int)strcspn(line, "\n"), line);
}

static void test_seen_from_outside(void **state)
{
	int go[2], ready[2];
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	int extra = open("/dev/null", O_RDONLY);
	assert_true(extra > ready[1]);
	pid_t child = fork();
	if (child == 0) {
		uint32_t layers;
		char c;
		close(go[1]); /* the parent's closing it is the signal to end */
		int r = sandbox_enter(&limits, ready[1], &layers);
		write(ready[1], &layers, sizeof(layers));
		read(go[0], &c, 1);
		_exit(r < 0);
	}
	uint32_t layers;
	assert_int_equal(read(ready[0], &layers, sizeof(layers)), sizeof(layers));
	char value[128], path[64];
	status_line(child, "CapEff:", value, sizeof(value));
	assert_string_equal(value, "CapEff:\t0000000000000000");
	status_line(child, "CapPrm:", value, sizeof(value));
	assert_string_equal(value, "CapPrm:\t0000000000000000");
	status_line(child, "NoNewPrivs:", value, sizeof(value));
	assert_string_equal(value, "NoNewPrivs:\t1");
	status_line(child, "Seccomp:", value, sizeof(value));
	assert_string_equal(value, "Seccomp:\t2");
	if (geteuid() == 0) {
		assert_true(layers & SANDBOX_OTHER_USER);
		status_line(child, "Uid:", value, sizeof(value));
		assert_string_equal(value, "Uid:\t65534\t65534\t65534\t65534");
		status_line(child, "Groups:", value, sizeof(value));
		assert_string_equal(value, "Groups:\t ");
	} else {
		print_message("not root: the change of user is not tested\n");
	}
	if (!(layers & SANDBOX_LANDLOCK))
		print_message("no Landlock here: that layer is not tested\n");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)child, extra);
	struct stat st;
	assert_int_equal(lstat(path, &st), -1);
	close(go[1]);
	int status;
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(go[0]);
	close(ready[0]);
	close(ready[1]);
	close(extra);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_killed_for),
		cmocka_unit_test(test_seen_from_outside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
