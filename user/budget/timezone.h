// SPDX-License-Identifier: Apache-2.0
// A time zone of the system's database (tzfile(5)), read once: what the C library offers keeps the
// zone in the environment, which is no place for a process with threads. Immutable; any thread.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"

#define SG_TIMEZONE_BYTES 48

struct sg_timezone;

// "Europe/Berlin"; "" and "UTC" need no database. Returns 0, -EINVAL (no such zone, or no zone
// file) with the remedy, or -ENOMEM.
int sg_timezone_load(
	const char *name, struct sg_timezone **ret_timezone, struct sg_error *error) SG_WUNRES;
struct sg_timezone *sg_timezone_free(struct sg_timezone *zone);

// The offset of local time in force at a moment, both in seconds, and until when (INT64_MAX: for
// ever).
struct sg_timezone_span {
	int64_t from_s; // INT64_MIN: since ever
	int64_t until_s;
	int32_t offset_s; // local time minus UTC
};

void sg_timezone_at(
	const struct sg_timezone *zone, int64_t at_s, struct sg_timezone_span *ret_span);
