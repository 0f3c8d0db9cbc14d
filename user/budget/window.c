// SPDX-License-Identifier: Apache-2.0
#include "budget/window.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"

void sg_window_init(struct sg_window *window, int64_t length_ns)
{
	memset(window, 0, offsetof(struct sg_window, buckets)); // a bucket is set when it is used
	window->length_ns = length_ns;
	window->forgets_ns = INT64_MAX;
}

static void start_period(struct sg_window *window, int64_t now_ns)
{
	int64_t wall_ns = now_ns + window->wall_minus_monotonic_ns;
	struct sg_period period =
		sg_calendar_period(window->calendar, window->timezone, wall_ns / SG_NS_PER_SEC);

	window->ends_ns = period.until_s * SG_NS_PER_SEC - window->wall_minus_monotonic_ns;
	window->forgets_ns = window->ends_ns;
}

void sg_window_init_calendar(struct sg_window *window, enum sg_calendar calendar,
	const struct sg_timezone *zone, int64_t wall_minus_monotonic_ns, int64_t now_ns)
{
	sg_window_init(window, 0);
	window->calendar = calendar;
	window->timezone = zone;
	window->wall_minus_monotonic_ns = wall_minus_monotonic_ns;
	start_period(window, now_ns);
}

bool sg_window_is_alike(const struct sg_window *window, const struct sg_window *other)
{
	return window->length_ns == other->length_ns && window->calendar == other->calendar &&
	       window->timezone == other->timezone;
}

// One bucket less than there are: a window's length never spans more slices than that.
int64_t sg_window_slice_ns(const struct sg_window *window)
{
	return window->length_ns ? window->length_ns / (SG_WINDOW_BUCKETS - 2) + 1 : INT64_MAX;
}

// Times before the machine's start are below zero: they are of calls that the ledger knows.
static int64_t end_of_slice(int64_t at_ns, int64_t slice_ns)
{
	int64_t passed_ns = at_ns % slice_ns;

	return at_ns - passed_ns + (passed_ns < 0 ? 0 : slice_ns);
}

int64_t sg_window_slice_ends_ns(const struct sg_window *window, int64_t now_ns)
{
	if (window->length_ns)
		return end_of_slice(now_ns, sg_window_slice_ns(window));
	return window->calendar ? window->ends_ns : INT64_MAX;
}

int64_t sg_window_since(const struct sg_window *window, int64_t now_ns, int64_t wall_ns)
{
	struct sg_period period;

	if (window->length_ns)
		return wall_ns - window->length_ns + 1;
	if (!window->calendar)
		return INT64_MIN;
	period = sg_calendar_period(window->calendar, window->timezone,
		(now_ns + window->wall_minus_monotonic_ns) / SG_NS_PER_SEC);
	return period.from_s * SG_NS_PER_SEC;
}

static bool has_stopped(const struct sg_charge *sum)
{
	return sum->nanousd == SG_MONEY_MAX || sum->input_tokens == SG_MONEY_MAX ||
	       sum->output_tokens == SG_MONEY_MAX;
}

// A sum that has stopped at the top can't be subtracted from: it is added up anew.
static void forget_oldest(struct sg_window *window)
{
	struct sg_window_bucket *oldest = &window->buckets[window->first];

	window->first = (window->first + 1) % SG_WINDOW_BUCKETS;
	window->count--;
	window->estimated -= oldest->estimated;
	if (!has_stopped(&window->sum)) {
		sg_charge_subtract(&window->sum, &oldest->sum);
		return;
	}
	window->sum = (struct sg_charge){ 0 };
	for (unsigned i = 0; i < window->count; i++)
		sg_charge_add(&window->sum,
			&window->buckets[(window->first + i) % SG_WINDOW_BUCKETS].sum);
}

void sg_window_forget(struct sg_window *window, int64_t now_ns)
{
	if (window->calendar && now_ns >= window->ends_ns) {
		window->sum = (struct sg_charge){ 0 };
		window->estimated = 0;
		start_period(window, now_ns);
	}
	while (window->count) {
		const struct sg_window_bucket *oldest = &window->buckets[window->first];

		window->forgets_ns = oldest->newest_ns + window->length_ns;
		if (now_ns < window->forgets_ns)
			return;
		forget_oldest(window);
	}
	if (window->length_ns)
		window->forgets_ns = INT64_MAX;
}

static struct sg_window_bucket *new_bucket(struct sg_window *window, int64_t at_ns)
{
	struct sg_window_bucket *newest =
		&window->buckets[(window->first + window->count) % SG_WINDOW_BUCKETS];

	if (!window->count)
		window->forgets_ns = at_ns + window->length_ns;
	window->count++;
	*newest = (struct sg_window_bucket){ .newest_ns = at_ns,
		.until_ns = end_of_slice(at_ns, sg_window_slice_ns(window)) };
	return newest;
}

void sg_window_add_to_bucket(
	struct sg_window *window, int64_t at_ns, const struct sg_charge *charge, int64_t estimated)
{
	struct sg_window_bucket *bucket = NULL;

	if (window->count)
		bucket = &window->buckets[(window->first + window->count - 1) % SG_WINDOW_BUCKETS];
	if (!bucket || (at_ns >= bucket->until_ns && window->count < SG_WINDOW_BUCKETS))
		bucket = new_bucket(window, at_ns);
	sg_charge_add(&bucket->sum, charge);
	if (estimated)
		bucket->estimated += estimated;
	if (at_ns > bucket->newest_ns)
		bucket->newest_ns = at_ns;
}
