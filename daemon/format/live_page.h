/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's page, complete: its data comes from /api/live and /api/flame of where it came from. Made
 * at build time by flame/embed.py, with the policy that its Content-Security-Policy header has to say. */
#pragma once

extern const char live_page[];
extern const char live_page_policy[];
