// SPDX-License-Identifier: Apache-2.0
// What a wire format's file gives to the readers: tables of wanted paths and small functions. Not
// for other modules.
#pragma once

#include "base/buf.h"
#include "http/frames.h"
#include "http/inflate.h"
#include "http/multipart.h"
#include "http/sse.h"
#include "provider/json_scan.h"
#include "provider/provider.h"
#include "provider/sound.h"

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

enum sg_limit_field { SG_LIMIT_PRIMARY, SG_LIMIT_FALLBACK };

// Where a member's value stands in the body.
struct sg_request_place {
	unsigned seen; // times
	uint64_t offset, end;
	bool is_null, is_object, has_members;
};

// What a message of a WebSocket session says of the session itself (live.c).
struct sg_live_marks {
	char type[80];			  // OpenAI: the event's name
	char id[96];			  // of the response, or of the item; of a request: of the
					  // response that it goes on from, "" where two are named
	char model[SG_MODEL_BYTES];	  // of the session
	char transcriber[SG_MODEL_BYTES]; // the model that writes down what the agent says
	bool transcriber_told;		  // also when there is none
	enum { SG_TURNS_NOT_TOLD, SG_TURNS_BY_AGENT, SG_TURNS_BY_PROVIDER } turns;
	bool is_hosted;	  // a tool that the provider runs
	bool apart;	  // a response that is no part of the conversation
	bool has_parts;	  // output was produced
	bool is_unbound;  // what its bytes do not bound: pictures, what the provider has stored
	bool goes_on;	  // a request names a response that it goes on from
	bool has_sound;	  // of which its bytes are, or may be
	bool own_input;	  // a response that does not read the conversation alone
	bool unprompted;  // the provider begins turns though nothing is said
	bool is_failed;	  // the response's status
	bool is_setup;	  // Gemini, here and below
	bool is_question; // what the model answers to
	bool is_speech;	  // what it may answer to
	bool is_other;	  // a member that is not known
	bool has_answer;  // output of the model
	bool turn_complete;
};

struct sg_request_reader {
	const struct sg_api *api;
	struct sg_live_marks marks; // of a message
	bool is_form;
	bool form_failed, form_twice;
	uint64_t form_fields; // that were there, but for files: a bit a node
	struct sg_form form;
	struct sg_json_scan scan;
	struct sg_request_facts facts;
	char path_model[SG_MODEL_BYTES]; // where the path names it
	// first non-null of several fields: the later ones count only when the earlier are absent
	int64_t max_primary, max_fallback;
	struct sg_request_place limits[2];
	struct sg_request_place limit_object; // that holds the limit, where the format has one
	int limit_object_node;
	unsigned limits_before; // limits seen when it began
	bool unlimited_object;	// one had no limit
	// the tool that is being read
	bool tool_is_hosted;
	int64_t tool_max_uses;	// -1: not told
	bool tool_container;	// it runs in one of the provider's,
	char tool_memory[16];	// of this size
	bool hosted_tools;	// any
	int64_t max_tool_calls; // of the whole request; 0 or less: not told
	bool tool_calls_seen;
	int64_t best_of, prompts;   // of completions
	int64_t documents;	    // of a rerank, or inputs of an embedding
	int64_t query_bytes;	    // of a rerank
	struct sg_sound sound;	    // of the form's file that is being read
	int64_t sound_ms;	    // of those before, at most
	bool sound_has_no_bound;    // of one of them
	char size[16], quality[16]; // of images
	int64_t partial_images;
	int64_t calls;			 // of a batch, so far
	int64_t call_output;		 // the sum of their limits; -1: one had none
	char last_model[SG_MODEL_BYTES]; // of the call before
	bool models_differ;		 // of a batch's calls
	bool whole_answer;		 // "stream": false where an answer streams without it
	bool compacts; // a compaction may run: one more call a turn, up to the model's limits
	// the input item that is being read
	struct {
		bool has_type, has_content, is_reasoning, is_encrypted;
	} item;
	// stream_options, as it stands in the body
	uint64_t options_offset, options_end;
	uint64_t include_offset, include_end; // value of include_usage in it
	bool options_are_object, options_seen, options_empty, include_seen, include_true;
	uint64_t object_offset; // of the body's opening brace
};

enum sg_framing {
	SG_FRAMING_BODY,
	SG_FRAMING_SSE,
	SG_FRAMING_NDJSON,
	SG_FRAMING_FRAMES,
	SG_FRAMING_MESSAGES, // of a WebSocket: each is one event
};

// What a stream's event does to the bill.
enum sg_event_weight {
	SG_EVENT_COUNTS, // may be anything
	SG_EVENT_TOTALS, // running totals only: the next such event says all of them anew
	SG_EVENT_FILLER, // nothing
};

// A set of indices: choices, or blocks of content.
#define SG_INDEX_SET 128
struct sg_index_set {
	uint64_t bits[SG_INDEX_SET / 64];
};

// What a clean end of a stream must close or repeat; kept only where it may have to be ended.
struct sg_stream_mark {
	bool kept;
	bool begun; // the stream's first event was there
	bool lost;  // there was more than can be kept: no clean end
	char id[96];
	int64_t created;
	int64_t index; // in the event: of a choice, or a block
	bool stops;    // in the event: it is finished
	struct sg_index_set open, finished;
	struct sg_index_set calls; // Cohere: of the open ones, those of tools
	uint64_t calls_offset;	   // Ollama: of tool_calls, in the line
	bool generates;		   // Ollama: generate, not chat
	uint64_t place, place_end; // OpenAI responses: in the event, of what is kept of it
	// OpenAI responses: JSON as it came
	struct sg_buf response; // of the first event
	struct sg_buf items;	// that are done, with commas between
	struct sg_buf item;	// that is open, "" none
	struct sg_buf text;	// of its open part, or its arguments, as it stands in JSON
	int64_t item_index, part_index;
	int64_t sequence;
};

