/* SPDX-License-Identifier: Apache-2.0 */
/* The entry: the parser child leaves before anything else happens, everybody else is a command. */
#include "binary/parser.h"
#include "command/command.h"

#include <string.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "parser-child") == 0)
		return parser_child_main();
	return command_main(argc, argv);
}
