// SPDX-License-Identifier: Apache-2.0
// What an exchange with a provider means: which paths are billable, what a request may cost at
// most, what its answer says was used. Pure: no I/O, no clock, one owner per object, any thread.
// Bytes from agents and providers are untrusted.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/error.h"
#include "http/h1.h"
#include "provider/request_edit.h"

#define SG_MODEL_BYTES		128
#define SG_PENDING_ID_BYTES	96
#define SG_KIND_BYTES		40
#define SG_KIND_ANNOTATED	"annotated"
#define SG_REASON_SOUND		"length_of_sound"
#define SG_REASON_NO_TOOL_LIMIT "no_max_tool_calls"
#define SG_COUNT_MAX		(INT64_C(1) << 53) // counts above it are no evidence

struct sg_provider; // one const table row per provider, e.g. name "openai"
struct sg_api;	    // one const table row per wire format, e.g. name "chat"
struct sg_vocabulary;

enum sg_route_kind {
	SG_ROUTE_FREE, // passes unmetered: GET, DELETE, OPTIONS, HEAD, and the POST paths that cost
		       // nothing
	SG_ROUTE_METERED,
	SG_ROUTE_LIVE,	  // a WebSocket of which every message is read (live.h)
	SG_ROUTE_POLL,	  // a GET that may tell what an earlier call cost: free itself
	SG_ROUTE_UNKNOWN, // a POST, PUT, PATCH or upgrade that is in no table: refused
};

struct sg_route {
	enum sg_route_kind kind;
	const struct sg_api *api; // when metered, live, or a poll; of an unknown path: what an
				  // amount of the operator's is charged by
	unsigned traits;	  // of the provider: what its answers say in its own way
	bool by_amount;		  // what the request says bounds nothing
	bool filters_answer; // a parameter may take out of the answer what it cost, or says that
			     // the body is of another type than its header does
	char model[SG_MODEL_BYTES];	      // where the path or its query names it, else ""
	char pending_id[SG_PENDING_ID_BYTES]; // of a poll: which call it asks about
};

// Adds the providers of a configuration: a list of {"name", "hosts", "prefix"?}, each of which
// speaks OpenAI's API. Once, at the start of a program, before any other thread: what it adds
// stays. Returns 0, -EINVAL (the sentence names the entry) or -ENOMEM.
int sg_providers_configure(const json_t *list, struct sg_error *error) SG_WUNRES;

// By host name (no port), or by name ("openai", "anthropic"). NULL: none of ours.
const struct sg_provider *sg_provider_by_host(const char *host, size_t length);
const struct sg_provider *sg_provider_by_name(const char *name);
// The i-th, of the built-in ones and those that were added; NULL past the end.
const struct sg_provider *sg_provider_at(size_t i);
const char *sg_provider_name(const struct sg_provider *provider);

// Has it hosts of its own, which calls can be sure to reach it by?
bool sg_provider_has_hosts(const struct sg_provider *provider);

// The i-th built-in host name, NULL past the end: for the name constraints of the CA.
const char *sg_provider_host(unsigned i);

// Is the host one of a provider's regions ("eu.api.openai.com"), which may have prices of its own?
bool sg_provider_is_region(const char *host, size_t length);

// `path` with query. Percent-escapes, doubled slashes and dot segments are normalised for matching
// only; a path that does not normalise is unknown.
struct sg_route sg_provider_route(
	const struct sg_provider *provider, struct sg_str method, struct sg_str path, bool upgrade);

// Does the header take parts out of the provider's answer?
bool sg_provider_header_filters(const struct sg_provider *provider, struct sg_str name);

// Where a call is made: the location in a path of Vertex, the region in a host of AWS. "" else.
void sg_provider_region(struct sg_str host, struct sg_str path, char out[32]);

struct sg_request_facts;

// Is all that the model will say and be billed for seen in the stream, and does the provider stop
// when its connection is closed? What is visible bounds the output then.
bool sg_provider_shows_output(const struct sg_provider *provider, const struct sg_api *api,
	const struct sg_request_facts *facts);

// Does a stream of the provider's own host tell at its start, exactly and once, what was read?
bool sg_provider_tells_input(const struct sg_provider *provider, const struct sg_api *api,
	const struct sg_request_facts *facts);

