/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the two tables: the one place where a key, its range, its default and its text are written. */
#include "service/setting.h"

#include "base/clock.h"
#include "bpf/wire.h"
#include "collect/memory_budget.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define TIB (1ULL << 40)
#define MINUTE_NS (60 * NS_PER_SECOND)
#define HOUR_NS (60 * MINUTE_NS)

#define SETTING(kind_, key_, field_, initial_, what_, ...)                               \
	{                                                                                \
		.kind = SETTING_##kind_, .key = (key_), .offset = AT(field_),            \
		.initial = (initial_), .what = (what_), ##__VA_ARGS__                    \
	}
#define SETTINGS_END                \
	{                           \
		.kind = SETTING_END \
	}
#define WORDS(...) .choices = (const char *const[]){__VA_ARGS__, NULL}
#define RESTART .traits = SETTING_NEEDS_RESTART

#define AT(field) offsetof(struct configuration, field)

const struct setting configuration_settings[] = {
	SETTING(NUMBER, "sampling.frequency", sampling.frequency, "99",
		"Samples a second and CPU. A number that shares no factor with the program's own\n"
		"rhythms shows more than a round one.",
		.unit = "Hz", .low = 1, .high = 10000),
	SETTING(CHOICE, "sampling.mode", sampling.mode, "all",
		"Which ticks: all, only those in kernel code, only those in user code.",
		WORDS("all", "kernel", "user")),
	SETTING(NUMBER, "sampling.max_frames", sampling.max_frames, "1024",
		"User frames of a stack; deeper ones say that they were cut.", .unit = "frames",
		.low = 1, .high = MAX_USER_FRAMES, RESTART),
	SETTING(FLAG, "sampling.symbolize", sampling.symbolize, "true",
		"Names on this host. Without, addresses and build ids go out.", RESTART),
	SETTING(FLAG, "sampling.inlines", sampling.inlines, "true",
		"Inlined functions as frames of their own.", RESTART),
	SETTING(FLAG, "sampling.labels", sampling.labels, "true",
		"Process, thread and container of each sample.", RESTART),
	SETTING(FLAG, "sampling.trace_contexts", sampling.trace_contexts, "true",
		"OTLP: links to the spans in which samples were taken, of programs that say so by\n"
		"OpenTelemetry's process and thread contexts. Samples of different spans stand apart.", RESTART),
	SETTING(FLAG, "sampling.trace_labels", sampling.trace_labels, "false",
		"pprof, which has no links: the spans as labels trace_id and span_id. What is sent to\n"
		"Pyroscope has span_id only, for its span profiles, unless sample_attributes is all."),
	SETTING(SIZE, "sampling.ring", sampling.ring_bytes, "auto",
		"Buffer between kernel and daemon, a power of two; auto: by the number of CPUs.",
		.low = 65536, .high = GIB,
		.traits = SETTING_NEEDS_RESTART | SETTING_ZERO_IS_AUTO),
	SETTING(FLAG, "sampling.ignore_kernel_bugs", sampling.ignore_kernel_bugs, "false",
		"No safe mode on a kernel that is known to hang.", RESTART),
	SETTING(FLAG, "sampling.safe_mode", sampling.safe_mode, "false",
		"Leave out what is known to hang some kernels, on this one too.", RESTART),
	SETTING(FLAG, "memory.growth", memory.growth, "false",
		"Also say where memory grows: page faults become a profile of their own, with the\n"
		"values growth_space and copied_space.",
		RESTART),
	SETTING(TEXT, "memory.oom_directory", memory.oom_directory, "/var/lib/bolometer/oom",
		"With memory.growth: when the kernel kills a process for lack of memory, of the host\n"
		"or of a cgroup, what was seen of it is kept here: its growth of the last hour or\n"
		"more and its stacks of the last minute; \"\": nowhere.",
		RESTART),
	SETTING(SIZE, "memory.oom_size", memory.oom_bytes, "64MiB",
		"Past it the oldest of these files go.", .low = MIB, .high = TIB, RESTART),
	SETTING(FLAG, "memory.heap.enabled", memory.heap.enabled, "false",
		"Also say what allocates and holds memory: a profile of its own, with the values\n"
		"alloc_objects, alloc_space, inuse_objects and inuse_space. Linux 6.6 or newer. A change of\n"
		"this section begins a new recording: counts and estimates begin anew."),
	SETTING(TEXTS, "memory.heap.exe", memory.heap.executables, NULL,
		"Of the processes that are selected only those whose executable matches one of these\n"
		"patterns, by path or by base name: [redis-server]."),
	SETTING(TEXTS, "memory.heap.cgroup", memory.heap.cgroups, NULL,
		"And only those in these cgroups or below, also when they come later."),
	SETTING(SIZE, "memory.heap.interval", memory.heap.interval_bytes, "512KiB",
		"Bytes between two samples; 1: every allocation is taken.", .low = 1,
		.high = HEAP_MAX_INTERVAL),
	SETTING(SHARE, "memory.heap.budget", memory.heap.budget_ppm, "1%",
		"What the probes may cost, of each process's own CPU time. Where they would cost\n"
		"more, the process is looked at in windows of a millisecond; 100%: there is no limit.",
		.low = 100, .high = 1000000),
	SETTING(NUMBER, "memory.heap.processes", memory.heap.processes, "64",
		"So many at once, of those that are selected; others are counted.", .unit = "processes",
		.low = 1, .high = 4096),
	SETTING(DURATION, "memory.heap.age", memory.heap.age_ns, "1s",
		"A program is probed when it has run for so long; those that end before are counted.\n"
		"Those that memory.heap.exe or the selection names, by executable or thread name, are\n"
		"probed at once.",
		.low = NS_PER_MS, .high = HOUR_NS),
	SETTING(NUMBER, "memory.heap.objects", memory.heap.objects, "1048576",
		"Sampled objects followed at once. Where they are more, the interval is raised.",
		.unit = "objects", .low = 1024, .high = 1ULL << 28),
	SETTING(SHARE, "budget.cpu", budget.cpu_ppm, "none",
		"What profiling may cost of the CPU time of all CPUs, over every minute: its own\n"
		"processes, its programs in the kernel, its interrupts. The rate goes down from\n"
		"sampling.frequency as far as it must; totals stay right.",
		.low = 100, .high = 1000000, .traits = SETTING_ZERO_IS_AUTO),
	SETTING(SIZE, "budget.memory", budget.memory_bytes, "none",
		"What profiling may take of the host's memory: its own processes and its maps in the\n"
		"kernel. Sizes and limits become no larger than fits. A change begins a\n"
		"new recording.",
		.low = MEMORY_BUDGET_LOWEST, .high = TIB, .traits = SETTING_ZERO_IS_NONE),
	SETTING(TEXT, "kill_switch.file", kill_switch.file, "/etc/bolometer/off",
		"While there is a file of this name, on a local file system, nothing of the daemon is\n"
		"attached to the kernel; \"\": none. SIGUSR2 does the same."),
	SETTING(DURATION, "kill_switch.overrun", kill_switch.overrun_ns, "5m",
		"So long at more than twice budget.cpu, and everything is detached.",
		.low = NS_PER_SECOND, .high = 24 * HOUR_NS, .traits = SETTING_ZERO_IS_AUTO),
	SETTING(TEXTS, "selection.comm", selection.comms, NULL,
		"Only threads with one of these names, as shell patterns: [\"nginx*\"].\n"
		"Kinds of selection combine: all that are given must hold."),
	SETTING(TEXTS, "selection.exe", selection.executables, NULL,
		"Only processes whose executable matches one of these patterns, by path or by\n"
		"base name."),
	SETTING(TEXTS, "selection.cgroup", selection.cgroups, NULL,
		"Only these cgroups with everything below, also when they come later: "
		"[/system.slice/nginx.service]."),
	SETTING(DURATION, "interval", interval_ns, "10s",
		"How long one profile lasts before it goes to the exporters.", .low = NS_PER_SECOND,
		.high = HOUR_NS),
	SETTING(PAIRS, "resource.attributes", resource_attributes, NULL,
		"Attributes of everything this host exports: {deployment.environment: production}.\n"
		"OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME add to them. They win over what the\n"
		"daemon derives (a service's name from its container or unit), not over what a\n"
		"process declares of itself."),
	SETTING(FLAG, "resource.environment", resource_environment, "true",
		"Take what a process declares of itself from OTEL_SERVICE_NAME and\n"
		"OTEL_RESOURCE_ATTRIBUTES in its environment; no other variable is looked at.",
		RESTART),
	SETTING(FLAG, "cache.enabled", cache.enabled, "true",
		"Keep what was learned of binaries on disk, so that a restart is cheap.", RESTART),
	SETTING(TEXT, "cache.directory", cache.directory, NULL,
		"Where; empty: /var/cache/bolometer.", RESTART),
	SETTING(SIZE, "cache.size", cache.max_bytes, "512MiB",
		"Past it the least recently used go.", .low = MIB, .high = TIB, RESTART),
	SETTING(NUMBER, "limits.binaries", limits.binaries, "8192",
		"Executables and libraries known at once.", .unit = "files", .low = 64,
		.high = 1 << 20, RESTART),
	SETTING(SIZE, "limits.tables", limits.table_bytes, "256MiB",
		"Kernel memory of the unwind tables.", .low = 4 * MIB, .high = GIB, RESTART),
	SETTING(SIZE, "limits.symbols", limits.symbol_bytes, "512MiB",
		"Names and source lines of binaries held in memory.", .low = 4 * MIB, .high = TIB,
		RESTART),
	SETTING(NUMBER, "limits.frames", limits.frames, "16777216",
		"Frames of distinct stacks kept, 8 bytes each.", .unit = "frames", .low = 65536,
		.high = 1ULL << 32, RESTART),
	SETTING(NUMBER, "limits.entries", limits.entries, "4194304",
		"Distinct stacks, threads and cgroups of one interval.", .unit = "entries",
		.low = 1024, .high = 1ULL << 28, RESTART),
	SETTING(DURATION, "limits.idle", limits.idle_ns, "30m",
		"Binaries that no sample met for so long are given up, with their tables and names;\n"
		"met again, they are read from the cache.",
		.low = NS_PER_SECOND, .high = 30 * 24 * HOUR_NS, RESTART),
	SETTING(TEXT, "spool.directory", spool_directory, "/var/lib/bolometer/spool",
		"Where profiles wait until they are sent, one directory below for each exporter;\n"
		"\"\": only in memory. They survive a kill and a restart.",
		RESTART),
	SETTING(TEXT, "http.socket", http.socket, HTTP_DEFAULT_SOCKET,
		"Unix socket for `bolometer status`, `start`, `stop`, `dump` and `top`, and for\n"
		"`go tool pprof`; \"\": none.",
		RESTART),
	SETTING(TEXT, "http.socket_mode", http.socket_mode, "0660",
		"Who may use the socket, as chmod takes it.", RESTART),
	SETTING(TEXT, "http.socket_group", http.socket_group, NULL,
		"The socket's group; empty: the daemon's own.", RESTART),
	SETTING(TEXT, "http.address", http.address, NULL,
		"127.0.0.1:7070 or [::1]:7070: the same over TCP, and the page for browsers. It is\n"
		"not encrypted; empty: none.",
		RESTART),
	SETTING(TEXT, "http.token_file", http.token_file, NULL,
		"File whose first line everybody who uses http.address has to know, as bearer token\n"
		"or as password of basic authorization; read again for each request.",
		RESTART),
	SETTING(TEXT, "http.health_address", http.health_address, "127.0.0.1:7071",
		"Where /healthz, /readyz and /metrics are, for everybody; \"\": nowhere.", RESTART),
	SETTING(CHOICE, "log.level", log_level, "info", "The least important messages written.",
		WORDS("error", "warning", "info", "debug")),
	SETTING(CHOICE, "log.format", log_format, "text",
		"Text for people (with the journal's priorities when standard error is the\n"
		"journal), or one JSON object a line.",
		WORDS("text", "json")),
	SETTINGS_END,
};

