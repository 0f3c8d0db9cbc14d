// SPDX-License-Identifier: Apache-2.0
// What a wire format's file gives to the readers: tables of wanted paths and small functions; and
// what the readers give to these files. Not for other modules.
#pragma once

#include "provider/reader_state.h"

// The shape of our own answers.
enum sg_dialect {
	SG_DIALECT_OPENAI,
	SG_DIALECT_ANTHROPIC,
	SG_DIALECT_GOOGLE,
	SG_DIALECT_BEDROCK,
	SG_DIALECT_COHERE,
	SG_DIALECT_MISTRAL,
	SG_DIALECT_OPENROUTER,
	SG_DIALECT_OLLAMA,
};

// What a provider does in its own way within a common wire format.
enum sg_trait {
	SG_TRAIT_ASK_USAGE = 1 << 0,	   // streams tell their usage only when asked
	SG_TRAIT_OUTPUT_BY_TOTAL = 1 << 1, // total_tokens - prompt_tokens has reasoning that
					   // completion_tokens lacks
	SG_TRAIT_LIMIT_LEAKS = 1 << 2,	   // the output limit does not hold for reasoning
	SG_TRAIT_COST = 1 << 3,		   // usage.cost is the bill, in USD
	SG_TRAIT_COST_TOTAL = 1 << 4,	   // usage.cost.total_cost is
	SG_TRAIT_COST_TICKS = 1 << 5,	   // usage.cost_in_usd_ticks is, in 1e-10 USD
	SG_TRAIT_REASONING_APART = 1 << 6, // usage.reasoning_tokens are not in completion_tokens
	SG_TRAIT_BILLS_FILTERED = 1 << 7,  // a 400 by the content filter, and a 408, is billed
	SG_TRAIT_SLASH_IN_MODEL = 1 << 8,  // %2F in a path's model is a part of its name
	SG_TRAIT_DEPLOYMENTS = 1 << 9,	   // a request's model is the name of a deployment
	SG_TRAIT_TIER_BY_HEADER = 1 << 10, // a header may ask for priority
	SG_TRAIT_COMPLETION_LIMIT =
		1 << 11,	  // the limit's newer name, max_completion_tokens, is known
	SG_TRAIT_STOPS = 1 << 12, // generates no more once its connection is closed, nor bills it
	SG_TRAIT_OLD_LIMIT_ONLY = 1 << 13,    // max_completion_tokens is ignored, or may be
	SG_TRAIT_SHORT_COMPLETIONS = 1 << 14, // completions without a limit end at 16 tokens
	SG_TRAIT_PREPAID_PRIORITY = 1 << 15,  // what an answer calls priority was paid beforehand
	SG_TRAIT_DEFERS = 1 << 16,	      // a chat may be answered by an id, and by a later GET
	SG_TRAIT_TOOL_LIMIT = 1 << 17,	      // max_tool_calls is obeyed
};

// The member that limits a call's output, for calls that have none of their own.
struct sg_limit_member {
	const char *name;
	const char *completion_name; // SG_TRAIT_COMPLETION_LIMIT: this one. NULL: none
	const char *object;	     // it is a member of this one; NULL: of the body
	bool required;		     // a call without one is refused by the provider
};

