/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that are probed are written in assembly, so that it is known which instruction stands where,
 * and are called by nobody else.
 *
 * The fault of filters: since 6.11 an x86-64 program that returns into a probe makes a system call of its own
 * (ff474a78cef5, "uprobe: Add uretprobe syscall to speed up return probe"), which filters of containers and
 * services refused, and the program ended; mended by cf6cb56ef244 ("seccomp: passthrough uretprobe systemcall
 * without filtering", 6.14, and in the stable series).
 *
 * The fault of nops: since 6.18 the kernel rewrites a probed five-byte nop into a call (ba2bfc97b462, "uprobes/x86:
 * Add support to optimize uprobes"). The call stores its return address just below the stack pointer, where
 * the x86-64 ABI lets a leaf function keep its variables.
 */
#include "collect/uprobe_trials.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/uprobe_multi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 100ULL /* calls; where they are stepped, 2 ms */
#define BATCHES 8
#define CHILD_TIMEOUT_MS 5000
#define MAGIC 0x1122334455667788ULL

/* Both return their argument; the label behind the name is where the probe goes. */
uint64_t uprobe_trial_emulated(uint64_t value);
uint64_t uprobe_trial_stepped(uint64_t value);
extern const char uprobe_trial_emulated_point[], uprobe_trial_stepped_point[];

#ifdef __x86_64__
/* Keeps its argument in the red zone over a five-byte nop. */
uint64_t uprobe_trial_red_zone(uint64_t value);
extern const char uprobe_trial_red_zone_point[];

__asm__(".text\n"
	".type uprobe_trial_emulated,@function\n"
	"uprobe_trial_emulated:\n"
	"uprobe_trial_emulated_point: push %rbp\n"
	"	mov %rdi, %rax\n"
	"	pop %rbp\n"
	"	ret\n"
	".size uprobe_trial_emulated,.-uprobe_trial_emulated\n"
	".type uprobe_trial_stepped,@function\n"
	"uprobe_trial_stepped:\n"
	"uprobe_trial_stepped_point: mov %rdi, %rax\n"
	"	ret\n"
	".size uprobe_trial_stepped,.-uprobe_trial_stepped\n"
	".type uprobe_trial_red_zone,@function\n"
	"uprobe_trial_red_zone:\n"
	"	mov %rdi, -8(%rsp)\n"
	"uprobe_trial_red_zone_point: .byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
	"	mov -8(%rsp), %rax\n"
	"	ret\n"
	".size uprobe_trial_red_zone,.-uprobe_trial_red_zone\n");
#else
__asm__(".text\n"
	".type uprobe_trial_emulated,@function\n"
	"uprobe_trial_emulated:\n"
	"uprobe_trial_emulated_point: cbz x0, 1f\n"
	"1:	ret\n"
	".size uprobe_trial_emulated,.-uprobe_trial_emulated\n"
	".type uprobe_trial_stepped,@function\n"
	"uprobe_trial_stepped:\n"
	"uprobe_trial_stepped_point: add x0, x0, #0\n"
	"	ret\n"
	".size uprobe_trial_stepped,.-uprobe_trial_stepped\n");
#endif

/* The file offset of an address of this program, by its mapping. 0: not found. */
static uint64_t offset_of(const void *address)
{
	char line[4400];
	uint64_t found = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long long start, end, offset;
		if (sscanf(line, "%llx-%llx %*s %llx", &start, &end, &offset) == 3 &&
		    (uintptr_t)address >= start && (uintptr_t)address < end)
			found = (uintptr_t)address - start + offset;
	}
	if (maps)
		fclose(maps);
	return found;
}

static int uprobe_type(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = read_whole_file("/sys/bus/event_source/devices/uprobe/type", 64, &text, &size);
	return r < 0 ? r : atoi(text);
}

/* Counts this thread's hits. */
static int open_perf_uprobe(uint64_t offset)
{
	int type = uprobe_type();
	if (type < 0)
		return type;
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.type = (uint32_t)type,
		.config1 = (uintptr_t)"/proc/self/exe",
		.config2 = offset,
	};
	long fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

static int compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* The median of some batches: others take their time from this thread in some of them; the best is one of luck. */
static uint64_t time_calls(uint64_t (*function)(uint64_t))
{
	uint64_t (*volatile call)(uint64_t) = function;
	uint64_t times[BATCHES];
	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t begin = thread_cpu_ns();
		for (uint64_t i = 0; i < ROUNDS; i++)
			call(i);
		times[batch] = thread_cpu_ns() - begin;
	}
	qsort(times, BATCHES, sizeof(*times), compare_times);
	return times[BATCHES / 2];
}