#undef AT
#define AT(field) offsetof(struct strategy_configuration, field)

const struct setting strategy_settings[] = {
	SETTING(TEXT, "name", name, NULL, "For messages and metrics; empty: the strategy."),
	SETTING(CHOICE, "strategy", strategy, "always",
		"always: every sample. never: none. probabilistic: each with the chance `ratio`.\n"
		"rate: `samples` a second. adaptive: `samples` an hour, of each service. What is taken\n"
		"weighs more by as much as less is taken: sums stay right, but for never.",
		WORDS("always", "never", "probabilistic", "rate", "adaptive")),
	SETTING(CHOICE, "event", event, "cpu",
		"Which samples: CPU time, or growth of memory. heap: whose allocators are probed; what\n"
		"is taken are processes that are newly looked at, each for its life, as a whole.",
		WORDS("cpu", "growth", "heap")),
	SETTING(TEXT, "match.exe", executable, NULL,
		"Only processes whose executable matches this pattern, by path or by base name. What\n"
		"is given of these must all match; without any, every process does."),
	SETTING(TEXT, "match.cgroup", cgroup, NULL, "A pattern on the path: /system.slice/*."),
	SETTING(TEXT, "match.unit", unit, NULL, "A pattern on the systemd unit: nginx.service."),
	SETTING(TEXT, "match.container", container, NULL,
		"A pattern on the container's id or its name."),
	SETTING(PAIRS, "match.attributes", attributes, NULL,
		"Patterns on what is known of the process: {k8s.namespace.name: \"prod-*\"}."),
	SETTING(CHOICE, "by", by, "sample",
		"probabilistic: what is taken or not as a whole. interval: everything on this host, one\n"
		"interval after the other. trace: as OpenTelemetry's tracers sample consistently, by the\n"
		"trace's id; samples outside of spans each by itself. event: heap needs process, or\n"
		"interval: those that are first met in one.",
		WORDS("sample", "process", "interval", "trace")),
	SETTING(SHARE, "ratio", ratio_ppm, "none", "probabilistic: the chance.", .low = 100,
		.high = 1000000, .traits = SETTING_ZERO_IS_AUTO),
	SETTING(DURATION, "interval", interval_ns, "1m", "by: interval: how long one is.",
		.low = NS_PER_SECOND, .high = 24 * HOUR_NS),
	SETTING(NUMBER, "samples", samples, "none",
		"rate: a second. adaptive: of each service an hour, over all expected hosts.",
		.low = 1, .high = 1000000000, .traits = SETTING_ZERO_IS_AUTO),
	SETTING(NUMBER, "expected_hosts", expected_hosts, "1",
		"adaptive: how many hosts share the samples of a service, each its part.",
		.unit = "hosts", .low = 1, .high = 1000000),
	SETTING(FLAG, "then_next", then_next, "false",
		"What is taken goes on to the next strategy that matches; both factors multiply."),
	SETTINGS_END,
};

