// SPDX-License-Identifier: Apache-2.0
// A sentence for the person who must act on an error: it names the place and the remedy.
// Functions that can tell more than an errno take a `struct sg_error *` (never NULL). Any thread.
#pragma once

#include "base/attr.h"

struct sg_error {
	char text[512];
};

// Writes the sentence and returns `code` (a negative errno), so that `return sg_error_set(...)`
// reads well.
int sg_error_set(struct sg_error *error, int code, const char *format, ...) SG_PRINTF(3, 4);

// Puts "prefix: " before the sentence that is there. Returns `code`.
int sg_error_prefix(struct sg_error *error, int code, const char *format, ...) SG_PRINTF(3, 4);
