// SPDX-License-Identifier: Apache-2.0
// What a request allows, by each wire format's fields; and what makes its input unbounded by bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/readers.h"
#include "tokens/tokens.h"

// What differs from a plain request of one message.
struct row {
	const char *body;
	struct sg_request_facts facts; // model, body_bytes and malformed are not compared
};

#define PLAIN	   .is_object = true, .choices = 1
#define WINDOW(of) PLAIN, .max_output = -1, .context_window = true, .reasons = of

static const struct row chat_rows[] = {
	{ "{\"messages\":[{},{}]}", { PLAIN, .max_output = -1, .messages = 2 } },
	{ "{\"max_tokens\":5}", { PLAIN, .max_output = 5 } },
	{ "{\"max_tokens\":5,\"max_completion_tokens\":7}", { PLAIN, .max_output = 7 } },
	{ "{\"max_completion_tokens\":null,\"max_tokens\":5}", { PLAIN, .max_output = 5 } },
	{ "{\"max_completion_tokens\":7,\"max_completion_tokens\":9}", { PLAIN, .max_output = 9 } },
	{ "{\"max_tokens\":12.5}", { PLAIN, .max_output = -1 } },
	{ "{\"max_tokens\":-5}", { PLAIN, .max_output = -1 } },
	{ "{\"max_tokens\":1e400}", { PLAIN, .max_output = -1 } },
	{ "{\"max_tokens\":{\"max_tokens\":1}}", { PLAIN, .max_output = -1 } },
	{ "{\"n\":3}", { .is_object = true, .choices = 3, .max_output = -1 } },
	{ "{\"n\":\"3\"}", { .is_object = true, .choices = 3, .max_output = -1 } },
	{ "{\"n\":0}", { PLAIN, .max_output = -1 } },
	// What is there twice: the first to some readers, the last to others.
	{ "{\"n\":3,\"n\":null}", { .is_object = true, .choices = 3, .max_output = -1 } },
	{ "{\"n\":3,\"n\":2}", { .is_object = true, .choices = 3, .max_output = -1 } },
	{ "{\"max_tokens\":9,\"max_tokens\":7}", { PLAIN, .max_output = 9 } },
	{ "{\"max_tokens\":9,\"max_tokens\":null}", { PLAIN, .max_output = -1 } },
	{ "{\"max_tokens\":null,\"max_tokens\":9}", { PLAIN, .max_output = -1 } },
	{ "{\"service_tier\":\"priority\",\"service_tier\":\"default\"}",
		{ PLAIN, .max_output = -1, .service_tier = "priority",
			.reasons = "service_tier" } },
	{ "{\"service_tier\":\"auto\",\"service_tier\":\"default\"}",
		{ PLAIN, .max_output = -1, .service_tier = "auto" } },
	{ "{\"service_tier\":\"default\",\"service_tier\":null}",
		{ PLAIN, .max_output = -1, .service_tier = "default" } },
	{ "{\"model\":\"a\",\"model\":\"b\"}", { PLAIN, .max_output = -1, .other_model = "a" } },
	{ "{\"model\":\"a\",\"model\":\"a\"}", { PLAIN, .max_output = -1 } },
	{ "{\"model\":\"a\",\"model\":\"b\",\"model\":\"c\"}",
		{ PLAIN, .max_output = -1, .other_model = "b", .unbounded = true,
			.reasons = "models_differ" } },
	// Some decoder may read what is none here.
	{ "{\"n\":8.000000000000000000000000000000}",
		{ .is_object = true, .choices = SG_COUNT_MAX, .max_output = -1 } },
	{ "{\"n\":{}}", { .is_object = true, .choices = SG_COUNT_MAX, .max_output = -1 } },
	{ "{\"service_tier\":\"priority\"}", { PLAIN, .max_output = -1, .service_tier = "priority",
						     .reasons = "service_tier" } },
	{ "{\"tools\":[{\"type\":\"function\"}]}", { PLAIN, .max_output = -1, .tools = true } },
	{ "{\"tools\":[]}", { PLAIN, .max_output = -1 } },
	{ "{\"functions\":[{}]}", { PLAIN, .max_output = -1, .tools = true } },
	{ "{\"prediction\":{\"content\":\"abc\\u00e4\"}}",
		{ PLAIN, .max_output = -1, .prediction_bytes = 5 } },
	{ "{\"prediction\":{\"content\":[{\"type\":\"text\",\"text\":\"ab\"},{\"text\":\"c\"}]}}",
		{ PLAIN, .max_output = -1, .prediction_bytes = 3 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"text\"},{\"type\":\"refusal\"}]}]}",
		{ PLAIN, .max_output = -1, .messages = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"image_url\"}]}]}",
		{ WINDOW("image_url"), .messages = 1, .images = 1 } },
	{ "{\"messages\":[{\"content\":[{\"ty\\u0070e\":\"im\\u0061ge_url\"}]}]}",
		{ WINDOW("image_url"), .messages = 1, .images = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"input_audio\"},{\"type\":\"file\"}]}]}",
		{ WINDOW("audio_part,file"), .messages = 1, .unbounded_sound = true } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"video\"}]}]}",
		{ WINDOW("unknown_part"), .messages = 1 } },
	{ "{\"messages\":[{\"role\":\"assistant\",\"audio\":{\"id\":\"a\"}}]}",
		{ WINDOW("audio_part"), .messages = 1 } },
	{ "{\"messages\":[{\"audio\":null}]}", { PLAIN, .max_output = -1, .messages = 1 } },
	// What a part has counts, whatever it says to be.
	{ "{\"messages\":[{\"content\":[{\"image_url\":{\"url\":\"u\"}},{\"type\":\"image_url\","
	  "\"image_url\":{\"url\":\"u\"}}]}]}",
		{ WINDOW("image_url"), .messages = 1, .images = 2 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"text\",\"video_url\":{\"url\":\"u\"}}]}]}",
		{ WINDOW("media_part"), .messages = 1 } },
	{ "{\"messages\":[{\"content\":[{\"input_audio\":{}},{\"type\":\"text\"}]}]}",
		{ WINDOW("media_part"), .messages = 1, .unbounded_sound = true } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"text\",\"image_url\":null}]}]}",
		{ PLAIN, .max_output = -1, .messages = 1 } },
	// What others have added.
	{ "{\"preset\":\"p\"}", { WINDOW("preset"), .unbounded = true } },
	{ "{\"preset\":null,\"models\":[],\"data_sources\":[]}", { PLAIN, .max_output = -1 } },
	{ "{\"data_sources\":[{\"type\":\"azure_search\"},{}]}",
		{ WINDOW("data_sources"), .tool_turns = 2 } },
	{ "{\"extra_body\":{\"google\":{\"cached_content\":\"c\"}}}",
		{ WINDOW("cached_content") } },
	{ "{\"extra_body\":{\"google\":{\"cachedContent\":\"c\"}}}", { WINDOW("cached_content") } },
	{ "{\"google\":{\"cached_content\":\"c\"}}", { WINDOW("cached_content") } },
	{ "{\"cachedContent\":\"c\"}", { WINDOW("cached_content") } },
	{ "{\"google\":{\"tools\":[{}]}}", { WINDOW("extra_body") } },
	{ "{\"extra_body\":{\"later\":1}}", { WINDOW("extra_body") } },
	{ "{\"extra_body\":{\"google\":{\"thinking_config\":{\"thinking_budget\":9}}}}",
		{ PLAIN, .max_output = -1 } },
	{ "{\"web_search_options\":{}}", { WINDOW("web_search"), .searches_web = true } },
	{ "{\"stream\":\"true\"}", { PLAIN, .max_output = -1 } },
};

static const struct row responses_rows[] = {
	{ "{\"input\":\"hi\",\"max_output_tokens\":9}", { PLAIN, .max_output = 9 } },
	{ "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
		{ PLAIN, .max_output = -1, .messages = 1 } },
	{ "{\"background\":true,\"stream\":true,\"service_tier\":\"flex\"}",
		{ PLAIN, .max_output = -1, .background = true, .stream = true,
			.service_tier = "flex" } },
	{ "{\"previous_response_id\":\"r\"}", { WINDOW("previous_response_id") } },
	{ "{\"previous_response_id\":null,\"conversation\":null,\"prompt\":null}",
		{ PLAIN, .max_output = -1 } },
	{ "{\"conversation\":{\"id\":\"c\"}}", { WINDOW("conversation") } },
	{ "{\"conversation\":\"c\"}", { WINDOW("conversation") } },
	{ "{\"prompt\":{\"id\":\"p\"}}", { WINDOW("prompt") } },
	// Items: those that only refer to what is stored.
	{ "{\"input\":[{\"type\":\"item_reference\",\"id\":\"m\"}]}",
		{ WINDOW("item_reference"), .messages = 1 } },
	{ "{\"input\":[{\"id\":\"m\"}]}", { WINDOW("item_reference"), .messages = 1 } },
	{ "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"},{\"id\":\"m\"}]}",
		{ WINDOW("item_reference"), .messages = 2 } },
	{ "{\"input\":[{\"id\":\"m\",\"type\":null}]}",
		{ WINDOW("item_reference"), .messages = 1 } },
	{ "{\"input\":[{\"type\":\"reasoning\",\"id\":\"r\",\"summary\":[]}]}",
		{ WINDOW("stored_reasoning"), .messages = 1 } },
	{ "{\"input\":[{\"type\":\"reasoning\",\"encrypted_content\":\"x\"}]}",
		{ PLAIN, .max_output = -1, .messages = 1 } },
	{ "{\"input\":[{\"type\":\"reasoning\",\"encrypted_content\":\"x\"},"
	  "{\"type\":\"reasoning\",\"encrypted_content\":null}]}",
		{ WINDOW("stored_reasoning"), .messages = 2 } },
	{ "{\"input\":[{\"type\":\"computer_call_output\",\"output\":{\"file_id\":\"f\"}}]}",
		{ WINDOW("unknown_item"), .messages = 1 } },
	{ "{\"input\":[{\"type\":\"image_generation_call\",\"id\":\"i\"}]}",
		{ WINDOW("unknown_item"), .messages = 1 } },
	{ "{\"input\":[{\"type\":\"message\",\"content\":[{\"type\":\"input_text\"}]},"
	  "{\"type\":\"function_call\"},{\"type\":\"function_call_output\",\"output\":\"x\"}]}",
		{ PLAIN, .max_output = -1, .messages = 3 } },
	{ "{\"input\":[{\"content\":[{\"type\":\"input_image\"},{\"type\":\"input_file\"}]}]}",
		{ WINDOW("image_url,file"), .messages = 1, .images = 1 } },
	{ "{\"input\":[{\"type\":\"function_call_output\",\"output\":[{\"type\":\"input_image\"}]}"
	  "]}",
		{ WINDOW("image_url"), .messages = 1, .images = 1 } },
	// Tools: at the agent, at the provider, and with fees that nothing tells.
	{ "{\"tools\":[{\"type\":\"function\"},{\"type\":\"custom\"},{\"type\":\"shell\"}]}",
		{ PLAIN, .max_output = -1, .tools = true } },
	{ "{\"tools\":[{\"type\":\"computer_use_preview\"}]}",
		{ PLAIN, .max_output = -1, .tools = true } },
	{ "{\"tools\":[{\"type\":\"shell\",\"environment\":{\"type\":\"local\"}}]}",
		{ PLAIN, .max_output = -1, .tools = true } },
	{ "{\"tools\":[{\"type\":\"web_search\"}],\"max_tool_calls\":4}",
		{ WINDOW("hosted_tools"), .tools = true, .tool_turns = 4 } },
	{ "{\"tools\":[{\"type\":\"mcp\"}]}",
		{ WINDOW("mcp,no_max_tool_calls"), .tools = true, .unbounded = true } },
	{ "{\"tools\":[{\"type\":\"mcp\"}],\"max_tool_calls\":4,\"max_tool_calls\":null}",
		{ WINDOW("mcp,no_max_tool_calls"), .tools = true, .unbounded = true } },
	{ "{\"tools\":[{\"type\":\"code_interpreter\"}],\"max_tool_calls\":1}",
		{ WINDOW("code_interpreter"), .tools = true, .tool_turns = 1, .units.containers = 3,
			.kind = "1g" } },
	{ "{\"tools\":[{\"container\":{\"memory_limit\":\"4g\",\"type\":\"auto\"},\"type\":"
	  "\"code_interpreter\"}],\"max_tool_calls\":1}",
		{ WINDOW("code_interpreter"), .tools = true, .tool_turns = 1, .units.containers = 3,
			.kind = "4g" } },
	// One that is there already, and two that differ: the dearest size may be billed.
	{ "{\"tools\":[{\"type\":\"code_interpreter\",\"container\":\"c\"}],\"max_tool_calls\":1}",
		{ WINDOW("code_interpreter"), .tools = true, .tool_turns = 1, .units.containers = 3,
			.kind = "unknown" } },
	{ "{\"tools\":[{\"type\":\"code_interpreter\",\"container\":{\"memory_limit\":\"4g\"}},"
	  "{\"type\":\"shell\",\"environment\":{\"type\":\"container_auto\"}}],"
	  "\"max_tool_calls\":1}",
		{ WINDOW("code_interpreter,container"), .tools = true, .tool_turns = 1,
			.units.containers = 6, .kind = "unknown" } },
	{ "{\"tools\":[{\"type\":\"image_generation\"}],\"max_tool_calls\":1}",
		{ WINDOW("image_generation"), .tools = true, .tool_turns = 1, .unbounded = true } },
	{ "{\"tools\":[{\"type\":\"shell\",\"environment\":{\"type\":\"container_auto\"}}],"
	  "\"max_tool_calls\":1}",
		{ WINDOW("container"), .tools = true, .tool_turns = 1, .units.containers = 3,
			.kind = "1g" } },
	// A compaction is one more call, not under the request's own limit.
	{ "{\"context_management\":[{\"type\":\"compaction\"}],\"max_output_tokens\":9}",
		{ WINDOW("compaction"), .tool_turns = 1 } },
	{ "{\"context_management\":[{}],\"tools\":[{\"type\":\"web_search\"}],\"max_tool_calls\":"
	  "4}",
		{ WINDOW("hosted_tools,compaction"), .tools = true, .tool_turns = 9 } },
	// Who answers, and by what settings, is decided elsewhere.
	{ "{\"models\":[\"a\",\"b\"]}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"plugins\":[{\"id\":\"web\"}]}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"preset\":\"p\"}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"search_parameters\":{}}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"models\":[],\"plugins\":[],\"preset\":null}", { PLAIN, .max_output = -1 } },
};

static const struct row anthropic_rows[] = {
	{ "{\"max_tokens\":0}", { PLAIN, .max_output = 0 } },
	{ "{\"messages\":[{\"content\":\"a\"}],\"system\":\"s\",\"stream\":true}",
		{ PLAIN, .max_output = -1, .messages = 1, .stream = true } },
	{ "{\"speed\":\"fast\",\"service_tier\":\"standard_only\"}",
		{ PLAIN, .max_output = -1, .fast = true, .service_tier = "standard_only" } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"text\"},{\"type\":\"thinking\"},"
	  "{\"type\":\"redacted_thinking\"},{\"type\":\"tool_use\"},{\"type\":\"tool_result\","
	  "\"content\":[{\"type\":\"text\"}]},{\"type\":\"search_result\"}]}]}",
		{ PLAIN, .max_output = -1, .messages = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"image\"}]}]}",
		{ WINDOW("image_url"), .messages = 1, .images = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"tool_result\","
	  "\"content\":[{\"type\":\"image\"},{\"type\":\"document\"}]}]}]}",
		{ WINDOW("image_url,file"), .messages = 1, .images = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"container_upload\"}]}]}",
		{ WINDOW("container"), .messages = 1 } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"video\"}]}]}",
		{ WINDOW("unknown_part"), .messages = 1 } },
	{ "{\"system\":[{\"type\":\"text\"},{\"type\":\"image\"}]}",
		{ WINDOW("image_url"), .images = 1 } },
	{ "{\"tools\":[{\"name\":\"f\"},{\"type\":\"custom\"},{\"type\":\"bash_20250124\"}]}",
		{ PLAIN, .max_output = -1, .tools = true } },
	{ "{\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":3}]}",
		{ WINDOW("server_tools"), .tools = true, .tool_turns = 3 } },
	{ "{\"tools\":[{\"type\":\"web_fetch_1\",\"max_uses\":8.000000000000000000000000000000}]}",
		{ WINDOW("server_tools"), .tools = true, .tool_turns = SG_COUNT_MAX } },
	{ "{\"models\":[\"a\"]}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"plugins\":[{}]}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"preset\":\"p\"}", { WINDOW("hosted_settings"), .unbounded = true } },
	{ "{\"tools\":[{\"max_uses\":3,\"type\":\"web_search_20250305\"},"
	  "{\"type\":\"web_fetch_20250910\"}]}",
		{ WINDOW("server_tools"), .tools = true, .tool_turns = 13 } },
	{ "{\"tools\":[{\"type\":\"advisor_20260301\"}]}",
		{ WINDOW("advisor"), .tools = true, .tool_turns = 10, .unbounded = true } },
	{ "{\"tools\":[{\"type\":\"code_execution_20250825\"}]}",
		{ WINDOW("code_execution"), .tools = true, .tool_turns = 10, .unbounded = true } },
	{ "{\"mcp_servers\":[{\"name\":\"m\"}]}", { WINDOW("mcp"), .tool_turns = 10 } },
	{ "{\"container\":\"c\"}", { WINDOW("container") } },
	{ "{\"container\":null,\"mcp_servers\":[],\"fallbacks\":[]}", { PLAIN, .max_output = -1 } },
	{ "{\"fallbacks\":[{\"model\":\"m\"}]}", { WINDOW("fallbacks"), .unbounded = true } },
	{ "{\"context_management\":{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"}]}}",
		{ WINDOW("context_management") } },
	{ "{\"max_tokens\":5,\"context_management\":{\"edits\":[{\"type\":\"compact_20260112\"}]}}",
		{ WINDOW("context_management,compaction"), .tool_turns = 1 } },
	{ "{\"cache_control\":{\"type\":\"ephemeral\"}}",
		{ PLAIN, .max_output = -1, .cache_write = true } },
	{ "{\"cache_control\":null}", { PLAIN, .max_output = -1 } },
	{ "{\"system\":[{\"cache_control\":{\"ttl\":\"5m\"}}]}",
		{ PLAIN, .max_output = -1, .cache_write = true } },
	{ "{\"tools\":[{\"cache_control\":{\"ttl\":\"1h\"}}]}",
		{ PLAIN, .max_output = -1, .tools = true, .cache_write = true,
			.cache_write_1h = true } },
	{ "{\"messages\":[{\"content\":[{\"type\":\"tool_result\",\"content\":[{\"type\":\"text\","
	  "\"cache_control\":{\"ttl\":\"1h\"}}]}]}]}",
		{ PLAIN, .max_output = -1, .messages = 1, .cache_write = true,
			.cache_write_1h = true } },
};

