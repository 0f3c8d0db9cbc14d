// SPDX-License-Identifier: Apache-2.0
#include "cli/date.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

int sg_date_parse(const char *text, int64_t *ret_wall_ns, struct sg_error *error)
{
	struct tm date = { 0 };
	const char *end;

	if (!text) {
		*ret_wall_ns = sg_clock_wall_ns();
		return 0;
	}
	end = strptime(text, "%Y-%m-%d", &date);
	if (!end || *end)
		return sg_error_set(error, -EINVAL, "\"%s\": must be a date as 2026-11-24", text);
	*ret_wall_ns = (timegm(&date) + 86399) * SG_NS_PER_SEC;
	return 0;
}
