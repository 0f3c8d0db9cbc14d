// SPDX-License-Identifier: Apache-2.0
// Dates on the command line.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

// "2026-11-24" (the end of that day, so that its prices are in force) to wall nanoseconds; NULL is
// now. Returns 0 or -EINVAL.
int sg_date_parse(const char *text, int64_t *ret_wall_ns, struct sg_error *error) SG_WUNRES;
