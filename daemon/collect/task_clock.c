/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/task_clock.h"

#include "base/clock.h"
#include "base/file.h"

#include <asm/perf_regs.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define REGISTER_OF_ADDRESS PERF_REG_X86_IP
#else
#define REGISTER_OF_ADDRESS PERF_REG_ARM64_PC
#endif

#define BATCHES 15
#define WORK 300000U /* rounds: some 0.2 ms */
#define TRIAL_TICK_NS 50000
#define LEAST_TICK_COST_NS 1000 /* an interrupt and a record */

#define LEAST_RING_SIZE (4 * 4096U) /* a power of two, as the kernel wants it */

/* What the kernel writes at a tick, with the address of a thread of the program: perf_event_open(2). */
struct tick {
	struct perf_event_header header;
	uint64_t abi; /* PERF_SAMPLE_REGS_ABI_NONE: a thread of the kernel's, without an address */
	uint64_t address;
};

_Static_assert(TASK_CLOCK_MOST_TICKS * sizeof(struct tick) <= LEAST_RING_SIZE, "they are in the ring");

static int open_event(pid_t thread, uint64_t tick_ns)
{
	struct perf_event_attr attributes = {
		.size = sizeof(attributes),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.disabled = 1,
		.read_format = PERF_FORMAT_LOST,
		.sample_period = tick_ns,
		.sample_type = tick_ns ? PERF_SAMPLE_REGS_USER : 0,
		.sample_regs_user = tick_ns ? 1ULL << REGISTER_OF_ADDRESS : 0,
	};
	long fd = syscall(SYS_perf_event_open, &attributes, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* As the kernel tells it, with PERF_FORMAT_LOST: perf_event_open(2). */
struct event_reading {
	uint64_t ns;
	uint64_t lost; /* records that found no room in the ring */
};

/* Returns 0 or -EIO. */
static int read_event(const struct task_clock_event *event, struct event_reading *ret)
{
	return read(event->fd, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : -EIO;
}

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Whole pages, which may be larger. */
static size_t ring_size(void)
{
	return MAX_OF(LEAST_RING_SIZE, page_size());
}

static void *map_ring(int fd)
{
	void *ring = mmap(NULL, page_size() + ring_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return ring == MAP_FAILED ? NULL : ring;
}

static void close_event(const struct task_clock_event *event)
{
	if (event->ring)
		munmap(event->ring, page_size() + ring_size());
	close_fd(event->fd);
}

/* Returns 0 or -errno. */
static int add_thread(struct task_clock *clock, pid_t thread, uint64_t tick_ns)
{
	struct task_clock_event event = {.fd = open_event(thread, tick_ns)};
	if (event.fd < 0)
		return event.fd == -ESRCH ? 0 : event.fd; /* it has ended */
	if (tick_ns)
		event.ring = map_ring(event.fd);
	if (clock->events.count < TASK_CLOCK_THREADS && array_add(&clock->events, event) == 0)
		return 0;
	close_event(&event);
	return -ENOMEM;
}

void task_clock_open(uint32_t pid, uint64_t tick_ns, struct task_clock *ret)
{
	char path[64];
	struct dirent *entry;
	*ret = (struct task_clock){.pid = pid, .tick_ns = tick_ns};
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	DIR *tasks = opendir(path);
	bool failed = !tasks;
	while (!failed && (entry = readdir(tasks))) {
		int thread = atoi(entry->d_name);
		failed = thread > 0 && add_thread(ret, thread, tick_ns) < 0;
	}
	if (tasks)
		closedir(tasks);
	if (failed)
		task_clock_close(ret);
}

static void control(const struct task_clock *clock, unsigned long request)
{
	for (size_t i = 0; i < clock->events.count; i++)
		ioctl(clock->events.items[i].fd, request, 0);
}

void task_clock_start(const struct task_clock *clock)
{
	control(clock, PERF_EVENT_IOC_ENABLE);
}

void task_clock_stop(const struct task_clock *clock)
{
	control(clock, PERF_EVENT_IOC_DISABLE);
}

void task_clock_close(struct task_clock *clock)
{
	for (size_t i = 0; i < clock->events.count; i++)
		close_event(&clock->events.items[i]);
	array_free(&clock->events);
}

uint64_t task_clock_read(const struct task_clock *clock)
{
	struct event_reading now;
	uint64_t sum = 0;
	if (!clock->events.count)
		return process_cpu_ns((pid_t)clock->pid);
	for (size_t i = 0; i < clock->events.count; i++)
		if (read_event(&clock->events.items[i], &now) == 0)
			sum += now.ns;
	return sum;
}

/* What was not read stays, so the ring has only been filled once: records begin at its begin, and none is cut. */
static void each_tick_in(const char *ring, task_tick_callback callback, void *userdata)
{
	const struct perf_event_mmap_page *page = (const void *)ring;
	const char *records = ring + page_size();
	uint64_t head = MIN_OF(__atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), (uint64_t)ring_size());
	struct tick tick;
	for (uint64_t at = 0; at + sizeof(tick.header) <= head; at += tick.header.size) {
		memcpy(&tick.header, records + at, sizeof(tick.header));
		if (tick.header.size < sizeof(tick.header) || at + tick.header.size > head)
			return;
		if (tick.header.type != PERF_RECORD_SAMPLE || tick.header.size < sizeof(tick))
			continue;
		memcpy(&tick, records + at, sizeof(tick));
		if (tick.abi != PERF_SAMPLE_REGS_ABI_NONE)
			callback(userdata, tick.address);
	}
}

/* Ticks of a thread that are not in its ring. */
static uint64_t lost_by(const struct task_clock *clock, const struct task_clock_event *event)
{
	struct event_reading now;
	if (read_event(event, &now) < 0)
		return 0;
	return event->ring ? now.lost : now.ns / clock->tick_ns;
}

uint64_t task_clock_each_tick(const struct task_clock *clock, task_tick_callback callback, void *userdata)
{
	uint64_t lost = 0;
	for (size_t i = 0; clock->tick_ns && i < clock->events.count; i++) {
		const struct task_clock_event *event = &clock->events.items[i];
		lost += lost_by(clock, event);
		if (event->ring)
			each_tick_in(event->ring, callback, userdata);
	}
	return lost;
}

/* ---- Cost ------------------------------------------------------------------------------------ */

static int compare_times(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static double time_work(void)
{
	uint64_t begin = thread_cpu_ns();
	for (volatile unsigned i = 0; i < WORK; i++)
		;
	return (double)(thread_cpu_ns() - begin);
}

/* The median over pairs, as the host's speed changes. */
double task_clock_tick_cost(void)
{
	double costs[BATCHES];
	int fd = open_event(0, TRIAL_TICK_NS);
	if (fd < 0)
		return 0;
	for (unsigned batch = 0; batch < BATCHES; batch++) {
		double without = time_work();
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		double with = time_work();
		ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
		costs[batch] = (with - without) / fmax(with / TRIAL_TICK_NS, 1);
	}
	close_fd(fd);
	qsort(costs, BATCHES, sizeof(*costs), compare_times);
	return fmax(costs[BATCHES / 2], LEAST_TICK_COST_NS);
}
