// SPDX-License-Identifier: Apache-2.0
// The ends of streams that we end ourselves: what each format's SDK takes for an
// answer that reached its limit. OpenAI's responses have a file of their own.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "provider/api.h"

// ---- Shared ----

void sg_index_set_put(struct sg_stream_mark *mark, struct sg_index_set *set, int64_t index, bool in)
{
	uint64_t bit;

	if (index < 0 || index >= SG_INDEX_SET) {
		mark->lost = true;
		return;
	}
	bit = UINT64_C(1) << (index % 64);
	if (in)
		set->bits[index / 64] |= bit;
	else
		set->bits[index / 64] &= ~bit;
}

bool sg_index_set_has(const struct sg_index_set *set, int64_t index)
{
	return index >= 0 && index < SG_INDEX_SET &&
	       (set->bits[index / 64] >> (index % 64) & 1) != 0;
}

json_t *sg_stream_text(const char *text)
{
	json_t *string = json_string(text);

	return string ? string : json_string("");
}

// Text of an object, which is released. NULL: out of memory.
static char *dump(json_t *data)
{
	char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;

	json_decref(data);
	return text;
}

int sg_stream_append_event(struct sg_buf *out, const char *name, json_t *data)
{
	char *text = dump(data);
	int r = text ? 0 : -ENOMEM;

	if (r == 0 && name)
		r = sg_buf_printf(out, "event: %s\n", name);
	if (r == 0)
		r = sg_buf_printf(out, "data: %s\n\n", text);
	free(text);
	return r;
}

int sg_stream_append_line(struct sg_buf *out, json_t *data)
{
	char *text = dump(data);
	int r = text ? sg_buf_printf(out, "%s\n", text) : -ENOMEM;

	free(text);
	return r;
}

// ---- OpenAI's chat, and those like it ----

static json_t *chunk_of(
	const struct sg_response_reader *reader, const char *object, json_t *choices)
{
	const struct sg_stream_mark *mark = &reader->mark;
	json_t *chunk = json_pack("{s:o, s:s, s:I, s:o, s:o}", "id", sg_stream_text(mark->id),
		"object", object, "created", (json_int_t)mark->created, "model",
		sg_stream_text(reader->outcome.usage.model), "choices", choices);

	if (chunk && reader->outcome.usage.service_tier[0])
		json_object_set_new(
			chunk, "service_tier", sg_stream_text(reader->outcome.usage.service_tier));
	return chunk;
}

static int append_finish(struct sg_response_reader *reader, int64_t index, const char *object,
	bool is_text, struct sg_buf *out)
{
	json_t *choice = is_text ? json_pack("{s:I, s:s, s:n, s:s}", "index", (json_int_t)index,
					   "text", "", "logprobs", "finish_reason", "length")
				 : json_pack("{s:I, s:{}, s:n, s:s}", "index", (json_int_t)index,
					   "delta", "logprobs", "finish_reason", "length");
	json_t *chunk = chunk_of(reader, object, json_pack("[o]", choice));

	if (chunk && reader->facts->include_usage == SG_USAGE_ASKED)
		json_object_set_new(chunk, "usage", json_null());
	return sg_stream_append_event(out, NULL, chunk);
}

static int append_usage(struct sg_response_reader *reader, const char *object,
	const struct sg_stream_totals *totals, struct sg_buf *out)
{
	json_t *chunk = chunk_of(reader, object, json_array());

	if (chunk)
		json_object_set_new(chunk, "usage",
			json_pack("{s:I, s:I, s:I}", "prompt_tokens",
				(json_int_t)totals->input_tokens, "completion_tokens",
				(json_int_t)totals->output_tokens, "total_tokens",
				(json_int_t)totals->input_tokens + totals->output_tokens));
	return sg_stream_append_event(out, NULL, chunk);
}

static int end_chunks(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	const char *object, bool is_text, struct sg_buf *out)
{
	const struct sg_stream_mark *mark = &reader->mark;
	int r = 0;

	for (int64_t i = 0; r == 0 && i < SG_INDEX_SET; i++)
		if ((i < reader->facts->choices || sg_index_set_has(&mark->open, i)) &&
			!sg_index_set_has(&mark->finished, i))
			r = append_finish(reader, i, object, is_text, out);
	if (r == 0 && reader->facts->include_usage == SG_USAGE_ASKED)
		r = append_usage(reader, object, totals, out);
	return r == 0 ? sg_buf_printf(out, "data: [DONE]\n\n") : r;
}

int sg_chat_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	return end_chunks(reader, totals, "chat.completion.chunk", false, out);
}

int sg_completions_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out)
{
	return end_chunks(reader, totals, "text_completion", true, out);
}

// ---- Anthropic ----

