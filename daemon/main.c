/* SPDX-License-Identifier: Apache-2.0 */
/* The entry: the confined children leave before anything else happens, everybody else is a command. */
#include "binary/parser.h"
#include "collect/opener.h"
#include "command/command.h"

#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "parser-child") == 0)
		return parser_child_main();
	if (argc == 2 && strcmp(argv[1], OPENER_ARGUMENT) == 0)
		return opener_child_main();
	return command_main(argc, argv);
}
