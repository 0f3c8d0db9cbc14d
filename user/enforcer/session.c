// SPDX-License-Identifier: Apache-2.0
#include "enforcer/session.h"

#include "enforcer/exchange.h"

void sg_session_run(struct sg_client *client)
{
	sg_h1_session_run(client);
}

void sg_session_on_reset(struct sg_client *client)
{
	for (struct sg_exchange *exchange = client->exchanges; exchange; exchange = exchange->next)
		exchange->agent_gone = true;
	sg_session_run(client);
}

void sg_session_abandon(struct sg_client *client)
{
	while (client->exchanges)
		sg_exchange_abandon(client->exchanges);
}