struct sg_api {
	const char *name;
	const struct sg_json_path *request_paths;
	size_t request_path_count;
	void (*on_request)(struct sg_request_reader *reader, const struct sg_json_value *value);
	// Of the request's head, before the body; NULL: none matters
	void (*on_request_header)(
		struct sg_request_reader *reader, struct sg_str name, struct sg_str value);
	void (*finish_request)(struct sg_request_reader *reader); // NULL: nothing left to do
	const struct sg_limit_member
		*limit; // NULL: no limit can be set (signed, or without output)
	// Strings that the model reads as they are written, and nothing else. NULL: not known
	const struct sg_json_path *text_paths;
	size_t text_path_count;
	const struct sg_json_path *body_paths; // of an answer in one body
	size_t body_path_count;
	void (*on_body)(struct sg_response_reader *reader, const struct sg_json_value *value);
	const struct sg_json_path *event_paths; // of an event's data
	size_t event_path_count;
	void (*on_event)(struct sg_response_reader *reader, const struct sg_json_value *value);
	void (*end_event)(struct sg_response_reader *reader); // NULL: nothing left to do
	// Before the state is decided. NULL: nothing left to do.
	void (*finish_response)(struct sg_response_reader *reader);
	// By the event's looks. NULL: every event is read.
	enum sg_event_weight (*weigh)(const struct sg_sse_event *event);
	bool takes_form;	     // multipart/form-data
	bool counts_characters;	     // of wanted strings
	bool any_body;		     // what the request is does not matter
	bool tells_lines;	     // an answer that says not to be JSON has a JSON value a line
	bool tells_usage_when_asked; // of streams (SG_TRAIT_ASK_USAGE: only then)
	enum sg_dialect dialect;
	// Of the answer's head; NULL: none matters
	void (*on_header)(
		struct sg_response_reader *reader, struct sg_str name, struct sg_str value);
	// Appends a stream's last events, in our own words. NULL: it has no clean end
	int (*end_stream)(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
		struct sg_buf *out);
	bool wraps_events;    // into the "bytes" of a frame
	const char *end_mark; // an event whose data starts with it ends the stream, or NULL
	const struct sg_live_ways *live; // of its WebSocket sessions, or NULL
};

extern const struct sg_api sg_api_openai_chat;
extern const struct sg_api sg_api_openai_completions;
extern const struct sg_api sg_api_openai_embeddings;
extern const struct sg_api sg_api_openai_responses;
extern const struct sg_api sg_api_openai_compaction;
extern const struct sg_api sg_api_openai_images;
extern const struct sg_api sg_api_openai_speech;
extern const struct sg_api sg_api_openai_transcription;
extern const struct sg_api sg_api_openai_batch;
extern const struct sg_api sg_api_openai_run;
extern const struct sg_api sg_api_anthropic_batch;
extern const struct sg_api sg_api_anthropic_complete;
extern const struct sg_api sg_api_mistral_ocr;
extern const struct sg_api sg_api_mistral_conversation;
// Nothing tells what such a call costs: what the operator says is held and charged.
extern const struct sg_api sg_api_by_amount;
extern const struct sg_api sg_api_anthropic_messages;
extern const struct sg_api sg_api_gemini_generate;
extern const struct sg_api sg_api_gemini_embed;
extern const struct sg_api sg_api_gemini_live;
extern const struct sg_api sg_api_openai_realtime;
extern const struct sg_api sg_api_ollama;
extern const struct sg_api sg_api_ollama_embed;
extern const struct sg_api sg_api_bedrock_converse;
extern const struct sg_api sg_api_bedrock_invoke;
extern const struct sg_api sg_api_cohere_chat;
extern const struct sg_api sg_api_cohere_embed;
extern const struct sg_api sg_api_cohere_rerank;
extern const struct sg_api sg_api_cohere_v1;
extern const struct sg_api sg_api_cohere_classify;
extern const struct sg_api sg_api_gemini_predict;
extern const struct sg_api sg_api_gemini_interactions;
extern const struct sg_api sg_api_bedrock_invoke_stream;

// Members of a struct sg_api: an answer in one body and the events of a stream are read alike.
#define SG_READS_BOTH(paths, function)                                                             \
	.body_paths = (paths), .body_path_count = SG_ARRAY_SIZE(paths), .on_body = (function),     \
	.event_paths = (paths), .event_path_count = SG_ARRAY_SIZE(paths), .on_event = (function)

// What a provider does in its own way (enum sg_trait).
unsigned sg_provider_traits(const struct sg_provider *provider);

// Puts a word into facts->reasons once.
void sg_request_add_reason(struct sg_request_facts *facts, const char *word);

// Is it a service tier that costs no more than the plain price? One that is not known may.
bool sg_is_plain_tier(const char *tier);

// Does the request ask for a service tier that costs more, or that is not known?
bool sg_request_asks_dearer_tier(const struct sg_request_facts *facts);

