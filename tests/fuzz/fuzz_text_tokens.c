// SPDX-License-Identifier: Apache-2.0
// The tokens of a request's texts are the same in one piece and in many. Those of a stream's
// strings are never fewer than what jansson reads there holds, each source's run being one text.
// Lines of "source, then what stands between the quotes"; the whole input is the request.
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "provider/api.h"
#include "provider/text_tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// ---- A request ----

static int64_t read_texts(
	const struct sg_api *api, const char *text, size_t size, size_t piece, int64_t *ret_bytes)
{
	struct sg_request_facts facts = { .text_bytes = 0, .text_tokens = 0 };
	struct sg_input_tokens *tokens;

	if (sg_input_tokens_new(api, &sg_vocabulary_o200k, &tokens) < 0)
		abort();
	for (size_t at = 0; at < size; at += piece)
		sg_input_tokens_feed(tokens, text + at, size - at < piece ? size - at : piece);
	sg_input_tokens_finish(tokens, &facts);
	*ret_bytes = facts.text_bytes;
	return facts.text_tokens;
}

static void check_request(const struct sg_api *api, const char *text, size_t size)
{
	int64_t bytes, bytes_torn;
	int64_t tokens = read_texts(api, text, size, size ? size : 1, &bytes);

	if (tokens != read_texts(api, text, size, 1, &bytes_torn) || bytes != bytes_torn ||
		bytes > (int64_t)size || tokens > 3 * bytes)
		abort();
}

// ---- A stream ----

struct told {
	struct sg_text_tokens *tokens;
	struct sg_token_counter exact;
	uint64_t source;
	int64_t strings;
};

// Without its quotes. What jansson does not take is left out.
static void add_string(struct told *told, uint64_t source, const char *content, size_t length)
{
	char *json = malloc(length + 2);
	json_t *value;

	if (!json)
		abort();
	json[0] = json[length + 1] = '"';
	memcpy(json + 1, content, length);
	value = json_loadb(json, length + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (json_is_string(value)) {
		sg_text_tokens_add(told->tokens, source, json, length + 2);
		if (source != told->source || !length)
			sg_token_counter_end_text(&told->exact);
		told->source = source;
		told->strings += length > 0;
		sg_token_counter_feed(
			&told->exact, json_string_value(value), json_string_length(value));
	}
	json_decref(value);
	free(json);
}

static void check_stream(const char *text, size_t size)
{
	struct told told = { .tokens = sg_text_tokens_new(&sg_vocabulary_o200k) };

	if (!told.tokens)
		abort();
	sg_token_counter_init(&told.exact, &sg_vocabulary_o200k);
	while (size) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size;
		int64_t bound;

		if (length)
			add_string(&told, (unsigned char)text[0] % 4, text + 1, length - 1);
		bound = sg_text_tokens_bound(told.tokens);
		if (bound < told.strings || bound < told.exact.tokens)
			abort();
		text += length + (end != NULL);
		size -= length + (end != NULL);
	}
	sg_token_counter_end_text(&told.exact);
	if (sg_text_tokens_bound(told.tokens) < told.exact.tokens)
		abort();
	free(told.tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	check_request(&sg_api_openai_chat, text, size);
	check_request(&sg_api_openai_responses, text, size);
	check_stream(text, size);
	return 0;
}
