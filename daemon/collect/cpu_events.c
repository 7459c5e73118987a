/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hotplug comes as kernel uevents ("online@/devices/system/cpu/cpu3"); whatever they say, the list of
 * online CPUs is read again and compared, so a lost or forged message cannot mislead.
 */
#include "collect/cpu_events.h"

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPU_DIRECTORY "/sys/devices/system/cpu/"

void cpu_events_init(struct cpu_events *events, struct bpf_program *program,
		     struct cpu_event_kind kind, struct opener *opener, cpu_begin_callback on_begin,
		     cpu_change_callback on_change, void *userdata)
{
	*events = (struct cpu_events){.program = program,
				      .kind = kind,
				      .opener = opener,
				      .hotplug_fd = -1,
				      .on_begin = on_begin,
				      .on_change = on_change,
				      .userdata = userdata};
}

int cpu_events_open(void *userdata, struct perf_event_attr *attr, int cpu)
{
	if (userdata)
		return opener_open_event(userdata, attr, cpu);
	long fd = syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* Calls back for each number of a list like "0-3,8". */
static int each_in_list(const char *list, int (*callback)(void *userdata, int cpu), void *userdata)
{
	const char *p = list;
	while (*p >= '0' && *p <= '9') {
		char *end;
		long first = strtol(p, &end, 10), last = first;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		for (long cpu = first; cpu <= last; cpu++) {
			int r = callback(userdata, (int)cpu);
			if (r < 0)
				return r;
		}
		p = *end == ',' ? end + 1 : end;
	}
	return 0;
}

int cpu_events_each_online(int (*callback)(void *userdata, int cpu), void *userdata)
{
	_cleanup_free_ char *list = NULL;
	int r = read_whole_file(CPU_DIRECTORY "online", 4096, &list, NULL);
	return r < 0 ? r : each_in_list(list, callback, userdata);
}

static int take_highest(void *userdata, int cpu)
{
	int *highest = userdata;
	*highest = MAX_OF(*highest, cpu);
	return 0;
}

int cpu_events_possible_cpus(void)
{
	_cleanup_free_ char *list = NULL;
	int highest = 0;
	if (read_whole_file(CPU_DIRECTORY "possible", 4096, &list, NULL) == 0)
		each_in_list(list, take_highest, &highest);
	return highest + 1;
}

static struct cpu_event *find_event(struct cpu_events *events, int cpu)
{
	for (size_t i = 0; i < events->events.count; i++)
		if (events->events.items[i].cpu == cpu)
			return &events->events.items[i];
	return NULL;
}

static void close_event(struct cpu_event *event)
{
	if (event->link)
		bpf_link__destroy(event->link); /* closes the descriptor too */
	else
		close_fd(event->fd);
}

/* Opens and attaches on one CPU unless it is already. */
static int open_event(void *userdata, int cpu)
{
	struct cpu_events *events = userdata;
	if (find_event(events, cpu))
		return 0;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = events->kind.config,
		.sample_period = events->kind.period,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED,
		.disabled = 1, /* attaching enables it */
	};
	int fd = cpu_events_open(events->opener, &attr, cpu);
	if (fd == -ENODEV)
		return 0; /* went offline meanwhile */
	if (fd < 0)
		return fd;
	struct cpu_event event = {.cpu = cpu, .fd = fd};
	int r = events->on_begin ? events->on_begin(events->userdata, cpu) : 0;
	if (r == 0)
		event.link = bpf_program__attach_perf_event(events->program, fd);
	if (r == 0)
		r = event.link ? array_add(&events->events, event) : -errno;
	if (r == 0 && events->paused && ioctl(fd, PERF_EVENT_IOC_DISABLE, 0) < 0)
		log_warning("CPU %d ticks in spite of the pause: %s", cpu, strerror(errno));
	if (r < 0)
		close_event(&event);
	else if (events->on_change)
		events->on_change(events->userdata, cpu, true);
	return r;
}

/* Closes one whose CPU has gone. */
static void forget_event(struct cpu_events *events, size_t i)
{
	struct cpu_event event = events->events.items[i];
	close_event(&event);
	events->events.items[i] = events->events.items[--events->events.count];
	if (events->on_change)
		events->on_change(events->userdata, event.cpu, false);
}

struct online_set {
	bool *online;
	int count;
};

static int mark_online(void *userdata, int cpu)
{
	struct online_set *set = userdata;
	if (cpu < set->count)
		set->online[cpu] = true;
	return 0;
}