const char *sg_api_name(const struct sg_api *api);

// The vocabulary that the provider counts a model's text by; NULL: not known.
const struct sg_vocabulary *sg_provider_vocabulary(
	const struct sg_provider *provider, const char *model);

// ---- Request ----

enum sg_include_usage { SG_USAGE_NOT_NEEDED, SG_USAGE_ASKED, SG_USAGE_TO_ADD };

// What is billed by other things than tokens.
struct sg_units {
	int64_t images;
	int64_t characters;
	int64_t pages;
	int64_t milliseconds; // of sound
	int64_t containers;   // sessions of 20 minutes of those that the provider runs code in
};

// What the request allows.
struct sg_request_facts {
	bool is_object;			  // the body is one JSON object, well-formed to its end
	char model[SG_MODEL_BYTES];	  // "" if absent; the last of duplicate keys
	char other_model[SG_MODEL_BYTES]; // one before it that differs, "" none
	int64_t max_output;		  // -1: absent
	int64_t choices;		  // n; 1 when absent
	bool stream;
	bool background;
	bool thinks;	     // asks for reasoning, of which only a summary is shown
	bool fast;	     // Anthropic: speed fast
	bool asks_us;	     // Anthropic: inference_geo us
	bool unknown_path;   // that is in no table: set by whoever holds for it
	bool regional;	     // goes to a region's host: set by whoever knows the host
	bool cache_write;    // Anthropic: asks for cache writes,
	bool cache_write_1h; // some of them for an hour
	enum sg_include_usage include_usage;
	int64_t body_bytes; // decoded
	int64_t messages;   // elements of messages / input
	int64_t images;	    // image parts, by URL or inline
	bool tools;
	bool context_window; // input can't be bounded by bytes: take the context window
	int64_t known_input; // tokens, where something else than the body's bytes bounds what the
			     // context window would; 0: nothing does
	int64_t known_sound; // of these, at most; the others are text
	bool images_only;    // for pictures alone, which have a bound of their own
	int64_t image_bytes; // of the body: pictures in it
	int64_t text_bytes; // of the body: text whose tokens were counted (sg_input_tokens_finish),
	int64_t text_tokens; // these
	bool searches_web;   // once, without a tool; Gemini: by one, as often as the model likes
	bool searches_maps;  // Gemini: the same in Google's maps
	bool searches_files; // by the provider's own tool
	bool uses_for_a_fee; // a tool that has one for each use
	bool unbounded; // server-side loops or the like: no bound from the request; reasons tell
	bool unbounded_output; // even one answer has no limit
	int64_t tool_turns;    // hosted tool loop bound (max_tool_calls, max_uses); 0: none
	int64_t tool_queries;  // that these make, each for a fee; 0: one a turn
	int64_t prediction_bytes;
	int64_t search_units;	  // of a rerank, at most
	int64_t calls;		  // of a batch: how many it is; 1 for all others
	int64_t inputs;		  // of a list, each with a context window of its own; 0: one
	int64_t repeated_bytes;	  // of a rerank: the query, read once for each document
	bool batch;		  // at the batch price
	struct sg_units units;	  // at most
	char kind[SG_KIND_BYTES]; // of what is billed by the piece, as the price table names
				  // it: of a picture "hd/1792x1024", of a page
				  // SG_KIND_ANNOTATED, of a container its memory ("4g")
	int64_t partial_images;	  // that a stream shows before each
	bool unbounded_sound;	  // nothing tells how long it may be
	bool unbounded_input;	  // only what the provider takes bounds it
	bool can_limit;	     // the output limit can be set by an edit of the body, and is obeyed
	int64_t least_limit; // what is below it the provider refuses
	unsigned traits;     // of the provider, for the answer's reader
	char service_tier[24];
	bool priority_by_header; // Vertex
	char reasons[128];	 // comma-separated words: why the bound is not plain bytes
				 // ("image_url,mcp")
	char malformed[96];	 // why the body was not understood, when !is_object
};

// The facts of a call that an earlier process made, as far as a later answer is priced by them.
void sg_request_facts_of_earlier(
	const struct sg_provider *provider, const char *model, struct sg_request_facts *ret_facts);

