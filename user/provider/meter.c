// SPDX-License-Identifier: Apache-2.0
#include "provider/meter.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/buf.h"
#include "base/money.h"
#include "http/inflate.h"
#include "provider/api.h"
#include "provider/meter_turns.h"

struct meter {
	const json_t *request, *response;
	const struct sg_price_table *table;
	const struct sg_meter_options *options;
	const struct sg_provider *provider;
	bool own_host;
	char region[32];
	const char *host;
	struct sg_route route;
	struct sg_buf request_bytes, response_bytes;
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_outcome outcome;
	struct sg_meter_turns turns; // of a WebSocket session
	struct sg_buf seen;	     // what the agent gets, when a usage chunk was asked for
	bool cut;		     // the exchange ended before its end
	uint64_t random;
	struct sg_error *error;
};

// ---- Bytes of the exchange ----

static int decode_base64(const json_t *value, struct sg_buf *out)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value), padding = 0;
	int n, r;

	if (!text || length > INT_MAX)
		return -EINVAL;
	r = sg_buf_reserve(out, length + 4);
	if (r < 0)
		return r;
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	n = EVP_DecodeBlock(out->data + out->end, (const unsigned char *)text, (int)length);
	if (n < 0)
		return -EINVAL;
	out->end += (size_t)n - padding;
	return 0;
}

static int append_string(const json_t *value, struct sg_buf *out)
{
	if (!json_is_string(value))
		return -EINVAL;
	return sg_buf_append(out, json_string_value(value), json_string_length(value));
}

static int join_strings(const json_t *list, struct sg_buf *out)
{
	size_t index;
	json_t *item;
	int r = 0;

	if (!json_is_array(list))
		return -EINVAL;
	json_array_foreach((json_t *)list, index, item)
	{
		r = append_string(item, out);
		if (r < 0)
			break;
	}
	return r;
}

// body_base64, sse, ndjson, body_text, body: the first that is there.
static int body_bytes(const json_t *side, struct sg_buf *out)
{
	const json_t *value = json_object_get(side, "body_base64");
	char *text;
	int r;

	if (value)
		return decode_base64(value, out);
	value = json_object_get(side, "sse");
	if (!value)
		value = json_object_get(side, "ndjson");
	if (value)
		return join_strings(value, out);
	value = json_object_get(side, "body_text");
	if (value)
		return append_string(value, out);
	value = json_object_get(side, "body");
	if (!value)
		return 0;
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	r = text ? sg_buf_append(out, text, strlen(text)) : -ENOMEM;
	free(text);
	return r;
}

// The bodies show what was seen until then; where we ended it ourselves, also the closing events
// that we added behind `after_bytes`, which are not the provider's.
static void apply_abort(struct meter *meter)
{
	const json_t *abort = json_object_get(meter->response, "abort");
	const char *by = json_string_value(json_object_get(abort, "by"));
	json_int_t after = json_integer_value(json_object_get(abort, "after_bytes"));

	meter->cut = abort != NULL;
	if (by && strcmp(by, "proxy") == 0 && after > 0 &&
		(size_t)after < sg_buf_length(&meter->response_bytes))
		meter->response_bytes.end = meter->response_bytes.start + (size_t)after;
}

static struct sg_str header(const json_t *side, const char *name)
{
	const char *value =
		json_string_value(json_object_get(json_object_get(side, "headers"), name));

	return (struct sg_str){ value ? value : "", value ? strlen(value) : 0 };
}

// The length of the next piece to feed; `sizes` is a list of how the bytes travelled, or NULL.
static size_t next_piece(struct meter *meter, const json_t *sizes, size_t index, size_t left)
{
	json_int_t told = json_integer_value(json_array_get(sizes, index));
	size_t piece = told > 0 ? (size_t)told : left;

	if (meter->options->split == SG_METER_BYTEWISE)
		piece = 1;
	if (meter->options->split == SG_METER_RANDOM) {
		meter->random = meter->random * 6364136223846793005ull + 1442695040888963407ull;
		piece = 1 + (size_t)(meter->random >> 33) % 97;
	}
	return piece < left ? piece : left;
}

// ---- Reading ----

static int scan_piece(void *context, const char *bytes, size_t length)
{
	return sg_request_reader_feed(context, bytes, length);
}

