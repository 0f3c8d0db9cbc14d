// SPDX-License-Identifier: Apache-2.0
// What the readers of requests and answers know so far. Not for other modules.
#pragma once

#include "base/buf.h"
#include "http/frames.h"
#include "http/inflate.h"
#include "http/multipart.h"
#include "http/sse.h"
#include "provider/json_scan.h"
#include "provider/provider.h"
#include "provider/sound.h"

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
	// the part of a message that is being read
	struct {
		bool is_image, is_media, is_taken;
	} part;
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
