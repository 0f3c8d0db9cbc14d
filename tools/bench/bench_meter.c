// SPDX-License-Identifier: Apache-2.0
// What metering itself costs: the readers over request bodies and streamed answers as agents and
// providers send them, in the pieces that TLS records come in. Prints MB (10^6 bytes) a second of
// one core's time; the best of several rounds.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "provider/provider.h"

#define ROUNDS	    7
#define BODY_BYTES  (8u << 20)
#define PIECE_BYTES 16384u

// A line of code, a line of prose, and one in another script: what contexts are made of.
static const char *const lines[] = {
	"\\tif (!reader || reader->state != READY)\\n\\t\\treturn -EINVAL; // \\\"not ready\\\"\\n",
	"The provider says how many tokens it has billed; what it says is taken from the answer. ",
	"Základ měření je odpověď poskytovatele, ne odhad.\\n",
	"{\\\"path\\\":\\\"user/http/sse.c\\\",\\\"line\\\":120}\\n",
};

struct sample {
	const char *name, *provider, *path;
	bool is_stream;
	void (*make)(struct sg_buf *out);
};

static void put(struct sg_buf *out, const char *text)
{
	if (sg_buf_append(out, text, strlen(text)) < 0)
		exit(1);
}

static void put_text(struct sg_buf *out, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put(out, lines[i % (sizeof(lines) / sizeof(lines[0]))]);
}

// A tool with a schema, as agents declare dozens of.
static void put_tool(struct sg_buf *out, bool anthropic)
{
	put(out, anthropic ? "{\"name\":\"read_file\",\"description\":\"Reads a "
			     "file.\",\"input_schema\":"
			   : "{\"type\":\"function\",\"function\":{\"name\":\"read_file\","
			     "\"parameters\":");
	put(out, "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\","
		 "\"description\":"
		 "\"Where it "
		 "is\"},\"offset\":{\"type\":\"integer\",\"minimum\":0},\"limit\":{\"type\":"
		 "\"integer\",\"minimum\":1,\"maximum\":2000}},\"required\":[\"path\"]}");
	put(out, anthropic ? "}" : "}}");
}

