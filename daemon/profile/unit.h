/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of values. Others write times in microseconds or "ms" and sizes in "kB"; what reads files makes nanoseconds
 * and bytes of them, so that everything behind it knows two units, and files of different makers compare and add up.
 *
 * The names are those that `go tool pprof` takes (github.com/google/pprof, internal/measurement): any case, plural or
 * not; its "kB" is 1024 bytes, and so it is here.
 */
#pragma once

#include "profile/profile.h"

/*
 * Makes nanoseconds of values, and of the period, that are times in another unit, and bytes of sizes. A sample type of
 * which a value would not fit, and units that are neither, stay as they are. Returns 0 or -ENOMEM.
 */
int profile_take_usual_units(struct profile *profile);
