// SPDX-License-Identifier: Apache-2.0
#include "budget/calendar.h"

#include <time.h>

#include "base/clock.h"

#define HOUR_S 3600
#define DAY_S  86400

// Clocks of one zone (Antarctica/Troll) go back by two hours, those of all others by less.
#define LARGEST_CHANGE_S (2 * HOUR_S)

// No local time is further from UTC than this.
#define MAX_OFFSET_S (26 * HOUR_S)

static const char *const names[] = {
	[SG_NO_CALENDAR] = "none",
	[SG_HOUR] = "hour",
	[SG_DAY] = "day",
	[SG_WEEK] = "week",
	[SG_MONTH] = "month",
};

const char *sg_calendar_name(enum sg_calendar calendar)
{
	return names[calendar];
}

int64_t sg_calendar_longest_ns(enum sg_calendar calendar)
{
	static const int64_t longest_s[] = {
		[SG_NO_CALENDAR] = 0,
		[SG_HOUR] = HOUR_S,
		[SG_DAY] = DAY_S + LARGEST_CHANGE_S,
		[SG_WEEK] = 7 * DAY_S + LARGEST_CHANGE_S,
		[SG_MONTH] = 31 * DAY_S + LARGEST_CHANGE_S,
	};

	return longest_s[calendar] * SG_NS_PER_SEC;
}

static int64_t floor_to(int64_t value, int64_t step)
{
	int64_t rest = value % step;

	return value - (rest < 0 ? rest + step : rest);
}

// ---- Civil dates, as seconds since 1970 in local time ----

static int64_t month_start(int64_t local_s, int months_on)
{
	time_t seconds = local_s;
	struct tm date;

	gmtime_r(&seconds, &date);
	date.tm_mon += months_on;
	date.tm_mday = 1;
	date.tm_hour = date.tm_min = date.tm_sec = 0;
	return timegm(&date);
}

static int64_t civil_start(enum sg_calendar calendar, int64_t local_s)
{
	switch (calendar) {
	case SG_WEEK: // 1970-01-01 was a Thursday
		return floor_to(local_s + 3 * DAY_S, 7 * DAY_S) - 3 * DAY_S;
	case SG_MONTH:
		return month_start(local_s, 0);
	default:
		return floor_to(local_s, DAY_S);
	}
}

static int64_t civil_next(enum sg_calendar calendar, int64_t start_s)
{
	if (calendar == SG_MONTH)
		return month_start(start_s, 1);
	return start_s + (calendar == SG_WEEK ? 7 : 1) * DAY_S;
}

// The first moment at which local time is `local_s` or later.
static int64_t first_reached(const struct sg_timezone *zone, int64_t local_s)
{
	int64_t at_s = local_s - MAX_OFFSET_S;

	for (;;) {
		struct sg_timezone_span span;
		int64_t reached_s;

		sg_timezone_at(zone, at_s, &span);
		reached_s = local_s - span.offset_s;
		if (reached_s < at_s)
			reached_s = at_s;
		if (reached_s < span.until_s)
			return reached_s;
		at_s = span.until_s;
	}
}

// Where clocks go back over midnight, a date that was reached already comes again: it is over.
static struct sg_period dated_period(
	enum sg_calendar calendar, const struct sg_timezone *zone, int64_t at_s)
{
	struct sg_timezone_span span;
	struct sg_period period;
	int64_t start_s;

	sg_timezone_at(zone, at_s, &span);
	start_s = civil_start(calendar, at_s + span.offset_s);
	period.from_s = first_reached(zone, start_s);
	for (;;) {
		start_s = civil_next(calendar, start_s);
		period.until_s = first_reached(zone, start_s);
		if (period.until_s > at_s)
			return period;
		period.from_s = period.until_s;
	}
}

// Hours go by UTC, and so by local time too, but where the offset changes by a part of an hour:
// there the hour is cut.
static struct sg_period hour(const struct sg_timezone *zone, int64_t at_s)
{
	struct sg_timezone_span span, other;
	struct sg_period period;

	sg_timezone_at(zone, at_s, &span);
	period.from_s = floor_to(at_s + span.offset_s, HOUR_S) - span.offset_s;
	period.until_s = period.from_s + HOUR_S;
	if (period.from_s < span.from_s) {
		sg_timezone_at(zone, span.from_s - 1, &other);
		if ((span.offset_s - other.offset_s) % HOUR_S)
			period.from_s = span.from_s;
	}
	if (period.until_s > span.until_s) {
		sg_timezone_at(zone, span.until_s, &other);
		if ((span.offset_s - other.offset_s) % HOUR_S)
			period.until_s = span.until_s;
	}
	return period;
}

struct sg_period sg_calendar_period(
	enum sg_calendar calendar, const struct sg_timezone *zone, int64_t at_s)
{
	return calendar == SG_HOUR ? hour(zone, at_s) : dated_period(calendar, zone, at_s);
}
