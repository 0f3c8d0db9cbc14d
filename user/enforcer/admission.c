// SPDX-License-Identifier: Apache-2.0
#include "enforcer/admission.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "enforcer/afford.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/record.h"
#include "enforcer/slice.h"
#include "enforcer/waiting.h"
#include "enforcer/worker.h"

// Equal requests have equal ones.
static uint64_t fingerprint(const struct sg_exchange *exchange)
{
	uint8_t *scratch = exchange->client->worker->scratch;
	const struct sg_str target = exchange->head.target;
	uint64_t hash = sg_hash(SG_HASH_START, target.data, target.length);
	uint64_t offset = 0;
	ssize_t n;

	while ((n = sg_body_read(&exchange->body, offset, scratch, SG_SCRATCH_BYTES)) > 0) {
		hash = sg_hash(hash, scratch, (size_t)n);
		offset += (uint64_t)n;
	}
	return n < 0 ? 0 : hash;
}

// Once; false when refused.
static bool price(struct sg_exchange *exchange)
{
	struct sg_admission *admission = &exchange->admission;
	int r;

	if (admission->priced)
		return true;
	exchange->facts.regional = exchange->client->regional;
	exchange->facts.unknown_path = exchange->unknown_path;
	memcpy(admission->asked_model, exchange->facts.model, sizeof(admission->asked_model));
	exchange->prices = sg_call_prices(exchange->client);
	r = sg_call_bound(exchange->client, exchange->prices, &exchange->facts, &admission->bound);
	if (r == -ENOENT)
		return sg_exchange_refuse(
			exchange, SG_ANSWER_UNKNOWN_MODEL, NULL, admission->asked_model);
	if (r < 0)
		return sg_exchange_refuse(
			exchange, SG_ANSWER_UNBOUNDED, NULL, exchange->facts.reasons);
	admission->priced = true;
	if (sg_account_wants_fingerprint(exchange->client->agent->account))
		admission->fingerprint = fingerprint(exchange);
	return true;
}

static struct sg_call describe(const struct sg_exchange *exchange)
{
	return (struct sg_call){ .provider = sg_provider_name(exchange->client->provider),
		.model = exchange->admission.asked_model,
		.api = sg_api_name(exchange->route.api),
		.may_wait = exchange->waiter.patience != SG_TAKES_ANY,
		.fingerprint = exchange->admission.fingerprint };
}

static struct sg_asking asking_of(const struct sg_exchange *exchange)
{
	return (struct sg_asking){ .client = exchange->client,
		.prices = exchange->prices,
		.facts = &exchange->facts,
		.call = describe(exchange),
		.bound = &exchange->admission.bound };
}

static int take(
	struct sg_exchange *exchange, const struct sg_charge *bound, struct sg_refusal *ret_refusal)
{
	const struct sg_client *client = exchange->client;
	const struct sg_call call = describe(exchange);
	bool soft_alert = false;
	int r = sg_hold_take(client->worker->enforcer->engine, client->worker->index,
		client->agent->account, &call, bound, &exchange->hold, ret_refusal, &soft_alert);

	if (r == 0 && soft_alert)
		sg_record_soft_alert(client, call.model, ret_refusal);
	return r;
}

// ---- A tighter bound of the input ----

static void count_texts(struct sg_exchange *exchange)
{
	uint8_t *scratch = exchange->client->worker->scratch;
	struct sg_input_tokens *tokens;
	uint64_t offset = 0;
	ssize_t n;

	if (sg_input_tokens_new(exchange->route.api,
		    sg_provider_vocabulary(
			    exchange->client->provider, exchange->admission.asked_model),
		    &tokens) < 0)
		return;
	while ((n = sg_body_read(&exchange->body, offset, scratch, SG_SCRATCH_BYTES)) > 0) {
		sg_input_tokens_feed(tokens, (const char *)scratch, (size_t)n);
		offset += (uint64_t)n;
	}
	// What could not be read to its end is no JSON, and counts nothing.
	sg_input_tokens_finish(tokens, &exchange->facts);
}

bool sg_admission_count_texts(struct sg_exchange *exchange)
{
	struct sg_admission *admission = &exchange->admission;
	struct sg_charge bound;

	// Of two models either may be the one that reads.
	if (admission->counted || exchange->request_inflate || exchange->facts.other_model[0] ||
		exchange->body.length > SG_COUNT_TEXT_BYTES)
		return false;
	admission->counted = true;
	count_texts(exchange);
	if (!exchange->facts.text_bytes ||
		sg_call_bound(exchange->client, exchange->prices, &exchange->facts, &bound) < 0)
		return false;
	admission->bound = bound;
	return true;
}

// ---- A lower output limit ----

// What is signed, or has a digest, is sent as it came.
static bool is_sealed(const struct sg_h1_head *head)
{
	static const char *const seals[] = { "x-amz-content-sha256", "content-md5", "digest",
		"content-digest", "signature" };
	const struct sg_h1_header *authorization = sg_h1_find(head, "authorization");

	for (size_t i = 0; i < SG_ARRAY_SIZE(seals); i++)
		if (sg_h1_find(head, seals[i]))
			return true;
	return authorization && authorization->value.length >= 5 &&
	       strncasecmp(authorization->value.data, "AWS4-", 5) == 0;
}

static bool can_clamp(const struct sg_exchange *exchange)
{
	return exchange->facts.can_limit && !exchange->request_inflate &&
	       !is_sealed(&exchange->head);
}

