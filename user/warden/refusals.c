// SPDX-License-Identifier: Apache-2.0
// Refusals of the kernel side, for the log: a line a second at most for each agent and reason,
// since a process may ask for them in a loop. All are counted by the kernel side itself (`spendgate
// status --json`).
#include "warden/warden.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"

static void on_refusal(void *context, const struct sg_event *event)
{
	struct sg_warden *warden = context;
	struct sg_warden_agent *agent = sg_agents_find(warden, event->agent_id);
	struct sg_refusals_told *told =
		&(agent ? agent->refusals
			: warden->refusals)[event->reason < SG_REASON_MAX ? event->reason : 0];
	int64_t now_ns = sg_clock_monotonic_ns();
	char command[32];

	if (told->at_ns && now_ns - told->at_ns < SG_NS_PER_SEC) {
		told->since++;
		return;
	}
	sg_log(SG_LOG_INFO, "refused",
		"agent=%s reason=%s process=%u command=%s port=%u not_told=%u",
		agent ? sg_agent_name(agent) : "-", sg_reason_name((enum sg_reason)event->reason),
		event->process_id,
		sg_log_value(event->command, sizeof(event->command), command, sizeof(command)),
		event->destination_port, told->since);
	*told = (struct sg_refusals_told){ .at_ns = now_ns };
}

void sg_refusals_on_event(struct sg_watch *watch, uint32_t events SG_UNUSED)
{
	struct sg_warden *warden =
		(struct sg_warden *)((char *)watch - offsetof(struct sg_warden, redirect_watch));

	if (sg_redirect_read_events(warden->redirect, on_refusal, warden) < 0)
		sg_log(SG_LOG_WARN, "redirect_events", "reason=\"the ring buffer can't be read\"");
}
