// SPDX-License-Identifier: Apache-2.0
#include "enforcer/record.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/money.h"
#include "enforcer/client.h"
#include "enforcer/link.h"
#include "enforcer/webhook.h"
#include "enforcer/worker.h"

static json_t *describe_budget(const struct sg_refusal *refusal)
{
	char spent[32], held[32], limit[32];

	sg_money_format(refusal->spent_nanousd, spent, sizeof(spent));
	sg_money_format(refusal->held_nanousd, held, sizeof(held));
	sg_money_format(refusal->limit_nanousd, limit, sizeof(limit));
	return json_pack("{s:s, s:s, s:s*, s:s*, s:s, s:s, s:I}", "name", refusal->budget, "scope",
		sg_scope_name(refusal->scope), "label", refusal->label[0] ? refusal->label : NULL,
		"limit_usd", refusal->limit_nanousd ? limit : NULL, "spent_usd", spent, "held_usd",
		held, "requests", (json_int_t)refusal->requests);
}

static json_t *describe_call(const struct sg_client *client, const char *model, const char *reason)
{
	return json_pack("{s:s, s:I, s:s, s:o, s:s}", "agent", client->agent->name, "connection",
		(json_int_t)client->connection, "host", client->host, "model", sg_json_text(model),
		"reason", reason);
}

// ---- Not too many lines ----

static void tell_untold(struct sg_enforcer *enforcer, const char *agent, uint64_t count)
{
	sg_log(SG_LOG_WARN, "refused_more",
		"agent=%s count=%llu effect=\"so many refusals have no lines of their own\"", agent,
		(unsigned long long)count);
	sg_audit_write(enforcer->audit, "refused_more", false,
		json_pack("{s:s, s:I}", "agent", agent, "count", (json_int_t)count));
}

bool sg_record_may_tell(const struct sg_client *client)
{
	uint64_t untold;

	if (!sg_agent_may_tell(client->agent->load, sg_clock_monotonic_ns(), &untold))
		return false;
	if (untold)
		tell_untold(client->worker->enforcer, client->agent->name, untold);
	return true;
}

static int tell_agents_untold(void *context, struct sg_agent *agent)
{
	uint64_t untold = sg_agent_take_untold(agent->load);

	if (untold)
		tell_untold(context, agent->name, untold);
	return 0;
}

void sg_record_untold(struct sg_enforcer *enforcer)
{
	(void)sg_agents_each(enforcer->agents, tell_agents_untold, enforcer);
}

// ---- Lines ----

const char *sg_record_cap(const struct sg_refusal *refusal)
{
	return refusal->money ? "budget_exceeded" : "rate_limited";
}

void sg_record_refused(const struct sg_client *client, const char *model, const char *reason,
	unsigned status, const struct sg_refusal *refusal, const char *detail)
{
	json_t *call = describe_call(client, model, reason);

	json_object_set_new(call, "status", json_integer(status));
	if (refusal)
		json_object_set_new(call, "budget", describe_budget(refusal));
	if (detail)
		json_object_set_new(call, "detail", sg_json_text(detail));
	sg_audit_write(client->worker->enforcer->audit, "refused", false, call);
}

void sg_record_soft_alert(
	const struct sg_client *client, const char *model, const struct sg_refusal *refusal)
{
	json_t *call = describe_call(client, model, sg_record_cap(refusal));

	const char *event = refusal->observed ? "would_refuse" : "soft_alert";

	json_object_set_new(call, "budget", describe_budget(refusal));
	sg_audit_write(client->worker->enforcer->audit, event, false, call);
	sg_log(SG_LOG_WARN, event, "agent=%s connection=%llu budget=%s", client->agent->name,
		(unsigned long long)client->connection, refusal->budget);
}

// What the breaker does beside refusing.
static void stop_agent(struct sg_enforcer *enforcer, const struct sg_budget_event *event)
{
	struct sg_channel_stop order = { .how = event->action == SG_BREAKER_CUT ? SG_STOP_CUT
										: SG_STOP_FREEZE };

	if (event->action != SG_BREAKER_CUT && event->action != SG_BREAKER_FREEZE)
		return;
	snprintf(order.agent, sizeof(order.agent), "%s", event->agent);
	snprintf(order.who, sizeof(order.who), "breaker:%s", event->budget);
	snprintf(order.reason, sizeof(order.reason), "%s", event->why);
	if (sg_link_stop(enforcer->link, &order) < 0)
		sg_log(SG_LOG_ERROR, order.how == SG_STOP_CUT ? "not_stopped" : "not_frozen",
			"agent=%s reason=\"the warden is not there\"", event->agent);
}

void sg_record_budget_event(void *context, const struct sg_budget_event *event)
{
	struct sg_enforcer *enforcer = context;
	bool alert = event->kind == SG_EVENT_ALERT;
	const char *name = alert ? "budget_alert" : "budget_breaker";
	char spent[32], limit[32];
	json_t *line;

	sg_money_format(event->spent_nanousd, spent, sizeof(spent));
	sg_money_format(event->limit_nanousd, limit, sizeof(limit));
	line = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:s*, s:I}", "agent", event->agent,
		"budget", event->budget, "scope", sg_scope_name(event->scope), "label",
		event->label[0] ? event->label : NULL, "window", event->window, "spent_usd", spent,
		"limit_usd", event->limit_nanousd ? limit : NULL, "requests",
		(json_int_t)event->requests);
	if (alert)
		json_object_set_new(line, "percent", json_integer(event->percent));
	else
		json_object_set_new(line, "reason", json_string(event->why));
	sg_alerts_add(enforcer->alerts, event->agent);
	sg_webhook_tell(enforcer->webhook, name, event->at_ns, line);
	sg_audit_write(enforcer->audit, name, true, line);
	if (!alert)
		stop_agent(enforcer, event);
}