// Returns as sg_hold_take.
static int take_clamped(struct sg_exchange *exchange, struct sg_refusal *ret_refusal)
{
	const struct sg_client *client = exchange->client;
	const struct sg_asking asking = asking_of(exchange);
	int64_t limit = sg_afford_limit(&asking, exchange->waiter.patience);
	struct sg_charge bound;
	int r;

	if (limit < exchange->facts.least_limit || sg_afford_bound(&asking, limit, &bound) < 0)
		return -EDQUOT;
	r = take(exchange, &bound, ret_refusal);
	if (r < 0)
		return r;
	r = sg_request_reader_limit(exchange->request_reader, limit, &exchange->edits);
	if (r < 0) {
		// It does not fit as it is, whatever stands in the way of a lower limit.
		sg_hold_release(client->worker->enforcer->engine, &exchange->hold);
		return -EDQUOT;
	}
	exchange->facts.max_output = limit;
	sg_afford_note(&asking, limit);
	return 0;
}

// ---- Waiting ----

static void ask_again(struct sg_waiter *waiter)
{
	struct sg_exchange *exchange =
		(struct sg_exchange *)((char *)waiter - offsetof(struct sg_exchange, waiter));

	sg_exchange_arm(exchange, SG_REQUEST_MS);
	exchange->request = SG_REQUEST_ADMIT;
	sg_exchange_resume(exchange);
}

static bool wait_for_room(struct sg_exchange *exchange, const struct sg_wait *wait)
{
	const struct sg_client *client = exchange->client;

	exchange->waiter.ask_again = ask_again;
	if (sg_waiting_join(client->worker, client->agent->account, &exchange->waiter, wait) < 0)
		return sg_exchange_refuse(exchange, SG_ANSWER_UNAVAILABLE, NULL, strerror(ENOMEM));
	exchange->request = SG_REQUEST_WAIT;
	sg_loop_disarm(&exchange->timer); // the waiter has one of its own
	return false;
}

// ---- The whole ----

// Could it be admitted, were its texts next to nothing?
static bool is_text_in_the_way(const struct sg_exchange *exchange, enum sg_on_tight on_tight)
{
	const struct sg_client *client = exchange->client;
	const struct sg_call call = describe(exchange);
	struct sg_request_facts facts = exchange->facts;
	struct sg_room now, at_rest;
	struct sg_charge bound;

	if (exchange->admission.counted)
		return false;
	facts.text_bytes = facts.body_bytes;
	if (on_tight != SG_TIGHT_DENY && can_clamp(exchange))
		facts.max_output = facts.least_limit;
	sg_account_room(
		client->worker->enforcer->engine, client->agent->account, &call, &now, &at_rest);
	return sg_call_bound(client, exchange->prices, &facts, &bound) == 0 &&
	       sg_afford_fits(&bound, &at_rest);
}

static int hold(struct sg_exchange *exchange, struct sg_refusal *ret_refusal)
{
	int r = take(exchange, &exchange->admission.bound, ret_refusal);

	if ((r == -EDQUOT || r == -EAGAIN) && is_text_in_the_way(exchange, ret_refusal->on_tight) &&
		sg_admission_count_texts(exchange))
		r = take(exchange, &exchange->admission.bound, ret_refusal);

	if ((r != -EDQUOT && r != -EAGAIN) || ret_refusal->on_tight == SG_TIGHT_DENY ||
		!can_clamp(exchange))
		return r;
	// It would fit whole once others are done.
	if (r == -EAGAIN && exchange->waiter.patience == SG_TAKES_WHOLE)
		return r;
	return take_clamped(exchange, ret_refusal);
}

// By configuration, and never quietly.
static bool passes_unaccounted(const struct sg_exchange *exchange, int error)
{
	const struct sg_client *client = exchange->client;

	if (!client->worker->enforcer->budget_fail_open)
		return false;
	sg_log(SG_LOG_ERROR, "unaccounted",
		"agent=%s connection=%llu host=%s reason=\"%s\" effect=\"budget_fail_mode is open: "
		"the call passes and is not counted\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		strerror(-error));
	return true;
}

bool sg_exchange_admit(struct sg_exchange *exchange)
{
	const struct sg_waiter *first;
	struct sg_refusal refusal;
	struct sg_asking asking;
	int r;

	if (!price(exchange))
		return false;
	asking = asking_of(exchange);
	first = exchange->waiter.its_turn ? NULL : sg_afford_in_front(&asking);
	if (first)
		return wait_for_room(
			exchange, &(struct sg_wait){ first->waits_for, first->wait_ms, INT64_MAX });
	r = hold(exchange, &refusal);
	if (r == -EAGAIN && refusal.wait_ns > 0)
		return wait_for_room(
			exchange, &(struct sg_wait){ refusal.objecting,
					  refusal.wait_ns / SG_NS_PER_MS, refusal.forgets_in_ns });
	if (r == -EDQUOT || r == -EAGAIN)
		return sg_exchange_refuse(exchange, SG_ANSWER_BUDGET, &refusal, NULL);
	if (r < 0)
		return passes_unaccounted(exchange, r) ||
		       sg_exchange_refuse(exchange, SG_ANSWER_UNAVAILABLE, NULL, strerror(-r));
	sg_slice_prepare(exchange);
	return true;
}
