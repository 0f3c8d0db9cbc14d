// SPDX-License-Identifier: Apache-2.0
// The dated price table and what it makes of usage. Prices are pico-dollars a token, products are
// 128-bit, a call is rounded up once to nano-dollars. Immutable after loading: any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/charge.h"
#include "base/error.h"
#include "provider/provider.h"

#define SG_PRICE_ONE 1000000

struct sg_price_table;

#define SG_PRICE_KINDS 24

// What a piece costs or takes, by its kind ("hd/1792x1024").
struct sg_price_kind {
	char name[SG_KIND_BYTES];
	int64_t value;
};

// Of models that are billed by the piece, which are few.
struct sg_price_pieces {
	struct sg_price_pieces *next; // owned by the table
	unsigned image_count, image_token_count, container_count;
	struct sg_price_kind images[SG_PRICE_KINDS];	   // micro-dollars a picture
	struct sg_price_kind image_tokens[SG_PRICE_KINDS]; // output tokens a picture
	struct sg_price_kind containers[SG_PRICE_KINDS];   // micro-dollars a session
	int64_t characters;				   // pico-dollars a character
	int64_t pages;					   // nano-dollars a page
	int64_t annotated_pages;			   // the same of an annotated one
	int64_t audio_hour;				   // micro-dollars an hour of sound
	int64_t least_audio_ms;				   // that are billed of a call
};

// One model's prices in force from a date. Classes without a price of their own carry the price
// that is charged for them.
struct sg_price {
	char provider[24];
	char model[SG_MODEL_BYTES];
	int64_t from_ns;       // wall time of effect
	int64_t input, output; // pico-dollars a token, here and below
	int64_t cache_read, cache_write, cache_write_1h;
	int64_t audio_input, audio_output;
	int64_t image_input, image_output;
	int64_t audio_cache_read, image_cache_read;
	int64_t long_context_above; // input tokens in all; 0: no such tier
	int64_t long_input, long_output, long_cache_read, long_cache_write, long_cache_write_1h;
	int64_t web_search;	// nano-dollars a search; 0: none
	int64_t maps;		// the same of a prompt that maps were asked for
	int64_t file_search;	// the same of a search in files that the provider keeps
	bool always_searches;	// a search model: one search a call, asked for or not
	int64_t context_window; // tokens
	int64_t max_output;	// tokens
	// multipliers in 1/1,000,000 by service tier and kin; SG_PRICE_ONE where the provider has
	// no such thing
	int64_t flex, priority, batch, geo_us, fast, regional;
	bool has_priority;		      // the entry says what that tier costs
	const struct sg_price_pieces *pieces; // NULL: tokens only
	unsigned sequence;		      // in which it was read
};

// The table that is built in. Returns 0 or -errno.
int sg_price_table_builtin(struct sg_price_table **ret_table, struct sg_error *error) SG_WUNRES;

// The built-in table with entries of a file in the same format put over it. Errors name the entry.
int sg_price_table_load(
	const char *path, struct sg_price_table **ret_table, struct sg_error *error) SG_WUNRES;
struct sg_price_table *sg_price_table_free(struct sg_price_table *table);

// A table that is in use stays until it was given back as often as it was taken, and freed. Taking
// one needs a table that nobody frees at the same moment. NULL is none.
const struct sg_price_table *sg_price_table_take(const struct sg_price_table *table);
void sg_price_table_give_back(const struct sg_price_table *table);

// Its entries.
size_t sg_price_table_count(const struct sg_price_table *table);

// The price in force at `wall_ns`; exact name first, then the longest entry of which the name is a
// dated form (gpt-4o-2024-08-06 of gpt-4o, claude-x-20250514), then the same of the name without
// what stands in front of it ("models/", "apac.", an ARN), then the provider's entry "*". NULL:
// unknown.
const struct sg_price *sg_price_find(const struct sg_price_table *table, const char *provider,
	const char *model, int64_t wall_ns);

// Is the model billed by the piece alone, and no token of it?
bool sg_price_is_by_piece(const struct sg_price *price);

// Upper bound of a call: worst admissible input class, tier and modifiers, today's price or that of
// the next hour. What it takes for admissible is told in docs/prices.md.
// Returns 0, -ENOENT (no price) or -ERANGE (can't be bounded: facts->reasons tells).
int sg_price_bound(const struct sg_price_table *table, const struct sg_provider *provider,
	const struct sg_request_facts *facts, int64_t wall_ns,
	struct sg_charge *ret_charge) SG_WUNRES;

// Cost of what was used, by the response's model and tier (the request's model where the response
// names none or an unknown one). Returns 0 or -ENOENT (no price: charge the hold; *ret_charge has
// the tokens).
int sg_price_cost(const struct sg_price_table *table, const struct sg_provider *provider,
	const char *requested_model, const struct sg_outcome *outcome, int64_t wall_ns,
	struct sg_charge *ret_charge) SG_WUNRES;

// Did the answer name a dearer service tier that its model's entry has no price for? The plain
// price times a factor that no known tier reaches is charged then.
bool sg_price_guesses_tier(const struct sg_price_table *table, const struct sg_provider *provider,
	const char *requested_model, const struct sg_outcome *outcome, int64_t wall_ns);

// Upper bound of a cut call: its hold, with exact input in place of the bound where the provider
// told it; never less than what the provider did tell.
void sg_price_estimate(const struct sg_price_table *table, const struct sg_provider *provider,
	const struct sg_request_facts *facts, const struct sg_outcome *outcome,
	const struct sg_charge *bound, int64_t wall_ns, struct sg_charge *ret_charge);
