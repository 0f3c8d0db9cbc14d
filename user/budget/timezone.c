// SPDX-License-Identifier: Apache-2.0
#include "budget/timezone.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define DATABASE   "/usr/share/zoneinfo"
#define FILE_LIMIT (1u << 20)
#define HEADER	   44
#define MAX_TIMES  20000
#define MAX_TYPES  256
#define HOUR_S	   3600
#define DAY_S	   86400

// A day of the year at which clocks change, as POSIX TZ writes it.
struct change {
	enum { BY_WEEKDAY, BY_DAY_WITHOUT_LEAP, BY_DAY } kind;
	int month, week, day;
	int32_t time_s; // local
};

// What holds after the last transition of the table.
struct rule {
	int32_t standard_s, summer_s; // offsets
	bool has_summer;
	struct change start, end; // of summer
};

struct sg_timezone {
	unsigned count;
	int64_t *times;	  // ascending
	int32_t *offsets; // from times[i] on
	int32_t before_s; // offset before times[0]
	bool has_rule;
	struct rule rule;
};

// ---- The rule: "CET-1CEST,M3.5.0,M10.5.0/3" ----

static bool skip_name(const char **text)
{
	const char *at = *text;

	if (*at == '<') {
		at = strchr(at, '>');
		if (!at)
			return false;
		at++;
	} else {
		while (isalpha((unsigned char)*at))
			at++;
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}

static bool take_number(const char **text, int most, int *ret_number)
{
	char *end;
	long number;

	if (!isdigit((unsigned char)**text))
		return false;
	number = strtol(*text, &end, 10);
	if (number > most)
		return false;
	*ret_number = (int)number;
	*text = end;
	return true;
}

// [+-]hh[:mm[:ss]]
static bool take_time(const char **text, int32_t *ret_seconds)
{
	int sign = 1, part, unit = HOUR_S, seconds = 0;

	if (**text == '+' || **text == '-')
		sign = *(*text)++ == '-' ? -1 : 1;
	for (;;) {
		if (!take_number(text, unit == HOUR_S ? 167 : 59, &part))
			return false;
		seconds += part * unit;
		unit /= 60;
		if (**text != ':' || !unit)
			break;
		(*text)++;
	}
	*ret_seconds = sign * seconds;
	return true;
}

static bool take_weekday(const char **text, struct change *change)
{
	if (!take_number(text, 12, &change->month) || change->month < 1 || *(*text)++ != '.')
		return false;
	if (!take_number(text, 5, &change->week) || change->week < 1 || *(*text)++ != '.')
		return false;
	return take_number(text, 6, &change->day);
}

static bool take_change(const char **text, struct change *change)
{
	bool good;

	*change = (struct change){ .time_s = 2 * HOUR_S };
	if (*(*text)++ != ',')
		return false;
	if (**text == 'M') {
		(*text)++;
		good = take_weekday(text, change);
	} else if (**text == 'J') {
		(*text)++;
		change->kind = BY_DAY_WITHOUT_LEAP;
		good = take_number(text, 365, &change->day) && change->day >= 1;
	} else {
		change->kind = BY_DAY;
		good = take_number(text, 365, &change->day);
	}
	if (!good || **text != '/')
		return good;
	(*text)++;
	return take_time(text, &change->time_s);
}

// POSIX counts west of Greenwich.
static bool parse_rule(const char *text, struct rule *rule)
{
	int32_t west_s;

	if (!skip_name(&text) || !take_time(&text, &west_s))
		return false;
	rule->standard_s = -west_s;
	if (!*text)
		return true;
	rule->has_summer = true;
	rule->summer_s = rule->standard_s + HOUR_S;
	if (!skip_name(&text))
		return false;
	if (*text && *text != ',') {
		if (!take_time(&text, &west_s))
			return false;
		rule->summer_s = -west_s;
	}
	return take_change(&text, &rule->start) && take_change(&text, &rule->end) && !*text;
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t date(int year, int month, int day)
{
	struct tm civil = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };

	return timegm(&civil);
}

// In local time, as seconds since 1970.
static int64_t change_in(const struct change *change, int year)
{
	int64_t first_s, day_s;
	int weekday;

	switch (change->kind) {
	case BY_DAY_WITHOUT_LEAP:
		return date(year, 1, change->day + (change->day >= 60 && is_leap(year))) +
		       change->time_s;
	case BY_DAY:
		return date(year, 1, change->day + 1) + change->time_s;
	case BY_WEEKDAY:
		break;
	}
	first_s = date(year, change->month, 1);
	weekday = (int)((first_s / DAY_S + 4) % 7); // 1970-01-01 was a Thursday
	day_s = first_s + ((change->day - weekday + 7) % 7 + (change->week - 1) * 7) * DAY_S;
	if (day_s >= date(year, change->month + 1, 1)) // week 5: the last one
		day_s -= 7 * DAY_S;
	return day_s + change->time_s;
}

static void rule_at(const struct rule *rule, int64_t at_s, struct sg_timezone_span *span)
{
	time_t seconds = at_s;
	struct tm civil;

	*span = (struct sg_timezone_span){ INT64_MIN, INT64_MAX, rule->standard_s };
	if (!rule->has_summer)
		return;
	gmtime_r(&seconds, &civil);
	for (int year = civil.tm_year + 1900 - 1; year <= civil.tm_year + 1900 + 1; year++) {
		const struct {
			int64_t at_s;
			int32_t offset_s;
		} changes[] = { { change_in(&rule->start, year) - rule->standard_s,
					rule->summer_s },
			{ change_in(&rule->end, year) - rule->summer_s, rule->standard_s } };

		for (int i = 0; i < 2; i++) {
			if (changes[i].at_s <= at_s && changes[i].at_s >= span->from_s) {
				span->from_s = changes[i].at_s;
				span->offset_s = changes[i].offset_s;
			} else if (changes[i].at_s > at_s && changes[i].at_s < span->until_s) {
				span->until_s = changes[i].at_s;
			}
		}
	}
}

// ---- The file ----

struct reader {
	const uint8_t *at, *end;
};

static uint32_t read_word(const uint8_t *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return be32toh(word);
}

static int64_t read_long(const uint8_t *at)
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	return (int64_t)be64toh(number);
}