struct sg_request_reader;

// `route` is metered; it is copied from.
// `content_type` of the body: a form is read as such, all else as JSON.
int sg_request_reader_new(const struct sg_route *route, struct sg_str content_type,
	struct sg_request_reader **ret_reader) SG_WUNRES;
struct sg_request_reader *sg_request_reader_free(struct sg_request_reader *reader);

// A header of the request, before its body: some ask for what costs more.
void sg_request_reader_header(
	struct sg_request_reader *reader, struct sg_str name, struct sg_str value);

// Decoded body bytes in any pieces. Returns 0 or -ENOMEM; what is wrong with the body shows in the
// facts.
int sg_request_reader_feed(
	struct sg_request_reader *reader, const char *bytes, size_t length) SG_WUNRES;

// End of body. *ret_edits asks for usage when facts->include_usage is SG_USAGE_TO_ADD, else it is
// empty.
void sg_request_reader_finish(struct sg_request_reader *reader, struct sg_request_facts *ret_facts,
	struct sg_request_edits *ret_edits);

// After the end: adds the edits that set the call's own output limit to `tokens`, in place of the
// one that it has or as a new member. Returns 0, or -ENOTSUP (facts->can_limit is false).
int sg_request_reader_limit(const struct sg_request_reader *reader, int64_t tokens,
	struct sg_request_edits *edits) SG_WUNRES;

// The tokens of a request's texts, in place of its bytes, where a bound by these is too loose: a
// second reading, in any pieces. Returns 0, -ENOTSUP (bytes are what bounds it) or -ENOMEM.
struct sg_input_tokens;
int sg_input_tokens_new(const struct sg_api *api, const struct sg_vocabulary *vocabulary,
	struct sg_input_tokens **ret_tokens) SG_WUNRES;
void sg_input_tokens_feed(struct sg_input_tokens *tokens, const char *bytes, size_t length);

// Puts them into the facts, and frees.
void sg_input_tokens_finish(struct sg_input_tokens *tokens, struct sg_request_facts *facts);

// ---- Response ----

enum sg_exchange_state {
	SG_EXCHANGE_SETTLED,	// usage is known exactly
	SG_EXCHANGE_ESTIMATED,	// no final usage: charge by policy
	SG_EXCHANGE_PENDING,	// a later GET tells
	SG_EXCHANGE_ERROR_FREE, // the provider failed and bills nothing
};

enum sg_usage_source {
	SG_SOURCE_NONE,
	SG_SOURCE_BODY,
	SG_SOURCE_HEADERS,
	SG_SOURCE_SSE,
	SG_SOURCE_NDJSON,
	SG_SOURCE_FRAMES,
	SG_SOURCE_MESSAGES, // of a WebSocket
};

// Disjoint token classes: input_tokens is uncached input only; reasoning is a part of output. -1:
// unknown.
struct sg_usage {
	char model[SG_MODEL_BYTES]; // the response's; "" unknown
	char service_tier[24];
	char speed[16];
	char inference_geo[16];
	enum sg_usage_source source;
	int64_t input_tokens;
	int64_t cache_read_tokens;
	int64_t cache_write_tokens; // 5 minutes, 30 minutes or unsplit
	int64_t cache_write_1h_tokens;
	int64_t output_tokens;
	int64_t reasoning_tokens;
	int64_t audio_input_tokens;	 // part of input
	int64_t audio_cache_read_tokens; // part of cache read
	int64_t image_cache_read_tokens; // part of cache read
	int64_t audio_output_tokens;	 // part of output
	int64_t web_search_requests;
	int64_t maps_requests;
	int64_t file_search_requests;
	int64_t image_input_tokens;	// part of input
	int64_t image_output_tokens;	// part of output
	int64_t search_units;		// of a rerank
	int64_t reasoning_apart_tokens; // reasoning that is not in output
	int64_t citation_tokens;	// that the provider charges apart
	struct sg_units units;
	char kind[SG_KIND_BYTES]; // as in the request's facts
};

#define SG_USAGE_MAX_LINES 8