struct case_of {
	const struct sg_api *api;
	const struct row *row;
};

static void run_row(struct feeder *feeder, const void *context)
{
	const struct case_of *test = context;
	const struct sg_request_facts *expected = &test->row->facts;
	struct sg_request_facts facts;
	struct sg_request_edits edits;

	read_request(feeder, test->api, test->row->body, &facts, &edits);
	assert_int_equal(facts.body_bytes, strlen(test->row->body));
	assert_int_equal(facts.is_object, expected->is_object);
	assert_int_equal(facts.max_output, expected->max_output);
	assert_int_equal(facts.choices, expected->choices);
	assert_int_equal(facts.stream, expected->stream);
	assert_int_equal(facts.background, expected->background);
	assert_int_equal(facts.fast, expected->fast);
	assert_int_equal(facts.cache_write, expected->cache_write);
	assert_int_equal(facts.cache_write_1h, expected->cache_write_1h);
	assert_int_equal(facts.include_usage, SG_USAGE_NOT_NEEDED);
	assert_int_equal(facts.messages, expected->messages);
	assert_int_equal(facts.images, expected->images);
	assert_int_equal(facts.tools, expected->tools);
	assert_int_equal(facts.context_window, expected->context_window);
	assert_int_equal(facts.unbounded, expected->unbounded);
	assert_int_equal(facts.unbounded_sound, expected->unbounded_sound);
	assert_int_equal(facts.searches_web, expected->searches_web);
	assert_int_equal(facts.tool_turns, expected->tool_turns);
	assert_int_equal(facts.prediction_bytes, expected->prediction_bytes);
	assert_int_equal(facts.units.containers, expected->units.containers);
	assert_string_equal(facts.kind, expected->kind);
	assert_string_equal(facts.service_tier, expected->service_tier);
	assert_string_equal(facts.reasons, expected->reasons);
}