struct counts {
	uint32_t utc, standard, leaps, times, types, characters;
};

// A header, and that what it counts is there, each time in `time_bytes`.
static bool take_header(struct reader *reader, size_t time_bytes, struct counts *counts)
{
	const uint8_t *at = reader->at;
	uint64_t bytes;

	if (reader->end - at < HEADER || memcmp(at, "TZif", 4) != 0)
		return false;
	*counts = (struct counts){ read_word(at + 20), read_word(at + 24), read_word(at + 28),
		read_word(at + 32), read_word(at + 36), read_word(at + 40) };
	bytes = (uint64_t)counts->times * (time_bytes + 1) + (uint64_t)counts->types * 6 +
		counts->characters + (uint64_t)counts->leaps * (time_bytes + 4) + counts->standard +
		counts->utc;
	reader->at += HEADER;
	return counts->times <= MAX_TIMES && counts->types >= 1 && counts->types <= MAX_TYPES &&
	       bytes <= (uint64_t)(reader->end - reader->at);
}

static void skip_body(struct reader *reader, const struct counts *counts, size_t time_bytes)
{
	reader->at += counts->times * (time_bytes + 1) + counts->types * 6 + counts->characters +
		      counts->leaps * (time_bytes + 4) + counts->standard + counts->utc;
}

static int fill_table(struct sg_timezone *zone, const uint8_t *at, const struct counts *counts)
{
	const uint8_t *indices = at + counts->times * 8, *types = indices + counts->times;

	zone->times = calloc(counts->times + 1, sizeof(*zone->times));
	zone->offsets = calloc(counts->times + 1, sizeof(*zone->offsets));
	if (!zone->times || !zone->offsets)
		return -ENOMEM;
	zone->before_s = (int32_t)read_word(types);
	for (uint32_t i = 0; i < counts->times; i++) {
		if (indices[i] >= counts->types)
			return -EINVAL;
		zone->times[i] = read_long(at + (size_t)i * 8);
		if (i && zone->times[i] <= zone->times[i - 1])
			return -EINVAL;
		zone->offsets[i] = (int32_t)read_word(types + indices[i] * 6);
	}
	zone->count = counts->times;
	return 0;
}

