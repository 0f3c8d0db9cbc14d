// SPDX-License-Identifier: Apache-2.0
#include "control/override.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"

#define MAX_LIVE_OVERRIDES 64
#define REASON_BYTES	   512

// Keys that are about the override and not of a budget.
static bool is_about(const char *key)
{
	static const char *const keys[] = { "name", "add_usd", "expires", "reason", "own", "by",
		"at" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

// Is it for a budget of the agent alone?
static bool is_for_own(const json_t *override)
{
	return json_is_true(json_object_get(override, "own"));
}

static const char *name_of(const json_t *object)
{
	return json_string_value(json_object_get(object, "name"));
}

// ---- Values ----

// Money as the parser of policies reads it.
static int money_of(const json_t *value, int64_t *ret_nanousd)
{
	json_t *budgets = json_pack("[{s:O, s:s}]", "limit_usd", value, "window", "lifetime");
	struct sg_error unused = { "" };
	struct sg_policy policy;
	int r = budgets ? sg_policy_parse(budgets, &policy, &unused) : -ENOMEM;

	json_decref(budgets);
	if (r == 0)
		*ret_nanousd = policy.budgets[0].limit_nanousd;
	return r;
}

// "Z", "+02:00" or "-0530" to seconds east.
static int parse_offset(const char *text, long *ret_seconds)
{
	unsigned hours, minutes;
	int used = 0;

	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
		*ret_seconds = 0;
		return 0;
	}
	if ((*text != '+' && *text != '-') || strspn(text + 1, "0123456789:") != strlen(text + 1))
		return -EINVAL;
	if (sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2)
		if (sscanf(text + 1, "%2u%2u%n", &hours, &minutes, &used) != 2)
			return -EINVAL;
	if (text[1 + used] || hours > 14 || minutes > 59)
		return -EINVAL;
	*ret_seconds = (long)(hours * 3600 + minutes * 60) * (*text == '-' ? -1 : 1);
	return 0;
}

int sg_override_parse_time(const char *text, int64_t *ret_wall_ns)
{
	struct tm date = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
	long offset;

	if (!rest || date.tm_year < 70 || date.tm_year > 292)
		return -EINVAL;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (parse_offset(rest, &offset) < 0)
		return -EINVAL;
	*ret_wall_ns = (timegm(&date) - offset) * SG_NS_PER_SEC;
	return 0;
}

int64_t sg_override_expiry(const json_t *override)
{
	const char *text = json_string_value(json_object_get(override, "expires"));
	int64_t at_ns;

	return text && sg_override_parse_time(text, &at_ns) == 0 ? at_ns : INT64_MAX;
}

// ---- Checking ----

// The fields of a budget that it sets, completed to a budget that the parser of policies can judge.
static int check_fields(const json_t *override, struct sg_error *error)
{
	static const char *const caps[] = { "limit_usd", "max_requests", "max_tokens",
		"max_input_tokens", "max_output_tokens", "max_concurrency" };
	json_t *budget = json_object(), *budgets = json_pack("[o]", budget);
	bool has_cap = false;
	struct sg_policy policy;
	const char *key;
	json_t *value;
	int r = budgets ? 0 : -ENOMEM;

	json_object_foreach((json_t *) override, key, value)
	{
		if (r == 0 && !json_is_null(value) && (!is_about(key) || strcmp(key, "name") == 0))
			r = json_object_set(budget, key, value);
	}
	for (size_t i = 0; i < SG_ARRAY_SIZE(caps); i++)
		has_cap = has_cap || json_object_get(budget, caps[i]);
	if (r == 0 && !has_cap)
		r = json_object_set_new(budget, "max_requests", json_integer(1));
	if (r == 0 && !json_object_get(budget, "window"))
		r = json_object_set_new(budget, "window", json_string("lifetime"));
	if (r == 0)
		r = sg_policy_parse(budgets, &policy, error);
	else
		sg_error_set(error, r, "out of memory");
	json_decref(budgets);
	return r;
}

static int check_texts(const json_t *override, struct sg_error *error)
{
	static const char *const texts[] = { "reason", "by", "at" };
	const json_t *expires = json_object_get(override, "expires");
	const json_t *name = json_object_get(override, "name");
	int64_t at_ns;

	if (expires && (!json_is_string(expires) ||
			       sg_override_parse_time(json_string_value(expires), &at_ns) < 0))
		return sg_error_set(
			error, -EINVAL, "expires: must be a time as 2026-11-24T08:30:00Z");
	if (json_object_get(override, "own") && !json_is_boolean(json_object_get(override, "own")))
		return sg_error_set(error, -EINVAL, "own: must be true or false");
	if (name && !json_is_string(name))
		return sg_error_set(error, -EINVAL, "name: must be the name of a budget");
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts); i++) {
		const json_t *value = json_object_get(override, texts[i]);

		if (value && (!json_is_string(value) || json_string_length(value) > REASON_BYTES))
			return sg_error_set(error, -EINVAL,
				"%s: must be a text of at most %d bytes", texts[i], REASON_BYTES);
	}
	return 0;
}

