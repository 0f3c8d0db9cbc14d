// SPDX-License-Identifier: Apache-2.0
#include "budget/breaker.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/money.h"

#define MINUTE_NS (60 * SG_NS_PER_SEC)
#define MINUTES	  60

struct sg_breaker *sg_breaker_new(const struct sg_breaker_policy *policy)
{
	struct sg_breaker *breaker = calloc(1, sizeof(*breaker));

	if (!breaker)
		return NULL;
	breaker->policy = *policy;
	sg_window_init(&breaker->minute, MINUTE_NS);
	sg_window_init(&breaker->hour, MINUTES * MINUTE_NS);
	return breaker;
}

struct sg_breaker *sg_breaker_free(struct sg_breaker *breaker)
{
	free(breaker);
	return NULL;
}

void sg_breaker_copy(struct sg_breaker *breaker, const struct sg_breaker *other)
{
	struct sg_breaker_policy policy = breaker->policy;

	*breaker = *other;
	breaker->policy = policy;
}

bool sg_breaker_refuses(struct sg_breaker *breaker, int64_t now_ns)
{
	if (breaker->tripped && now_ns >= breaker->until_ns)
		breaker->tripped = false;
	return breaker->tripped && breaker->policy.action != SG_BREAKER_ALERT;
}

static bool trip(struct sg_breaker *breaker, int64_t now_ns)
{
	if (breaker->tripped && now_ns < breaker->until_ns)
		return false;
	breaker->tripped = true;
	breaker->until_ns = now_ns + breaker->policy.cooldown_ns;
	return true;
}

bool sg_breaker_sees(struct sg_breaker *breaker, uint64_t fingerprint, int64_t now_ns)
{
	if (!breaker->policy.identical_requests || !fingerprint)
		return false;
	breaker->run = fingerprint == breaker->last_fingerprint ? breaker->run + 1 : 1;
	breaker->last_fingerprint = fingerprint;
	if (breaker->run < breaker->policy.identical_requests)
		return false;
	breaker->run = 0;
	return trip(breaker, now_ns);
}

bool sg_breaker_sees_refusal(struct sg_breaker *breaker, int64_t now_ns)
{
	if (!breaker->policy.refusals)
		return false;
	if (!breaker->refused || now_ns - breaker->refused_ns >= MINUTE_NS) {
		breaker->refused = 0;
		breaker->refused_ns = now_ns;
	}
	if (++breaker->refused < breaker->policy.refusals)
		return false;
	breaker->refused = 0;
	return trip(breaker, now_ns);
}

// The mean minute of the hour, without the last one.
static int64_t baseline(const struct sg_breaker *breaker)
{
	return (breaker->hour.sum.nanousd - breaker->minute.sum.nanousd) / (MINUTES - 1);
}

bool sg_breaker_spends(struct sg_breaker *breaker, const struct sg_charge *charge, int64_t now_ns)
{
	const struct sg_breaker_policy *policy = &breaker->policy;
	int64_t in_minute, floor;

	if (!policy->nanousd_per_minute)
		return false;
	sg_window_advance(&breaker->minute, now_ns);
	sg_window_advance(&breaker->hour, now_ns);
	sg_window_add(&breaker->minute, now_ns, charge, 0);
	sg_window_add(&breaker->hour, now_ns, charge, 0);
	in_minute = breaker->minute.sum.nanousd;
	if (__builtin_mul_overflow(baseline(breaker), policy->times_baseline, &floor))
		return false;
	return in_minute > policy->nanousd_per_minute && in_minute > floor && trip(breaker, now_ns);
}