static int read_request(struct meter *meter)
{
	struct sg_request_reader *reader = NULL;
	struct sg_inflate *inflate = NULL;
	size_t at = 0, index = 0, length = sg_buf_length(&meter->request_bytes);
	const char *bytes = (const char *)sg_buf_head(&meter->request_bytes);
	int r = sg_request_reader_new(&meter->route, &reader);

	if (r == 0)
		r = sg_inflate_new(header(meter->request, "content-encoding"), &inflate);
	while (r == 0 && at < length) {
		size_t piece = next_piece(meter, NULL, index++, length - at);

		r = inflate ? sg_inflate_feed(inflate, bytes + at, piece, scan_piece, reader)
			    : sg_request_reader_feed(reader, bytes + at, piece);
		at += piece;
	}
	if (r == 0) {
		sg_request_reader_finish(reader, &meter->facts, &meter->edits);
		meter->facts.regional = sg_provider_is_region(meter->host, strlen(meter->host));
	}
	sg_request_reader_free(reader);
	sg_inflate_free(inflate);
	return r;
}

static int read_response(struct meter *meter)
{
	struct sg_response_options options = { .api = meter->route.api,
		.facts = &meter->facts,
		.status = (unsigned)json_integer_value(json_object_get(meter->response, "status")),
		.content_type = header(meter->response, "content-type"),
		.content_encoding = header(meter->response, "content-encoding"),
		.skim = meter->options->skim,
		.own_host = meter->own_host,
		.remove_usage_chunk = meter->facts.include_usage == SG_USAGE_TO_ADD };
	struct sg_response_reader *reader = NULL;
	const json_t *sizes = json_object_get(meter->response, "chunk_sizes");
	size_t at = 0, index = 0, length = sg_buf_length(&meter->response_bytes);
	const char *bytes = (const char *)sg_buf_head(&meter->response_bytes);
	int r = sg_response_reader_new(&options, &reader);
	const char *name;
	json_t *value;
	struct sg_buf *out = r == 0 && sg_response_reader_is_filter(reader) ? &meter->seen : NULL;

	if (r == 0) {
		json_object_foreach(json_object_get(meter->response, "headers"), name, value)
		{
			sg_response_reader_header(reader, (struct sg_str){ name, strlen(name) },
				header(meter->response, name));
		}
	}
	while (r == 0 && at < length) {
		size_t piece = next_piece(meter, sizes, index++, length - at);

		r = sg_response_reader_feed(reader, bytes + at, piece, out);
		at += piece;
	}
	if (r == 0)
		r = sg_response_reader_finish(reader, !meter->cut, out, &meter->outcome);
	sg_response_reader_free(reader);
	return r;
}

// ---- The result ----

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

static void set_reserve(const struct meter *meter, json_t *result)
{
	const struct sg_request_facts *facts = &meter->facts;
	json_t *reserve = json_pack("{s:s, s:I}", "input_bound",
		facts->context_window ? "context_window" : "body_bytes", "choices",
		(json_int_t)facts->choices);

	json_object_set_new(reserve, "output_bound",
		facts->unbounded_output	 ? json_string("unbounded")
		: facts->max_output >= 0 ? json_integer(facts->max_output)
					 : json_string("model_max"));
	set_text(reserve, "reasons", facts->reasons);
	json_object_set_new(result, "reserve", reserve);
}

// What is charged by other things than the tokens of the model.
static void set_units(const struct meter *meter, json_t *result)
{
	const struct sg_outcome *outcome = &meter->outcome;
	json_t *units = json_object();
	char text[32];

	if (outcome->usage.search_units)
		set_count(units, "search_units", outcome->usage.search_units, true);
	if (outcome->usage.citation_tokens)
		set_count(units, "citation_tokens", outcome->usage.citation_tokens, true);
	if (json_object_size(units))
		json_object_set(result, "units", units);
	json_decref(units);
	if (outcome->provider_priced) {
		sg_money_format_pico(outcome->provider_picousd, text, sizeof(text));
		json_object_set_new(result, "provider_cost_usd", json_string(text));
	}
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
		settled || meter->outcome.usage.output_tokens == 0);
	set_count(result, "reasoning_tokens", settled ? usage->reasoning_tokens : 0, true);
	if (usage->audio_input_tokens)
		set_count(result, "audio_input_tokens", usage->audio_input_tokens, true);
	if (usage->image_input_tokens)
		set_count(result, "image_input_tokens", usage->image_input_tokens, true);
	if (usage->image_output_tokens)
		set_count(result, "image_output_tokens", usage->image_output_tokens, true);
	if (usage->audio_output_tokens)
		set_count(result, "audio_output_tokens", usage->audio_output_tokens, true);
	if (usage->reasoning_apart_tokens) {
		set_count(result, "reasoning_tokens", usage->reasoning_apart_tokens, true);
		json_object_set_new(result, "reasoning_outside_output", json_true());
	}
	set_units(meter, result);
	set_count(result, "requests", meter->route.kind == SG_ROUTE_LIVE ? meter->turns.answers : 1,
		true);
	json_object_set_new(result, "usage_source", json_string(sources[usage->source]));
	set_text(result, "service_tier", usage->service_tier);
	set_text(result, "speed", usage->speed);
	set_text(result, "inference_geo", usage->inference_geo);
	if (usage->web_search_requests)
		json_object_set_new(result, "tool_calls",
			json_pack("{s:I}", "web_search", (json_int_t)usage->web_search_requests));
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
	json_object_set_new(result, "requested_model", json_string(meter->facts.model));
	if (deployment)
		set_text(result, "deployment", meter->facts.model);
	set_text(result, "region", meter->region);
}