/* Returns 0 or -errno. *ret_ns stays 0 when the probe was not hit as often as the function was called. */
static int time_hit(uint64_t (*function)(uint64_t), const void *point, uint64_t *ret_ns)
{
	uint64_t without = time_calls(function), hits = 0;
	_cleanup_fd_ int event = open_perf_uprobe(offset_of(point));
	if (event < 0)
		return event;
	uint64_t with = time_calls(function);
	if (read(event, &hits, sizeof(hits)) == sizeof(hits) && hits == BATCHES * ROUNDS &&
	    with > without)
		*ret_ns = MAX_OF((with - without) / ROUNDS, 1ULL);
	return 0;
}

static int try_red_zone(void)
{
#ifdef __x86_64__
	uint64_t (*volatile call)(uint64_t) = uprobe_trial_red_zone;
	bool damaged = false;
	_cleanup_fd_ int event = open_perf_uprobe(offset_of(uprobe_trial_red_zone_point));
	if (event < 0)
		return UPROBE_TRIAL_UNKNOWN;
	for (uint64_t i = 0; i < ROUNDS; i++)
		damaged |= call(MAGIC) != MAGIC;
	return damaged;
#else
	return UPROBE_TRIAL_UNKNOWN;
#endif
}

int uprobe_trials_link(enum uprobe_multi_kind kind)
{
	struct uprobe_counter counter;
	uint64_t offset = offset_of(uprobe_trial_emulated_point), cookie = 0, hits = 0;
	_cleanup_fd_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int r = uprobe_counter_open(1, kind, &counter);
	if (r == 0) {
		struct uprobe_multi_target target = {.file = file, .offsets = &offset,
						     .cookies = &cookie, .count = 1,
						     .pid = (uint32_t)getpid()};
		r = uprobe_multi_attach(counter.program, kind, &target);
	}
	_cleanup_fd_ _unused_ int link = MAX_OF(r, -1);
	if (r >= 0) {
		uprobe_trial_emulated(1);
		r = uprobe_counter_read(&counter, &hits);
	}
	uprobe_counter_close(&counter);
	return r < 0 ? r : hits ? 0 : -EIO;
}

/* Each byte that comes is answered with how long the calls took. */
static void run_child(int requests, int answers, uint64_t (*function)(uint64_t))
{
	char request;
	while (read(requests, &request, 1) == 1) {
		uint64_t ns = time_calls(function);
		if (write(answers, &ns, sizeof(ns)) != sizeof(ns))
			break;
	}
	_exit(0);
}

static int ask_child(const int requests[2], const int answers[2], uint64_t *ret_ns)
{
	struct pollfd ready = {.fd = answers[0], .events = POLLIN};
	if (write(requests[1], "", 1) != 1)
		return -errno;
	if (poll(&ready, 1, CHILD_TIMEOUT_MS) != 1)
		return -ETIMEDOUT;
	return read(answers[0], ret_ns, sizeof(*ret_ns)) == sizeof(*ret_ns) ? 0 : -EIO;
}

/* Of all children of trials that have ended. */
static _Atomic uint64_t children_cpu_ns;

uint64_t uprobe_trials_children_cpu_ns(void)
{
	return children_cpu_ns;
}

/* A child of this process that calls a function whenever it is asked to. */
struct trial_child {
	pid_t pid; /* 0: none */
	int requests[2], answers[2];
};

