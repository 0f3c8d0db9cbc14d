// SPDX-License-Identifier: Apache-2.0
// What an exchange came to, as JSON (docs/exchange-format.md).
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/money.h"
#include "provider/meter_parts.h"

// The shapes of refusal.c: final, and with a word that each provider's SDKs know. A provider's own
// gateway may answer just so; either bills nothing.
static bool is_our_refusal(const struct meter *meter)
{
	const char *retry = json_string_value(
		json_object_get(json_object_get(meter->response, "headers"), "x-should-retry"));
	json_int_t status = json_integer_value(json_object_get(meter->response, "status"));
	const char *body = (const char *)sg_buf_head(&meter->response_bytes);
	size_t length = sg_buf_length(&meter->response_bytes);

	return status >= 400 && status < 500 && retry && strcmp(retry, "false") == 0 &&
	       (memmem(body, length, "insufficient_quota", 18) ||
		       memmem(body, length, "enforced_spend_limit_reached", 28));
}

static void set_count(json_t *result, const char *key, int64_t count, bool known)
{
	json_object_set_new(result, key, known ? json_integer(count) : json_null());
}

static void set_some(json_t *result, const char *key, int64_t count)
{
	if (count)
		set_count(result, key, count, true);
}

static void set_nothing_used(json_t *result)
{
	static const char *const keys[] = { "input_tokens", "cache_read_tokens",
		"cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
		"requests" };

	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++)
		json_object_set_new(result, keys[i], json_integer(0));
	json_object_set_new(result, "usage_source", json_string("none"));
	json_object_set_new(result, "cost_usd", json_string("0"));
}

static void set_text(json_t *result, const char *key, const char *text)
{
	if (*text)
		json_object_set_new(result, key, json_string(text));
}

static json_t *reasons_of(const struct sg_request_facts *facts)
{
	char words[sizeof(facts->reasons)], *rest = words, *word;
	json_t *list = json_array();

	memcpy(words, facts->reasons, sizeof(words));
	while ((word = strsep(&rest, ",")))
		if (*word)
			json_array_append_new(list, json_string(word));
	return list;
}

static void set_reserve(const struct meter *meter, json_t *result)
{
	const struct sg_request_facts *facts = &meter->facts;
	const struct sg_price *price = sg_price_find(meter->table,
		sg_provider_name(meter->provider), facts->model, meter->options->wall_ns);
	json_t *reserve = json_pack("{s:s, s:I}", "input_bound",
		facts->unbounded_input	? "unbounded"
		: facts->context_window ? "context_window"
					: "body_bytes",
		"choices", (json_int_t)facts->choices);

	json_object_set_new(reserve, "output_bound",
		facts->unbounded_output		       ? json_string("unbounded")
		: facts->units.images		       ? json_string("image_table")
		: price && sg_price_is_by_piece(price) ? json_integer(0)
		: facts->max_output >= 0	       ? json_integer(facts->max_output)
						       : json_string("model_max"));
	if (facts->reasons[0])
		json_object_set_new(reserve, "reasons", reasons_of(facts));
	json_object_set_new(result, "reserve", reserve);
}

// What is charged by other things than the tokens of the model.
static void set_units(const struct meter *meter, json_t *result)
{
	const struct sg_outcome *outcome = &meter->outcome;
	json_t *units = json_object();
	char text[32];

	set_some(units, "search_units", outcome->usage.search_units);
	set_some(units, "images", outcome->usage.units.images);
	set_some(units, "characters", outcome->usage.units.characters);
	set_some(units, "pages", outcome->usage.units.pages);
	if (outcome->usage.units.milliseconds % 1000)
		json_object_set_new(units, "seconds",
			json_real((double)outcome->usage.units.milliseconds / 1000));
	else
		set_some(units, "seconds", outcome->usage.units.milliseconds / 1000);
	set_some(units, "citation_tokens", outcome->usage.citation_tokens);
	if (json_object_size(units))
		json_object_set(result, "units", units);
	json_decref(units);
	if (outcome->provider_priced) {
		sg_money_format_pico(outcome->provider_picousd, text, sizeof(text));
		json_object_set_new(result, "provider_cost_usd", json_string(text));
	}
}

static bool is_poll(const struct meter *meter)
{
	return meter->route.kind == SG_ROUTE_POLL;
}

static void set_tool_calls(const struct sg_usage *usage, json_t *result)
{
	json_t *calls = json_object();

	set_some(calls, "web_search", usage->web_search_requests);
	set_some(calls, "google_maps", usage->maps_requests);
	set_some(calls, "file_search", usage->file_search_requests);
	set_some(calls, "code_interpreter", usage->units.containers);
	if (json_object_size(calls))
		json_object_set(result, "tool_calls", calls);
	json_decref(calls);
}