static int check_override(const json_t *override, struct sg_error *error)
{
	const json_t *add = json_object_get(override, "add_usd");
	int64_t nanousd;
	int r;

	if (!json_is_object(override))
		return sg_error_set(error, -EINVAL, "must be an object");
	if (add && json_object_get(override, "limit_usd"))
		return sg_error_set(error, -EINVAL, "limit_usd and add_usd: only one of them");
	if (add && money_of(add, &nanousd) < 0)
		return sg_error_set(
			error, -EINVAL, "add_usd must be > 0, with at most 9 decimal places");
	r = check_texts(override, error);
	return r < 0 ? r : check_fields(override, error);
}

int sg_override_parse(const json_t *document, json_t **ret_list, struct sg_error *error)
{
	const json_t *budgets =
		json_is_array(document) ? document : json_object_get(document, "budgets");
	json_t *list;
	int r = 0;

	if (!json_is_array(document) && !json_is_object(document))
		return sg_error_set(error, -EINVAL, "must be a JSON object");
	if (budgets && !json_is_array(budgets))
		return sg_error_set(error, -EINVAL, "budgets: must be a list");
	if (json_is_object(document) && budgets && json_object_size(document) != 1)
		return sg_error_set(error, -EINVAL, "budgets: no other key may stand beside it");
	list = budgets ? json_deep_copy(budgets) : json_pack("[o]", json_deep_copy(document));
	if (!list)
		return sg_error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
		r = check_override(json_array_get(list, i), error);
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret_list = list;
	return 0;
}

int sg_override_parse_text(
	const char *text, size_t length, json_t **ret_list, struct sg_error *error)
{
	json_t *document = sg_json_parse(text, length, NULL, error);
	int r;

	if (!document)
		return -EINVAL;
	r = sg_override_parse(document, ret_list, error);
	json_decref(document);
	return r;
}

// ---- Merging ----

static void list_names(const json_t *budgets, char *out, size_t size)
{
	size_t used = 0, index;
	json_t *budget;

	*out = 0;
	json_array_foreach(budgets, index, budget)
	{
		if (used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", index ? ", " : "",
				name_of(budget));
	}
}

static json_t *find_budget(const json_t *budgets, const char *name)
{
	size_t index;
	json_t *budget;

	json_array_foreach(budgets, index, budget)
	{
		if (strcmp(name_of(budget), name) == 0)
			return budget;
	}
	return NULL;
}

static json_t *add_budget(json_t *budgets, const char *name)
{
	json_t *budget = json_pack("{s:s}", "name", name);

	return budget && json_array_append_new(budgets, budget) == 0 ? budget : NULL;
}

// The budget that an override is about; a new one where there is none of the name.
static int find_target(
	json_t *budgets, const json_t *override, json_t **ret_budget, struct sg_error *error)
{
	const char *name = name_of(override);
	char names[256];

	if (!name && json_array_size(budgets) > 1) {
		list_names(budgets, names, sizeof(names));
		return sg_error_set(error, -EINVAL,
			"the agent has %zu budgets: name one of them (%s)",
			json_array_size(budgets), names);
	}
	*ret_budget = name ? find_budget(budgets, name) : json_array_get(budgets, 0);
	if (!*ret_budget)
		*ret_budget = add_budget(budgets, name ? name : "budget-1");
	return *ret_budget ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
}

static int add_to_limit(json_t *budget, const json_t *add, struct sg_error *error)
{
	int64_t limit, more;

	if (!json_object_get(budget, "limit_usd"))
		return sg_error_set(error, -EINVAL,
			"budget %s: add_usd: there is no limit_usd to add to", name_of(budget));
	if (money_of(json_object_get(budget, "limit_usd"), &limit) < 0 ||
		money_of(add, &more) < 0 || more > SG_MONEY_MAX - limit)
		return sg_error_set(error, -EINVAL, "budget %s: add_usd: the sum is too large",
			name_of(budget));
	return json_object_set_new(budget, "limit_usd", sg_money_json(limit + more)) < 0
		       ? sg_error_set(error, -ENOMEM, "out of memory")
		       : 0;
}