// "\nTZ\n"
static int take_footer(struct sg_timezone *zone, struct reader *reader)
{
	char text[128];
	size_t length = 0;

	if (reader->at >= reader->end || *reader->at++ != '\n')
		return -EINVAL;
	while (reader->at < reader->end && *reader->at != '\n' && length < sizeof(text) - 1)
		text[length++] = (char)*reader->at++;
	text[length] = 0;
	zone->has_rule = length > 0;
	return !length || parse_rule(text, &zone->rule) ? 0 : -EINVAL;
}

static int parse_file(struct sg_timezone *zone, const char *bytes, size_t length)
{
	struct reader reader = { (const uint8_t *)bytes, (const uint8_t *)bytes + length };
	struct counts counts;
	int r;

	if (!take_header(&reader, 4, &counts) || bytes[4] < '2')
		return -EINVAL;
	skip_body(&reader, &counts, 4);
	if (!take_header(&reader, 8, &counts))
		return -EINVAL;
	r = fill_table(zone, reader.at, &counts);
	if (r < 0)
		return r;
	skip_body(&reader, &counts, 8);
	return take_footer(zone, &reader);
}

static bool is_name(const char *name)
{
	return *name && *name != '/' && !strstr(name, "..") && strlen(name) < SG_TIMEZONE_BYTES &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-") ==
		       strlen(name);
}

static int read_zone(struct sg_timezone *zone, const char *name, struct sg_error *error)
{
	char path[sizeof(DATABASE) + SG_TIMEZONE_BYTES + 1], *bytes = NULL;
	size_t length;
	int r;

	if (!is_name(name))
		return sg_error_set(error, -EINVAL,
			"timezone \"%.60s\": must be a name as Europe/Berlin or UTC", name);
	snprintf(path, sizeof(path), "%s/%s", DATABASE, name);
	r = sg_fd_read_file(path, FILE_LIMIT, &bytes, &length);
	if (r < 0)
		return sg_error_set(error, -EINVAL,
			"timezone \"%s\": %s: %s (the system's tzdata has the zones)", name, path,
			strerror(-r));
	r = parse_file(zone, bytes, length);
	free(bytes);
	if (r == -EINVAL)
		sg_error_set(error, r, "timezone \"%s\": %s is no time zone file", name, path);
	return r;
}

int sg_timezone_load(const char *name, struct sg_timezone **ret_timezone, struct sg_error *error)
{
	struct sg_timezone *zone = calloc(1, sizeof(*zone));
	int r = 0;

	if (!zone)
		return sg_error_set(error, -ENOMEM, "out of memory");
	if (*name && strcmp(name, "UTC") != 0)
		r = read_zone(zone, name, error);
	if (r < 0) {
		sg_timezone_free(zone);
		return r;
	}
	*ret_timezone = zone;
	return 0;
}

struct sg_timezone *sg_timezone_free(struct sg_timezone *zone)
{
	if (!zone)
		return NULL;
	free(zone->times);
	free(zone->offsets);
	free(zone);
	return NULL;
}

// How many transitions are at or before a moment.
static unsigned count_until(const struct sg_timezone *zone, int64_t at_s)
{
	unsigned low = 0, high = zone->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (zone->times[middle] <= at_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void sg_timezone_at(const struct sg_timezone *zone, int64_t at_s, struct sg_timezone_span *ret_span)
{
	unsigned passed = count_until(zone, at_s);
	int64_t from_s = passed ? zone->times[passed - 1] : INT64_MIN;

	if (passed == zone->count && zone->has_rule) {
		rule_at(&zone->rule, at_s, ret_span);
		if (ret_span->from_s < from_s)
			ret_span->from_s = from_s;
		return;
	}
	*ret_span = (struct sg_timezone_span){ .from_s = from_s,
		.until_s = passed < zone->count ? zone->times[passed] : INT64_MAX,
		.offset_s = passed ? zone->offsets[passed - 1] : zone->before_s };
}
