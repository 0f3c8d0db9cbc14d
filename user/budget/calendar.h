// SPDX-License-Identifier: Apache-2.0
// Hours, days, weeks (from Monday) and months of local time. Any thread.
#pragma once

#include <stdint.h>

#include "budget/timezone.h"

enum sg_calendar { SG_NO_CALENDAR, SG_HOUR, SG_DAY, SG_WEEK, SG_MONTH };

// The period that a moment is in, in seconds of UTC: [from, until). Periods follow each other
// without gap or overlap, whatever the clocks do: a day starts when its date is first reached, and
// an hour that is passed twice is two.
struct sg_period {
	int64_t from_s, until_s;
};

struct sg_period sg_calendar_period(
	enum sg_calendar calendar, const struct sg_timezone *zone, int64_t at_s);

// No period is longer, with the hour that a day has more when the clocks go back. 0: of no
// calendar.
int64_t sg_calendar_longest_ns(enum sg_calendar calendar);

// "hour", "day", "week", "month"
const char *sg_calendar_name(enum sg_calendar calendar);
