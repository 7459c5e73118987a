/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secrets of one destination: read from their files before a request when those changed (mounted
 * tokens rotate), and kept out of every message.
 */
#pragma once

#include "export/sink_options.h"

#include <sys/stat.h>

/* Says whether a file is still the one that was read. */
struct file_stamp {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified, changed;
};

/* Zero-initialise; free with credentials_free(). */
struct credentials {
	char *authorization; /* value of the header; NULL: none */
	char *secret;	     /* what of it came from the file */
	struct file_stamp authorization_stamp;
	struct file_stamp tls_stamps[3]; /* authorities, certificate, key */
};

/* Reads what changed. *ret_tls_changed: connections made before are to be given up. Returns 0, or
 * -errno with `problem` naming the file and what is wrong with it. */
int credentials_refresh(struct credentials *credentials, const struct sink_options *options,
			bool *ret_tls_changed, char *problem, size_t size);

/* Overwrites every secret that occurs in `message` with stars, and control characters with spaces. */
void credentials_redact(const struct credentials *credentials, const struct sink_options *options,
			char *message);

void credentials_free(struct credentials *credentials);
