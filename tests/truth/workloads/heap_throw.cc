/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks `operator new` for more than there is, again and again, and goes on. Says how often it was told so, once its
 * input ends.
 */
#include <cstdio>
#include <new>
#include <unistd.h>

int main()
{
	volatile size_t too_much = (size_t)1 << 60;
	int caught = 0;
	char end;

	for (int i = 0; i < 300; i++) {
		usleep(10000);
		delete new int(i);
		try {
			delete[] new char[too_much];
		} catch (const std::bad_alloc &) {
			caught++;
		}
	}
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	printf("%d\n", caught);
	return 0;
}