static void make_request(struct sg_buf *out, const char *head, bool anthropic)
{
	put(out, head);
	for (unsigned i = 0; i < 40; i++) {
		put(out, i ? "," : "");
		put_tool(out, anthropic);
	}
	put(out, "],\"messages\":[");
	for (unsigned i = 0; sg_buf_length(out) < BODY_BYTES; i++) {
		put(out, i ? "," : "");
		put(out, i % 2 ? "{\"role\":\"assistant\",\"content\":\""
			       : "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"");
		put_text(out, 8 + i % 30);
		put(out, i % 2 ? "\"}" : "\"}]}");
	}
	put(out, "]}");
}

static void make_chat(struct sg_buf *out)
{
	make_request(out, "{\"model\":\"gpt-5\",\"stream\":true,\"tools\":[", false);
}

static void make_messages(struct sg_buf *out)
{
	make_request(out, "{\"model\":\"claude-opus-5\",\"max_tokens\":4096,\"tools\":[", true);
}

static void make_chat_stream(struct sg_buf *out)
{
	while (sg_buf_length(out) < BODY_BYTES)
		put(out, "data: "
			 "{\"id\":\"chatcmpl-AbCdEfGhIjKlMn\",\"object\":\"chat.completion.chunk\","
			 "\"created\":1790000000,\"model\":\"gpt-5-2025-08-07\",\"service_tier\":"
			 "\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{\"index\":0,"
			 "\"delta\":{\"content\":\" "
			 "word\"},\"logprobs\":null,\"finish_reason\":null}],"
			 "\"usage\":null,\"obfuscation\":\"aBcDeFgH\"}\n\n");
	put(out, "data: {\"id\":\"c\",\"model\":\"gpt-5-2025-08-07\",\"choices\":[],\"usage\":{"
		 "\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\ndata: "
		 "[DONE]\n\n");
}

static void make_messages_stream(struct sg_buf *out)
{
	put(out, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":"
		 "\"claude-opus-5\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n");
	while (sg_buf_length(out) < BODY_BYTES)
		put(out, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
			 "\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" a few words\"}"
			 "}\n\n");
	put(out, "event: message_delta\ndata: "
		 "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
		 "\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: "
		 "{\"type\":\"message_stop\"}\n\n");
}

static void make_responses_stream(struct sg_buf *out)
{
	while (sg_buf_length(out) < BODY_BYTES)
		put(out, "event: response.output_text.delta\ndata: {\"type\":"
			 "\"response.output_text.delta\",\"sequence_number\":7,\"item_id\":\"msg_"
			 "1\","
			 "\"output_index\":0,\"content_index\":0,\"delta\":\" "
			 "word\",\"logprobs\":[],"
			 "\"obfuscation\":\"aBcDeF\"}\n\n");
	put(out, "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{"
		 "\"status\":\"completed\",\"model\":\"gpt-5\",\"usage\":{\"input_tokens\":1,"
		 "\"output_tokens\":9}}}\n\n");
}

// Running totals in every event: all of them are read.
static void make_gemini_stream(struct sg_buf *out)
{
	while (sg_buf_length(out) < BODY_BYTES)
		put(out, "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"A "
			 "sentence that "
			 "the model wrote, of some twenty tokens or so in all, as it "
			 "comes.\"}],\"role\": "
			 "\"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 9,"
			 "\"candidatesTokenCount\": 20,\"totalTokenCount\": "
			 "29,\"promptTokensDetails\": "
			 "[{\"modality\": \"TEXT\",\"tokenCount\": 9}]},\"modelVersion\": "
			 "\"gemini-2.5-flash\",\"responseId\": \"r1\"}\r\n\r\n");
}

static const struct sample samples[] = {
	{ "request, chat completions", "openai", "/v1/chat/completions", false, make_chat },
	{ "request, messages", "anthropic", "/v1/messages", false, make_messages },
	{ "stream, chat completions", "openai", "/v1/chat/completions", true, make_chat_stream },
	{ "stream, messages", "anthropic", "/v1/messages", true, make_messages_stream },
	{ "stream, responses", "openai", "/v1/responses", true, make_responses_stream },
	{ "stream, Gemini", "gemini", "/v1beta/models/gemini-2.5-flash:streamGenerateContent", true,
		make_gemini_stream },
};

static struct sg_str text(const char *from)
{
	return (struct sg_str){ from, strlen(from) };
}

static void read_request(const struct sg_route *route, const char *bytes, size_t length)
{
	struct sg_request_reader *reader;
	struct sg_request_facts facts;
	struct sg_request_edits edits;

	if (sg_request_reader_new(route, text("application/json"), &reader) < 0)
		exit(1);
	for (size_t at = 0; at < length; at += PIECE_BYTES)
		if (sg_request_reader_feed(reader, bytes + at,
			    length - at < PIECE_BYTES ? length - at : PIECE_BYTES) < 0)
			exit(1);
	sg_request_reader_finish(reader, &facts, &edits);
	if (!facts.is_object || !facts.messages)
		exit(1);
	sg_request_reader_free(reader);
}

static void read_stream(const struct sg_route *route, const char *bytes, size_t length)
{
	const struct sg_request_facts facts = { .choices = 1, .calls = 1, .traits = route->traits };
	struct sg_response_options options = { .api = route->api,
		.facts = &facts,
		.status = 200,
		.content_type = text("text/event-stream"),
		.content_encoding = text(""),
		.skim = true };
	struct sg_response_reader *reader;
	struct sg_outcome outcome;

	if (sg_response_reader_new(&options, &reader) < 0)
		exit(1);
	for (size_t at = 0; at < length; at += PIECE_BYTES)
		if (sg_response_reader_feed(reader, bytes + at,
			    length - at < PIECE_BYTES ? length - at : PIECE_BYTES, NULL) < 0)
			exit(1);
	if (sg_response_reader_finish(reader, true, NULL, &outcome) < 0 ||
		outcome.usage.source != SG_SOURCE_SSE)
		exit(1);
	sg_response_reader_free(reader);
}

// Of this thread: what others take of the processor is no cost of ours.
static int64_t processor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * SG_NS_PER_SEC + now.tv_nsec;
}

static void measure(const struct sample *sample)
{
	struct sg_route route = sg_provider_route(
		sg_provider_by_name(sample->provider), text("POST"), text(sample->path), false);
	struct sg_buf bytes = { .limit = 0 };
	int64_t best_ns = INT64_MAX;

	sample->make(&bytes);
	for (int i = 0; i < ROUNDS; i++) {
		int64_t start_ns = processor_ns(), took_ns;

		(sample->is_stream ? read_stream : read_request)(
			&route, (const char *)sg_buf_head(&bytes), sg_buf_length(&bytes));
		took_ns = processor_ns() - start_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	printf("%-28s %6lld MB/s\n", sample->name,
		(long long)((double)sg_buf_length(&bytes) * 1e3 / (double)best_ns));
	sg_buf_release(&bytes);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		measure(&samples[i]);
	return 0;
}
