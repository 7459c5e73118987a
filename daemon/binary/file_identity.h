/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file is this, without reading all of it: what an entry of the disk cache is bound to.
 *
 * htlhash ("head, tail, length") is OpenTelemetry's identity of an executable: the first 16 bytes of
 * SHA-256(first 4096 bytes || last 4096 bytes || length as big-endian u64), head and tail overlapping
 * in a small file. https://opentelemetry.io/docs/specs/semconv/resource/process/
 * (process.executable.build_id.htlhash). Whoever wants to can make two files with one htlhash, so
 * place and times are part of the identity. They include the device: a user who mounts a file system
 * of his own chooses its inode numbers and times, but not its device number.
 */
#pragma once

#include "base/attributes.h"

#define HTLHASH_SIZE 16

/* The htlhash of a whole file in memory. */
void bytes_htlhash(const void *bytes, uint64_t size, uint8_t ret[static HTLHASH_SIZE]);

/* Without padding, so that it can be hashed and compared as bytes. */
struct file_identity {
	uint8_t htlhash[HTLHASH_SIZE];
	uint64_t size;
	uint64_t mtime_ns, ctime_ns;
	uint64_t device, inode;
};

/* Computes the htlhash of an open file of `size` bytes. Returns 0, -ENODATA when it is shorter, or
 * -errno. */
int file_htlhash(int file, uint64_t size, uint8_t ret[static HTLHASH_SIZE]);

/*
 * Reads the identity of an open regular file. A small memfd sealed against writing is its contents
 * alone: all of it is hashed, and place and times are zero.
 *
 * `now_ns` is CLOCK_REALTIME. Returns 0; -EAGAIN when the file changed within the last two seconds,
 * so that a further change might leave its times as they are (those of some file systems tick so
 * slowly); or -errno.
 */
int file_identity_read(int file, uint64_t now_ns, struct file_identity *ret);

/* Does the open file still have the size, place and times of this identity, as far as the kernel knows?
 * Unlike the other calls it does not ask the file system, and cannot hang. */
bool file_identity_holds(const struct file_identity *identity, int file);
