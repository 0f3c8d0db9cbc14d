// SPDX-License-Identifier: Apache-2.0
#include "provider/meter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "http/inflate.h"
#include "provider/meter_parts.h"

// ---- Bytes of the exchange ----

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
		return json_is_string(value) ? sg_base64_append(out, json_string_value(value),
						       json_string_length(value))
					     : -EINVAL;
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

static void read_headers(const struct meter *meter, struct sg_request_reader *reader)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(meter->request, "headers"), name, value)
	{
		sg_request_reader_header(reader, (struct sg_str){ name, strlen(name) },
			header(meter->request, name));
	}
}

static int read_request(struct meter *meter)
{
	struct sg_request_reader *reader = NULL;
	struct sg_inflate *inflate = NULL;
	size_t at = 0, index = 0, length = sg_buf_length(&meter->request_bytes);
	const char *bytes = (const char *)sg_buf_head(&meter->request_bytes);
	int r = sg_request_reader_new(
		&meter->route, header(meter->request, "content-type"), &reader);

	if (r == 0)
		read_headers(meter, reader);
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

// What is told and has no price is charged by the hold, where there is one.
static void estimate_unpriced(struct meter *meter)
{
	struct sg_charge charge;

	if (meter->outcome.state == SG_EXCHANGE_SETTLED && meter->route.kind == SG_ROUTE_METERED &&
		sg_price_cost(meter->table, meter->provider, meter->facts.model, &meter->outcome,
			meter->options->wall_ns, &charge) < 0 &&
		sg_price_bound(meter->table, meter->provider, &meter->facts,
			meter->options->wall_ns, &charge) == 0)
		meter->outcome.state = SG_EXCHANGE_ESTIMATED;
}

static int read_exchange(struct meter *meter)
{
	int r = body_bytes(meter->request, &meter->request_bytes);

	if (r == 0)
		r = body_bytes(meter->response, &meter->response_bytes);
	if (r == 0) {
		apply_abort(meter);
		// A poll has no body: what it asks about may have run in the background.
		meter->facts = (struct sg_request_facts){ .choices = 1,
			.calls = 1,
			.max_output = -1,
			.background = true,
			.traits = meter->route.traits };
		if (meter->route.kind == SG_ROUTE_METERED)
			r = read_request(meter);
	}
	if (r == 0)
		r = read_response(meter);
	if (r == 0)
		estimate_unpriced(meter);
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

	if (r == 0 && (meter.route.kind == SG_ROUTE_METERED || meter.route.kind == SG_ROUTE_POLL))
		r = read_exchange(&meter);
	if (r == 0 && meter.route.kind == SG_ROUTE_LIVE)
		r = read_session(&meter);
	if (r == 0) {
		*ret_result = json_object();
		if (!*ret_result)
			r = sg_error_set(error, -ENOMEM, "out of memory");
		else
			sg_meter_describe(&meter, *ret_result);
	}
	sg_buf_release(&meter.request_bytes);
	sg_buf_release(&meter.response_bytes);
	sg_buf_release(&meter.seen);
	return r;
}