bool sg_override_is_shared(const json_t *budget)
{
	const char *scope = json_string_value(json_object_get(budget, "scope"));

	return scope && *scope && strcmp(scope, "agent") != 0;
}

static int merge_one(json_t *budgets, const json_t *override, struct sg_error *error)
{
	const json_t *add = json_object_get(override, "add_usd");
	json_t *budget = NULL, *value;
	const char *key;
	int r = find_target(budgets, override, &budget, error);

	if (r == 0 && is_for_own(override) && sg_override_is_shared(budget))
		return 0;
	json_object_foreach((json_t *) override, key, value)
	{
		if (r < 0 || is_about(key))
			continue;
		if (json_is_null(value))
			json_object_del(budget, key);
		else if (json_object_set(budget, key, value) < 0)
			r = sg_error_set(error, -ENOMEM, "out of memory");
	}
	if (r == 0 && add)
		r = add_to_limit(budget, add, error);
	return r;
}

int sg_override_merge(const json_t *const *layers, size_t count, int64_t now_ns,
	json_t **ret_budgets, struct sg_policy *ret_policy, struct sg_error *error)
{
	json_t *budgets = json_array(), *override;
	int r = budgets ? 0 : sg_error_set(error, -ENOMEM, "out of memory");
	size_t index;

	for (size_t i = 0; i < count; i++)
		json_array_foreach(layers[i], index, override)
		{
			if (r == 0 && sg_override_expiry(override) > now_ns)
				r = merge_one(budgets, override, error);
		}
	if (r == 0)
		r = sg_policy_parse(budgets, ret_policy, error);
	if (r < 0) {
		json_decref(budgets);
		return r;
	}
	*ret_budgets = budgets;
	return 0;
}

// ---- A list that is kept ----

static bool is_same_budget(const json_t *one, const json_t *other)
{
	const char *first = name_of(one), *second = name_of(other);

	return first && second ? strcmp(first, second) == 0 : first == second;
}

static bool has_fields(const json_t *override)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *) override, key, value)
	{
		if (!is_about(key) || strcmp(key, "add_usd") == 0)
			return true;
	}
	return false;
}

// What `override` sets and outlives, `older` need not say any more.
static void hide(json_t *older, const json_t *override)
{
	const char *key;
	json_t *value;

	if (!is_same_budget(older, override) || (is_for_own(override) && !is_for_own(older)) ||
		sg_override_expiry(older) > sg_override_expiry(override))
		return;
	json_object_foreach((json_t *) override, key, value)
	{
		if (!is_about(key))
			json_object_del(older, key);
		if (strcmp(key, "limit_usd") == 0)
			json_object_del(older, "add_usd");
	}
}

// Two sums for the same budget that never end are one. Returns whether `override` is in `last` now.
static bool fold_sum(json_t *last, const json_t *override)
{
	const json_t *add = json_object_get(override, "add_usd");
	const char *key = json_object_get(last, "limit_usd") ? "limit_usd" : "add_usd";
	int64_t sum, more;

	if (!last || !add || !is_same_budget(last, override) ||
		is_for_own(last) != is_for_own(override) || !json_object_get(last, key) ||
		sg_override_expiry(last) != INT64_MAX || sg_override_expiry(override) != INT64_MAX)
		return false;
	if (money_of(json_object_get(last, key), &sum) < 0 || money_of(add, &more) < 0 ||
		more > SG_MONEY_MAX - sum)
		return false;
	if (json_object_set_new(last, key, sg_money_json(sum + more)) < 0)
		return false;
	json_object_set(last, "by", json_object_get(override, "by"));
	json_object_set(last, "at", json_object_get(override, "at"));
	json_object_set(last, "reason", json_object_get(override, "reason"));
	return true;
}

int sg_override_append(json_t *list, json_t *override)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *older = json_array_get(list, i);

		hide(older, override);
		if (!has_fields(older))
			json_array_remove(list, i);
	}
	if (fold_sum(json_array_get(list, json_array_size(list) - 1), override)) {
		json_decref(override);
		return 0;
	}
	if (json_array_size(list) >= MAX_LIVE_OVERRIDES) {
		json_decref(override);
		return -ENOSPC;
	}
	return json_array_append_new(list, override) < 0 ? -ENOMEM : 0;
}
