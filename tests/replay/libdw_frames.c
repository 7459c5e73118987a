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
	if (frames->count == MAX_USER_FRAMES ||
	    !dwfl_frame_pc(frame, &frames->addresses[frames->count],
			   &frames->is_activation[frames->count]))
		return DWARF_CB_ABORT;
	frames->count++;
	return DWARF_CB_OK;
}

/*
 * libdw calls both exact, the trampoline of a signal and the frame that the signal interrupted. The
 * trampoline was never called: for us its address is a return address like any other, and each pair
 * begins with one. Only a thread that stands in the trampoline itself has a frame too many: there the
 * first frame is the trampoline, exact as each first frame is, and the second was interrupted.
 */
static void address_calls(struct libdw_frames *frames)
{
	u32 exact = 1;
	while (exact < frames->count && frames->is_activation[exact])
		exact++;
	bool after_trampoline = (exact - 1) % 2;
	for (u32 i = 1; i < frames->count; i++) {
		bool is_trampoline = frames->is_activation[i] && !after_trampoline;
		if (!frames->is_activation[i] || is_trampoline)
			frames->addresses[i]--;
		after_trampoline = is_trampoline;
	}
}

void libdw_walk(Dwfl *dwfl, pid_t pid, struct libdw_frames *ret)
{
	ret->count = 0;
	ret->error = NULL;
	if (dwfl_getthread_frames(dwfl, pid, add_frame, ret) != 0)
		ret->error = dwfl_errmsg(-1);
	address_calls(ret);
}
