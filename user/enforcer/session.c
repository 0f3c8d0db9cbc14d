// SPDX-License-Identifier: Apache-2.0
#include "enforcer/session.h"

#include "enforcer/exchange.h"

void sg_session_run(struct sg_client *client)
{
	if (client->speaks_h2)
		sg_h2_session_run(client);
	else
		sg_h1_session_run(client);
}

void sg_session_on_reset(struct sg_client *client)
{
	if (client->speaks_h2)
		sg_h2_session_on_reset(client);
	else
		sg_h1_session_on_reset(client);
}

void sg_session_abandon(struct sg_client *client)
{
	while (client->exchanges)
		sg_exchange_abandon(client->exchanges);
	sg_h2_session_free(client);
}
