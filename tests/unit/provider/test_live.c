// SPDX-License-Identifier: Apache-2.0
// Sessions over a WebSocket, message by message: what the agent's need before they go on, and what
// the provider's tell.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/feed.h"
#include "provider/live.h"

#define GEMINI "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"

struct session {
	struct feeder *feeder;
	struct sg_live *live;
	struct sg_live_demand demand;
	struct sg_live_news news;
};

static void open_session(
	struct session *session, struct feeder *feeder, const char *provider, const char *path)
{
	struct sg_route route = sg_provider_route(sg_provider_by_name(provider),
		(struct sg_str){ "GET", 3 }, (struct sg_str){ path, strlen(path) }, true);
	struct sg_live_options options = { .route = &route, .own_host = true };

	assert_int_equal(route.kind, SG_ROUTE_LIVE);
	memset(session, 0, sizeof(*session));
	session->feeder = feeder;
	assert_int_equal(sg_live_new(&options, &session->live), 0);
}

static enum sg_live_need ask(struct session *session, const char *text)
{
	for (size_t at = 0, left = strlen(text), piece; left; at += piece, left -= piece) {
		piece = feed_next(session->feeder, left);
		sg_live_ask(session->live, text + at, piece);
	}
	sg_live_ask_end(session->live, &session->demand);
	return session->demand.need;
}

static enum sg_live_kind tell(struct session *session, const char *text)
{
	for (size_t at = 0, left = strlen(text), piece; left; at += piece, left -= piece) {
		piece = feed_next(session->feeder, left);
		sg_live_tell(session->live, text + at, piece);
	}
	sg_live_tell_end(session->live, &session->news);
	return session->news.kind;
}

static bool stands(struct session *session, enum sg_live_lane lane)
{
	return sg_live_stands(session->live, lane, &session->demand.facts);
}

// Whose message an error answers is certain only where the agent has sent no other kind.
static void denied(struct feeder *feeder, const void *row)
{
	static const char error[] = "{\"type\":\"error\",\"error\":{}}";
	static const char create[] = "{\"type\":\"response.create\",\"model\":\"gpt-5\"}";
	struct session session;

	(void)row;
	open_session(&session, feeder, "openai", "/v1/responses");
	assert_int_equal(ask(&session, create), SG_LIVE_TURN);
	assert_int_equal(tell(&session, error), SG_LIVE_DENIED);
	assert_true(session.news.certain);
	assert_int_equal(ask(&session, "{\"type\":\"response.cancel\"}"), SG_LIVE_NOTHING);
	assert_int_equal(ask(&session, create), SG_LIVE_TURN);
	assert_int_equal(tell(&session, error), SG_LIVE_DENIED);
	assert_false(session.news.certain);
	sg_live_free(session.live);
}

// ---- OpenAI's responses ----