static void run_rows(const struct sg_api *api, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		print_message("%s\n", rows[i].body);
		feed_all(run_row, &(struct case_of){ api, &rows[i] });
	}
}

static void chat(void **state)
{
	(void)state;
	run_rows(&sg_api_openai_chat, chat_rows, SG_ARRAY_SIZE(chat_rows));
}

static void responses(void **state)
{
	(void)state;
	run_rows(&sg_api_openai_responses, responses_rows, SG_ARRAY_SIZE(responses_rows));
}

static void anthropic(void **state)
{
	(void)state;
	run_rows(&sg_api_anthropic_messages, anthropic_rows, SG_ARRAY_SIZE(anthropic_rows));
}

// ---- What all formats share ----

static const struct sg_api *const apis[] = { &sg_api_openai_chat, &sg_api_openai_responses,
	&sg_api_anthropic_messages };

static void model_is(const char *body, size_t length, const char *expected)
{
	for (size_t i = 0; i < SG_ARRAY_SIZE(apis); i++) {
		struct feeder feeder = { FEED_BYTEWISE, 0 };
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		read_request_bytes(&feeder, apis[i], body, length, &facts, &edits);
		assert_string_equal(facts.model, expected);
	}
}

static void the_model_is_told_whole_or_not_at_all(void **state)
{
	char body[400];

	(void)state;
	model_is("{\"model\":\"gpt-4o\"}", 18, "gpt-4o");
	model_is("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", 30, "b");
	model_is("{\"model\":\"gpt-4o\\u0000x\"}", 25, "");
	model_is("{\"model\":\"a\",\"model\":null}", 26, "");
	model_is("{\"model\":[\"a\"]}", 15, "");
	// A name that would look like another one when it is cut.
	for (size_t length = SG_MODEL_BYTES - 1; length < 300; length += 50) {
		char name[301];

		memset(name, 'm', length);
		name[length] = 0;
		snprintf(body, sizeof(body), "{\"model\":\"%s\"}", name);
		model_is(body, strlen(body), length < SG_MODEL_BYTES ? name : "");
	}
}