static void describe_metered(const struct meter *meter, json_t *result)
{
	const struct sg_outcome *outcome = &meter->outcome;
	bool denied = is_our_refusal(meter);
	bool billable = outcome->state != SG_EXCHANGE_ERROR_FREE && !denied;

	json_object_set_new(result, "billable", json_boolean(billable));
	json_object_set_new(
		result, "state", json_string(denied ? "denied" : state_names[outcome->state]));
	set_models(meter, result);
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

// ---- The whole ----

static int find_route(struct meter *meter, const char *name)
{
	const char *host = json_string_value(json_object_get(meter->request, "host"));
	const char *method = json_string_value(json_object_get(meter->request, "method"));
	const char *path = json_string_value(json_object_get(meter->request, "path"));
	bool upgrade = json_integer_value(json_object_get(meter->response, "status")) == 101;

	if (!host || !method || !path || !meter->response)
		return sg_error_set(meter->error, -EINVAL,
			"request.method, request.host, request.path and response are needed");
	meter->provider = sg_provider_by_host(host, strlen(host));
	meter->own_host = meter->provider != NULL;
	meter->host = host;
	if (!meter->provider && name)
		meter->provider = sg_provider_by_name(name);
	if (!meter->provider)
		return sg_error_set(meter->error, -EINVAL,
			"request.host %s is no provider's: name the one whose API it speaks in "
			"\"provider\"",
			host);
	sg_provider_region((struct sg_str){ host, strlen(host) },
		(struct sg_str){ path, strlen(path) }, meter->region);
	meter->route = sg_provider_route(meter->provider, (struct sg_str){ method, strlen(method) },
		(struct sg_str){ path, strlen(path) }, upgrade);
	return 0;
}

static int read_exchange(struct meter *meter)
{
	int r = body_bytes(meter->request, &meter->request_bytes);

	if (r == 0)
		r = body_bytes(meter->response, &meter->response_bytes);
	if (r == 0) {
		apply_abort(meter);
		r = read_request(meter);
	}
	if (r == 0)
		r = read_response(meter);
	return r < 0 ? sg_error_set(meter->error, r, "the exchange's bodies can't be read: %s",
			       strerror(-r))
		     : 0;
}

static size_t next_of_message(void *context, size_t left)
{
	return next_piece(context, NULL, 0, left);
}

static int read_session(struct meter *meter)
{
	struct sg_meter_session session = { .table = meter->table,
		.provider = meter->provider,
		.wall_ns = meter->options->wall_ns,
		.options = { .route = &meter->route,
			.own_host = meter->own_host,
			.regional = sg_provider_is_region(meter->host, strlen(meter->host)) },
		.next_piece = next_of_message,
		.context = meter };
	int r = sg_meter_read_turns(
		&session, json_object_get(meter->response, "ws"), &meter->turns);

	meter->facts = meter->turns.facts;
	meter->outcome = meter->turns.outcome;
	return r < 0 ? sg_error_set(meter->error, r,
			       "response.ws must be a list of messages, each with \"dir\" and "
			       "\"text\"")
		     : 0;
}

int sg_meter_exchange(const json_t *exchange, const struct sg_price_table *table,
	const struct sg_meter_options *options, json_t **ret_result, struct sg_error *error)
{
	struct meter meter = { .request = json_object_get(exchange, "request"),
		.response = json_object_get(exchange, "response"),
		.table = table,
		.options = options,
		.random = options->seed,
		.error = error };
	int r = find_route(&meter, json_string_value(json_object_get(exchange, "provider")));

	if (r == 0 && meter.route.kind == SG_ROUTE_METERED)
		r = read_exchange(&meter);
	if (r == 0 && meter.route.kind == SG_ROUTE_LIVE)
		r = read_session(&meter);
	if (r == 0) {
		*ret_result = json_object();
		if (!*ret_result)
			r = sg_error_set(error, -ENOMEM, "out of memory");
		else if (meter.route.kind == SG_ROUTE_METERED || meter.route.kind == SG_ROUTE_LIVE)
			describe_metered(&meter, *ret_result);
		else
			describe_unmetered(&meter, *ret_result);
	}
	sg_buf_release(&meter.request_bytes);
	sg_buf_release(&meter.response_bytes);
	sg_buf_release(&meter.seen);
	return r;
}
