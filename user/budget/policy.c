// SPDX-License-Identifier: Apache-2.0
#include "budget/policy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"

#define COUNT_MAX (INT64_C(1) << 53)

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

static const char *const behaviors[] = {
	[SG_HARD_STOP] = "hard_stop",
	[SG_RATE_LIMIT] = "rate_limit",
	[SG_SOFT_ALERT] = "soft_alert",
};

static const char *const on_tights[] = {
	[SG_TIGHT_DENY] = "deny",
	[SG_TIGHT_CLAMP] = "clamp",
	[SG_TIGHT_CUT] = "cut",
};

const char *sg_on_tight_name(enum sg_on_tight on_tight)
{
	return on_tights[on_tight];
}

const char *sg_behavior_name(enum sg_behavior behavior)
{
	return behaviors[behavior];
}

// ---- Windows ----

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

void sg_window_format(int64_t window_ns, char *out, size_t size)
{
	size_t used = 0;

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

// ---- Fields ----

// JSON reals come as doubles: the shortest decimal that gives the same double is what was written.
static void shortest_decimal(double value, char *out, size_t size)
{
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(out, size, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			return;
	}
}

static int parse_money(const json_t *value, int64_t *ret_nanousd, struct sg_error *error)
{
	const char *text = json_string_value(value);
	char number[64];
	int r;

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
		text = number;
	} else if (json_is_real(value)) {
		shortest_decimal(json_real_value(value), number, sizeof(number));
		text = number;
	}
	r = text ? sg_money_parse(text, strlen(text), 9, ret_nanousd) : -EINVAL;
	if (r == -ERANGE)
		return sg_error_set(error, -EINVAL,
			"limit-usd %s: must have at most 9 decimal places and be below 9000000000",
			text);
	if (r < 0 || *ret_nanousd <= 0)
		return sg_error_set(error, -EINVAL, "limit-usd must be > 0");
	return 0;
}

static int parse_count(
	const json_t *value, const char *shown, int64_t *ret_count, struct sg_error *error)
{
	if (!json_is_integer(value) || json_integer_value(value) <= 0)
		return sg_error_set(error, -EINVAL, "%s must be > 0", shown);
	if (json_integer_value(value) > COUNT_MAX)
		return sg_error_set(error, -EINVAL, "%s must be at most 2^53", shown);
	*ret_count = json_integer_value(value);
	return 0;
}

static int parse_window(const json_t *value, int64_t *ret_ns, struct sg_error *error)
{
	const char *text = json_string_value(value);

	if (!text || sg_window_parse(text, ret_ns) < 0)
		return sg_error_set(error, -EINVAL, "window must be a positive duration");
	return 0;
}

static int parse_behavior(
	const json_t *value, enum sg_behavior *ret_behavior, struct sg_error *error)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < SG_ARRAY_SIZE(behaviors); i++)
		if (strcmp(text, behaviors[i]) == 0) {
			*ret_behavior = (enum sg_behavior)i;
			return 0;
		}
	return sg_error_set(error, -EINVAL,
		"unknown behavior \"%s\": must be one of rate_limit, hard_stop, soft_alert",
		text ? text : "");
}

static int parse_on_tight(
	const json_t *value, enum sg_on_tight *ret_on_tight, struct sg_error *error)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; text && i < SG_ARRAY_SIZE(on_tights); i++)
		if (strcmp(text, on_tights[i]) == 0) {
			*ret_on_tight = (enum sg_on_tight)i;
			return 0;
		}
	return sg_error_set(error, -EINVAL,
		"unknown on_tight \"%s\": must be one of deny, clamp, cut", text ? text : "");
}

// The one duration that may be none.
static int parse_wait(const json_t *value, int64_t *ret_ns, struct sg_error *error)
{
	const char *text = json_string_value(value);

	if (text && (strcmp(text, "0s") == 0 || strcmp(text, "0") == 0)) {
		*ret_ns = 0;
		return 0;
	}
	if (!text || sg_window_parse(text, ret_ns) < 0 || *ret_ns == SG_WINDOW_LIFETIME)
		return sg_error_set(error, -EINVAL, "wait must be a duration, or 0s");
	return 0;
}