static void responses(struct feeder *feeder, const void *row)
{
	struct session session;

	(void)row;
	open_session(&session, feeder, "openai", "/v1/responses");
	assert_false(stands(&session, SG_LIVE_ANSWERS));
	assert_int_equal(ask(&session, "{\"model\":\"gpt-5\",\"input\":\"a\",\"max_output_tokens\":"
				       "9,\"type\":\"response.create\"}"),
		SG_LIVE_TURN);
	assert_string_equal(session.demand.facts.model, "gpt-5");
	assert_int_equal(session.demand.facts.max_output, 9);
	assert_false(session.demand.facts.context_window);
	// The one before it was asked for another, and was refused by the provider.
	assert_int_equal(
		tell(&session, "{\"type\":\"error\",\"status\":400,\"error\":{}}"), SG_LIVE_DENIED);
	assert_true(session.news.certain);
	assert_int_equal(
		tell(&session, "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\","
			       "\"status\":\"in_progress\",\"usage\":null}}"),
		SG_LIVE_BEGUN);
	assert_string_equal(session.news.id, "r1");
	assert_int_equal(
		tell(&session, "{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}"),
		SG_LIVE_NO_NEWS);
	assert_int_equal(
		tell(&session, "{\"type\":\"response.completed\",\"response\":{\"id\":\"r1\","
			       "\"status\":\"completed\",\"model\":\"gpt-5-2025\",\"usage\":{"
			       "\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},"
			       "\"output_tokens\":7}}}"),
		SG_LIVE_ENDED);
	assert_string_equal(session.news.id, "r1");
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_SETTLED);
	assert_string_equal(session.news.outcome.usage.model, "gpt-5-2025");
	assert_int_equal(session.news.outcome.usage.input_tokens, 5);
	assert_int_equal(session.news.outcome.usage.output_tokens, 7);
	// Nothing of it is in the next one.
	assert_int_equal(ask(&session, "{\"type\":\"response.create\",\"model\":\"gpt-5\","
				       "\"previous_response_id\":\"r1\"}"),
		SG_LIVE_TURN);
	assert_true(session.demand.facts.context_window);
	assert_int_equal(tell(&session, "{\"type\":\"response.failed\",\"response\":{\"id\":\"r2\","
					"\"status\":\"failed\",\"usage\":null}}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ESTIMATED);
	sg_live_free(session.live);
}

static void responses_in_all_cuts(void **state)
{
	(void)state;
	feed_all(responses, NULL);
}

static void denied_in_all_cuts(void **state)
{
	(void)state;
	feed_all(denied, NULL);
}

// ---- OpenAI's realtime ----

static void realtime(struct feeder *feeder, const void *row)
{
	struct session session;

	(void)row;
	open_session(&session, feeder, "openai", "/v1/realtime?model=gpt-realtime");
	// The provider hears when the agent has spoken, until it is told not to listen for it.
	assert_true(stands(&session, SG_LIVE_ANSWERS));
	assert_string_equal(session.demand.facts.model, "gpt-realtime");
	assert_true(session.demand.facts.context_window);
	assert_false(stands(&session, SG_LIVE_TRANSCRIPTIONS));
	assert_int_equal(
		tell(&session, "{\"type\":\"session.created\",\"session\":{\"model\":"
			       "\"gpt-realtime-x\",\"audio\":{\"input\":{\"turn_detection\""
			       ":{\"type\":\"server_vad\",\"create_response\":true},"
			       "\"transcription\":null}}}}"),
		SG_LIVE_NO_NEWS);
	assert_true(stands(&session, SG_LIVE_ANSWERS));
	assert_string_equal(session.demand.facts.model, "gpt-realtime-x");
	assert_int_equal(ask(&session, "{\"type\":\"input_audio_buffer.append\",\"audio\":\"AA\"}"),
		SG_LIVE_SPEECH);
	assert_int_equal(ask(&session, "{\"type\":\"response.create\",\"response\":{"
				       "\"max_output_tokens\":5,\"conversation\":\"none\"}}"),
		SG_LIVE_TURN);
	assert_int_equal(session.demand.facts.max_output, 5);
	assert_true(session.demand.apart);
	assert_int_equal(ask(&session, "{\"type\":\"response.create\",\"response\":{"
				       "\"max_output_tokens\":\"inf\"}}"),
		SG_LIVE_TURN);
	assert_int_equal(session.demand.facts.max_output, -1);
	assert_false(session.demand.apart);
	assert_int_equal(
		tell(&session, "{\"type\":\"response.created\",\"response\":{\"id\":\"r1\","
			       "\"status\":\"in_progress\"}}"),
		SG_LIVE_BEGUN);
	assert_string_equal(session.news.id, "r1");
	assert_int_equal(
		tell(&session,
			"{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"status\":"
			"\"cancelled\",\"output\":[{}],\"usage\":{\"input_tokens\":100,"
			"\"input_token_details\":{\"text_tokens\":40,\"audio_tokens\":50,"
			"\"image_tokens\":10,\"cached_tokens\":30,\"cached_tokens_details\":{"
			"\"text_tokens\":5,\"audio_tokens\":20,\"image_tokens\":5}},"
			"\"output_tokens\":60,\"output_token_details\":{\"text_tokens\":20,"
			"\"audio_tokens\":40}}}}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_SETTLED);
	assert_string_equal(session.news.outcome.usage.model, "gpt-realtime-x");
	assert_int_equal(session.news.outcome.usage.input_tokens, 70);
	assert_int_equal(session.news.outcome.usage.audio_input_tokens, 30);
	assert_int_equal(session.news.outcome.usage.image_input_tokens, 5);
	assert_int_equal(session.news.outcome.usage.cache_read_tokens, 30);
	assert_int_equal(session.news.outcome.usage.audio_cache_read_tokens, 20);
	assert_int_equal(session.news.outcome.usage.image_cache_read_tokens, 5);
	assert_int_equal(session.news.outcome.usage.output_tokens, 60);
	assert_int_equal(session.news.outcome.usage.audio_output_tokens, 40);
	sg_live_free(session.live);
}

static void realtime_in_all_cuts(void **state)
{
	(void)state;
	feed_all(realtime, NULL);
}

static void transcription(struct feeder *feeder, const void *row)
{
	struct session session;

	(void)row;
	open_session(&session, feeder, "openai", "/v1/realtime?model=gpt-realtime");
	assert_int_equal(
		ask(&session, "{\"type\":\"session.update\",\"session\":{\"type\":"
			      "\"realtime\",\"audio\":{\"input\":{\"transcription\":{"
			      "\"model\":\"gpt-4o-transcribe\"},\"turn_detection\":null}}}}"),
		SG_LIVE_NOTHING);
	assert_true(stands(&session, SG_LIVE_TRANSCRIPTIONS));
	assert_string_equal(session.demand.facts.model, "gpt-4o-transcribe");
	assert_true(stands(&session, SG_LIVE_ANSWERS)); // until the provider agrees
	tell(&session, "{\"type\":\"session.updated\",\"session\":{\"turn_detection\":null,"
		       "\"input_audio_transcription\":{\"model\":\"gpt-4o-transcribe\"}}}");
	assert_false(stands(&session, SG_LIVE_ANSWERS));
	assert_int_equal(tell(&session, "{\"type\":\"input_audio_buffer.committed\",\"item_id\":"
					"\"i1\"}"),
		SG_LIVE_BEGUN);
	assert_int_equal(session.news.lane, SG_LIVE_TRANSCRIPTIONS);
	assert_string_equal(session.news.id, "i1");
	assert_int_equal(
		tell(&session,
			"{\"type\":\"conversation.item.input_audio_transcription.completed\","
			"\"item_id\":\"i1\",\"transcript\":\"hi\",\"usage\":{\"type\":\"tokens\","
			"\"input_tokens\":14,\"input_token_details\":{\"text_tokens\":2,"
			"\"audio_tokens\":12},\"output_tokens\":3}}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.lane, SG_LIVE_TRANSCRIPTIONS);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_SETTLED);
	assert_string_equal(session.news.outcome.usage.model, "gpt-4o-transcribe");
	assert_int_equal(session.news.outcome.usage.audio_input_tokens, 12);
	assert_int_equal(tell(&session, "{\"type\":\"conversation.item.input_audio_transcription."
					"failed\",\"item_id\":\"i2\"}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ERROR_FREE);
	sg_live_free(session.live);
}

static void transcription_in_all_cuts(void **state)
{
	(void)state;
	feed_all(transcription, NULL);
}

static void ends_without_usage(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };
	struct session session;

	(void)state;
	open_session(&session, &whole, "openai", "/v1/realtime?model=gpt-realtime");
	assert_int_equal(tell(&session, "{\"type\":\"response.done\",\"response\":{\"status\":"
					"\"failed\",\"output\":[],\"usage\":null}}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ERROR_FREE);
	tell(&session, "{\"type\":\"response.done\",\"response\":{\"status\":\"failed\","
		       "\"output\":[{\"type\":\"message\"}],\"usage\":null}}");
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ESTIMATED);
	tell(&session, "{\"type\":\"response.done\",\"response\":{\"status\":\"completed\"}}");
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ESTIMATED);
	tell(&session, "{\"type\":\"response.done\",\"response\":{\"status\":\"completed\","
		       "\"usage\":{\"input_tokens\":-5,\"output_tokens\":1}}}");
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ESTIMATED);
	assert_true(session.news.outcome.bad_evidence);
	tell(&session, "{\"type\":\"response.done\",\"response\":{\"usage\":{\"input_tokens\":5,"
		       "\"input_token_details\":{\"cached_tokens\":6},\"output_tokens\":1}}}");
	assert_true(session.news.outcome.bad_evidence);
	sg_live_free(session.live);
}

// What can't be read, or might start what is not held for, does not pass.
static void what_is_refused(void **state)
{
	static const struct {
		const char *provider, *path, *text;
	} rows[] = {
		{ "openai", "/v1/responses", "" },
		{ "openai", "/v1/responses", "[]" },
		{ "openai", "/v1/responses", "{\"type\":\"response.create\"" },
		{ "openai", "/v1/responses", "{\"type\":\"response.create\"}{}" },
		{ "openai", "/v1/responses", "{\"model\":\"gpt-5\"}" },
		{ "openai", "/v1/responses", "{\"type\":\"session.update\"}" },
		{ "openai", "/v1/realtime?model=a", "{\"type\":\"response.made_up\"}" },
		{ "openai", "/v1/realtime?model=a", "{\"type\":7}" },
		{ "openai", "/v1/realtime?model=a",
			"{\"type\":\"session.update\",\"session\":{\"model\":\"dearer\"}}" },
		{ "gemini", GEMINI, "{\"clientContent\":{}}" },
		{ "gemini", GEMINI, "{\"setup\":{}}" },
		{ "gemini", GEMINI, "{\"setup\":{\"model\":\"models/a\"},\"other\":1}" },
		{ "gemini", GEMINI,
			"{\"setup\":{\"model\":\"models/a\",\"tools\":[{\"googleSearch\":{}}]}}" },
	};
	struct feeder whole = { FEED_WHOLE, 0 };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		struct session session;

		open_session(&session, &whole, rows[i].provider, rows[i].path);
		assert_int_equal(ask(&session, rows[i].text), SG_LIVE_REFUSE);
		assert_string_not_equal(session.demand.facts.malformed, "");
		sg_live_free(session.live);
	}
}

// ---- Gemini ----

static void gemini(struct feeder *feeder, const void *row)
{
	struct session session;

	(void)row;
	open_session(&session, feeder, "gemini", GEMINI "?key=k");
	assert_false(stands(&session, SG_LIVE_ANSWERS)); // of which model is not known yet
	assert_int_equal(ask(&session, "{\"setup\":{\"model\":\"models/gemini-live\","
				       "\"generation_config\":{\"maxOutputTokens\":64}}}"),
		SG_LIVE_NOTHING);
	assert_true(stands(&session, SG_LIVE_ANSWERS));
	assert_string_equal(session.demand.facts.model, "gemini-live");
	assert_int_equal(session.demand.facts.max_output, 64);
	assert_int_equal(
		ask(&session, "{\"setup\":{\"model\":\"models/dearer\"}}"), SG_LIVE_REFUSE);
	assert_int_equal(tell(&session, "{\"setupComplete\":{}}"), SG_LIVE_NO_NEWS);
	assert_int_equal(ask(&session, "{\"clientContent\":{\"turns\":[{\"text\":\"a\"}]}}"),
		SG_LIVE_SPEECH);
	assert_int_equal(
		ask(&session, "{\"clientContent\":{\"turnComplete\":true}}"), SG_LIVE_QUESTION);
	assert_int_equal(ask(&session, "{\"toolResponse\":{}}"), SG_LIVE_QUESTION);
	assert_int_equal(ask(&session, "{\"realtimeInput\":{\"text\":\"a\"}}"), SG_LIVE_QUESTION);
	assert_int_equal(ask(&session, "{\"realtime_input\":{\"audio\":{}}}"), SG_LIVE_SPEECH);
	assert_int_equal(tell(&session, "{\"serverContent\":{\"modelTurn\":{\"parts\":[{}]}}}"),
		SG_LIVE_BEGUN);
	assert_int_equal(
		tell(&session, "{\"serverContent\":{\"turnComplete\":true}}"), SG_LIVE_NO_NEWS);
	assert_int_equal(tell(&session, "{\"usageMetadata\":{\"promptTokenCount\":20,"
					"\"responseTokenCount\":60,\"totalTokenCount\":85,"
					"\"promptTokensDetails\":[{\"modality\":\"AUDIO\","
					"\"tokenCount\":15}]}}"),
		SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_SETTLED);
	assert_int_equal(session.news.outcome.usage.input_tokens, 20);
	assert_int_equal(session.news.outcome.usage.audio_input_tokens, 15);
	assert_int_equal(session.news.outcome.usage.output_tokens, 65);
	// A turn that ended and told nothing is known for one when the next begins.
	assert_int_equal(tell(&session, "{\"serverContent\":{\"modelTurn\":{}}}"), SG_LIVE_BEGUN);
	assert_int_equal(
		tell(&session, "{\"serverContent\":{\"turnComplete\":true}}"), SG_LIVE_NO_NEWS);
	assert_int_equal(tell(&session, "{\"serverContent\":{\"modelTurn\":{}}}"), SG_LIVE_ENDED);
	assert_int_equal(session.news.outcome.state, SG_EXCHANGE_ESTIMATED);
	sg_live_free(session.live);
}

static void gemini_in_all_cuts(void **state)
{
	struct feeder whole = { FEED_WHOLE, 0 };
	struct session session;

	(void)state;
	feed_all(gemini, NULL);
	open_session(&session, &whole, "vertex",
		"/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent");
	ask(&session,
		"{\"setup\":{\"model\":\"projects/p/locations/l/publishers/google/models/m\"}}");
	assert_true(stands(&session, SG_LIVE_ANSWERS));
	assert_string_equal(session.demand.facts.model, "m");
	sg_live_free(session.live);
}

// ---- What a turn reads ----

#define REALTIME_TURN "{\"type\":\"response.create\",\"response\":{}}"

static int64_t known_sound(struct session *session)
{
	assert_true(stands(session, SG_LIVE_ANSWERS));
	return session->demand.facts.known_sound;
}

static int64_t known_input(struct session *session)
{
	assert_true(stands(session, SG_LIVE_ANSWERS));
	return session->demand.facts.known_input;
}

static void a_realtime_turn_reads_what_was_said(void **state)
{
	static const char item[] = "{\"type\":\"conversation.item.create\",\"item\":{\"type\":"
				   "\"message\",\"content\":[{\"type\":\"input_text\","
				   "\"text\":\"abc\"}]}}";
	struct feeder whole = { FEED_WHOLE, 0 };
	char sound[8200] = "{\"type\":\"input_audio_buffer.append\",\"audio\":\"";
	struct session session;
	int64_t before, after;

	(void)state;
	memset(sound + strlen(sound), 'A', 8100 - strlen(sound));
	strcpy(sound + 8100, "\"}");
	open_session(&session, &whole, "openai", "/v1/realtime?model=gpt-realtime");
	before = known_input(&session);
	// A byte is a token, and so it is of the provider's own instructions.
	ask(&session, item);
	after = known_input(&session);
	assert_int_equal(after, before + (int64_t)strlen(item) + 64);
	tell(&session,
		"{\"type\":\"session.created\",\"session\":{\"instructions\":\"0123456789\"}}");
	before = known_input(&session);
	assert_true(before > after + 60);
	// Ten tokens a second of sound.
	ask(&session, sound);
	assert_in_range(known_input(&session), before + 10, before + 11);
	assert_in_range(known_sound(&session), 10, 11);
	// What a turn wrote is read by the next one; what it may have written is not known.
	before = known_input(&session);
	assert_int_equal(ask(&session, REALTIME_TURN), SG_LIVE_TURN);
	assert_true(session.demand.facts.known_input > before);
	before = known_input(&session);
	tell(&session, "{\"type\":\"response.done\",\"response\":{\"usage\":{\"input_tokens\":5,"
		       "\"output_tokens\":1000,\"output_token_details\":{\"audio_tokens\":900}}}}");
	assert_in_range(known_sound(&session), 900, 911);
	assert_in_range(known_input(&session), before + 1000, before + 1100);
	tell(&session, "{\"type\":\"response.done\",\"response\":{}}");
	assert_int_equal(known_input(&session), 0);
	sg_live_free(session.live);
}

static void what_no_bytes_bound_is_bound_by_the_window(void **state)
{
	static const char *const rows[] = {
		"{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\",\"content\":"
		"["
		"{\"type\":\"input_image\",\"image_url\":\"data:\"}]}}",
		"{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"mcp_call\"}}",
		"{\"type\":\"session.update\",\"session\":{\"prompt\":{\"id\":\"pmpt_1\"}}}",
		"{\"type\":\"session.update\",\"session\":{\"tools\":[{\"type\":\"mcp\"}]}}",
		"{\"type\":\"response.create\",\"response\":{\"prompt\":{\"id\":\"pmpt_1\"}}}",
	};
	struct feeder whole = { FEED_WHOLE, 0 };
	struct session session;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		open_session(&session, &whole, "openai", "/v1/realtime?model=gpt-realtime");
		assert_true(known_input(&session) > 0);
		ask(&session, rows[i]);
		assert_int_equal(known_input(&session), 0);
		sg_live_free(session.live);
	}
	// One response that names items, each as often as it likes; the next one does not.
	open_session(&session, &whole, "openai", "/v1/realtime?model=gpt-realtime");
	ask(&session, "{\"type\":\"response.create\",\"response\":{\"input\":[{\"type\":"
		      "\"item_reference\",\"id\":\"a\"}]}}");
	assert_int_equal(session.demand.facts.known_input, 0);
	ask(&session, REALTIME_TURN);
	assert_true(session.demand.facts.known_input > 0);
	sg_live_free(session.live);
}

static void a_response_reads_the_one_before_it(void **state)
{
	static const char next[] = "{\"type\":\"response.create\",\"model\":\"gpt-5\","
				   "\"previous_response_id\":\"r1\",\"input\":\"a\"}";
	static const char *const others[] = {
		"{\"type\":\"response.create\",\"model\":\"gpt-5\",\"previous_response_id\":"
		"\"r0\"}",
		"{\"type\":\"response.create\",\"model\":\"gpt-5\",\"previous_response_id\":\"r1\","
		"\"previous_response_id\":\"r1\"}",
		"{\"type\":\"response.create\",\"model\":\"gpt-5\",\"previous_response_id\":\"r1\","
		"\"prompt\":{\"id\":\"p\"}}",
		"{\"type\":\"response.create\",\"model\":\"gpt-4o\",\"previous_response_id\":"
		"\"r1\"}",
		next, // after one of another model
	};
	struct feeder whole = { FEED_WHOLE, 0 };
	struct session session;

	(void)state;
	open_session(&session, &whole, "openai", "/v1/responses");
	ask(&session, next);
	assert_int_equal(session.demand.facts.known_input, 0);
	tell(&session, "{\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"usage\":{"
		       "\"input_tokens\":900,\"input_tokens_details\":{\"cached_tokens\":400},"
		       "\"output_tokens\":70}}}");
	ask(&session, next);
	assert_in_range(session.demand.facts.known_input, 970 + sizeof(next), 1300);
	for (size_t i = 0; i < SG_ARRAY_SIZE(others); i++) {
		assert_int_equal(ask(&session, others[i]), SG_LIVE_TURN);
		assert_int_equal(session.demand.facts.known_input, 0);
		assert_true(session.demand.facts.context_window);
	}
	sg_live_free(session.live);
}

static void a_gemini_turn_reads_what_was_said(void **state)
{
	static const char text[] =
		"{\"clientContent\":{\"turns\":[{\"parts\":[{\"text\":\"a\"}]}]}}";
	static const char *const rows[] = {
		"{\"clientContent\":{\"turns\":[{\"parts\":[{\"inlineData\":{}}]}]}}",
		"{\"clientContent\":{\"turns\":{\"parts\":{\"fileData\":{}}}}}",
		"{\"realtimeInput\":{\"video\":{}}}",
		"{\"realtime_input\":{\"media_chunks\":[{}]}}",
		"{\"toolResponse\":{\"functionResponses\":[{\"parts\":[]}]}}",
	};
	struct feeder whole = { FEED_WHOLE, 0 };
	struct session session;
	int64_t before;

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(rows); i++) {
		open_session(&session, &whole, "gemini", GEMINI "?key=k");
		ask(&session, "{\"setup\":{\"model\":\"models/m\"}}");
		before = known_input(&session);
		ask(&session, text);
		assert_int_equal(known_input(&session), before + (int64_t)strlen(text) + 64);
		ask(&session, rows[i]);
		assert_int_equal(known_input(&session), 0);
		sg_live_free(session.live);
	}
	open_session(&session, &whole, "gemini", GEMINI "?key=k");
	ask(&session,
		"{\"setup\":{\"model\":\"models/m\",\"sessionResumption\":{\"handle\":\"h\"}}}");
	assert_int_equal(known_input(&session), 0);
	sg_live_free(session.live);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_in_all_cuts),
		cmocka_unit_test(denied_in_all_cuts),
		cmocka_unit_test(realtime_in_all_cuts),
		cmocka_unit_test(transcription_in_all_cuts),
		cmocka_unit_test(ends_without_usage),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(gemini_in_all_cuts),
		cmocka_unit_test(a_realtime_turn_reads_what_was_said),
		cmocka_unit_test(what_no_bytes_bound_is_bound_by_the_window),
		cmocka_unit_test(a_response_reads_the_one_before_it),
		cmocka_unit_test(a_gemini_turn_reads_what_was_said),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