// ---- Tokens of texts ----

struct texts_row {
	const struct sg_api *api;
	const char *body;
	int64_t bytes, tokens; // of the strings with their quotes; -1: nothing is counted
};

static const struct texts_row texts_rows[] = {
	{ &sg_api_openai_chat, "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello, world!\"}]}",
		15, 4 },
	{ &sg_api_openai_chat,
		"{\"messages\":[{\"content\":[{\"type\":\"text\",\"text\":\"Hello\"},"
		"{\"text\":\"He\\u006clo\"}]},{\"content\":null}],\"user\":\"Hello\"}",
		7 + 12, 2 },
	{ &sg_api_openai_chat,
		"{\"tools\":[{\"function\":{\"description\":\"Hello\"}}],\"messages\":[]}", 0, 0 },
	{ &sg_api_openai_chat, "{\"messages\":[{\"content\":\"Hello\"}", -1, 0 },
	{ &sg_api_openai_completions, "{\"prompt\":[\"Hello\",\"Hello, world!\"]}", 22, 5 },
	{ &sg_api_openai_responses,
		"{\"instructions\":\"Hello\",\"input\":\"Hello, world!\",\"model\":\"Hello\"}", 22,
		5 },
	{ &sg_api_openai_responses,
		"{\"input\":[{\"content\":[{\"type\":\"input_text\",\"text\":\"Hello\"}]},"
		"{\"type\":\"function_call_output\",\"output\":\"Hello, "
		"world!\",\"call_id\":\"Hello\"}]}",
		22, 5 },
};

