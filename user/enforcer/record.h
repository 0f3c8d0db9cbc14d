// SPDX-License-Identifier: Apache-2.0
// What calls leave in the audit log. Worker threads; never waits.
#pragma once

struct sg_client;
struct sg_budget_event;
struct sg_refusal;

// Which kind of cap: "budget_exceeded" or "rate_limited".
const char *sg_record_cap(const struct sg_refusal *refusal);

// A call was refused: `reason` is one word, `refusal` (may be NULL) names the budget, `detail` may
// be NULL.
void sg_record_refused(const struct sg_client *client, const char *model, const char *reason,
	unsigned status, const struct sg_refusal *refusal, const char *detail);

// A call was served although a soft_alert budget is over its cap. Also a log line.
void sg_record_soft_alert(
	const struct sg_client *client, const char *model, const struct sg_refusal *refusal);

// An alert or a breaker of a budget: a line of the audit log, and the agent is cut off or frozen
// where that is the breaker's action. `context` is the struct sg_enforcer. The ledger's writer
// thread.
void sg_record_budget_event(void *context, const struct sg_budget_event *event);
