// SPDX-License-Identifier: Apache-2.0
#include "budget/window.h"

#include <string.h>

void sg_window_init(struct sg_window *window, int64_t length_ns)
{
	memset(window, 0, sizeof(*window));
	window->length_ns = length_ns;
}

static void add_charge(struct sg_charge *sum, const struct sg_charge *charge, int64_t sign)
{
	sum->nanousd += sign * charge->nanousd;
	sum->input_tokens += sign * charge->input_tokens;
	sum->output_tokens += sign * charge->output_tokens;
	sum->requests += sign * charge->requests;
}

void sg_window_advance(struct sg_window *window, int64_t now_ns)
{
	while (window->count) {
		struct sg_window_bucket *oldest = &window->buckets[window->first];

		if (now_ns - oldest->newest_ns < window->length_ns)
			return;
		add_charge(&window->sum, &oldest->sum, -1);
		window->estimated -= oldest->estimated;
		window->first = (window->first + 1) % SG_WINDOW_BUCKETS;
		window->count--;
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
	add_charge(&window->sum, charge, 1);
	window->estimated += estimated;
	if (window->length_ns) {
		struct sg_window_bucket *bucket = bucket_for(window, at_ns);

		add_charge(&bucket->sum, charge, 1);
		bucket->estimated += estimated;
		if (at_ns > bucket->newest_ns || bucket->newest_ns == 0)
			bucket->newest_ns = at_ns;
	}
}

int64_t sg_window_next_expiry_ns(const struct sg_window *window)
{
	if (!window->count)
		return INT64_MAX;
	return window->buckets[window->first].newest_ns + window->length_ns;
}
