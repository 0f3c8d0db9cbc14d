// SPDX-License-Identifier: Apache-2.0
// The end of a stream of OpenAI's responses, in our own words: whatever is open is closed with what
// was said so far, and the last event repeats all output.
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "provider/api.h"

static int append_event(
	struct sg_response_reader *reader, const char *type, json_t *data, struct sg_buf *out)
{
	if (!data)
		return -ENOMEM;
	json_object_set_new(data, "type", json_string(type));
	json_object_set_new(
		data, "sequence_number", json_integer((json_int_t)++reader->mark.sequence));
	return reader->framing == SG_FRAMING_MESSAGES ? sg_stream_append_line(out, data)
						      : sg_stream_append_event(out, type, data);
}

static json_t *load(const struct sg_buf *text)
{
	return json_loadb((const char *)sg_buf_head(text), sg_buf_length(text), 0, NULL);
}

// The text so far, as a value: it was kept as it stood in JSON.
static json_t *load_text(const struct sg_buf *text)
{
	struct sg_buf quoted = { .data = NULL };
	json_t *value = NULL;

	if (sg_buf_append(&quoted, "\"", 1) == 0 &&
		sg_buf_append(&quoted, sg_buf_head(text), sg_buf_length(text)) == 0 &&
		sg_buf_append(&quoted, "\"", 1) == 0)
		value = json_loadb((const char *)sg_buf_head(&quoted), sg_buf_length(&quoted),
			JSON_DECODE_ANY, NULL);
	sg_buf_release(&quoted);
	return value ? value : json_string("");
}

static bool is_type(const json_t *item, const char *type)
{
	const char *text = json_string_value(json_object_get(item, "type"));

	return text && strcmp(text, type) == 0;
}

// An open message's text and part get their own ends.
static int close_text(
	struct sg_response_reader *reader, const json_t *item, json_t *part, struct sg_buf *out)
{
	const json_int_t output = reader->mark.item_index, content = reader->mark.part_index;
	json_t *id = json_object_get(item, "id");
	int r = append_event(reader, "response.output_text.done",
		json_pack("{s:O?, s:I, s:I, s:O, s:[]}", "item_id", id, "output_index", output,
			"content_index", content, "text", json_object_get(part, "text"),
			"logprobs"),
		out);

	return r < 0 ? r
		     : append_event(reader, "response.content_part.done",
			       json_pack("{s:O?, s:I, s:I, s:O}", "item_id", id, "output_index",
				       output, "content_index", content, "part", part),
			       out);
}

static int close_item(struct sg_response_reader *reader, json_t *item, struct sg_buf *out)
{
	json_t *text = load_text(&reader->mark.text), *part;
	int r = 0;

	if (is_type(item, "message")) {
		part = json_pack(
			"{s:s, s:O, s:[]}", "type", "output_text", "text", text, "annotations");
		json_object_set_new(item, "content", json_pack("[O]", part));
		if (sg_buf_length(&reader->mark.text))
			r = close_text(reader, item, part, out);
		json_decref(part);
	} else if (is_type(item, "function_call")) {
		json_object_set(item, "arguments", text);
	} else if (is_type(item, "custom_tool_call")) {
		json_object_set(item, "input", text);
	}
	json_decref(text);
	json_object_set_new(item, "status", json_string("incomplete"));
	if (r == 0)
		r = append_event(reader, "response.output_item.done",
			json_pack("{s:I, s:O}", "output_index", (json_int_t)reader->mark.item_index,
				"item", item),
			out);
	return r;
}

// All output, the open item included.
static json_t *all_output(const struct sg_response_reader *reader, json_t *open)
{
	struct sg_buf list = { .data = NULL };
	const struct sg_buf *items = &reader->mark.items;
	json_t *output = NULL;

	if (sg_buf_append(&list, "[", 1) == 0 &&
		sg_buf_append(&list, sg_buf_head(items), sg_buf_length(items)) == 0 &&
		sg_buf_append(&list, "]", 1) == 0)
		output = load(&list);
	sg_buf_release(&list);
	if (output && open)
		json_array_append(output, open);
	return output;
}

static json_t *usage_of(const struct sg_stream_totals *totals)
{
	return json_pack("{s:I, s:{s:i}, s:I, s:{s:i}, s:I}", "input_tokens",
		(json_int_t)totals->input_tokens, "input_tokens_details", "cached_tokens", 0,
		"output_tokens", (json_int_t)totals->output_tokens, "output_tokens_details",
		"reasoning_tokens", 0, "total_tokens",
		(json_int_t)totals->input_tokens + totals->output_tokens);
}

int sg_responses_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out)
{
	json_t *response = load(&reader->mark.response), *output;
	json_t *open = sg_buf_length(&reader->mark.item) ? load(&reader->mark.item) : NULL;
	int r = json_is_object(response) ? 0 : -ENOTSUP;

	if (r == 0 && json_is_object(open))
		r = close_item(reader, open, out);
	output = r == 0 ? all_output(reader, open) : NULL;
	if (r == 0 && output) {
		json_object_set_new(response, "status", json_string("incomplete"));
		json_object_set_new(response, "incomplete_details",
			json_pack("{s:s}", "reason", "max_output_tokens"));
		json_object_set(response, "output", output);
		json_object_set_new(response, "usage", usage_of(totals));
		r = append_event(reader, "response.incomplete",
			json_pack("{s:O}", "response", response), out);
	} else if (r == 0) {
		r = -ENOMEM;
	}
	json_decref(output);
	json_decref(open);
	json_decref(response);
	return r;
}