static void set_usage(const struct meter *meter, json_t *result)
{
	static const char *const sources[] = { "none", "body", "headers", "sse", "ndjson",
		"eventstream", "ws" };
	const struct sg_usage *usage = &meter->outcome.usage;
	bool settled = meter->outcome.state == SG_EXCHANGE_SETTLED;
	bool input_known = usage->input_tokens >= 0 && !meter->outcome.bad_evidence;

	set_count(result, "input_tokens", usage->input_tokens,
		input_known && (settled || usage->source >= SG_SOURCE_SSE));
	set_count(result, "cache_read_tokens", usage->cache_read_tokens, true);
	set_count(result, "cache_write_tokens", usage->cache_write_tokens, true);
	set_count(result, "cache_write_1h_tokens", usage->cache_write_1h_tokens, true);
	// An error that is billed all the same has no output.
	set_count(result, "output_tokens", usage->output_tokens,
		usage->output_tokens == 0 || (settled && usage->output_tokens > 0));
	set_count(result, "reasoning_tokens", settled ? usage->reasoning_tokens : 0, true);
	set_some(result, "audio_input_tokens", usage->audio_input_tokens);
	set_some(result, "image_input_tokens", usage->image_input_tokens);
	set_some(result, "image_output_tokens", usage->image_output_tokens);
	set_some(result, "audio_output_tokens", usage->audio_output_tokens);
	if (usage->reasoning_apart_tokens) {
		set_count(result, "reasoning_tokens", usage->reasoning_apart_tokens, true);
		json_object_set_new(result, "reasoning_outside_output", json_true());
	}
	set_units(meter, result);
	set_count(result, "requests",
		is_poll(meter)			     ? 0
		: meter->route.kind == SG_ROUTE_LIVE ? meter->turns.answers
						     : 1,
		true);
	json_object_set_new(result, "usage_source",
		json_string(is_poll(meter) ? "poll" : sources[usage->source]));
	set_text(result, "service_tier", usage->service_tier);
	set_text(result, "speed", usage->speed);
	set_text(result, "inference_geo", usage->inference_geo);
	set_tool_calls(usage, result);
}

static json_t *line_of(const struct sg_usage *line)
{
	return json_pack("{s:s, s:I, s:I, s:I}", "model", line->model, "input_tokens",
		(json_int_t)line->input_tokens, "cache_read_tokens",
		(json_int_t)line->cache_read_tokens, "output_tokens",
		(json_int_t)line->output_tokens);
}

static void set_lines(const struct meter *meter, json_t *result)
{
	json_t *lines = json_array();

	for (unsigned i = 0; i < meter->outcome.line_count; i++)
		json_array_append_new(lines, line_of(&meter->outcome.lines[i]));
	if (meter->turns.transcriptions) {
		json_array_append_new(lines, line_of(&meter->outcome.usage));
		json_array_append_new(lines, line_of(&meter->turns.transcription));
	}
	if (json_array_size(lines))
		json_object_set(result, "lines", lines);
	json_decref(lines);
}

static void set_estimate(const struct meter *meter, json_t *result)
{
	const struct sg_outcome *outcome = &meter->outcome;
	json_t *estimate = json_pack(
		"{s:I}", "visible_output_bytes", (json_int_t)outcome->visible_output_bytes);

	if (outcome->usage.output_tokens >= 0 && outcome->usage.source >= SG_SOURCE_SSE) {
		json_object_set_new(
			estimate, "output_tokens_min", json_integer(outcome->usage.output_tokens));
		if (meter->facts.max_output >= 0)
			json_object_set_new(estimate, "output_tokens_max",
				json_integer(meter->facts.max_output));
	}
	json_object_set_new(result, "estimate", estimate);
}

// The indices of the events that the agent does not get.
static void set_unseen(const struct meter *meter, json_t *result)
{
	const json_t *events = json_object_get(meter->response, "sse");
	const char *seen = (const char *)sg_buf_head(&meter->seen);
	size_t at = 0, length = sg_buf_length(&meter->seen), index;
	json_t *unseen = json_array(), *event;

	json_array_foreach((json_t *)events, index, event)
	{
		size_t event_length = json_string_length(event);

		if (length - at >= event_length &&
			memcmp(seen + at, json_string_value(event), event_length) == 0)
			at += event_length;
		else
			json_array_append_new(unseen, json_integer((json_int_t)index));
	}
	if (length && json_array_size(unseen) && !meter->cut)
		json_object_set(result, "client_must_not_see", unseen);
	json_decref(unseen);
}

