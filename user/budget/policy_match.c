// SPDX-License-Identifier: Apache-2.0
// Which calls a budget counts, whether two are the same, and which labels an agent has.
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "budget/policy.h"

#define MAX_LABELS 16

// ---- Globs ----

static bool matches_any(const char *globs, const char *name)
{
	if (!*globs)
		return true;
	for (; *globs; globs += strlen(globs) + 1)
		if (fnmatch(globs, name, 0) == 0)
			return true;
	return false;
}

bool sg_budget_policy_counts(
	const struct sg_budget_policy *budget, const char *provider, const char *model)
{
	return matches_any(budget->providers, provider ? provider : "") &&
	       matches_any(budget->models, model ? model : "");
}

// ---- Sameness ----

static bool has_same_caps(const struct sg_budget_policy *a, const struct sg_budget_policy *b)
{
	return a->limit_nanousd == b->limit_nanousd && a->max_requests == b->max_requests &&
	       a->max_tokens == b->max_tokens && a->max_input_tokens == b->max_input_tokens &&
	       a->max_output_tokens == b->max_output_tokens &&
	       a->max_concurrency == b->max_concurrency;
}

static bool has_same_window(const struct sg_budget_policy *a, const struct sg_budget_policy *b)
{
	return a->window_ns == b->window_ns && a->calendar == b->calendar &&
	       strcmp(a->timezone, b->timezone) == 0;
}

static bool counts_same_calls(const struct sg_budget_policy *a, const struct sg_budget_policy *b)
{
	return a->scope == b->scope && strcmp(a->label, b->label) == 0 &&
	       memcmp(a->models, b->models, sizeof(a->models)) == 0 &&
	       memcmp(a->providers, b->providers, sizeof(a->providers)) == 0;
}

static bool does_the_same(const struct sg_budget_policy *a, const struct sg_budget_policy *b)
{
	return a->behavior == b->behavior && a->on_tight == b->on_tight &&
	       a->wait_ns == b->wait_ns && a->observe == b->observe;
}

static bool has_same_breaker(const struct sg_breaker_policy *a, const struct sg_breaker_policy *b)
{
	return a->nanousd_per_minute == b->nanousd_per_minute &&
	       a->times_baseline == b->times_baseline &&
	       a->identical_requests == b->identical_requests && a->refusals == b->refusals &&
	       a->cooldown_ns == b->cooldown_ns && a->action == b->action;
}

bool sg_budget_policy_is_same(const struct sg_budget_policy *a, const struct sg_budget_policy *b)
{
	return strcmp(a->name, b->name) == 0 && has_same_caps(a, b) && has_same_window(a, b) &&
	       counts_same_calls(a, b) && does_the_same(a, b) && a->alert_count == b->alert_count &&
	       memcmp(a->alerts, b->alerts, sizeof(a->alerts)) == 0 &&
	       has_same_breaker(&a->breaker, &b->breaker);
}

// ---- Names and labels ----

static bool is_word(const char *text)
{
	return text && *text &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       strlen(text);
}

int sg_name_check(const char *what, const char *name, struct sg_error *error)
{
	if (is_word(name) && *name != '.' && strlen(name) < SG_BUDGET_NAME_BYTES)
		return 0;
	return sg_error_set(error, -EINVAL,
		"%s name \"%.80s\": must be 1 to %d letters, digits, '.', '_' or '-', and not "
		"begin with '.'",
		what, name ? name : "", SG_BUDGET_NAME_BYTES - 1);
}

struct label {
	const char *key, *value;
};

static void put_in_order(struct label *labels, size_t count, struct label label)
{
	size_t at = count;

	for (; at && strcmp(labels[at - 1].key, label.key) > 0; at--)
		labels[at] = labels[at - 1];
	labels[at] = label;
}

static int collect(const json_t *object, const char *team, struct label *labels, size_t *ret_count,
	struct sg_error *error)
{
	const char *key;
	json_t *value;
	size_t count = 0;

	if (object && !json_is_object(object))
		return sg_error_set(error, -EINVAL, "labels: must be an object");
	if (team)
		labels[count++] = (struct label){ "team", team };
	json_object_foreach((json_t *)object, key, value)
	{
		if (strcmp(key, "team") == 0 && team)
			continue; // what is said in particular holds
		if (!is_word(key) || !is_word(json_string_value(value)) ||
			strlen(key) + json_string_length(value) + 2 > SG_LABEL_BYTES)
			return sg_error_set(error, -EINVAL,
				"labels: \"%.80s\": key and value must be letters, digits, '.', "
				"'_' or '-', %d together at most",
				key, SG_LABEL_BYTES - 2);
		if (count == MAX_LABELS)
			return sg_error_set(error, -EINVAL, "labels: at most %d", MAX_LABELS);
		put_in_order(labels, count++, (struct label){ key, json_string_value(value) });
	}
	*ret_count = count;
	return 0;
}

int sg_labels_parse(
	const json_t *object, const char *team, char *out, size_t size, struct sg_error *error)
{
	struct label labels[MAX_LABELS];
	size_t count = 0, used = 0;
	int r = collect(object, team, labels, &count, error);

	out[0] = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		used += (size_t)snprintf(out + used, size - used, "%s%s=%s", i ? "," : "",
			labels[i].key, labels[i].value);
		if (used >= size)
			r = sg_error_set(error, -EINVAL,
				"labels: must have at most %zu characters together", size - 1);
	}
	return r;
}