// What model the request names: "" (which no price is for) when it is no plain text that fits.
void sg_request_set_model(struct sg_request_facts *facts, const struct sg_json_value *value);

// The context window bounds the input, for the reason that the word tells.
void sg_request_take_window(struct sg_request_facts *facts, const char *word);

// Settings that the provider keeps, or what runs there: another model may answer, searches may be
// made, at prices that the request does not tell.
void sg_request_take_hosted(struct sg_request_facts *facts, const char *word);

// Of a list: how many inputs were seen. None (it has a shape that is not read): bytes alone bound
// them.
void sg_request_set_inputs(struct sg_request_facts *facts, int64_t count);

// Of embeddings and reranks: so many inputs as documents were seen, each with the query, if any.
void sg_request_set_pairs(struct sg_request_reader *reader);

// A picture: bounded by its model's own maximum where that is known, else by the context window.
void sg_request_take_image(struct sg_request_facts *facts, const char *word);

// The part that is being read ends: is it a picture, and nothing else that its bytes do not bound?
void sg_request_end_part(struct sg_request_reader *reader, const char *image, const char *media);

// The bytes of a picture in the body, which are no text.
void sg_request_inline_image(struct sg_request_facts *facts, const struct sg_json_value *value);

// After the last member: what a compaction adds to the bound.
void sg_request_bound_compaction(struct sg_request_reader *reader);

// Is it a type of tools with a schema of the agent's, or of those of Anthropic's that the agent
// itself runs?
bool sg_anthropic_runs_at_agent(const char *type);

// Is `text` one of the words, up to a NULL?
bool sg_is_one_of(const char *text, const char *const *words);

// A limit that the request sets: `absent` where it is null, or no count (the provider will refuse
// it; until then what bounds the model does).
void sg_request_limit(const struct sg_json_value *value, int64_t absent, int64_t *ret_limit);

// The same of a limit that may be there twice: the larger counts, and none is larger than any, for
// which of the two a provider takes is its own.
void sg_request_larger_limit(const struct sg_json_value *value, bool first, int64_t *ret_limit);

// The service tier that the request asks for: of two the dearer.
void sg_request_take_tier(struct sg_request_facts *facts, const struct sg_json_value *value);

// Raises a count that multiplies the bill to what is told. What can't be read some decoder may
// read: it is more than any provider takes, and has no bound.
void sg_request_multiplier(const struct sg_json_value *value, int64_t *count);

// How many answers the request asks for: one at least, and the most of all that it names.
void sg_request_choices(struct sg_request_facts *facts, const struct sg_json_value *value);

// The output limit of a call that has several names for it: the largest counts, null only behind
// another one.
void sg_request_largest_limit(struct sg_request_reader *reader, const struct sg_json_value *value);

// The output limit of the whole call, and where it stands.
void sg_request_output_limit(struct sg_request_reader *reader, const struct sg_json_value *value,
	enum sg_limit_field field);

// Can the output limit be set by an edit that every reader of the body takes alike?
bool sg_request_can_limit(const struct sg_request_reader *reader);

// The object that holds the limit: its begin and its end.
void sg_request_limit_object(struct sg_request_reader *reader, const struct sg_json_value *value);

// Copies a JSON string, cut to fit. What is no string is passed over.
void sg_value_copy(const struct sg_json_value *value, char *out, size_t size);

// The object of usage begins, in place of any before it. Null tells none; what is no object is no
// evidence.
void sg_response_begin_usage(struct sg_response_reader *reader, const struct sg_json_value *value);

// A counter of usage: null is ignored, what is no count marks the evidence as bad.
void sg_response_count(
	struct sg_response_reader *reader, const struct sg_json_value *value, int64_t *ret_count);

// A count that a header tells.
void sg_response_header_count(
	struct sg_response_reader *reader, struct sg_str value, int64_t *ret_count);

// An item of the output begins, of which nothing is known yet.
void sg_response_begin_item(struct sg_response_reader *reader);

// Does the name of the event end so?
bool sg_event_name_ends(const struct sg_sse_event *event, const char *end);

