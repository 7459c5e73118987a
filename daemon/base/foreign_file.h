/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing files that are not ours. close(2) asks the file system (FUSE and NFS flush), and where its server hangs
 * nothing ends the wait, not even a signal. So it is done in threads that nobody waits for, of the whole process: a
 * file that hangs holds up those of its own device, and nobody else.
 */
#pragma once

/* Takes the descriptor over; -1 is accepted. errno stays. Always returns -1, so `fd = close_foreign(fd);`. */
int close_foreign(int fd);

static inline void close_foreign_cleanup(int *fd)
{
	close_foreign(*fd);
}

/* Declares an owned descriptor of a foreign file: `_cleanup_foreign_ int fd = -1;` */
#define _cleanup_foreign_ _cleanup_(close_foreign_cleanup)
