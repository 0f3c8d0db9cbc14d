// SPDX-License-Identifier: Apache-2.0
// Any bytes as an evaluator's answer and as the request that it changes: a hook, a wire format, the
// answer up to a line's end, the request. What comes out is JSON.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/evaluator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const apis[] = { "chat", "responses", "messages", "generate", "cohere_chat",
	"ollama", "converse", "embeddings" };

static void check_patched(const char *body, size_t length)
{
	json_t *request = json_loadb(body, length, JSON_ALLOW_NUL, NULL);

	if (!json_is_object(request))
		abort();
	json_decref(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_verdict verdict;
	struct sg_error error = { "" };
	const uint8_t *end;
	enum sg_hook hook;
	const char *api;

	if (size < 2)
		return 0;
	hook = (enum sg_hook)(data[0] % SG_HOOK_COUNT);
	api = apis[data[1] % SG_ARRAY_SIZE(apis)];
	data += 2;
	size -= 2;
	end = memchr(data, '\n', size);
	if (!end)
		end = data + size;
	if (sg_verdict_read(hook, (const char *)data, (size_t)(end - data), &verdict, &error) < 0) {
		if (!error.text[0])
			abort();
		return 0;
	}
	if (sg_verdict_patches(&verdict) && end < data + size) {
		char *body;
		size_t length;

		if (sg_request_patch(api, (const char *)end + 1, (size_t)(data + size - end - 1),
			    &verdict, &body, &length) == 0) {
			check_patched(body, length);
			free(body);
		}
	}
	sg_verdict_done(&verdict);
	return 0;
}
