// SPDX-License-Identifier: Apache-2.0
// Windows as text.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "budget/policy.h"

static const struct {
	const char *letters;
	int64_t ns;
} units[] = {
	{ "ms", SG_NS_PER_MS },
	{ "s", SG_NS_PER_SEC },
	{ "m", 60 * SG_NS_PER_SEC },
	{ "h", 3600 * SG_NS_PER_SEC },
	{ "d", 86400 * SG_NS_PER_SEC },
};

static int64_t find_unit(const char *letters, size_t length)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(units); i++)
		if (strlen(units[i].letters) == length &&
			memcmp(units[i].letters, letters, length) == 0)
			return units[i].ns;
	return 0;
}

int sg_window_parse(const char *text, int64_t *ret_ns)
{
	int64_t total = 0;

	if (strcmp(text, "lifetime") == 0) {
		*ret_ns = SG_WINDOW_LIFETIME;
		return 0;
	}
	do {
		size_t digits = strspn(text, "0123456789"), letters;
		int64_t number, unit, part;

		if (!digits || digits > 12)
			return -EINVAL;
		number = strtoll(text, NULL, 10);
		text += digits;
		letters = strspn(text, "abcdefghijklmnopqrstuvwxyz");
		unit = find_unit(text, letters);
		if (!unit || __builtin_mul_overflow(number, unit, &part) ||
			__builtin_add_overflow(total, part, &total))
			return -EINVAL;
		text += letters;
	} while (*text);
	if (total <= 0)
		return -EINVAL;
	*ret_ns = total;
	return 0;
}

void sg_window_format(int64_t window_ns, enum sg_calendar calendar, char *out, size_t size)
{
	size_t used = 0;

	if (calendar) {
		snprintf(out, size, "calendar:%s", sg_calendar_name(calendar));
		return;
	}
	if (window_ns == SG_WINDOW_LIFETIME) {
		snprintf(out, size, "lifetime");
		return;
	}
	out[0] = 0;
	for (size_t i = SG_ARRAY_SIZE(units); i-- > 0 && window_ns && used < size;) {
		int64_t number = window_ns / units[i].ns;

		if (!number)
			continue;
		window_ns -= number * units[i].ns;
		used += (size_t)snprintf(
			out + used, size - used, "%lld%s", (long long)number, units[i].letters);
	}
}