struct sg_outcome {
	enum sg_exchange_state state;
	struct sg_usage usage; // totals; for an estimate what is known (Anthropic: input, and
			       // output so far)
	unsigned line_count; // > 0: priced by these (advisor, fallback: each its own model), usage
			     // is their sum
	struct sg_usage lines[SG_USAGE_MAX_LINES];
	int64_t visible_output_bytes; // text, reasoning text and tool arguments delivered
	char pending_id[SG_PENDING_ID_BYTES];
	bool regional; // as in the request's facts
	// What the provider itself says that the call costs: told only by its own host.
	bool provider_priced;
	int64_t provider_picousd;
	bool bad_evidence; // usage was there but negative, not a number, or over 2^53: refused
	const char *note;  // one word for the log, or NULL
};

struct sg_response_reader;

struct sg_response_options {
	const struct sg_api *api;
	const struct sg_request_facts *facts; // borrowed until free
	unsigned status;
	struct sg_str content_type;
	struct sg_str content_encoding; // "" : none
	bool messages;			// of a WebSocket, not of HTTP
	// Read only what settles the call: visible_output_bytes is not counted then.
	bool skim;
	// The stream may have to be ended before its end: everything is read, and only whole events
	// pass (a filter).
	bool may_end;
	const struct sg_vocabulary *vocabulary; // of such a stream's text; NULL: bytes bound it
	bool own_host; // the answer comes from the provider's own host: the price that it states
		       // counts
	bool remove_usage_chunk; // we asked for usage in the agent's place: take its chunk out
				 // again
};

int sg_response_reader_new(const struct sg_response_options *options,
	struct sg_response_reader **ret_reader) SG_WUNRES;
struct sg_response_reader *sg_response_reader_free(struct sg_response_reader *reader);

// A header of the answer, before its body: some tell usage there.
void sg_response_reader_header(
	struct sg_response_reader *reader, struct sg_str name, struct sg_str value);

// True when feed() must be given `out` and only what it appends goes to the agent (whole events,
// held until their end).
bool sg_response_reader_is_filter(const struct sg_response_reader *reader);

// Payload bytes (after transfer coding) in any pieces. Without a filter `out` is NULL and the bytes
// are only read. Returns 0 or -ENOMEM. A body that can't be understood is no error here: the
// outcome says so.
int sg_response_reader_feed(struct sg_response_reader *reader, const char *bytes, size_t length,
	struct sg_buf *out) SG_WUNRES;

// True once the stream's own end was seen ([DONE], message_stop, response.completed): what follows
// is no longer needed.
bool sg_response_reader_is_complete(const struct sg_response_reader *reader);

// The most tokens that were delivered so far, as text, reasoning text and tool arguments: by the
// vocabulary, or a byte each. Of what is not yet at a token's end the bytes count, so that it may
// fall by some.
int64_t sg_response_reader_visible_tokens(const struct sg_response_reader *reader);

// The tokens that the model read, as the stream told them before its output; -1: not told yet, or
// in a way that may change (sg_provider_tells_input).
int64_t sg_response_reader_input_tokens(const struct sg_response_reader *reader);

// True once the model was seen to do what is billed and not delivered (reasoning that is kept from
// the agent): what is visible bounds nothing then.
bool sg_response_reader_hides_output(const struct sg_response_reader *reader);

// What our own end of a stream says of it.
struct sg_stream_totals {
	int64_t input_tokens, output_tokens;
	int64_t wall_ns;
};

// Can the stream be ended here so that the agent's SDK takes it for one that reached its limit?
// Between events only, once it has begun, with `may_end`.
bool sg_response_reader_can_end(const struct sg_response_reader *reader);

// Appends the events that end the stream. What was read of an unfinished event is dropped; the
// reader is to be finished then, as cut. Returns 0, -ENOTSUP (it can't be ended here) or -ENOMEM.
int sg_response_reader_end(struct sg_response_reader *reader, const struct sg_stream_totals *totals,
	struct sg_buf *out) SG_WUNRES;

// End of the response; `complete` is false when it was cut (by either side). Filter: the rest goes
// to `out`.
int sg_response_reader_finish(struct sg_response_reader *reader, bool complete, struct sg_buf *out,
	struct sg_outcome *ret_outcome) SG_WUNRES;
