// SPDX-License-Identifier: Apache-2.0
#include "enforcer/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "channel/channel.h"
#include "enforcer/webhook.h"
#include "enforcer/worker.h"

struct listing {
	struct sg_enforcer *enforcer;
	json_t *agents;
};

static int add_agent(void *context, struct sg_agent *agent)
{
	struct listing *listing = context;
	json_t *status = sg_account_status(listing->enforcer->engine, agent->account);

	if (!status || json_object_set_new(status, "id", json_integer(agent->id)) < 0 ||
		json_object_set_new(status, "policy_errors",
			sg_control_errors(listing->enforcer->control, agent->name)) < 0 ||
		json_object_set_new(status, "alerts",
			json_integer(sg_alerts_count(listing->enforcer->alerts, agent->name))) <
			0 ||
		json_object_set_new(status, "cut", json_boolean(agent->load->cut)) < 0 ||
		json_array_append(listing->agents, status) < 0) {
		json_decref(status);
		return -ENOMEM;
	}
	json_decref(status);
	return 0;
}

json_t *sg_status_json(struct sg_enforcer *enforcer)
{
	struct listing listing = { enforcer, json_array() };
	json_t *root = json_pack("{s:o}", "agents", listing.agents);

	if (root && enforcer->webhook)
		json_object_set_new(root, "webhook", sg_webhook_status(enforcer->webhook));
	if (root && sg_agents_each(enforcer->agents, add_agent, &listing) < 0) {
		json_decref(root);
		return NULL;
	}
	return root;
}

int sg_status_memfd(struct sg_enforcer *enforcer, int *ret_fd)
{
	json_t *root = sg_status_json(enforcer);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	int r = text ? sg_channel_memfd("spendgate-status", text, strlen(text)) : -ENOMEM;

	if (r >= 0) {
		*ret_fd = r;
		r = 0;
	}
	free(text);
	json_decref(root);
	return r;
}