static void close_offline(struct cpu_events *events)
{
	struct online_set set = {.count = cpu_events_possible_cpus()};
	_cleanup_free_ bool *online = calloc((size_t)set.count, sizeof(*online));
	set.online = online;
	if (!online || cpu_events_each_online(mark_online, &set) < 0)
		return;
	for (size_t i = events->events.count; i-- > 0;) {
		int cpu = events->events.items[i].cpu;
		if (cpu >= set.count || !online[cpu])
			forget_event(events, i);
	}
}

static int on_uevent(struct loop_source *source, uint32_t events_mask, void *userdata)
{
	struct cpu_events *events = userdata;
	char message[4096];
	bool changed = false;
	ssize_t n;
	while ((n = recv(events->hotplug_fd, message, sizeof(message) - 1, MSG_DONTWAIT)) > 0) {
		message[n] = '\0';
		changed |= strstr(message, "/system/cpu/cpu") != NULL;
	}
	changed |= n < 0 && errno == ENOBUFS; /* messages were lost */
	if (!changed)
		return 0;
	close_offline(events);
	int r = cpu_events_each_online(open_event, events);
	if (r < 0)
		log_warning("a CPU that came online is not sampled: %s", strerror(-r));
	return 0;
}

static int watch_hotplug(struct cpu_events *events, struct loop *loop)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				     NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	int r = loop_add_fd(loop, fd, EPOLLIN, on_uevent, events, &events->hotplug);
	if (r == 0)
		events->hotplug_fd = take_fd(fd);
	return r;
}

int cpu_events_start(struct cpu_events *events, struct loop *loop)
{
	int r = watch_hotplug(events, loop);
	if (r < 0)
		log_debug("no notice of CPUs that come later: %s", strerror(-r));
	r = cpu_events_each_online(open_event, events);
	if (r == 0 && events->events.count == 0)
		r = -ENODEV;
	if (r < 0)
		cpu_events_stop(events);
	return r;
}

/* What the kernel gives of an event: perf_event_open(2), PERF_FORMAT_TOTAL_TIME_ENABLED. */
struct event_reading {
	uint64_t count, enabled_ns;
};

/* Has it stood still since the last look? Time passes for one on a CPU whether anything is counted or not. */
static bool is_dead(struct cpu_event *event)
{
	struct event_reading now;
	if (read(event->fd, &now, sizeof(now)) != sizeof(now))
		return false;
	bool stands_still = now.enabled_ns == event->enabled_ns;
	event->enabled_ns = now.enabled_ns;
	return stands_still;
}

int cpu_events_revive(struct cpu_events *events)
{
	int dead = 0;
	if (events->paused) /* then time passes for none */
		return 0;
	for (size_t i = events->events.count; i-- > 0;) {
		if (!is_dead(&events->events.items[i]))
			continue;
		forget_event(events, i);
		dead++;
	}
	int r = dead ? cpu_events_each_online(open_event, events) : 0;
	return r < 0 ? r : dead;
}

int cpu_events_set_period(struct cpu_events *events, uint64_t period_ns)
{
	int r = 0;
	events->kind.period = period_ns;
	for (size_t i = 0; i < events->events.count; i++)
		if (ioctl(events->events.items[i].fd, PERF_EVENT_IOC_PERIOD, &period_ns) < 0 &&
		    r == 0)
			r = -errno;
	return r;
}

int cpu_events_set_cpu_period(struct cpu_events *events, int cpu, uint64_t period)
{
	struct cpu_event *event = find_event(events, cpu);
	if (!event)
		return -ENODEV;
	return ioctl(event->fd, PERF_EVENT_IOC_PERIOD, &period) < 0 ? -errno : 0;
}

int cpu_events_set_paused(struct cpu_events *events, bool paused)
{
	unsigned long request = paused ? PERF_EVENT_IOC_DISABLE : PERF_EVENT_IOC_ENABLE;
	int r = 0;
	events->paused = paused;
	for (size_t i = 0; i < events->events.count; i++) {
		const struct cpu_event *event = &events->events.items[i];
		int error = !paused && events->on_begin
				    ? events->on_begin(events->userdata, event->cpu)
				    : 0;
		if (error == 0 && ioctl(event->fd, request, 0) < 0)
			error = -errno;
		r = r < 0 ? r : error;
	}
	return r;
}

void cpu_events_stop(struct cpu_events *events)
{
	events->hotplug = loop_remove(events->hotplug);
	events->hotplug_fd = close_fd(events->hotplug_fd);
	for (size_t i = 0; i < events->events.count; i++)
		close_event(&events->events.items[i]);
	array_free(&events->events);
}
