// SPDX-License-Identifier: Apache-2.0
#include "budget/window.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"

void sg_window_init(struct sg_window *window, int64_t length_ns)
{
	memset(window, 0, offsetof(struct sg_window, buckets)); // a bucket is set when it is used
	window->length_ns = length_ns;
}

static void start_period(struct sg_window *window, int64_t now_ns)
{
	int64_t wall_ns = now_ns + window->wall_minus_monotonic_ns;
	struct sg_period period =
		sg_calendar_period(window->calendar, window->timezone, wall_ns / SG_NS_PER_SEC);

	window->ends_ns = period.until_s * SG_NS_PER_SEC - window->wall_minus_monotonic_ns;
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

void sg_charge_add(struct sg_charge *sum, const struct sg_charge *charge)
{
	sum->nanousd = sg_money_add(sum->nanousd, charge->nanousd);
	sum->input_tokens = sg_money_add(sum->input_tokens, charge->input_tokens);
	sum->output_tokens = sg_money_add(sum->output_tokens, charge->output_tokens);
	sum->requests = sg_money_add(sum->requests, charge->requests);
}

void sg_charge_subtract(struct sg_charge *sum, const struct sg_charge *charge)
{
	sum->nanousd -= charge->nanousd;
	sum->input_tokens -= charge->input_tokens;
	sum->output_tokens -= charge->output_tokens;
	sum->requests -= charge->requests;
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

void sg_window_advance(struct sg_window *window, int64_t now_ns)
{
	if (window->calendar && now_ns >= window->ends_ns) {
		window->sum = (struct sg_charge){ 0 };
		window->estimated = 0;
		start_period(window, now_ns);
	}
	while (window->count) {
		const struct sg_window_bucket *oldest = &window->buckets[window->first];

		if (now_ns - oldest->newest_ns < window->length_ns)
			return;
		forget_oldest(window);
	}
}

static struct sg_window_bucket *bucket_for(struct sg_window *window, int64_t at_ns)
{
	// One bucket less than there are: a window's length never spans more slices than that.
	int64_t slice_ns = window->length_ns / (SG_WINDOW_BUCKETS - 2) + 1;
	int64_t slice = at_ns / slice_ns;
	struct sg_window_bucket *newest = NULL;

	if (window->count)
		newest = &window->buckets[(window->first + window->count - 1) % SG_WINDOW_BUCKETS];
	if (newest && (newest->slice >= slice || window->count == SG_WINDOW_BUCKETS))
		return newest;
	newest = &window->buckets[(window->first + window->count) % SG_WINDOW_BUCKETS];
	window->count++;
	*newest = (struct sg_window_bucket){ .slice = slice };
	return newest;
}

void sg_window_add(
	struct sg_window *window, int64_t at_ns, const struct sg_charge *charge, int64_t estimated)
{
	sg_charge_add(&window->sum, charge);
	window->estimated += estimated;
	if (window->length_ns) {
		struct sg_window_bucket *bucket = bucket_for(window, at_ns);

		sg_charge_add(&bucket->sum, charge);
		bucket->estimated += estimated;
		if (at_ns > bucket->newest_ns || bucket->newest_ns == 0)
			bucket->newest_ns = at_ns;
	}
}
