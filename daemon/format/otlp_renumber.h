/* SPDX-License-Identifier: Apache-2.0 */
/* Takes what nothing refers to out of the dictionary of a decoded message. */
#pragma once

#include "base/attributes.h"

struct Otlp__ExportProfilesServiceRequest;

/* Frees unused entries of all tables, moves the others together and changes every index to match; entry
 * 0 stays. Returns 0, -EBADMSG when an index lies outside its table, or -ENOMEM; the message can be freed
 * in every case. */
int otlp_renumber(struct Otlp__ExportProfilesServiceRequest *request);
