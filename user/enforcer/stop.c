// SPDX-License-Identifier: Apache-2.0
#include "enforcer/stop.h"

#include <stdatomic.h>
#include <string.h>

#include "enforcer/agent.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/relay.h"
#include "enforcer/session.h"
#include "enforcer/worker.h"

static void write_down(struct sg_enforcer *enforcer, const struct sg_channel_stop *stop)
{
	static const char *const events[] = {
		[SG_STOP_CUT] = "agent_cut",
		[SG_STOP_FREEZE] = "agent_frozen",
		[SG_STOP_RESUME] = "agent_resumed",
	};
	json_t *line = json_pack("{s:s, s:s, s:s*}", "agent", stop->agent, "who", stop->who,
		"reason", stop->reason[0] ? stop->reason : NULL);

	if (line && stop->how == SG_STOP_CUT)
		json_object_set_new(line, "connections", json_integer(stop->connections));
	sg_audit_write(enforcer->audit, events[stop->how], true, line);
}

void sg_stop_take(struct sg_enforcer *enforcer, const struct sg_channel_message *message)
{
	struct sg_mail mail = { .kind = SG_MAIL_CUT, .fds = { -1, -1 } };
	struct sg_channel_stop stop;
	struct sg_agent *agent;

	if (message->header.length != sizeof(stop))
		return;
	memcpy(&stop, message->payload, sizeof(stop));
	if (stop.how < SG_STOP_CUT || stop.how > SG_STOP_RESUME)
		return;
	agent = sg_agents_get(enforcer->agents, stop.agent_id);
	if (agent && stop.how != SG_STOP_FREEZE)
		atomic_store_explicit(
			&agent->load->cut, stop.how == SG_STOP_CUT, memory_order_relaxed);
	sg_agent_unref(agent);
	mail.id = stop.agent_id;
	if (stop.how == SG_STOP_CUT)
		sg_worker_post_all(enforcer, &mail);
	write_down(enforcer, &stop);
}

// ---- In a worker ----

static void end_session(struct sg_client *client)
{
	struct sg_exchange *exchange, *next;

	for (exchange = client->exchanges; exchange; exchange = next) {
		next = exchange->next;
		sg_response_stop(exchange);
	}
	sg_session_on_reset(client);
}

// Where the kernel could not end the agent's socket, it learns of the end by a reset.
static void end_connection(struct sg_client *client)
{
	sg_transport_reset(&client->transport);
	if (client->state == SG_CLIENT_SESSION)
		end_session(client);
	else if (client->state == SG_CLIENT_RELAY)
		sg_relay_on_reset(client);
	else
		sg_client_close(client, "cut");
}

void sg_stop_connections(struct sg_worker *worker, uint32_t agent_id)
{
	struct sg_client *client, *next;

	for (client = worker->clients; client; client = next) {
		next = client->next;
		if (client->agent->id == agent_id)
			end_connection(client);
	}
}
