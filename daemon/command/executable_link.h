/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that people know by the name of a link: redis-server, python3, java. A process is known by the file that runs, so
 * a selection by the link's name meets nothing.
 */
#pragma once

/*
 * The file that `name` leads to on this host, when that is called otherwise: `name` is a path, of which the whole counts, or
 * what a shell would look up in $PATH, of which the last part does. NULL: no link, not there, or no memory. The caller frees.
 */
char *executable_link_target(const char *name);