// Is it the header of that name, or the word as its value? In any case of letters.
bool sg_header_is(struct sg_str name, const char *wanted);

// A length of sound in seconds, with a fraction or as text, in milliseconds.
void sg_response_seconds(
	struct sg_response_reader *reader, const struct sg_json_value *value, int64_t *ret_ms);

// Does the code of an error say that the prompt was worked on all the same
// (SG_TRAIT_BILLS_FILTERED)?
bool sg_response_is_filter_code(const struct sg_json_value *value);

// Text, reasoning or arguments that the agent gets to see.
void sg_response_text(struct sg_response_reader *reader, const struct sg_json_value *value);

// The same of a string that stands in the event that is being read, from its quote to its quote.
// Texts of different sources are tokens of their own.
void sg_response_see(
	struct sg_response_reader *reader, uint64_t source, uint64_t offset, uint64_t end_offset);

// input_tokens as told includes what was read from and written to the cache: makes the classes
// disjoint. More cached than there was input is no evidence.
void sg_response_take_out_cached(struct sg_response_reader *reader);

// A price in units of 10^-digits USD, to the nearest pico-dollar. What is no price (negative, not
// finite) is no evidence either: the hold is charged.
void sg_response_price(struct sg_response_reader *reader, const struct sg_json_value *value,
	int digits, int64_t *ret_picousd);

// The price of the whole call, from the member that `trait` says the provider states it in; others
// are passed over: in another's answer they might mean another thing.
void sg_response_stated_price(
	struct sg_response_reader *reader, const struct sg_json_value *value, enum sg_trait trait);

// Adds counts; one that is unknown (-1) of either stays unknown.
void sg_usage_add(struct sg_usage *sum, const struct sg_usage *usage);

// Adds what a model used to the lines of the outcome. More models than can be priced are no
// evidence.
void sg_response_add_line(struct sg_response_reader *reader, const struct sg_usage *line);

// The lines alone are priced, each at the call's own tier: its usage is their sum.
void sg_response_sum_lines(struct sg_outcome *outcome);

// OpenRouter: for a key of the agent's own the provider's price is paid elsewhere, beside the fee.
void sg_response_add_upstream_price(struct sg_response_reader *reader);

// What is billed is known, and it is no tokens.
void sg_response_settle_by_units(struct sg_response_reader *reader);

void sg_usage_reset(struct sg_usage *usage);

// ---- Readers in place, for live.c ----

void sg_request_reader_init(struct sg_request_reader *reader, const struct sg_route *route);

// As sg_response_reader_new; what it allocates goes with sg_response_reader_done.
int sg_response_reader_init(
	struct sg_response_reader *reader, const struct sg_response_options *options) SG_WUNRES;
void sg_response_reader_done(struct sg_response_reader *reader);

// Bytes of one message of a WebSocket, and its end.
void sg_response_reader_message(
	struct sg_response_reader *reader, const char *bytes, size_t length);
void sg_response_reader_end_message(struct sg_response_reader *reader);
// ---- Ends of streams (stream_end.c) ----

// An index that is out of range is lost: the stream has no clean end then.
void sg_index_set_put(
	struct sg_stream_mark *mark, struct sg_index_set *set, int64_t index, bool in);
bool sg_index_set_has(const struct sg_index_set *set, int64_t index);

// An event with the object as its data, which is released. `name` NULL: without a name.
int sg_stream_append_event(struct sg_buf *out, const char *name, json_t *data) SG_WUNRES;

// The object on a line of its own: a message of a WebSocket. Released, too.
int sg_stream_append_line(struct sg_buf *out, json_t *data) SG_WUNRES;

// A JSON string of what a provider sent: "" where it is no UTF-8.
json_t *sg_stream_text(const char *text);

int sg_chat_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;
int sg_completions_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out) SG_WUNRES;
int sg_responses_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out) SG_WUNRES;
int sg_anthropic_end_stream(struct sg_response_reader *reader,
	const struct sg_stream_totals *totals, struct sg_buf *out) SG_WUNRES;
int sg_gemini_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;
int sg_cohere_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;
int sg_ollama_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;
int sg_converse_end_stream(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;