static int start_child(uint64_t (*function)(uint64_t), int (*prepare)(void), struct trial_child *ret)
{
	*ret = (struct trial_child){.requests = {-1, -1}, .answers = {-1, -1}};
	if (pipe2(ret->requests, O_CLOEXEC) < 0 || pipe2(ret->answers, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(ret->requests[1]); /* it ends when this process does */
		if (prepare && prepare() < 0)
			_exit(1);
		run_child(ret->requests[0], ret->answers[1], function);
	}
	ret->pid = pid;
	/* Its end is the end of its answers. */
	ret->answers[1] = close_fd(ret->answers[1]);
	return 0;
}

/* Also after a failure to start. Returns the signal that ended it, SIGKILL if that is ours, or 0. */
static int end_child(struct trial_child *child)
{
	int status = 0;
	if (child->pid) {
		struct rusage used;
		kill(child->pid, SIGKILL); /* changes nothing when it is ending already */
		if (wait4(child->pid, &status, 0, &used) == child->pid)
			children_cpu_ns += rusage_cpu_ns(&used);
	}
	close_fd(child->requests[0]);
	close_fd(child->requests[1]);
	close_fd(child->answers[0]);
	close_fd(child->answers[1]);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int price_in_child(int program, enum uprobe_multi_kind kind, struct uprobe_multi_target *target,
			  const struct trial_child *child, double *ret_ns)
{
	uint64_t without, with = 0;
	int r = ask_child(child->requests, child->answers, &without);
	_cleanup_fd_ int link = r < 0 ? -1 : uprobe_multi_attach(program, kind, target);
	if (r == 0 && link < 0)
		r = link;
	if (r == 0)
		r = ask_child(child->requests, child->answers, &with);
	if (r == 0)
		*ret_ns = with > without ? (double)(with - without) / ROUNDS : 0;
	return r;
}

int uprobe_trials_price(int program, enum uprobe_multi_kind kind, uint64_t cookie, bool stepped, double *ret_ns)
{
	uint64_t offset = offset_of(stepped ? uprobe_trial_stepped_point : uprobe_trial_emulated_point);
	_cleanup_fd_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct trial_child child;
	if (file < 0)
		return -errno;
	int r = start_child(stepped ? uprobe_trial_stepped : uprobe_trial_emulated, NULL, &child);
	struct uprobe_multi_target target = {.file = file, .offsets = &offset, .cookies = &cookie,
					     .count = 1, .pid = (uint32_t)child.pid};
	if (r == 0)
		r = price_in_child(program, kind, &target, &child, ret_ns);
	end_child(&child);
	return r;
}

#ifdef __x86_64__
#define SYSCALL_URETPROBE 335

/* As a container's filter that has not heard of the call: it fails with EPERM. */
static int refuse_uretprobe(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYSCALL_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_LENGTH(instructions), instructions};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

/* Returns 0 when the probed call came back, or -errno. */
static int return_in_child(const struct trial_child *child)
{
	struct uprobe_counter counter;
	uint64_t offset = offset_of(uprobe_trial_emulated_point), cookie = 0, hits = 0, ns;
	_cleanup_fd_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct uprobe_multi_target target = {.file = file, .offsets = &offset, .cookies = &cookie,
					     .count = 1, .pid = (uint32_t)child->pid, .returns = true};
	int r = uprobe_counter_open(1, UPROBE_MULTI, &counter);
	/* What it answers first says that its filter is in force. */
	if (r == 0)
		r = ask_child(child->requests, child->answers, &ns);
	_cleanup_fd_ int link = r < 0 ? -1 : uprobe_multi_attach(counter.program, UPROBE_MULTI, &target);
	if (r == 0)
		r = link < 0 ? link : ask_child(child->requests, child->answers, &ns);
	if (r == 0)
		r = uprobe_counter_read(&counter, &hits);
	uprobe_counter_close(&counter);
	return r < 0 ? r : hits ? 0 : -ENODATA;
}

int uprobe_trials_return_under_filter(void)
{
	struct trial_child child;
	int r = start_child(uprobe_trial_emulated, refuse_uretprobe, &child);
	if (r == 0)
		r = return_in_child(&child);
	int signal = end_child(&child);
	/* It ends by SIGSEGV: the call that was refused would have put the registers right. */
	if (signal && signal != SIGKILL)
		return 1;
	return r < 0 ? UPROBE_TRIAL_UNKNOWN : 0;
}
#else
int uprobe_trials_return_under_filter(void)
{
	return 0; /* returns come by a breakpoint */
}
#endif

void uprobe_trials_run(struct uprobe_trials *ret)
{
	*ret = (struct uprobe_trials){.damages_red_zone = UPROBE_TRIAL_UNKNOWN,
				       .ends_filtered = UPROBE_TRIAL_UNKNOWN};
	ret->multi = uprobe_trials_link(UPROBE_MULTI);
	ret->session = uprobe_trials_link(UPROBE_MULTI_SESSION);
	ret->ends_filtered = ret->multi == 0 ? uprobe_trials_return_under_filter() : UPROBE_TRIAL_UNKNOWN;
	ret->perf = time_hit(uprobe_trial_emulated, uprobe_trial_emulated_point, &ret->emulated_ns);
	if (ret->perf < 0)
		return;
	time_hit(uprobe_trial_stepped, uprobe_trial_stepped_point, &ret->stepped_ns);
	ret->damages_red_zone = try_red_zone();
}
