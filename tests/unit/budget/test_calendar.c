// SPDX-License-Identifier: Apache-2.0
// Calendar windows in the zones of the system's database, on the days when clocks change; the C
// library is the judge of local time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/attr.h"
#include "budget/calendar.h"

static struct sg_timezone *load(const char *name)
{
	struct sg_timezone *zone = NULL;
	struct sg_error error = { "" };

	if (sg_timezone_load(name, &zone, &error) < 0)
		fail_msg("%s", error.text);
	return zone;
}

// "2026-03-29T00:00:00Z" to seconds.
static int64_t utc(const char *text)
{
	struct tm date = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &date));
	return timegm(&date);
}

static void periods_on_days_when_clocks_change(void **state)
{
	static const struct {
		const char *zone;
		enum sg_calendar calendar;
		const char *at, *from, *until;
	} rows[] = {
		// 23 and 25 hours
		{ "Europe/Berlin", SG_DAY, "2026-03-29T00:59:59Z", "2026-03-28T23:00:00Z",
			"2026-03-29T22:00:00Z" },
		{ "Europe/Berlin", SG_DAY, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z",
			"2026-03-29T22:00:00Z" },
		{ "Europe/Berlin", SG_DAY, "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z",
			"2026-10-25T23:00:00Z" },
		{ "Europe/Berlin", SG_DAY, "2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z",
			"2026-10-26T23:00:00Z" },
		{ "America/New_York", SG_DAY, "2026-03-08T20:00:00Z", "2026-03-08T05:00:00Z",
			"2026-03-09T04:00:00Z" },
		{ "America/New_York", SG_DAY, "2026-11-01T20:00:00Z", "2026-11-01T04:00:00Z",
			"2026-11-02T05:00:00Z" },
		{ "Europe/Berlin", SG_WEEK, "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z",
			"2026-03-29T22:00:00Z" },
		{ "Europe/Berlin", SG_MONTH, "2026-10-31T12:00:00Z", "2026-09-30T22:00:00Z",
			"2026-10-31T23:00:00Z" },
		// an hour that comes twice is two
		{ "Europe/Berlin", SG_HOUR, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z",
			"2026-10-25T01:00:00Z" },
		{ "Europe/Berlin", SG_HOUR, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z",
			"2026-10-25T02:00:00Z" },
		{ "Asia/Kolkata", SG_HOUR, "2026-05-01T10:00:00Z", "2026-05-01T09:30:00Z",
			"2026-05-01T10:30:00Z" },
		// half an hour back at 02:00, and on
		{ "Australia/Lord_Howe", SG_HOUR, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z",
			"2026-04-04T15:30:00Z" },
		{ "Australia/Lord_Howe", SG_HOUR, "2026-04-04T14:40:00Z", "2026-04-04T14:00:00Z",
			"2026-04-04T15:00:00Z" },
		// midnight is left out: the day starts at 01:00
		{ "America/Sao_Paulo", SG_DAY, "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z",
			"2018-11-05T02:00:00Z" },
		// midnight comes twice: the day starts at the first
		{ "America/Havana", SG_DAY, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z",
			"2026-11-02T05:00:00Z" },
		// a minute of the new day, then an hour of the old one again
		{ "America/St_Johns", SG_DAY, "2010-11-07T03:00:00Z", "2010-11-07T02:30:00Z",
			"2010-11-08T03:30:00Z" },
		// a date that never was
		{ "Pacific/Apia", SG_DAY, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z",
			"2011-12-30T10:00:00Z" },
		{ "Pacific/Apia", SG_DAY, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z",
			"2011-12-31T10:00:00Z" },
		// far beyond the table, by the rule at its end
		{ "Europe/Berlin", SG_DAY, "2099-03-29T12:00:00Z", "2099-03-28T23:00:00Z",
			"2099-03-29T22:00:00Z" },
		{ "", SG_MONTH, "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z",
			"2028-03-01T00:00:00Z" },
		{ "UTC", SG_WEEK, "2026-11-26T12:00:00Z", "2026-11-23T00:00:00Z",
			"2026-11-30T00:00:00Z" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_timezone *zone = load(rows[i].zone);
		struct sg_period period =
			sg_calendar_period(rows[i].calendar, zone, utc(rows[i].at));

		if (period.from_s != utc(rows[i].from) || period.until_s != utc(rows[i].until))
			fail_msg("row %zu (%s at %s): %lld to %lld, not %lld to %lld", i,
				rows[i].zone, rows[i].at, (long long)period.from_s,
				(long long)period.until_s, (long long)utc(rows[i].from),
				(long long)utc(rows[i].until));
		sg_timezone_free(zone);
	}
}

static const char *const zones[] = { "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
	"America/Havana", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "America/St_Johns",
	"Asia/Tehran", "America/Santiago" };

// At every third hour of eighty years the zone has the offset that the C library
// gives it.
static void offsets_are_those_of_the_c_library(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(zones); i++) {
		struct sg_timezone *zone = load(zones[i]);

		setenv("TZ", zones[i], 1);
		tzset();
		for (time_t at_s = utc("1975-01-01T00:00:00Z"); at_s < utc("2055-01-01T00:00:00Z");
			at_s += 11700) {
			struct sg_timezone_span span;
			struct tm date;

			sg_timezone_at(zone, at_s, &span);
			localtime_r(&at_s, &date);
			if (span.offset_s != date.tm_gmtoff || at_s < span.from_s ||
				at_s >= span.until_s)
				fail_msg("%s at %lld: %d, not %ld", zones[i], (long long)at_s,
					span.offset_s, date.tm_gmtoff);
		}
		sg_timezone_free(zone);
	}
	unsetenv("TZ");
	tzset();
}

