/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon answers on its own host: health and metrics for everybody who reaches their listener;
 * profiles, state, control and the page on a unix socket, and over TCP for who knows the token. It never
 * tells command lines, environments or credentials.
 *
 * All requests are answered on the daemon's loop, in microseconds; what takes longer (a profile of N
 * seconds, encoding, reading the flight recorder) is answered later, from a thread of its own.
 */
#pragma once

#include "profile/profile.h"

struct daemon;
struct local_server;

/* Opens the listeners of the configuration. One that was asked for and cannot be opened is an error, one
 * of the defaults a warning; both have been logged. Returns 0 or -errno. */
int local_server_new(struct daemon *daemon, struct local_server **ret);

/* Answers what waits with 503 and closes everything. Accepts NULL. Returns NULL. */
struct local_server *local_server_free(struct local_server *local);

/* Ends the profiles that are being taken, before their time: the recording ends. Accepts NULL. */
void local_server_end_windows(struct local_server *local);

/* The profiles of the interval that has just ended, for the page and for dumps; become the server's, which keeps them
 * when there is a listener to ask for them. Accepts NULL for `local` and for profiles. */
void local_server_keep(struct local_server *local, struct profile *const profiles[PROFILE_KIND_COUNT]);
