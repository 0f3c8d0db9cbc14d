// SPDX-License-Identifier: Apache-2.0
#include "budget/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "budget/policy_fields.h"

static int check_label(const struct sg_budget_policy *budget, struct sg_error *error)
{
	bool has_label = budget->label[0];

	if (has_label != (budget->scope == SG_SCOPE_LABEL))
		return sg_error_set(error, -EINVAL,
			has_label ? "label needs \"scope\": \"label\""
				  : "scope label needs \"label\", as \"team=red\" or \"team\"");
	return 0;
}

static int check_budget(const struct sg_policy_parser *parser)
{
	const struct sg_budget_policy *budget = parser->budget;
	bool windowed = budget->limit_nanousd || budget->max_requests || budget->max_tokens ||
			budget->max_input_tokens || budget->max_output_tokens;

	if (!windowed && !budget->max_concurrency)
		return sg_error_set(parser->error, -EINVAL,
			"at least one of limit-usd or max-requests is required");
	if (windowed && !parser->has_window)
		return sg_error_set(parser->error, -EINVAL, "window is required");
	if (parser->has_timezone && !budget->calendar)
		return sg_error_set(parser->error, -EINVAL,
			"timezone needs a calendar window, as \"calendar:day\"");
	if (budget->alert_count && !windowed)
		return sg_error_set(parser->error, -EINVAL,
			"alerts need a cap with a window: max_concurrency has none");
	return check_label(budget, parser->error);
}

static int parse_budget(
	const json_t *list, unsigned index, struct sg_budget_policy *budget, struct sg_error *error)
{
	struct sg_policy_parser parser = { .budget = budget, .error = error };
	const json_t *object = json_array_get(list, index);
	const char *key;
	json_t *value;
	int r = 0;

	*budget = (struct sg_budget_policy){ .wait_ns = SG_WAIT_NS };
	snprintf(budget->name, sizeof(budget->name), "budget-%u", index + 1);
	if (!json_is_object(object))
		return sg_error_set(error, -EINVAL, "must be an object");
	json_object_foreach((json_t *)object, key, value)
	{
		r = sg_policy_read_field(&parser, key, value);
		if (r < 0)
			return r;
	}
	return check_budget(&parser);
}

static int check_unique(
	const struct sg_budget_policy *budgets, unsigned index, struct sg_error *error)
{
	for (unsigned i = 0; i < index; i++)
		if (strcmp(budgets[i].name, budgets[index].name) == 0)
			return sg_error_set(
				error, -EINVAL, "name \"%s\" is used twice", budgets[i].name);
	return 0;
}

static int parse_list(const json_t *list, struct sg_budget_policy *budgets, struct sg_error *error)
{
	for (unsigned i = 0; i < json_array_size(list); i++) {
		int r = parse_budget(list, i, &budgets[i], error);

		if (r == 0)
			r = check_unique(budgets, i, error);
		if (r < 0)
			return sg_error_prefix(error, r, "budgets[%u]: ", i);
	}
	return 0;
}

int sg_policy_parse(const json_t *budgets, struct sg_policy *ret_policy, struct sg_error *error)
{
	struct sg_policy policy = { .count = (unsigned)json_array_size(budgets) };
	int r;

	if (!json_is_array(budgets))
		return sg_error_set(error, -EINVAL, "budgets: must be a list");
	if (json_array_size(budgets) > SG_POLICY_MAX_BUDGETS)
		return sg_error_set(error, -EINVAL, "budgets: at most %d", SG_POLICY_MAX_BUDGETS);
	r = parse_list(budgets, policy.budgets, error);
	if (r < 0)
		return r;
	*ret_policy = policy;
	return 0;
}

int sg_shared_budgets_parse(const json_t *budgets, struct sg_budget_policy **ret_budgets,
	unsigned *ret_count, struct sg_error *error)
{
	size_t count = json_array_size(budgets);
	struct sg_budget_policy *parsed;
	int r;

	if (!json_is_array(budgets))
		return sg_error_set(error, -EINVAL, "budgets: must be a list");
	parsed = calloc(count + 1, sizeof(*parsed));
	if (!parsed)
		return sg_error_set(error, -ENOMEM, "out of memory");
	r = parse_list(budgets, parsed, error);
	for (unsigned i = 0; r == 0 && i < count; i++)
		if (parsed[i].scope == SG_SCOPE_AGENT)
			r = sg_error_set(error, -EINVAL,
				"budgets[%u]: scope must be label or host: the budgets of one "
				"agent stand with it, or in a profile",
				i);
	if (r < 0) {
		free(parsed);
		return r;
	}
	*ret_budgets = parsed;
	*ret_count = (unsigned)count;
	return 0;
}
