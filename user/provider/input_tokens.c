// SPDX-License-Identifier: Apache-2.0
// A second reading of a request, for its texts alone.
#include <errno.h>
#include <stdlib.h>

#include "provider/api.h"
#include "tokens/tokens.h"

struct sg_input_tokens {
	struct sg_json_scan scan;
	struct sg_token_counter counter;
	int64_t text_bytes; // as they stand in the body
};

static void on_text(void *context, const char *bytes, size_t length)
{
	struct sg_input_tokens *tokens = context;

	sg_token_counter_feed(&tokens->counter, bytes, length);
}

static void on_value(void *context, const struct sg_json_value *value)
{
	struct sg_input_tokens *tokens = context;

	if (value->type != SG_JSON_STRING)
		return;
	sg_token_counter_end_text(&tokens->counter);
	tokens->text_bytes += (int64_t)(value->end_offset - value->offset);
}

int sg_input_tokens_new(const struct sg_api *api, const struct sg_vocabulary *vocabulary,
	struct sg_input_tokens **ret_tokens)
{
	struct sg_input_tokens *tokens;

	if (!api->text_paths || !vocabulary)
		return -ENOTSUP;
	tokens = malloc(sizeof(*tokens));
	if (!tokens)
		return -ENOMEM;
	sg_json_scan_init(&tokens->scan, api->text_paths, api->text_path_count, on_value, tokens);
	tokens->scan.on_text = on_text;
	sg_token_counter_init(&tokens->counter, vocabulary);
	tokens->text_bytes = 0;
	*ret_tokens = tokens;
	return 0;
}

void sg_input_tokens_feed(struct sg_input_tokens *tokens, const char *bytes, size_t length)
{
	sg_json_scan_feed(&tokens->scan, bytes, length);
}

void sg_input_tokens_finish(struct sg_input_tokens *tokens, struct sg_request_facts *facts)
{
	if (sg_json_scan_finish(&tokens->scan) == 0) {
		facts->text_bytes = tokens->text_bytes;
		facts->text_tokens = tokens->counter.tokens;
	}
	free(tokens);
}
