/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_lifetimes.h"

#include <math.h>

struct heap_lifetimes heap_lifetimes_read(const struct heap_site *site)
{
	struct heap_lifetimes read;
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		read.objects[i] = (double)site->freed[i].objects / HEAP_WEIGHT_ONE;
		read.bytes[i] = (double)site->freed[i].bytes;
	}
	return read;
}

void heap_lifetimes_add(struct heap_lifetimes *sum, const struct heap_lifetimes *more)
{
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		sum->objects[i] += more->objects[i];
		sum->bytes[i] += more->bytes[i];
	}
}

void heap_lifetimes_subtract(struct heap_lifetimes *sum, const struct heap_lifetimes *less)
{
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		sum->objects[i] -= less->objects[i];
		sum->bytes[i] -= less->bytes[i];
	}
}

/* A sample that an earlier phase watched may be found freed in this one: no more is freed than was watched. */
static void scale(double values[static HEAP_LIFETIMES], double watched, double all)
{
	double freed = 0;
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++)
		freed += values[i];
	double of = fmax(watched, freed), factor = of > 0 ? all / of : 0;
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++)
		values[i] *= factor;
}

void heap_lifetimes_scale(struct heap_lifetimes *lifetimes, const struct heap_sum *watched, double objects,
			  double bytes)
{
	scale(lifetimes->objects, (double)watched->objects / HEAP_WEIGHT_ONE, objects);
	scale(lifetimes->bytes, (double)watched->bytes, bytes);
}
