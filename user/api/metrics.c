// SPDX-License-Identifier: Apache-2.0
#include "api/metrics.h"

#include <errno.h>

#include <stdbool.h>
#include <string.h>

struct metric {
	const char *name, *type, *help, *key;
};

static const struct metric of_agents[] = {
	{ "spendgate_agent_spent_usd_total", "counter",
		"Dollars that providers billed, since the agent was first seen.", "spent_usd" },
	{ "spendgate_agent_held_usd", "gauge", "Dollars held for calls in flight.", "held_usd" },
	{ "spendgate_agent_in_flight", "gauge", "Calls in flight.", "in_flight" },
	{ "spendgate_agent_calls_total", "counter", "Calls that were billed.", "calls" },
	{ "spendgate_agent_refused_total", "counter", "Calls that were refused.", "refused" },
	{ "spendgate_agent_estimated_total", "counter", "Calls charged by estimate.", "estimated" },
	{ "spendgate_agent_input_tokens_total", "counter", "Input tokens.", "input_tokens" },
	{ "spendgate_agent_output_tokens_total", "counter", "Output tokens.", "output_tokens" },
	{ "spendgate_agent_alerts_total", "counter", "Alerts of budgets that were told.",
		"alerts" },
};

static const struct metric of_budgets[] = {
	{ "spendgate_budget_limit_usd", "gauge", "The cap in dollars.", "limit_usd" },
	{ "spendgate_budget_spent_usd", "gauge", "Dollars spent in the window.", "spent_usd" },
	{ "spendgate_budget_held_usd", "gauge", "Dollars held for calls in flight.", "held_usd" },
	{ "spendgate_budget_requests", "gauge", "Calls in the window.", "requests" },
	{ "spendgate_budget_tokens", "gauge", "Tokens in the window.", "tokens" },
};

static const struct metric of_webhook[] = {
	{ "spendgate_webhook_waiting", "gauge", "Deliveries that wait.", "waiting" },
	{ "spendgate_webhook_delivered_total", "counter", "Deliveries that were taken.",
		"delivered" },
	{ "spendgate_webhook_failed_total", "counter", "Attempts that failed.", "failed" },
	{ "spendgate_webhook_lost_total", "counter", "Deliveries that were given up or dropped.",
		"lost" },
};

static int print_head(struct sg_buf *out, const struct metric *metric)
{
	return sg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
		metric->name, metric->type);
}

// A label's value: backslash, quote and line end are escaped.
static int print_label(struct sg_buf *out, const char *name, const char *value)
{
	int r = sg_buf_printf(out, "%s=\"", name);

	for (; r == 0 && *value; value++) {
		if (*value == '\n')
			r = sg_buf_append(out, "\\n", 2);
		else if (*value == '\\' || *value == '"')
			r = sg_buf_printf(out, "\\%c", *value);
		else
			r = sg_buf_append(out, value, 1);
	}
	return r < 0 ? r : sg_buf_append(out, "\"", 1);
}

static int print_value(struct sg_buf *out, const json_t *value)
{
	return json_is_string(value)
		       ? sg_buf_printf(out, "} %s\n", json_string_value(value))
		       : sg_buf_printf(out, "} %lld\n", (long long)json_integer_value(value));
}

static const char *name_of(const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));

	return name ? name : "";
}

// Two agents of one name share an account.
static bool is_repeated(const json_t *agents, size_t index)
{
	const char *name = name_of(json_array_get(agents, index));

	for (size_t i = 0; i < index; i++)
		if (strcmp(name_of(json_array_get(agents, i)), name) == 0)
			return true;
	return false;
}

static int print_agents(struct sg_buf *out, const json_t *agents, const struct metric *metric)
{
	int r = print_head(out, metric);

	for (size_t i = 0; r == 0 && i < json_array_size(agents); i++) {
		const json_t *agent = json_array_get(agents, i),
			     *value = json_object_get(agent, metric->key);

		if (!value)
			continue;
		r = sg_buf_printf(out, "%s{", metric->name);
		if (r == 0)
			r = print_label(out, "agent", name_of(agent));
		if (r == 0)
			r = print_value(out, value);
	}
	return r;
}

static int print_budget(
	struct sg_buf *out, const char *agent, const json_t *budget, const struct metric *metric)
{
	const json_t *value = json_object_get(budget, metric->key);
	int r = value ? sg_buf_printf(out, "%s{", metric->name) : 0;

	if (!value)
		return 0;
	if (r == 0)
		r = print_label(out, "agent", agent);
	if (r == 0)
		r = sg_buf_append(out, ",", 1);
	if (r == 0)
		r = print_label(out, "budget", name_of(budget));
	return r < 0 ? r : print_value(out, value);
}

static int print_budgets(struct sg_buf *out, const json_t *agents, const struct metric *metric)
{
	int r = print_head(out, metric);

	for (size_t i = 0; r == 0 && i < json_array_size(agents); i++) {
		const json_t *agent = json_array_get(agents, i),
			     *budgets = json_object_get(agent, "budgets");

		for (size_t j = 0; r == 0 && j < json_array_size(budgets); j++)
			r = print_budget(out, name_of(agent), json_array_get(budgets, j), metric);
	}
	return r;
}

static int print_redirect(struct sg_buf *out, const json_t *counters)
{
	static const struct metric metric = { "spendgate_redirect_total", "counter",
		"Connects of agents, by what became of them.", NULL };
	const char *reason;
	json_t *count;
	int r = json_object_size(counters) ? print_head(out, &metric) : 0;

	json_object_foreach((json_t *)counters, reason, count)
	{
		if (r == 0)
			r = sg_buf_printf(out, "%s{", metric.name);
		if (r == 0)
			r = print_label(out, "reason", reason);
		if (r == 0)
			r = print_value(out, count);
	}
	return r;
}

static int print_webhook(struct sg_buf *out, const json_t *webhook)
{
	int r = 0;

	for (size_t i = 0; r == 0 && webhook && i < SG_ARRAY_SIZE(of_webhook); i++) {
		r = print_head(out, &of_webhook[i]);
		if (r == 0)
			r = sg_buf_printf(out, "%s %lld\n", of_webhook[i].name,
				(long long)json_integer_value(
					json_object_get(webhook, of_webhook[i].key)));
	}
	return r;
}

int sg_metrics_render(const json_t *status, struct sg_buf *out)
{
	const json_t *all = json_object_get(status, "agents");
	json_t *agents = json_array();
	int r = agents ? 0 : -ENOMEM;

	for (size_t i = 0; i < json_array_size(all); i++)
		if (!is_repeated(all, i))
			json_array_append(agents, json_array_get(all, i));
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(of_agents); i++)
		r = print_agents(out, agents, &of_agents[i]);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(of_budgets); i++)
		r = print_budgets(out, agents, &of_budgets[i]);
	if (r == 0)
		r = print_redirect(out, json_object_get(status, "redirect"));
	if (r == 0)
		r = print_webhook(out, json_object_get(status, "webhook"));
	json_decref(agents);
	return r;
}
