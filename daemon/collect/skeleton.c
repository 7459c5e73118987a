/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf reads all of the kernel's types when it loads programs, some 5 MB of which ours name a few dozen: it is given
 * a file of those alone.
 */
#include "collect/skeleton.h"

#include "base/file.h"
#include "base/log.h"
#include "bpf/wire.h" /* the skeleton speaks of its types */
#include "bolometer.skel.h"
#include "collect/event_clock.h"
#include "collect/kernel_types.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"
#define MAX_KERNEL_TYPES (256UL << 20)

static int write_reduced(int fd, const void *kernel, size_t size, struct bolometer_bpf *s)
{
	_cleanup_free_ void *types = NULL;
	size_t types_size;
	uint32_t function = kernel_types_find_function(kernel, size, EVENT_CLOCK_FUNCTION);
	if (event_clock_probe(function) && event_clock_set_function(s->progs.on_cpu_tick, function) < 0)
		log_debug("ticks ask for their time");
	int r = kernel_types_reduce(kernel, size, bpf_object__btf(s->obj), &types, &types_size);
	return r < 0 ? r : write_all(fd, types, types_size);
}

/* The kernel's types that the skeleton's programs name, into the file. Since 6.16 the kernel's can be mapped;
 * reading them takes a system call for each page. */
static int write_kernel_types(int fd, struct bolometer_bpf *s)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_fd_ int kernel = open(KERNEL_TYPES, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t size;
	if (kernel < 0 || fstat(kernel, &st) < 0)
		return -errno;
	void *mapped = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, kernel, 0);
	if (mapped == MAP_FAILED) {
		int r = read_whole_fd(kernel, MAX_KERNEL_TYPES, &bytes, &size);
		return r < 0 ? r : write_reduced(fd, bytes, size, s);
	}
	int r = write_reduced(fd, mapped, st.st_size, s);
	munmap(mapped, st.st_size);
	return r;
}

/* libbpf wants the name of a file before the programs are known, and reads it when they are loaded. Where
 * the kernel's types cannot be cut down it finds them itself. */
struct bolometer_bpf *skeleton_open(int *ret_types)
{
	char path[64];
	_cleanup_fd_ int types = memfd_create("kernel types", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", types);
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = path);
	struct bolometer_bpf *s = types < 0 ? NULL : bolometer_bpf__open_opts(&options);
	int r = s ? write_kernel_types(types, s) : -errno;
	if (r == 0) {
		*ret_types = take_fd(types);
		return s;
	}
	log_debug("all of the kernel's types are looked at: %s", strerror(-r));
	bolometer_bpf__destroy(s);
	return bolometer_bpf__open();
}
