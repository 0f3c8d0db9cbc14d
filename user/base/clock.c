// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_once_t anchored = PTHREAD_ONCE_INIT;
static int64_t wall_minus_boot_ns;

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * SG_NS_PER_SEC + now.tv_nsec;
}

int64_t sg_clock_monotonic_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t sg_clock_boot_ns(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

static void anchor(void)
{
	wall_minus_boot_ns = read_clock(CLOCK_REALTIME) - read_clock(CLOCK_BOOTTIME);
}

int64_t sg_clock_wall_ns(void)
{
	pthread_once(&anchored, anchor);
	return sg_clock_boot_ns() + wall_minus_boot_ns;
}

void sg_clock_format(int64_t wall_ns, char *out, size_t size)
{
	time_t seconds = wall_ns / SG_NS_PER_SEC;
	struct tm date;

	gmtime_r(&seconds, &date);
	snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", date.tm_year + 1900,
		date.tm_mon + 1, date.tm_mday, date.tm_hour, date.tm_min, date.tm_sec,
		(int)(wall_ns % SG_NS_PER_SEC / SG_NS_PER_MS));
}
