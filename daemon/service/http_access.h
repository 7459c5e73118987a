/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: the two tests that a request passes before it is looked at. */
#pragma once

#include "base/attributes.h"

/*
 * Is the Host header one that a client meaning this host sends: an address, "localhost" or a name below
 * it, or this host's name? A web page that made its own name resolve to this host sends that name. NULL
 * (HTTP/1.0) is not ours.
 */
bool http_host_is_ours(const char *host);

/* Is it a name without a dot, or none at all? Nobody can make such a name resolve elsewhere than the client's own
 * host or network does. */
bool http_host_is_local(const char *host);

/*
 * Does the Authorization header ("Bearer TOKEN", or "Basic" with any user and the token as password)
 * hold the first line of the file? False when the file cannot be read or its first line is empty. Takes
 * the same time wherever the two differ.
 */
bool http_token_matches(const char *token_file, const char *authorization);
