// SPDX-License-Identifier: Apache-2.0
#include "enforcer/afford.h"

#include "base/log.h"
#include "base/money.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

bool sg_afford_fits(const struct sg_charge *charge, const struct sg_room *room)
{
	return charge->nanousd <= room->nanousd && charge->input_tokens <= room->input_tokens &&
	       charge->output_tokens <= room->output_tokens && room->requests >= 1 &&
	       charge->input_tokens <= room->tokens &&
	       charge->output_tokens <= room->tokens - charge->input_tokens;
}

int sg_afford_bound(const struct sg_asking *asking, int64_t limit, struct sg_charge *ret_bound)
{
	struct sg_request_facts facts = *asking->facts;

	facts.max_output = limit;
	return sg_call_bound(asking->client, asking->prices, &facts, ret_bound);
}

static int64_t more(int64_t room, int64_t has)
{
	return room > SG_MONEY_MAX - has ? SG_MONEY_MAX : room + has;
}

// What the call may hold in all.
static void look_at_room(
	const struct sg_asking *asking, struct sg_room *ret_now, struct sg_room *ret_at_rest)
{
	const struct sg_client *client = asking->client;
	const struct sg_charge *has = asking->has;

	sg_account_room(client->worker->enforcer->engine, client->agent->account, &asking->call,
		ret_now, ret_at_rest);
	if (!has)
		return;
	ret_now->nanousd = more(ret_now->nanousd, has->nanousd);
	ret_now->input_tokens = more(ret_now->input_tokens, has->input_tokens);
	ret_now->output_tokens = more(ret_now->output_tokens, has->output_tokens);
	ret_now->tokens = more(ret_now->tokens, has->input_tokens + has->output_tokens);
	ret_now->requests = more(ret_now->requests, has->requests);
}

// The highest output limit, below the call's own, that the room affords; -1: not even none.
static int64_t affordable(const struct sg_asking *asking, const struct sg_room *room)
{
	int64_t low = -1, high = asking->bound->output_tokens;
	struct sg_charge bound;

	// Any limit up to `low` fits, none from `high` on.
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (sg_afford_bound(asking, middle, &bound) == 0 && sg_afford_fits(&bound, room))
			low = middle;
		else
			high = middle;
	}
	return low;
}

// A part of what is there at rest for each of those that wait, but one that is worth a call.
static int64_t share_of(const struct sg_asking *asking, int64_t at_rest)
{
	const struct sg_client *client = asking->client;
	int64_t waiting = sg_waiting_count(client->worker, client->agent->account,
		sg_account_counting(client->agent->account, &asking->call));
	int64_t share = at_rest / (1 + waiting);

	share = share > SG_CLAMP_SHARE ? share : SG_CLAMP_SHARE;
	return share < at_rest ? share : at_rest;
}

int64_t sg_afford_limit(const struct sg_asking *asking, enum sg_patience patience)
{
	struct sg_room now, at_rest;
	int64_t limit, most;

	look_at_room(asking, &now, &at_rest);
	limit = share_of(asking, affordable(asking, &at_rest));
	if (patience != SG_TAKES_ANY)
		return limit;
	most = affordable(asking, &now);
	return most < limit ? most : limit;
}

const struct sg_waiter *sg_afford_in_front(const struct sg_asking *asking)
{
	const struct sg_client *client = asking->client;
	struct sg_account *account = client->agent->account;
	const struct sg_waiter *first;
	struct sg_room now, at_rest;

	if (!sg_waiting_any(client->worker, account))
		return NULL;
	first = sg_waiting_first(
		client->worker, account, sg_account_counting(account, &asking->call));
	if (!first)
		return NULL;
	look_at_room(asking, &now, &at_rest);
	return sg_afford_fits(asking->bound, &at_rest) ? first : NULL;
}

void sg_afford_note(const struct sg_asking *asking, int64_t limit)
{
	sg_log(SG_LOG_INFO, "clamped",
		"agent=%s connection=%llu model=%s limit=%lld reason=\"the budget affords no "
		"more\"",
		asking->client->agent->name, (unsigned long long)asking->client->connection,
		asking->call.model, (long long)limit);
}
