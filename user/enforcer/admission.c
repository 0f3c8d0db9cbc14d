// SPDX-License-Identifier: Apache-2.0
#include "enforcer/admission.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/record.h"
#include "enforcer/slice.h"
#include "enforcer/waiting.h"
#include "enforcer/worker.h"

// FNV-1a: equal requests have equal ones, and nobody gains by two that only look equal.
static uint64_t fold(uint64_t hash, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t fingerprint(const struct sg_exchange *exchange)
{
	uint8_t *scratch = exchange->client->worker->scratch;
	const struct sg_str target = exchange->head.target;
	uint64_t hash =
		fold(UINT64_C(14695981039346656037), (const uint8_t *)target.data, target.length);
	uint64_t offset = 0;
	ssize_t n;

	while ((n = sg_body_read(&exchange->body, offset, scratch, SG_SCRATCH_BYTES)) > 0) {
		hash = fold(hash, scratch, (size_t)n);
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
		.may_wait = exchange->admission.patience != SG_TAKES_ANY,
		.fingerprint = exchange->admission.fingerprint };
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

	if (admission->counted || exchange->request_inflate ||
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

static bool fits(const struct sg_charge *charge, const struct sg_room *room)
{
	return charge->nanousd <= room->nanousd && charge->input_tokens <= room->input_tokens &&
	       charge->output_tokens <= room->output_tokens && room->requests >= 1 &&
	       charge->input_tokens <= room->tokens &&
	       charge->output_tokens <= room->tokens - charge->input_tokens;
}

static int bound_with_limit(
	const struct sg_exchange *exchange, int64_t limit, struct sg_charge *ret_bound)
{
	struct sg_request_facts facts = exchange->facts;

	facts.max_output = limit;
	return sg_call_bound(exchange->client, exchange->prices, &facts, ret_bound);
}

// The highest output limit, below the call's own, that the room affords; -1: not even none.
static int64_t affordable(const struct sg_exchange *exchange, const struct sg_room *room)
{
	int64_t low = -1, high = exchange->admission.bound.output_tokens;
	struct sg_charge bound;

	// Any limit up to `low` fits, none from `high` on.
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		if (bound_with_limit(exchange, middle, &bound) == 0 && fits(&bound, room))
			low = middle;
		else
			high = middle;
	}
	return low;
}

// A part of what is there at rest for each of those that wait, but one that is worth a call.
static int64_t share_of(const struct sg_exchange *exchange, int64_t at_rest)
{
	const struct sg_client *client = exchange->client;
	const struct sg_call call = describe(exchange);
	int64_t waiting = sg_waiting_count(client->worker, client->agent->account,
		sg_account_counting(client->agent->account, &call));
	int64_t share = at_rest / (1 + waiting);

	share = share > SG_CLAMP_SHARE ? share : SG_CLAMP_SHARE;
	return share < at_rest ? share : at_rest;
}

static int64_t choose_limit(const struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	const struct sg_call call = describe(exchange);
	struct sg_room now, at_rest;
	int64_t limit, most;

	sg_account_room(
		client->worker->enforcer->engine, client->agent->account, &call, &now, &at_rest);
	limit = share_of(exchange, affordable(exchange, &at_rest));
	if (exchange->admission.patience != SG_TAKES_ANY)
		return limit;
	most = affordable(exchange, &now);
	return most < limit ? most : limit;
}

// Returns as sg_hold_take.
static int take_clamped(struct sg_exchange *exchange, struct sg_refusal *ret_refusal)
{
	const struct sg_client *client = exchange->client;
	int64_t limit = choose_limit(exchange);
	struct sg_charge bound;
	int r;

	if (limit < exchange->facts.least_limit || bound_with_limit(exchange, limit, &bound) < 0)
		return -EDQUOT;
	r = take(exchange, &bound, ret_refusal);
	if (r < 0)
		return r;
	r = sg_request_reader_limit(exchange->request_reader, limit, &exchange->edits);
	if (r < 0) {
		sg_hold_release(client->worker->enforcer->engine, &exchange->hold);
		return r;
	}
	exchange->facts.max_output = limit;
	sg_log(SG_LOG_INFO, "clamped",
		"agent=%s connection=%llu model=%s limit=%lld reason=\"the budget affords no "
		"more\"",
		client->agent->name, (unsigned long long)client->connection,
		exchange->admission.asked_model, (long long)limit);
	return 0;
}

// ---- Waiting ----

static int64_t now_ms(const struct sg_exchange *exchange)
{
	return sg_loop_now_ms(exchange->client->worker->loop);
}

// Until the patience is over, or a window forgets something that was spent.
static void arm_wait(struct sg_exchange *exchange, int64_t forgets_in_ns)
{
	int64_t patience_ms = exchange->admission.patience_ms - now_ms(exchange);
	int64_t forgets_ms = forgets_in_ns / SG_NS_PER_MS + 1;

	sg_exchange_arm(exchange, forgets_ms < patience_ms ? forgets_ms : patience_ms);
}

static bool wait_for_room(struct sg_exchange *exchange, int64_t wait_ms,
	struct sg_budget_set waits_for, int64_t forgets_in_ns)
{
	struct sg_admission *admission = &exchange->admission;
	bool first = admission->its_turn;

	admission->waits_for = waits_for;
	if (sg_waiting_join(exchange, first) < 0)
		return sg_exchange_refuse(exchange, SG_ANSWER_UNAVAILABLE, NULL, strerror(ENOMEM));
	exchange->request = SG_REQUEST_WAIT;
	admission->its_turn = false;
	if (!admission->wait_ms) {
		admission->wait_ms = wait_ms > 0 ? wait_ms : 1;
		admission->patience_ms = now_ms(exchange) + (admission->wait_ms + 1) / 2;
	}
	arm_wait(exchange, forgets_in_ns);
	return false;
}

// One that waits already, for whom this one could come to stand in the way. NULL: there is none.
static const struct sg_exchange *in_front(const struct sg_exchange *exchange)
{
	const struct sg_client *client = exchange->client;
	const struct sg_call call = describe(exchange);
	struct sg_account *account = client->agent->account;
	const struct sg_exchange *first;
	struct sg_room now, at_rest;

	if (exchange->admission.its_turn || !sg_waiting_any(client->worker, account))
		return NULL;
	first = sg_waiting_first(client->worker, account, sg_account_counting(account, &call));
	if (!first)
		return NULL;
	sg_account_room(client->worker->enforcer->engine, account, &call, &now, &at_rest);
	return fits(&exchange->admission.bound, &at_rest) ? first : NULL;
}

void sg_admission_ask_again(struct sg_exchange *exchange)
{
	sg_waiting_leave(exchange);
	exchange->admission.its_turn = true;
	exchange->request = SG_REQUEST_ADMIT;
	sg_exchange_resume(exchange);
}

void sg_admission_on_timer(struct sg_exchange *exchange)
{
	struct sg_worker *worker = exchange->client->worker;
	struct sg_admission *admission = &exchange->admission;

	if (now_ms(exchange) < admission->patience_ms) {
		arm_wait(exchange, INT64_MAX);
		sg_waiting_on_room(worker);
		return;
	}
	admission->patience = admission->patience == SG_TAKES_WHOLE ? SG_TAKES_SHARE : SG_TAKES_ANY;
	if (admission->patience == SG_TAKES_SHARE) {
		admission->patience_ms = now_ms(exchange) + admission->wait_ms / 2;
		arm_wait(exchange, INT64_MAX);
	}
	// Who waits on asks like the others, whoever leaves makes way for them.
	if (admission->patience == SG_TAKES_ANY)
		sg_admission_ask_again(exchange);
	sg_waiting_on_room(worker);
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
	       fits(&bound, &at_rest);
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
	if (r == -EAGAIN && exchange->admission.patience == SG_TAKES_WHOLE)
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
	const struct sg_exchange *first;
	struct sg_refusal refusal;
	int r;

	if (!price(exchange))
		return false;
	first = in_front(exchange);
	if (first)
		return wait_for_room(
			exchange, first->admission.wait_ms, first->admission.waits_for, INT64_MAX);
	r = hold(exchange, &refusal);
	if (r == -EAGAIN && refusal.wait_ns > 0)
		return wait_for_room(exchange, refusal.wait_ns / SG_NS_PER_MS, refusal.objecting,
			refusal.forgets_in_ns);
	if (r == -EDQUOT || r == -EAGAIN)
		return sg_exchange_refuse(exchange, SG_ANSWER_BUDGET, &refusal, NULL);
	if (r < 0)
		return passes_unaccounted(exchange, r) ||
		       sg_exchange_refuse(exchange, SG_ANSWER_UNAVAILABLE, NULL, strerror(-r));
	sg_slice_prepare(exchange);
	return true;
}
