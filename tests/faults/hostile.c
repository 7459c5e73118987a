/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are hard on a profiler. Each says "ready" when its trap is set, then computes for
 * SECONDS of CPU time.
 *
 *	hostile mappings COUNT FILE SECONDS	maps the file's first page executable so often
 *	hostile library FILE FUNCTION SECONDS	runs a function(units, seed) of a library
 *	hostile worker FILE SIZE SECONDS	has a thread of the kernel (io_uring's) read so much of a file, over and
 *						over; says "ready -1" where the kernel does not let it
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../truth/workloads/workload.h"

typedef uint64_t (*work_function)(uint64_t units, uint64_t seed);

uint64_t hostile_leaf(uint64_t units, uint64_t seed);

NOINLINE uint64_t hostile_leaf(uint64_t units, uint64_t seed)
{
	while (units--)
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed;
}

/* Returns how many there are. */
static long map_often(long count, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	long mapped = 0;

	while (mapped < count &&
	       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) != MAP_FAILED)
		mapped++;
	close(file);
	return mapped;
}

static work_function load(const char *path, const char *function)
{
	void *library = dlopen(path, RTLD_NOW);

	return library ? (work_function)dlsym(library, function) : NULL;
}

/* A ring of one request, which is given again as soon as it is done. */
static struct {
	int fd;
	unsigned *tail, *completed;
	struct io_uring_sqe *request;
	void *buffer;
} ring;

static bool start_ring(const char *path, size_t size)
{
	struct io_uring_params p = {0};

	ring.fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	if (ring.fd < 0)
		return false;
	char *queue = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
			   MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	char *completions = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
				 PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.request = mmap(NULL, p.sq_entries * sizeof(*ring.request), PROT_READ | PROT_WRITE, MAP_SHARED,
			    ring.fd, IORING_OFF_SQES);
	ring.buffer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (queue == MAP_FAILED || completions == MAP_FAILED || ring.request == MAP_FAILED ||
	    ring.buffer == MAP_FAILED)
		return false;
	ring.tail = (unsigned *)(queue + p.sq_off.tail);
	ring.completed = (unsigned *)(completions + p.cq_off.head);
	*(unsigned *)(queue + p.sq_off.array) = 0;
	*ring.request = (struct io_uring_sqe){.opcode = IORING_OP_READ, .flags = IOSQE_ASYNC,
					      .fd = open(path, O_RDONLY | O_CLOEXEC),
					      .addr = (uintptr_t)ring.buffer, .len = (unsigned)size};
	return ring.request->fd >= 0;
}

/* Gives the request and sleeps until a worker has done it. */
static bool turn_ring(void)
{
	__atomic_store_n(ring.tail, *ring.tail + 1, __ATOMIC_RELEASE);
	long r = syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	__atomic_store_n(ring.completed, *ring.completed + 1, __ATOMIC_RELEASE);
	return r == 1;
}

static int have_worker_read(const char *path, size_t size, uint64_t ns)
{
	bool works = start_ring(path, size) && turn_ring();

	printf("ready %d\n", works ? 1 : -1);
	fflush(stdout);
	for (uint64_t until = process_cpu_ns() + ns; works && process_cpu_ns() < until;)
		works = turn_ring();
	return works ? 0 : 1;
}

int main(int argc, char **argv)
{
	work_function work = hostile_leaf;
	long mapped = 0;

	if (argc != 5)
		return 2;
	if (!strcmp(argv[1], "worker"))
		return have_worker_read(argv[2], (size_t)atol(argv[3]), argument_ns(argv[4]));
	if (!strcmp(argv[1], "mappings"))
		mapped = map_often(atol(argv[2]), argv[3]);
	else
		work = load(argv[2], argv[3]);
	if (!work)
		return 1;
	printf("ready %ld\n", mapped);
	fflush(stdout);
	for (uint64_t until = thread_cpu_ns() + argument_ns(argv[4]); thread_cpu_ns() < until;)
		consume(work(100000, 1));
	return 0;
}