#undef AT
#define AT(field) offsetof(struct exporter_configuration, field)

const struct setting exporter_settings[] = {
	SETTING(TEXT, "name", name, NULL,
		"For messages and metrics, and for the place in the spool; empty: the type."),
	SETTING(CHOICE, "type", type, NULL,
		"otlp-grpc, otlp-http: an OpenTelemetry Collector, or a backend that takes OTLP\n"
		"profiles. pyroscope-ingest, pyroscope-push: pprof to Pyroscope or Alloy.\n"
		"pprof-directory: files on this host.",
		.low = EXPORTER_OTLP_GRPC,
		WORDS("otlp-grpc", "otlp-http", "pyroscope-ingest", "pyroscope-push",
		      "pprof-directory")),
	SETTING(TEXT, "endpoint", sink.endpoint, NULL,
		"http://HOST:PORT or https://HOST:PORT, for HTTP with an optional path before the\n"
		"protocol's own; gRPC also takes HOST:PORT."),
	SETTING(FLAG, "exact_endpoint", sink.endpoint_is_exact, "false",
		"Post to the endpoint as it is, without appending the protocol's path."),
	SETTING(FLAG, "insecure", sink.plain, "false",
		"gRPC to an endpoint without a scheme: no TLS."),
	SETTING(PAIRS, "headers", sink.headers, NULL,
		"Sent with every request: {X-Scope-OrgID: tenant}. Secrets are better off in files.",
		.traits = SETTING_SECRET),
	SETTING(TEXT, "bearer_token_file", sink.bearer_token_file, NULL,
		"File with the token; read again when it changes."),
	SETTING(TEXT, "basic_auth.user", sink.user, NULL, "User of basic authorization."),
	SETTING(TEXT, "basic_auth.password_file", sink.password_file, NULL,
		"File with the password; read again when it changes."),
	SETTING(TEXT, "tls.ca", sink.ca_file, NULL,
		"PEM file of the authorities to trust; empty: the system's."),
	SETTING(TEXT, "tls.certificate", sink.certificate_file, NULL,
		"PEM file of our own certificate, where the server asks for one."),
	SETTING(TEXT, "tls.key", sink.key_file, NULL, "PEM file of its key."),
	SETTING(FLAG, "tls.skip_verification", sink.skip_verification, "false",
		"Trust any server. Only for tests."),
	SETTING(TEXT, "proxy", sink.proxy, NULL,
		"http://HOST:PORT; empty: as https_proxy and no_proxy in the environment say."),
	SETTING(CHOICE, "compression", sink.compression, "gzip",
		"Every OTLP server takes gzip; zstd is smaller and cheaper, the Collector takes it.",
		WORDS("gzip", "zstd", "none")),
	SETTING(DURATION, "timeout", sink.timeout_ns, "10s",
		"Of one request, connecting included.", .low = 100 * NS_PER_MS,
		.high = 10 * MINUTE_NS),
	SETTING(DURATION, "retry.initial", retry_initial_ns, "5s",
		"Pause after the first failure; each further one is half as long again, and up to\n"
		"half shorter or longer by chance.",
		.low = 100 * NS_PER_MS, .high = HOUR_NS),
	SETTING(DURATION, "retry.max", retry_max_ns, "30s", "The longest pause.",
		.low = 100 * NS_PER_MS, .high = HOUR_NS),
	SETTING(SIZE, "spool.size", spool_bytes, "256MiB",
		"Bytes on disk that may wait; past it the oldest are dropped, and counted.",
		.low = MIB, .high = TIB),
	SETTING(CHOICE, "shape", shape, "timestamps",
		"OTLP: each sample with the times it was taken, or only how many they were. Some\n"
		"backends (Elastic) read nothing but times.",
		WORDS("timestamps", "values")),
	SETTING(CHOICE, "sample_type", sample_type, "samples",
		"OTLP: samples/count with a period in ns, or cpu/nanoseconds.",
		WORDS("samples", "cpu")),
	SETTING(CHOICE, "grouping", grouping, "auto",
		"OTLP: what one resource is; pyroscope-push: what one series is. auto: process, for\n"
		"Pyroscope container (outside containers a service or program).",
		WORDS("auto", "process", "container", "host")),
	SETTING(CHOICE, "sample_attributes", sample_attributes, "auto",
		"OTLP: thread, CPU and what else each sample says of itself; pyroscope-push: a\n"
		"series for each name of a thread; pyroscope-ingest: labels inside the profile, of\n"
		"which Pyroscope makes series. auto: all, for Pyroscope none.",
		WORDS("auto", "all", "none")),
	SETTING(TEXT, "application", sink.application, NULL,
		"Pyroscope: the service's name, of everything; empty: pyroscope-push names each\n"
		"service, pyroscope-ingest says bolometer."),
	SETTING(PAIRS, "labels", sink.labels, NULL, "Pyroscope: labels on every profile."),
	SETTING(TEXT, "directory", directory, NULL, "pprof-directory: where the files go."),
	SETTING(SIZE, "max_size", max_bytes, "1GiB",
		"pprof-directory: past it the oldest files are removed.", .low = MIB, .high = TIB),
	SETTING(DURATION, "max_age", max_age_ns, "24h",
		"pprof-directory: older files are removed.", .low = MINUTE_NS,
		.high = 10000 * HOUR_NS),
	SETTINGS_END,
};