static void set_cost(const struct meter *meter, json_t *result)
{
	struct sg_charge bound, charge;
	char text[32];
	int r = -ENOENT;

	if (meter->route.kind == SG_ROUTE_LIVE && meter->outcome.state == SG_EXCHANGE_SETTLED) {
		charge.nanousd = meter->turns.nanousd;
		r = meter->turns.priced ? 0 : -ENOENT;
	} else if (meter->outcome.state == SG_EXCHANGE_SETTLED)
		r = sg_price_cost(meter->table, meter->provider, meter->facts.model,
			&meter->outcome, meter->options->wall_ns, &charge);
	else if (sg_price_bound(meter->table, meter->provider, &meter->facts,
			 meter->options->wall_ns, &bound) == 0) {
		sg_price_estimate(meter->table, meter->provider, &meter->facts, &meter->outcome,
			&bound, meter->options->wall_ns, &charge);
		r = 0;
	}
	if (r == 0) {
		sg_money_format(charge.nanousd, text, sizeof(text));
		json_object_set_new(result, "cost_usd", json_string(text));
	} else {
		json_object_set_new(result, "priceable", json_false());
		json_object_set_new(result, "cost_usd", json_null());
	}
}

static const char *const state_names[] = {
	[SG_EXCHANGE_SETTLED] = "settled",
	[SG_EXCHANGE_ESTIMATED] = "estimated",
	[SG_EXCHANGE_PENDING] = "pending",
	[SG_EXCHANGE_ERROR_FREE] = "error_free",
};

// The name of a deployment is no model.
static void set_models(const struct meter *meter, json_t *result)
{
	bool deployment = (meter->facts.traits & SG_TRAIT_DEPLOYMENTS) != 0;
	const char *model = meter->outcome.usage.model;

	if (!*model && !deployment)
		model = meter->facts.model;
	json_object_set_new(result, "model", *model ? json_string(model) : json_null());
	json_object_set_new(result, "requested_model",
		*meter->facts.model ? json_string(meter->facts.model) : json_null());
	if (deployment)
		set_text(result, "deployment", meter->facts.model);
	set_text(result, "region", meter->region);
}

// The model that an unmetered request names, for the record.
static void describe_unmetered(const struct meter *meter, json_t *result)
{
	bool unknown = meter->route.kind == SG_ROUTE_UNKNOWN;
	const char *model = meter->route.model[0]
				    ? meter->route.model
				    : json_string_value(json_object_get(
					      json_object_get(meter->request, "body"), "model"));

	json_object_set_new(result, "billable", json_boolean(unknown));
	json_object_set_new(result, "state", json_string(unknown ? "refused" : "free"));
	json_object_set_new(result, "model", model ? json_string(model) : json_null());
	json_object_set_new(result, "requested_model", model ? json_string(model) : json_null());
	set_nothing_used(result);
}

static void describe_metered(const struct meter *meter, json_t *result)
{
	const struct sg_outcome *outcome = &meter->outcome;
	bool denied = is_our_refusal(meter);
	bool billable = outcome->state != SG_EXCHANGE_ERROR_FREE && !denied;

	// A GET that tells of no end yet, or of none at all, is one like any other.
	if (is_poll(meter) && (outcome->state == SG_EXCHANGE_PENDING || !billable)) {
		describe_unmetered(meter, result);
		return;
	}
	json_object_set_new(result, "billable", json_boolean(billable));
	json_object_set_new(
		result, "state", json_string(denied ? "denied" : state_names[outcome->state]));
	set_models(meter, result);
	if (is_poll(meter))
		set_text(result, "settles", meter->route.pending_id);
	else
		set_reserve(meter, result);
	if (!billable) {
		set_nothing_used(result);
		return;
	}
	set_usage(meter, result);
	set_lines(meter, result);
	if (outcome->state == SG_EXCHANGE_ESTIMATED)
		set_estimate(meter, result);
	set_text(result, "pending_id", outcome->pending_id);
	set_unseen(meter, result);
	set_cost(meter, result);
}

void sg_meter_describe(const struct meter *meter, json_t *result)
{
	if (meter->route.kind == SG_ROUTE_METERED || meter->route.kind == SG_ROUTE_LIVE ||
		is_poll(meter))
		describe_metered(meter, result);
	else
		describe_unmetered(meter, result);
}