// Uses of tools that the provider runs.
struct sg_searches {
	int64_t web, file, pictures, containers;
	char container[64]; // the last one's id
};

#define SG_QUERIES_KEPT 32

struct sg_response_reader {
	const struct sg_api *api;
	const struct sg_request_facts *facts;
	unsigned status;
	enum sg_framing framing;
	bool is_stream;		    // any but one body
	bool complete;		    // the body came to its end, as HTTP tells it
	bool line_begun;	    // of NDJSON, or a message
	struct sg_live_marks marks; // of a message
	bool filters;
	bool removes_usage; // the filter's: the chunk that was asked for in the agent's place
	int pass_result;    // of a frame
	bool skims;
	struct sg_buf totals; // the last event of running totals, that is not read yet; "" none
	bool unreadable;      // content coding unknown or corrupt
	struct sg_inflate *inflate;
	struct sg_sse sse;
	struct sg_frames frames;
	int64_t header_counts[4]; // input, output, cache read, cache write; -1: none
	bool by_headers;	  // the usage is theirs
	int64_t body_counts[2]; // Bedrock: input and output, of makers who have no usage; -1: none
	bool metrics_seen;
	struct sg_buf inner;	  // what was wrapped into a frame
	struct sg_json_scan scan; // of the body, or of one event
	struct sg_outcome outcome;
	bool usage_seen;
	bool by_units;	   // what is billed is known without usage
	bool final;	   // the counters are the final ones
	bool stream_ended; // the stream's own end was seen
	bool filtered;	   // the error is the content filter's
	bool failed_early; // an error before anything was produced
	bool produced;	   // something billable has begun
	// of the event that is being read
	int64_t event_choices;
	bool event_usage;
	int64_t finished_choices; // with a finish_reason, of all events
	int64_t total_tokens;
	int64_t cache_hit_tokens; // DeepSeek's own name; Bedrock: of makers who count them as input
	int64_t upstream_picousd; // OpenRouter: what the key's owner pays elsewhere
	bool own_key;
	bool own_host;
	char event_type[64];
	int64_t event_delta_bytes;
	// Of a count that is told in parts (Gemini: by modality, Bedrock: by lifetime): the part
	// that is being read, its kind by a letter of ours
	struct {
		int64_t count;
		char kind;
	} part;
	int64_t text_output;	     // of an answer with pictures: what is text
	int64_t duration_ms;	     // of the sound, outside of usage
	int64_t tool_prompt;	     // Gemini: input of its own tools
	bool found_web, found_place; // Gemini: by a search, or in its maps
	bool unpriced_tool; // one of the provider's own, whose fee is not known: no exact bill
	// OpenAI: the output item that is being read, and searches so far
	bool item_is_search, item_is_no_query, item_is_file_search, item_is_picture;
	struct sg_searches output_searches; // in the list of all output
	struct sg_searches events_searches; // in events of one item each
	// Gemini
	int64_t done_searches;
	uint64_t queries[SG_QUERIES_KEPT]; // hashes of those that were told
	unsigned query_count;		   // kept of them
	bool found_store;		   // in documents that the provider keeps
	struct sg_stream_mark mark;
	struct sg_text_tokens *tokens; // owned; NULL: a byte is one
	bool hides_output;
	// filter
	struct sg_buf held; // raw bytes of the unfinished event
	bool held_passed;   // it was too long to be held
	struct sg_buf *out; // during a feed
	size_t event_start; // in the bytes of this feed
	const char *feed_bytes;
	size_t feed_length;
	const char *event_data; // of the event that is being read
	bool ended_with_cr; // an event ended with the last byte of a feed: a LF that comes next is
			    // a part of it
	bool cr_was_dropped;
	// Anthropic
	struct sg_usage line;
	bool line_by_iterations;
	int64_t cache_creation;	     // cache_creation_input_tokens: the sum of both kinds
	int64_t line_cache_creation; // the same of the line
	bool event_stops;	     // a stop_reason was in the event
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

// Of a list: how many inputs were seen. None (it has a shape that is not read): bytes alone bound
// them.
void sg_request_set_inputs(struct sg_request_facts *facts, int64_t count);

// Of embeddings and reranks: so many inputs as documents were seen, each with the query, if any.
void sg_request_set_pairs(struct sg_request_reader *reader);

// A picture: bounded by its model's own maximum where that is known, else by the context window.
void sg_request_take_image(struct sg_request_facts *facts, const char *word);

// The bytes of a picture in the body, which are no text.
void sg_request_inline_image(struct sg_request_facts *facts, const struct sg_json_value *value);

// After the last member: what a compaction adds to the bound.
void sg_request_bound_compaction(struct sg_request_reader *reader);

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

// How many answers the request asks for: one at least, and the most of all that it names.
void sg_request_choices(struct sg_request_facts *facts, const struct sg_json_value *value);

// The output limit of a call that has several names for it: the largest counts, null only behind
// another one.
void sg_request_largest_limit(struct sg_request_reader *reader, const struct sg_json_value *value);

// The output limit of the whole call, and where it stands.
void sg_request_output_limit(struct sg_request_reader *reader, const struct sg_json_value *value,
	enum sg_limit_field field);

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
