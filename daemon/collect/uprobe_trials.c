/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that are probed are written in assembly, so that it is known which instruction stands where,
 * and are called by nobody else.
 *
 * The fault: since 6.18 the kernel rewrites a probed five-byte nop into a call (ba2bfc97b462, "uprobes/x86:
 * Add support to optimize uprobes"). The call stores its return address just below the stack pointer, where
 * the x86-64 ABI lets a leaf function keep its variables.
 */
#include "collect/uprobe_trials.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/uprobe_multi.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 400ULL /* calls */
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

/* The best of some batches: others take their time from this thread in some of them. */
static uint64_t time_calls(uint64_t (*function)(uint64_t))
{
	uint64_t (*volatile call)(uint64_t) = function;
	uint64_t best = UINT64_MAX;
	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		for (uint64_t i = 0; i < ROUNDS; i++)
			call(i);
		best = MIN_OF(best, clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
	}
	return best;
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
	_cleanup_fd_ int link = MAX_OF(r, -1);
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

static int price_in_child(int program, enum uprobe_multi_kind kind, struct uprobe_multi_target *target,
			  const int requests[2], const int answers[2], double *ret_ns)
{
	uint64_t without, with = 0;
	int r = ask_child(requests, answers, &without);
	_cleanup_fd_ int link = r < 0 ? -1 : uprobe_multi_attach(program, kind, target);
	if (r == 0 && link < 0)
		r = link;
	if (r == 0)
		r = ask_child(requests, answers, &with);
	if (r == 0)
		*ret_ns = with > without ? (double)(with - without) / ROUNDS : 0;
	return r;
}

int uprobe_trials_price(int program, enum uprobe_multi_kind kind, uint64_t cookie, bool stepped, double *ret_ns)
{
	const void *point = stepped ? uprobe_trial_stepped_point : uprobe_trial_emulated_point;
	uint64_t offset = offset_of(point);
	int requests[2] = {-1, -1}, answers[2] = {-1, -1};
	_cleanup_fd_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (file < 0 || pipe2(requests, O_CLOEXEC) < 0)
		return -errno;
	pid_t child = pipe2(answers, O_CLOEXEC) < 0 ? -1 : fork();
	int r = child < 0 ? -errno : 0;
	if (child == 0) {
		close(requests[1]); /* it ends when this process does */
		run_child(requests[0], answers[1], stepped ? uprobe_trial_stepped : uprobe_trial_emulated);
	}
	struct uprobe_multi_target target = {.file = file, .offsets = &offset, .cookies = &cookie,
					     .count = 1, .pid = (uint32_t)child};
	if (r == 0)
		r = price_in_child(program, kind, &target, requests, answers, ret_ns);
	close_fd(requests[0]);
	close_fd(requests[1]);
	close_fd(answers[0]);
	close_fd(answers[1]);
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return r;
}

void uprobe_trials_run(struct uprobe_trials *ret)
{
	*ret = (struct uprobe_trials){.damages_red_zone = UPROBE_TRIAL_UNKNOWN};
	ret->multi = uprobe_trials_link(UPROBE_MULTI);
	ret->session = uprobe_trials_link(UPROBE_MULTI_SESSION);
	ret->perf = time_hit(uprobe_trial_emulated, uprobe_trial_emulated_point, &ret->emulated_ns);
	if (ret->perf < 0)
		return;
	time_hit(uprobe_trial_stepped, uprobe_trial_stepped_point, &ret->stepped_ns);
	ret->damages_red_zone = try_red_zone();
}