static int parse_name(const json_t *value, char *out, struct sg_error *error)
{
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) >= SG_BUDGET_NAME_BYTES)
		return sg_error_set(error, -EINVAL, "name must have 1 to %d characters",
			SG_BUDGET_NAME_BYTES - 1);
	strcpy(out, text);
	return 0;
}

// `has_window` says whether the key was there at all.
static int parse_field(const char *key, const json_t *value, struct sg_budget_policy *budget,
	bool *has_window, struct sg_error *error)
{
	if (strcmp(key, "name") == 0)
		return parse_name(value, budget->name, error);
	if (strcmp(key, "limit_usd") == 0)
		return parse_money(value, &budget->limit_nanousd, error);
	if (strcmp(key, "max_requests") == 0)
		return parse_count(value, "max-requests", &budget->max_requests, error);
	if (strcmp(key, "max_tokens") == 0)
		return parse_count(value, "max-tokens", &budget->max_tokens, error);
	if (strcmp(key, "max_input_tokens") == 0)
		return parse_count(value, "max-input-tokens", &budget->max_input_tokens, error);
	if (strcmp(key, "max_output_tokens") == 0)
		return parse_count(value, "max-output-tokens", &budget->max_output_tokens, error);
	if (strcmp(key, "behavior") == 0)
		return parse_behavior(value, &budget->behavior, error);
	if (strcmp(key, "on_tight") == 0)
		return parse_on_tight(value, &budget->on_tight, error);
	if (strcmp(key, "wait") == 0)
		return parse_wait(value, &budget->wait_ns, error);
	if (strcmp(key, "window") == 0) {
		*has_window = true;
		return parse_window(value, &budget->window_ns, error);
	}
	return sg_error_set(error, -EINVAL, "unknown key \"%s\"", key);
}

static int parse_budget(
	const json_t *object, struct sg_budget_policy *budget, struct sg_error *error)
{
	bool has_window = false;
	const char *key;
	json_t *value;
	int r = 0;

	if (!json_is_object(object))
		return sg_error_set(error, -EINVAL, "must be an object");
	budget->wait_ns = SG_WAIT_NS;
	json_object_foreach((json_t *)object, key, value)
	{
		r = parse_field(key, value, budget, &has_window, error);
		if (r < 0)
			return r;
	}
	if (!budget->limit_nanousd && !budget->max_requests && !budget->max_tokens &&
		!budget->max_input_tokens && !budget->max_output_tokens)
		return sg_error_set(
			error, -EINVAL, "at least one of limit-usd or max-requests is required");
	if (!has_window)
		return sg_error_set(error, -EINVAL, "window is required");
	return 0;
}

static int check_unique(const struct sg_policy *policy, unsigned index, struct sg_error *error)
{
	for (unsigned i = 0; i < index; i++)
		if (strcmp(policy->budgets[i].name, policy->budgets[index].name) == 0)
			return sg_error_set(error, -EINVAL, "name \"%s\" is used twice",
				policy->budgets[i].name);
	return 0;
}

int sg_policy_parse(const json_t *budgets, struct sg_policy *ret_policy, struct sg_error *error)
{
	struct sg_policy policy = { 0 };
	size_t count = json_array_size(budgets);

	if (!json_is_array(budgets))
		return sg_error_set(error, -EINVAL, "budgets: must be a list");
	if (count > SG_POLICY_MAX_BUDGETS)
		return sg_error_set(error, -EINVAL, "budgets: at most %d", SG_POLICY_MAX_BUDGETS);
	for (; policy.count < count; policy.count++) {
		struct sg_budget_policy *budget = &policy.budgets[policy.count];
		int r;

		snprintf(budget->name, sizeof(budget->name), "budget-%u", policy.count + 1);
		r = parse_budget(json_array_get(budgets, policy.count), budget, error);
		if (r == 0)
			r = check_unique(&policy, policy.count, error);
		if (r < 0)
			return sg_error_prefix(error, r, "budgets[%u]: ", policy.count);
	}
	*ret_policy = policy;
	return 0;
}