int sg_anthropic_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out)
{
	int r = 0;

	for (int64_t i = 0; r == 0 && i < SG_INDEX_SET; i++)
		if (sg_index_set_has(&reader->mark.open, i))
			r = sg_stream_append_event(out, "content_block_stop",
				json_pack("{s:s, s:I}", "type", "content_block_stop", "index",
					(json_int_t)i));
	if (r == 0)
		r = sg_stream_append_event(out, "message_delta",
			json_pack("{s:s, s:{s:s, s:n}, s:{s:I}}", "type", "message_delta", "delta",
				"stop_reason", "max_tokens", "stop_sequence", "usage",
				"output_tokens", (json_int_t)totals->output_tokens));
	if (r == 0)
		r = sg_stream_append_event(
			out, "message_stop", json_pack("{s:s}", "type", "message_stop"));
	return r;
}

// ---- Gemini ----

int sg_gemini_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	json_t *candidates = json_array(), *last;
	char *text;
	int r;

	for (int64_t i = 0; i < reader->facts->choices && i < SG_INDEX_SET; i++)
		if (!sg_index_set_has(&reader->mark.finished, i))
			json_array_append_new(candidates,
				json_pack("{s:{s:[{s:s}], s:s}, s:s, s:I}", "content", "parts",
					"text", "", "role", "model", "finishReason", "MAX_TOKENS",
					"index", (json_int_t)i));
	last = json_pack("{s:o, s:{s:I, s:I, s:I}, s:o}", "candidates", candidates, "usageMetadata",
		"promptTokenCount", (json_int_t)totals->input_tokens, "candidatesTokenCount",
		(json_int_t)totals->output_tokens, "totalTokenCount",
		(json_int_t)totals->input_tokens + totals->output_tokens, "modelVersion",
		sg_stream_text(reader->outcome.usage.model));
	text = dump(last);
	if (!text)
		return -ENOMEM;
	// Without alt=sse the stream is an array of the same objects.
	r = sg_buf_printf(
		out, reader->framing == SG_FRAMING_SSE ? "data: %s\r\n\r\n" : ",\r\n%s\r\n]", text);
	free(text);
	return r;
}

// ---- Cohere ----

int sg_cohere_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	const struct sg_stream_mark *mark = &reader->mark;
	const json_int_t input = totals->input_tokens, output = totals->output_tokens;
	int r = 0;

	for (int64_t i = 0; r == 0 && i < SG_INDEX_SET; i++) {
		const char *name =
			sg_index_set_has(&mark->calls, i) ? "tool-call-end" : "content-end";

		if (sg_index_set_has(&mark->open, i))
			r = sg_stream_append_event(out, name,
				json_pack("{s:s, s:I}", "type", name, "index", (json_int_t)i));
	}
	if (r == 0)
		r = sg_stream_append_event(out, "message-end",
			json_pack("{s:s, s:o, s:{s:s, s:{s:{s:I, s:I}, s:{s:I, s:I}}}}", "type",
				"message-end", "id", sg_stream_text(mark->id), "delta",
				"finish_reason", "MAX_TOKENS", "usage", "billed_units",
				"input_tokens", input, "output_tokens", output, "tokens",
				"input_tokens", input, "output_tokens", output));
	return r == 0 ? sg_buf_printf(out, "data: [DONE]\n\n") : r;
}

// ---- Ollama ----

int sg_ollama_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	char created[64], *text;
	json_t *line;
	int r;

	sg_clock_format(totals->wall_ns, created, sizeof(created));
	line = json_pack("{s:o, s:s, s:b, s:s, s:I, s:I}", "model",
		sg_stream_text(reader->outcome.usage.model), "created_at", created, "done", 1,
		"done_reason", "length", "prompt_eval_count", (json_int_t)totals->input_tokens,
		"eval_count", (json_int_t)totals->output_tokens);
	if (line && reader->mark.generates)
		json_object_set_new(line, "response", json_string(""));
	else if (line)
		json_object_set_new(line, "message",
			json_pack("{s:s, s:s}", "role", "assistant", "content", ""));
	text = dump(line);
	if (!text)
		return -ENOMEM;
	r = sg_buf_printf(out, "%s\n", text);
	free(text);
	return r;
}

// ---- Bedrock's converse ----

static int append_frame(struct sg_buf *out, const char *type, json_t *payload)
{
	char *text = dump(payload);
	int r = text ? sg_frame_append(out, type, text) : -ENOMEM;

	free(text);
	return r;
}

int sg_converse_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out)
{
	int r = 0;

	for (int64_t i = 0; r == 0 && i < SG_INDEX_SET; i++)
		if (sg_index_set_has(&reader->mark.open, i))
			r = append_frame(out, "contentBlockStop",
				json_pack("{s:I}", "contentBlockIndex", (json_int_t)i));
	if (r == 0)
		r = append_frame(
			out, "messageStop", json_pack("{s:s}", "stopReason", "max_tokens"));
	if (r == 0)
		r = append_frame(out, "metadata",
			json_pack("{s:{s:I, s:I, s:I}, s:{s:i}}", "usage", "inputTokens",
				(json_int_t)totals->input_tokens, "outputTokens",
				(json_int_t)totals->output_tokens, "totalTokens",
				(json_int_t)totals->input_tokens + totals->output_tokens, "metrics",
				"latencyMs", 0));
	return r;
}
