/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that say in which span they work, by OpenTelemetry's process context (OTEP 4719) and thread context
 * (OTEP 4947). Each goes through functions of its own for: two spans, no context, a context that is being
 * written, and one that is nowhere. Which function a sample is in says which context its thread had.
 *
 *	contexts SECONDS [LIBRARY|-] [silent|wild|renewed]
 *
 * The variable is its own (built with OWN_VARIABLE) or that of the library. "silent" says of no contexts in the
 * process's context; "wild" makes it lie; "renewed" gives the same functions other spans each round.
 */
#include "contexts.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "workload.h"

#define THREADS 2
#define PIECE_NS 3000000

struct record {
	uint8_t trace_id[16], span_id[8];
	uint8_t valid, flags;
	uint16_t attributes_size;
	uint8_t attributes[8];
};

struct process_context {
	char signature[8];
	uint32_t version, size;
	uint64_t published_ns;
	const void *payload;
};

#ifdef OWN_VARIABLE
CONTEXT_EXPORT __thread void *otel_thread_ctx_v1;

static void set_own(void *record)
{
	otel_thread_ctx_v1 = record;
}
#endif

static set_thread_context *set_context;
static uint64_t total_ns;
static bool renews; /* spans */

static uint64_t work(uint64_t seed)
{
	uint64_t value = seed, end = thread_cpu_ns() + PIECE_NS;

	while (thread_cpu_ns() < end)
		for (int round = 0; round < 20000; round++)
			value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

#define PIECE(name)                             \
	NOINLINE uint64_t name(uint64_t seed)   \
	{                                       \
		uint64_t value = work(seed);    \
		KEEP_FRAME();                   \
		return value;                   \
	}
PIECE(in_span_1)
PIECE(in_span_2)
PIECE(without_context)
PIECE(in_unfinished_context)
PIECE(in_lost_context)

/* Ids that the test makes too: the thread's number and the span's, high byte first. */
static void name_span(struct record *record, uint32_t thread, uint8_t span)
{
	*record = (struct record){.trace_id = {0xb0, 0x10}, .span_id = {span}, .valid = 1};
	for (int i = 0; i < 4; i++)
		record->trace_id[11 + i] = record->span_id[4 + i] = (uint8_t)(thread >> (8 * (3 - i)));
	record->trace_id[15] = span;
}

static void *thread_main(void *argument)
{
	struct record spans[2], unfinished;
	uint64_t value = (uintptr_t)argument;
	uint32_t thread = (uint32_t)gettid();

	name_span(&spans[0], thread, 1);
	name_span(&spans[1], thread, 2);
	name_span(&unfinished, thread, 3);
	unfinished.valid = 0;
	while (thread_cpu_ns() < total_ns / THREADS) {
		set_context(&spans[0]);
		value = in_span_1(value);
		set_context(&spans[1]);
		value = in_span_2(value);
		set_context(NULL);
		value = without_context(value);
		set_context(&unfinished);
		value = in_unfinished_context(value);
		set_context((void *)8);
		value = in_lost_context(value);
		set_context(NULL);
		for (int i = 0; i < 2; i++)
			spans[i].span_id[1] = (uint8_t)(spans[i].span_id[1] + renews);
	}
	consume(value);
	return NULL;
}

/* ---- The process's context ------------------------------------------------------------------- */

static size_t add_text(uint8_t *to, uint8_t field, const char *text)
{
	size_t length = strlen(text);

	to[0] = (uint8_t)(field << 3 | 2);
	to[1] = (uint8_t)length;
	memcpy(to + 2, text, length);
	return length + 2;
}

/* ProcessContext { attributes = 2: KeyValue { key = 1, value = 2: AnyValue { string_value = 1 } } } */
static size_t make_payload(uint8_t *to, const char *key, const char *value)
{
	size_t size = 2 + add_text(to + 2, 1, key);
	uint8_t *any = to + size;

	any[0] = 2 << 3 | 2;
	any[1] = (uint8_t)add_text(any + 2, 1, value);
	size += 2U + any[1];
	to[0] = 2 << 3 | 2;
	to[1] = (uint8_t)(size - 2);
	return size;
}

static void publish(const char *how)
{
	static uint8_t payload[256];
	int memory = memfd_create("OTEL_CTX", 0);
	struct process_context *context;

	if (memory < 0 || ftruncate(memory, 4096) < 0)
		exit(1);
	context = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
	if (context == MAP_FAILED)
		exit(1);
	close(memory);
	memcpy(context->signature, "OTEL_CTX", 8);
	context->version = 2;
	context->size = (uint32_t)make_payload(payload, "threadlocal.schema_version",
					       strcmp(how, "silent") ? "tlsdesc_v1_dev" : "other");
	context->payload = payload;
	if (strcmp(how, "wild") == 0) {
		context->payload = (void *)0x7ffffffff000;
		payload[1] = 0xff; /* for who would read it all the same */
	}
	__atomic_store_n(&context->published_ns, clock_ns(CLOCK_BOOTTIME), __ATOMIC_RELEASE);
}

static void find_setter(const char *library)
{
#ifdef OWN_VARIABLE
	(void)library;
	set_context = set_own;
#else
	void *handle = dlopen(library, RTLD_NOW);

	set_context = handle ? (set_thread_context *)dlsym(handle, "set_context") : NULL;
	if (!set_context) {
		fprintf(stderr, "contexts: %s\n", dlerror());
		exit(1);
	}
#endif
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	total_ns = argument_ns(argc > 1 ? argv[1] : "1");
	find_setter(argc > 2 ? argv[2] : "-");
	renews = argc > 3 && strcmp(argv[3], "renewed") == 0;
	publish(argc > 3 ? argv[3] : "");
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread_main, (void *)i);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("{\"threads\": %d", THREADS);
	print_end("contexts");
	return 0;
}