static void run_texts(struct feeder *feeder, const void *context)
{
	const struct texts_row *row = context;
	struct sg_request_facts facts = { .text_bytes = -1 };
	struct sg_input_tokens *tokens;

	assert_int_equal(sg_input_tokens_new(row->api, &sg_vocabulary_o200k, &tokens), 0);
	for (size_t at = 0, piece, length = strlen(row->body); at < length; at += piece) {
		piece = feed_next(feeder, length - at);
		sg_input_tokens_feed(tokens, row->body + at, piece);
	}
	sg_input_tokens_finish(tokens, &facts);
	assert_int_equal(facts.text_bytes, row->bytes);
	assert_int_equal(facts.text_tokens, row->tokens);
}

static void texts_are_counted_and_nothing_else(void **state)
{
	struct sg_input_tokens *tokens;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(texts_rows); i++) {
		print_message("%s\n", texts_rows[i].body);
		feed_all(run_texts, &texts_rows[i]);
	}
	assert_int_equal(sg_input_tokens_new(&sg_api_openai_chat, NULL, &tokens), -ENOTSUP);
	assert_int_equal(
		sg_input_tokens_new(&sg_api_anthropic_messages, &sg_vocabulary_o200k, &tokens),
		-ENOTSUP);
}

static void a_tier_may_be_asked_for_by_a_header(void **state)
{
	static const char header[] = "X-Vertex-AI-LLM-Shared-Request-Type";
	static const struct {
		const char *value;
		unsigned traits;
		const char *reasons;
	} rows[] = {
		{ "priority", SG_TRAIT_TIER_BY_HEADER, "service_tier" },
		{ "Priority", SG_TRAIT_TIER_BY_HEADER, "service_tier" },
		{ "flex", SG_TRAIT_TIER_BY_HEADER, "" },
		{ "priority", 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_route route = { .kind = SG_ROUTE_METERED,
			.api = &sg_api_gemini_generate,
			.traits = rows[i].traits };
		struct sg_request_reader *reader;
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		assert_int_equal(
			sg_request_reader_new(&route, (struct sg_str){ "", 0 }, &reader), 0);
		sg_request_reader_header(reader, (struct sg_str){ header, strlen(header) },
			(struct sg_str){ rows[i].value, strlen(rows[i].value) });
		assert_int_equal(sg_request_reader_feed(reader, "{}", 2), 0);
		sg_request_reader_finish(reader, &facts, &edits);
		assert_null(sg_request_reader_free(reader));
		assert_int_equal(sg_request_asks_dearer_tier(&facts), *rows[i].reasons != 0);
		assert_string_equal(facts.reasons, rows[i].reasons);
	}
}

static void pages_that_may_be_many_are_all(void **state)
{
	static const struct {
		const char *body;
		int64_t pages;
	} rows[] = {
		{ "{\"pages\":[0,5,7]}", 3 },
		{ "{\"pages\":[0,\"1-900\"]}", 1000 },
		{ "{\"pages\":[[0,1]]}", 1000 },
		{ "{\"pages\":\"0-900\"}", 1000 },
		{ "{\"pages\":\"3\"}", 1000 },
		{ "{\"pages\":[]}", 1000 },
		{ "{\"pages\":[0],\"pages\":null}", 1000 },
		{ "{\"pages\":[0,1,2],\"pages\":[0]}", 4 },
		{ "{}", 1000 },
	};
	struct feeder whole = { FEED_WHOLE, 0 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct sg_request_facts facts;
		struct sg_request_edits edits;

		print_message("%s\n", rows[i].body);
		read_request(&whole, &sg_api_mistral_ocr, rows[i].body, &facts, &edits);
		assert_int_equal(facts.units.pages, rows[i].pages);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat),
		cmocka_unit_test(responses),
		cmocka_unit_test(anthropic),
		cmocka_unit_test(the_model_is_told_whole_or_not_at_all),
		cmocka_unit_test(texts_are_counted_and_nothing_else),
		cmocka_unit_test(a_tier_may_be_asked_for_by_a_header),
		cmocka_unit_test(pages_that_may_be_many_are_all),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
