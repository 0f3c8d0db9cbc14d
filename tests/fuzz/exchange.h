// SPDX-License-Identifier: Apache-2.0
// One exchange of untrusted bytes through the readers of a wire format: "request NUL response".
// Whole and torn must agree.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "provider/api.h"

// All that is read only where a provider has it.
#define OTHERS                                                                                     \
	(SG_TRAIT_OUTPUT_BY_TOTAL | SG_TRAIT_COST_TOTAL | SG_TRAIT_COST_TICKS |                    \
		SG_TRAIT_REASONING_APART)

struct exchange_result {
	struct sg_request_facts facts;
	struct sg_request_edits edits;
	struct sg_outcome outcome;
	struct sg_buf seen; // what the agent gets through a filter
};

// In order, apart, and within the body.
static void check_edits(const struct sg_request_edits *edits, size_t length)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < edits->count; i++) {
		const struct sg_request_edit *edit = &edits->list[i];

		if (edit->offset < end || edit->offset + edit->remove > length ||
			edit->text_length > sizeof(edit->text))
			abort();
		end = edit->offset + edit->remove;
	}
}

static bool is_lines(const struct sg_api *api)
{
	return api == &sg_api_ollama || api == &sg_api_anthropic_batch;
}

static const char *stream_type(const struct sg_api *api)
{
	if (is_lines(api))
		return "application/x-ndjson";
	return api->dialect == SG_DIALECT_BEDROCK ? "application/vnd.amazon.eventstream"
						  : "text/event-stream";
}

static void read_exchange(const struct sg_api *api, const char *request, size_t request_length,
	const char *response, size_t response_length, bool stream, size_t piece,
	struct exchange_result *result)
{
	const char *type = stream ? stream_type(api) : "application/json";
	static const char form[] = "multipart/form-data; boundary=B";
	bool is_form = request_length > 2 && memcmp(request, "--", 2) == 0;
	struct sg_request_reader *reader;
	struct sg_response_reader *answer;
	struct sg_response_options options = { .api = api,
		.facts = &result->facts,
		.status = 200,
		.content_type = { type, strlen(type) },
		.content_encoding = { "", 0 },
		.own_host = true };
	struct sg_route route = {
		.kind = SG_ROUTE_METERED, .api = api, .traits = SG_TRAIT_ASK_USAGE | OTHERS
	};

	memset(result, 0, sizeof(*result));
	if (sg_request_reader_new(&route,
		    is_form ? (struct sg_str){ form, sizeof(form) - 1 } : (struct sg_str){ "", 0 },
		    &reader) < 0)
		abort();
	for (size_t at = 0; at < request_length; at += piece)
		(void)!sg_request_reader_feed(reader, request + at,
			request_length - at < piece ? request_length - at : piece);
	sg_request_reader_finish(reader, &result->facts, &result->edits);
	if (result->facts.can_limit && sg_request_reader_limit(reader, 16, &result->edits) < 0)
		abort();
	sg_request_reader_free(reader);
	check_edits(&result->edits, request_length);
	options.remove_usage_chunk = result->facts.include_usage == SG_USAGE_TO_ADD;
	if (sg_response_reader_new(&options, &answer) < 0)
		abort();
	for (size_t at = 0; at < response_length; at += piece)
		if (sg_response_reader_feed(answer, response + at,
			    response_length - at < piece ? response_length - at : piece,
			    sg_response_reader_is_filter(answer) ? &result->seen : NULL) < 0)
			abort();
	if (sg_response_reader_finish(answer, true,
		    sg_response_reader_is_filter(answer) ? &result->seen : NULL,
		    &result->outcome) < 0)
		abort();
	sg_response_reader_free(answer);
}

static bool same_lines(const struct sg_outcome *a, const struct sg_outcome *b)
{
	return a->line_count == b->line_count &&
	       memcmp(a->lines, b->lines, a->line_count * sizeof(a->lines[0])) == 0;
}

static void check_same(const struct exchange_result *a, const struct exchange_result *b)
{
	const struct sg_buf *seen = &a->seen, *other = &b->seen;

	if (memcmp(&a->facts, &b->facts, sizeof(a->facts)) != 0 ||
		memcmp(&a->edits, &b->edits, sizeof(a->edits)) != 0)
		abort();
	if (a->outcome.state != b->outcome.state ||
		a->outcome.bad_evidence != b->outcome.bad_evidence ||
		a->outcome.visible_output_bytes != b->outcome.visible_output_bytes ||
		memcmp(&a->outcome.usage, &b->outcome.usage, sizeof(a->outcome.usage)) != 0 ||
		!same_lines(&a->outcome, &b->outcome))
		abort();
	if (sg_buf_length(seen) != sg_buf_length(other) ||
		(sg_buf_length(seen) &&
			memcmp(sg_buf_head(seen), sg_buf_head(other), sg_buf_length(seen)) != 0))
		abort();
}

static int fuzz_exchange(const struct sg_api *api, const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *middle = size ? memchr(text, 0, size) : NULL;
	size_t request_length = middle ? (size_t)(middle - text) : size;
	const char *response = middle ? middle + 1 : text + size;
	size_t response_length = size - (size_t)(response - text);
	bool stream = response_length && (*response == 'd' || *response == 'e' ||
						 *response == ':' || !*response || is_lines(api));
	struct exchange_result whole, bytewise;
	const struct sg_usage *usage = &whole.outcome.usage;

	read_exchange(
		api, text, request_length, response, response_length, stream, SIZE_MAX / 2, &whole);
	read_exchange(api, text, request_length, response, response_length, stream, 1, &bytewise);
	check_same(&whole, &bytewise);
	if (whole.outcome.state == SG_EXCHANGE_SETTLED &&
		(usage->cache_read_tokens < 0 || whole.outcome.bad_evidence))
		abort();
	// Only who states the price need not tell the tokens.
	if (whole.outcome.state == SG_EXCHANGE_SETTLED && !whole.outcome.provider_priced &&
		(usage->input_tokens < 0 || usage->output_tokens < 0))
		abort();
	sg_buf_release(&whole.seen);
	sg_buf_release(&bytewise.seen);
	return 0;
}
