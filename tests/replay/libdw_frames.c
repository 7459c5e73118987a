/* SPDX-License-Identifier: Apache-2.0 */
/* See libdw_frames.h. */
#include "libdw_frames.h"

/* Separate debug files stay out: what unwinding needs is in the programs. */
static int find_no_debug_file(Dwfl_Module *module, void **userdata, const char *name,
			      Dwarf_Addr base, const char *file, const char *link, GElf_Word checksum,
			      char **ret_name)
{
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = find_no_debug_file,
};

Dwfl *libdw_open(pid_t pid)
{
	Dwfl *dwfl = dwfl_begin(&callbacks);
	if (dwfl && dwfl_linux_proc_report(dwfl, pid) == 0 &&
	    dwfl_report_end(dwfl, NULL, NULL) == 0 &&
	    dwfl_linux_proc_attach(dwfl, pid, true) == 0)
		return dwfl;
	dwfl_end(dwfl);
	return NULL;
}

static int add_frame(Dwfl_Frame *frame, void *userdata)
{
	struct libdw_frames *frames = userdata;
	Dwarf_Addr pc;
	bool is_activation;
	if (frames->count == MAX_USER_FRAMES || !dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	/* libdw calls both exact, the frame that a signal interrupted and the trampoline above it. The
	 * trampoline was never called: for us its address is a return address like any other. */
	bool is_trampoline = is_activation && frames->count && !frames->after_trampoline;
	frames->after_trampoline = is_trampoline;
	frames->addresses[frames->count++] = is_activation && !is_trampoline ? pc : pc - 1;
	return DWARF_CB_OK;
}

void libdw_walk(Dwfl *dwfl, pid_t pid, struct libdw_frames *ret)
{
	ret->count = 0;
	ret->error = NULL;
	ret->after_trampoline = false;
	if (dwfl_getthread_frames(dwfl, pid, add_frame, ret) != 0)
		ret->error = dwfl_errmsg(-1);
}
