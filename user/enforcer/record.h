// SPDX-License-Identifier: Apache-2.0
// What calls leave in the audit log. Worker threads; never waits.
#pragma once

#include <stdbool.h>

struct sg_client;
struct sg_budget_event;
struct sg_enforcer;
struct sg_refusal;

// May a refusal of this client's agent have its lines in the logs? An agent that is refused without
// end is not to fill the disk that the ledger is on: beyond a number (agent_load.h) lines are left
// out, and one says how many.
bool sg_record_may_tell(const struct sg_client *client);

// The same at last, for all agents, when no further line comes that would say it.
void sg_record_untold(struct sg_enforcer *enforcer);

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
