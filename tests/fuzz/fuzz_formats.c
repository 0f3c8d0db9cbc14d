// SPDX-License-Identifier: Apache-2.0
// The wire formats that have no target of their own: the first byte says which. What is to be
// Amazon's frames is given as lines, for no fuzzer finds a checksum.
#include <zlib.h>

#include "fuzz/exchange.h"
#include "provider/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sg_api *const apis[] = { &sg_api_bedrock_converse, &sg_api_bedrock_invoke,
	&sg_api_bedrock_invoke_stream, &sg_api_openai_images, &sg_api_openai_speech,
	&sg_api_openai_transcription, &sg_api_openai_batch, &sg_api_openai_run,
	&sg_api_anthropic_batch, &sg_api_anthropic_complete, &sg_api_mistral_ocr,
	&sg_api_gemini_predict, &sg_api_gemini_interactions, &sg_api_cohere_v1,
	&sg_api_cohere_classify, &sg_api_openai_embeddings, &sg_api_openai_completions,
	&sg_api_gemini_embed, &sg_api_by_amount };

static void put_number(struct sg_buf *out, uint32_t number)
{
	const uint8_t bytes[] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16),
		(uint8_t)(number >> 8), (uint8_t)number };

	if (sg_buf_append(out, bytes, sizeof(bytes)) < 0)
		abort();
}

static void put_checksum(struct sg_buf *out, size_t start)
{
	const uint8_t *from = out->data + start;

	put_number(out, (uint32_t)crc32(0, from, (uInt)(out->end - start)));
}

static void put_frame(struct sg_buf *out, const char *payload, size_t length)
{
	static const char headers[] = "\x0d:message-type\x07\x00\x05"
				      "event\x0b:event-type\x07\x00\x05"
				      "chunk";
	size_t start = out->end, header_bytes = sizeof(headers) - 1;

	put_number(out, (uint32_t)(12 + header_bytes + length + 4));
	put_number(out, (uint32_t)header_bytes);
	put_checksum(out, start);
	if (sg_buf_append(out, headers, header_bytes) < 0 ||
		sg_buf_append(out, payload, length) < 0)
		abort();
	put_checksum(out, start);
}

// "request NUL lines": the lines become frames.
static void make_frames(const uint8_t *data, size_t size, struct sg_buf *out)
{
	const char *text = (const char *)data, *end = text + size;
	const char *middle = size ? memchr(text, 0, size) : NULL;
	const char *at = middle ? middle + 1 : end;

	if (sg_buf_append(out, text, (size_t)(at - text)) < 0)
		abort();
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		stop = stop ? stop : end;
		put_frame(out, at, (size_t)(stop - at));
		at = stop < end ? stop + 1 : end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sg_api *api;
	struct sg_buf frames = { .limit = 0 };

	if (size < 2)
		return 0;
	api = apis[(data[0] - 'A') % SG_ARRAY_SIZE(apis)];
	if (api->dialect != SG_DIALECT_BEDROCK || (size % 2 && !api->wraps_events))
		return fuzz_exchange(api, data + 1, size - 1);
	make_frames(data + 1, size - 1, &frames);
	fuzz_exchange(api, sg_buf_head(&frames), sg_buf_length(&frames));
	sg_buf_release(&frames);
	return 0;
}