// Whatever the clocks do, each moment is in one period, and the next one starts where it ends.
static void periods_follow_each_other_without_gap(void **state)
{
	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(zones); i++) {
		struct sg_timezone *zone = load(zones[i]);

		for (enum sg_calendar calendar = SG_HOUR; calendar <= SG_MONTH; calendar++) {
			int64_t at_s = utc("2009-12-31T00:00:00Z"),
				end_s = calendar == SG_HOUR ? utc("2012-02-01T00:00:00Z")
							    : utc("2040-01-01T00:00:00Z");
			struct sg_period before = sg_calendar_period(calendar, zone, at_s);

			while (before.until_s < end_s) {
				struct sg_period next =
					sg_calendar_period(calendar, zone, before.until_s);
				struct sg_period last =
					sg_calendar_period(calendar, zone, next.until_s - 1);

				assert_int_equal(next.from_s, before.until_s);
				assert_true(next.until_s > next.from_s);
				assert_int_equal(last.from_s, next.from_s);
				assert_int_equal(last.until_s, next.until_s);
				before = next;
			}
		}
		sg_timezone_free(zone);
	}
}

// What has to be kept for a window is decided by it.
static void no_period_is_longer_than_the_longest(void **state)
{
	static const char *const names[] = { "Antarctica/Troll", "Australia/Lord_Howe",
		"Europe/Berlin" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		struct sg_timezone *zone = load(names[i]);

		for (enum sg_calendar calendar = SG_DAY; calendar <= SG_MONTH; calendar++) {
			int64_t at_s = utc("2026-01-01T00:00:00Z");

			while (at_s < utc("2028-01-01T00:00:00Z")) {
				struct sg_period period = sg_calendar_period(calendar, zone, at_s);

				assert_true((period.until_s - period.from_s) * 1000000000 <=
					    sg_calendar_longest_ns(calendar));
				at_s = period.until_s;
			}
		}
		sg_timezone_free(zone);
	}
}

static void what_is_no_zone_is_refused_with_the_name(void **state)
{
	static const char *const names[] = { "Europe/Nowhere", "../passwd", "/etc/passwd",
		"tzdata.zi", "Europe/Berlin ", "Europe" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		struct sg_timezone *zone = NULL;
		struct sg_error error = { "" };

		assert_true(sg_timezone_load(names[i], &zone, &error) < 0);
		assert_non_null(strstr(error.text, names[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(periods_on_days_when_clocks_change),
		cmocka_unit_test(offsets_are_those_of_the_c_library),
		cmocka_unit_test(periods_follow_each_other_without_gap),
		cmocka_unit_test(no_period_is_longer_than_the_longest),
		cmocka_unit_test(what_is_no_zone_is_refused_with_the_name),
	};

	return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
