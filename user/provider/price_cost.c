// SPDX-License-Identifier: Apache-2.0
// From usage to money, and from a request to the most that it may cost (docs/prices.md).
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"
#include "provider/api.h"
#include "provider/price_table.h"

#define PICO_PER_NANO 1000

// Chat framing and hidden text of the provider's templates, in tokens.
#define TOKENS_PER_MESSAGE 64
#define TOKENS_OVERHEAD	   256
#define TOKENS_FOR_TOOLS   1500

// A call that is dispatched now may be billed at the price of its end.
#define LONGEST_CALL_NS (3600 * SG_NS_PER_SEC)

// More than any provider takes; a request that asks for more has no bound.
#define MAX_CALLS	   100000
#define MAX_CHOICES	   100000
#define MAX_PARTIAL_IMAGES 1024
#define MAX_TOOL_TURNS	   1000

// What a stream shows of a picture before it is whole.
#define TOKENS_OF_PARTIAL_IMAGE 100

// A picture within an answer may be drawn whole, whatever limit the request has.
#define TOKENS_OF_PICTURE 4096

// Of a dearer tier that the model's entry has no price for: as the dearest of all that have one.
#define UNPRICED_TIER (5 * (int64_t)SG_PRICE_ONE / 2)

typedef sg_wide wide;

struct class_prices {
	int64_t input, output, cache_read, cache_write, cache_write_1h;
};

static struct class_prices prices_for(const struct sg_price *price, int64_t total_input)
{
	// The whole request is at the higher rate, not the part above the threshold.
	if (price->long_context_above && total_input > price->long_context_above)
		return (struct class_prices){ price->long_input, price->long_output,
			price->long_cache_read, price->long_cache_write,
			price->long_cache_write_1h };
	return (struct class_prices){ price->input, price->output, price->cache_read,
		price->cache_write, price->cache_write_1h };
}

static int64_t max_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t min_of(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// A counter as evidence: unknown is none, and above 2^53 it is no evidence.
static int64_t counted(int64_t count)
{
	return min_of(max_of(count, 0), SG_COUNT_MAX);
}

static int64_t total_input(const struct sg_usage *usage)
{
	return counted(usage->input_tokens) + counted(usage->cache_read_tokens) +
	       counted(usage->cache_write_tokens) + counted(usage->cache_write_1h_tokens);
}

// Product of two multipliers, rounded up.
static int64_t times_up(int64_t a, int64_t b)
{
	return (int64_t)(((wide)a * (wide)b + SG_PRICE_ONE - 1) / SG_PRICE_ONE);
}

// Sum in millionths of a pico-dollar, rounded up once.
static int64_t to_nanousd(wide scaled)
{
	wide unit = (wide)PICO_PER_NANO * SG_PRICE_ONE;
	wide nano = (scaled + unit - 1) / unit;

	return nano > (wide)SG_MONEY_MAX ? SG_MONEY_MAX : (int64_t)nano;
}

// ---- What was used ----

static bool is_dear_tier(const struct sg_provider *provider, const char *tier)
{
	return !sg_is_plain_tier(tier) &&
	       !(sg_provider_traits(provider) & SG_TRAIT_PREPAID_PRIORITY);
}

static int64_t tier_multiplier(const struct sg_provider *provider, const struct sg_price *price,
	const struct sg_usage *usage, bool regional)
{
	int64_t multiplier = SG_PRICE_ONE;

	if (strcmp(usage->service_tier, "flex") == 0)
		multiplier = price->flex;
	else if (strcmp(usage->service_tier, "batch") == 0)
		multiplier = price->batch;
	else if (price->has_priority && !sg_is_plain_tier(usage->service_tier))
		multiplier = price->priority;
	else if (is_dear_tier(provider, usage->service_tier))
		multiplier = UNPRICED_TIER;
	if (strcmp(usage->speed, "fast") == 0)
		multiplier = times_up(multiplier, price->fast);
	if (strcmp(usage->inference_geo, "us") == 0)
		multiplier = times_up(multiplier, price->geo_us);
	return regional ? times_up(multiplier, price->regional) : multiplier;
}

// Millionths of a pico-dollar.
static wide cost_of(const struct sg_provider *provider, const struct sg_price *price,
	const struct sg_usage *usage, bool regional)
{
	int64_t input = counted(usage->input_tokens), output = counted(usage->output_tokens);
	int64_t audio_input = min_of(counted(usage->audio_input_tokens), input);
	int64_t audio_output = min_of(counted(usage->audio_output_tokens), output);
	int64_t image_input = min_of(counted(usage->image_input_tokens), input - audio_input);
	int64_t image_output = min_of(counted(usage->image_output_tokens), output - audio_output);
	int64_t cached = counted(usage->cache_read_tokens);
	int64_t audio_cached = min_of(counted(usage->audio_cache_read_tokens), cached);
	int64_t image_cached =
		min_of(counted(usage->image_cache_read_tokens), cached - audio_cached);
	int64_t searches = max_of(counted(usage->web_search_requests), price->always_searches);
	struct class_prices prices = prices_for(price, total_input(usage));
	wide sum = 0, fees;

	sum += (wide)(input - audio_input - image_input) * (wide)prices.input;
	sum += (wide)image_input * (wide)max_of(price->image_input, prices.input);
	sum += (wide)audio_input * (wide)max_of(price->audio_input, prices.input);
	sum += (wide)(cached - audio_cached - image_cached) * (wide)prices.cache_read;
	sum += (wide)audio_cached * (wide)max_of(price->audio_cache_read, prices.cache_read);
	sum += (wide)image_cached * (wide)max_of(price->image_cache_read, prices.cache_read);
	sum += (wide)counted(usage->cache_write_tokens) * (wide)prices.cache_write;
	sum += (wide)counted(usage->cache_write_1h_tokens) * (wide)prices.cache_write_1h;
	sum += (wide)(output - audio_output - image_output) * (wide)prices.output;
	sum += (wide)image_output * (wide)max_of(price->image_output, prices.output);
	sum += (wide)audio_output * (wide)max_of(price->audio_output, prices.output);
	sum += (wide)counted(usage->reasoning_apart_tokens) * (wide)prices.output;
	sum *= (wide)tier_multiplier(provider, price, usage, regional);
	sum += sg_price_pieces_cost(price->pieces, &usage->units, usage->kind);
	// Fees are per use, whatever the tier.
	searches += counted(usage->search_units);
	fees = (wide)searches * (wide)price->web_search +
	       (wide)counted(usage->maps_requests) * (wide)price->maps +
	       (wide)counted(usage->file_search_requests) * (wide)price->file_search;
	return sum + fees * PICO_PER_NANO * SG_PRICE_ONE;
}

// Zeros without pieces are the price of a server that costs nothing.
static bool is_free(const struct sg_price *price)
{
	return !price->input && !price->output && !price->pieces;
}

bool sg_price_is_by_piece(const struct sg_price *price)
{
	return !price->input && !price->output && price->pieces;
}

static bool has_pieces(const struct sg_units *units)
{
	return units->images || units->characters || units->pages || units->milliseconds;
}

// What the entry has no price for would be nothing: only an entry of zeros says that. A model that
// is billed by the piece alone has no price for tokens, one by tokens none for what is told without
// them. Pictures are told beside their tokens too; sound and containers beside those of the text.
static bool is_priced(const struct sg_price *price, const struct sg_usage *usage)
{
	bool tokens = usage->input_tokens > 0 || usage->output_tokens > 0;
	struct sg_units units = usage->units;

	if (is_free(price))
		return true;
	if (sg_price_is_by_piece(price) && tokens && !has_pieces(&units))
		return false;
	if (!sg_price_is_by_piece(price) && tokens)
		units = (struct sg_units){ .milliseconds = units.milliseconds,
			.containers = units.containers };
	return sg_price_pieces_know(price->pieces, &units);
}

static bool is_bound(const struct sg_price *price, const struct sg_units *units)
{
	return !sg_price_is_by_piece(price) ||
	       (has_pieces(units) && sg_price_pieces_know(price->pieces, units));
}

// Known to have used nothing, as a batch whose calls were all canceled.
static bool is_nothing(const struct sg_usage *usage)
{
	const struct sg_units *units = &usage->units;

	return usage->input_tokens == 0 && usage->output_tokens == 0 && !total_input(usage) &&
	       !usage->reasoning_apart_tokens && !usage->web_search_requests &&
	       !usage->maps_requests && !usage->file_search_requests && !usage->search_units &&
	       !units->images && !units->characters && !units->pages && !units->milliseconds &&
	       !units->containers;
}

static const struct sg_price *find_used(const struct sg_price_table *table, const char *provider,
	const char *model, const char *requested_model, int64_t wall_ns)
{
	const struct sg_price *price = sg_price_find(table, provider, model, wall_ns);

	return price ? price : sg_price_find(table, provider, requested_model, wall_ns);
}

// A deployment's own entry is the operator's word of what it costs; what stands for all is none.
static const struct sg_price *find_deployment(const struct sg_price_table *table,
	const struct sg_provider *provider, const char *name, int64_t wall_ns)
{
	const struct sg_price *price = NULL;

	if (sg_provider_traits(provider) & SG_TRAIT_DEPLOYMENTS)
		price = sg_price_find(table, sg_provider_name(provider), name, wall_ns);
	return price && strcmp(price->model, "*") != 0 ? price : NULL;
}

static wide dearer_cost(const struct sg_provider *provider, const struct sg_price *price,
	const struct sg_price *other, const struct sg_usage *usage, bool regional)
{
	wide cost = cost_of(provider, price, usage, regional), other_cost = 0;

	if (other && is_priced(other, usage))
		other_cost = cost_of(provider, other, usage, regional);
	return other_cost > cost ? other_cost : cost;
}

int sg_price_cost(const struct sg_price_table *table, const struct sg_provider *provider,
	const char *requested_model, const struct sg_outcome *outcome, int64_t wall_ns,
	struct sg_charge *ret_charge)
{
	const char *name = sg_provider_name(provider);
	const struct sg_usage *usage = &outcome->usage;
	const struct sg_usage *lines = outcome->line_count ? outcome->lines : usage;
	unsigned count = outcome->line_count ? outcome->line_count : 1;
	const struct sg_price *deployment =
		find_deployment(table, provider, requested_model, wall_ns);
	wide sum = 0;

	*ret_charge = (struct sg_charge){ .input_tokens = total_input(usage),
		.output_tokens =
			counted(usage->output_tokens) + counted(usage->reasoning_apart_tokens),
		.requests = 1 };
	// Who states the price has it right.
	if (outcome->provider_priced) {
		ret_charge->nanousd = to_nanousd((wide)outcome->provider_picousd * SG_PRICE_ONE);
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct sg_price *price =
			find_used(table, name, lines[i].model, requested_model, wall_ns);

		if (!price && is_nothing(&lines[i]))
			continue;
		if (!price || !is_priced(price, &lines[i]))
			return -ENOENT;
		sum += dearer_cost(provider, price, deployment, &lines[i], outcome->regional);
	}
	ret_charge->nanousd = to_nanousd(sum);
	return 0;
}

bool sg_price_guesses_tier(const struct sg_price_table *table, const struct sg_provider *provider,
	const char *requested_model, const struct sg_outcome *outcome, int64_t wall_ns)
{
	const struct sg_usage *usage = &outcome->usage;
	const struct sg_price *price;

	if (outcome->provider_priced || !is_dear_tier(provider, usage->service_tier))
		return false;
	price = find_used(
		table, sg_provider_name(provider), usage->model, requested_model, wall_ns);
	return price && !price->has_priority && (price->input || price->output);
}

// ---- The most that may be used ----

// Of a batch.
static int64_t calls_of(const struct sg_request_facts *facts)
{
	return max_of(facts->calls, 1);
}

// All context windows that a request may fill: each call has one, and each input of a list.
static int64_t window_bound(const struct sg_price *price, const struct sg_request_facts *facts)
{
	wide windows = (wide)calls_of(facts) * (wide)max_of(counted(facts->inputs), 1);
	wide tokens = (wide)price->context_window * windows;

	return tokens > (wide)SG_COUNT_MAX ? SG_COUNT_MAX : (int64_t)tokens;
}

static int64_t input_bound(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t overhead = TOKENS_OVERHEAD + (facts->tools ? TOKENS_FOR_TOOLS : 0);
	int64_t window = window_bound(price, facts);
	int64_t image = facts->images_only ? sg_image_tokens(price) : 0;

	// What a hosted tool finds is read by the next turn of its loop.
	if (facts->known_input > 0 && !facts->tool_turns)
		return min_of(window, sg_money_add(facts->known_input, overhead));
	if ((facts->context_window && !facts->images_only) || image < 0 || facts->tool_turns)
		return window;
	return min_of(window,
		counted(facts->body_bytes) - counted(facts->image_bytes) -
			counted(facts->text_bytes) + counted(facts->text_tokens) +
			counted(facts->repeated_bytes) + image * counted(facts->images) +
			TOKENS_PER_MESSAGE * counted(facts->messages) + overhead * calls_of(facts));
}

// The request's own limit counts also above the table's: headers of the provider raise a model's
// maximum, its context window never.
static int64_t output_bound(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t image = sg_price_pieces_image_tokens(price->pieces, facts->kind);
	int64_t one = facts->max_output >= 0		  ? facts->max_output
		      : image >= 0 && facts->units.images ? image
		      : sg_price_is_by_piece(price)	  ? 0
							  : price->max_output;
	int64_t choices = max_of(facts->choices, 1);
	int64_t predicted = min_of(counted(facts->prediction_bytes), price->context_window);

	if (facts->max_output >= 0 && price->image_output > price->output)
		one = max_of(one, TOKENS_OF_PICTURE);
	one += counted(facts->partial_images) * TOKENS_OF_PARTIAL_IMAGE;
	return min_of(one, price->context_window * calls_of(facts)) * choices + predicted;
}

static bool may_be_priority(const struct sg_request_facts *facts)
{
	return (facts->traits & SG_TRAIT_TIER_BY_HEADER) || sg_request_asks_dearer_tier(facts) ||
	       strcmp(facts->service_tier, "auto") == 0;
}

// A dearer tier that the table has no price for has no bound; but nothing is dearer than nothing.
static bool is_tier_unpriced(const struct sg_price *price, const struct sg_request_facts *facts)
{
	return sg_request_asks_dearer_tier(facts) && !price->has_priority &&
	       (price->input || price->output);
}

static int64_t dearest_tier(const struct sg_price *price, const struct sg_request_facts *facts)
{
	if (!may_be_priority(facts))
		return SG_PRICE_ONE;
	if (price->has_priority)
		return max_of(price->priority, SG_PRICE_ONE);
	return strcmp(facts->service_tier, "auto") == 0 &&
			       !(facts->traits & SG_TRAIT_PREPAID_PRIORITY)
		       ? UNPRICED_TIER
		       : SG_PRICE_ONE;
}

// What a search costs is not told: neither here nor, later, by the provider.
static bool is_search_unpriced(const struct sg_price *price, const struct sg_request_facts *facts)
{
	static const unsigned states_cost =
		SG_TRAIT_COST | SG_TRAIT_COST_TOTAL | SG_TRAIT_COST_TICKS;

	return facts->searches_web && !price->web_search && !is_free(price) &&
	       !(facts->traits & states_cost);
}

// The dearest modifier that the answer may come back with.
static int64_t worst_multiplier(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t multiplier = dearest_tier(price, facts);

	if (facts->batch)
		multiplier = price->batch;
	multiplier = times_up(multiplier, max_of(price->geo_us, SG_PRICE_ONE));
	if (facts->regional)
		multiplier = times_up(multiplier, price->regional);
	return facts->fast ? times_up(multiplier, max_of(price->fast, SG_PRICE_ONE)) : multiplier;
}

// Anthropic writes to its cache only where the request asks for it; others do so by themselves.
static int64_t dearest_text(const struct sg_price *price, const struct class_prices *prices,
	const struct sg_request_facts *facts)
{
	bool asks = strcmp(price->provider, "anthropic") == 0;
	int64_t dearest = max_of(prices->input, prices->cache_read);

	if (!asks || facts->cache_write)
		dearest = max_of(dearest, prices->cache_write);
	if (!asks || facts->cache_write_1h)
		dearest = max_of(dearest, prices->cache_write_1h);
	return dearest;
}

static int64_t dearest_input(const struct sg_price *price, const struct class_prices *prices,
	const struct sg_request_facts *facts)
{
	int64_t dearest = max_of(price->audio_input, price->image_input);

	dearest = max_of(dearest, max_of(price->audio_cache_read, price->image_cache_read));
	return max_of(dearest, dearest_text(price, prices, facts));
}

// Of one use of a tool that the provider runs.
static int64_t dearest_fee(const struct sg_price *price)
{
	return max_of(price->web_search, max_of(price->maps, price->file_search));
}

static int64_t bound_money(const struct sg_price *price, const struct sg_request_facts *facts,
	int64_t input, int64_t output)
{
	int64_t turns = 1 + facts->tool_turns;
	// The answer tells the sum of all turns, and is priced by it.
	struct class_prices prices = prices_for(price, input * turns);
	bool searches = price->always_searches || facts->searches_web;
	int64_t text = facts->known_input > 0 ? max_of(input - counted(facts->known_sound), 0) : 0;
	wide sum = (wide)(input - text) * (wide)dearest_input(price, &prices, facts);

	sum += (wide)text * (wide)dearest_text(price, &prices, facts);
	sum += (wide)output *
	       (wide)max_of(max_of(prices.output, price->audio_output), price->image_output);
	sum *= (wide)worst_multiplier(price, facts) * (wide)turns;
	sum += sg_price_pieces_cost(price->pieces, &facts->units, facts->kind);
	sum += ((wide)max_of(facts->tool_turns, facts->tool_queries) * (wide)dearest_fee(price) +
		       (wide)(searches + counted(facts->search_units)) * (wide)price->web_search) *
	       PICO_PER_NANO * SG_PRICE_ONE;
	return to_nanousd(sum);
}

static struct sg_charge bound_at(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t input = input_bound(price, facts), output = output_bound(price, facts);

	return (struct sg_charge){ .nanousd = bound_money(price, facts, input, output),
		.input_tokens = input * (1 + facts->tool_turns),
		.output_tokens = output * (1 + facts->tool_turns),
		.requests = 1 };
}

static void take_dearer(struct sg_charge *charge, const struct sg_charge *other)
{
	charge->nanousd = max_of(charge->nanousd, other->nanousd);
	charge->input_tokens = max_of(charge->input_tokens, other->input_tokens);
	charge->output_tokens = max_of(charge->output_tokens, other->output_tokens);
}

static int bound_of_model(const struct sg_price_table *table, const char *provider,
	const char *model, const struct sg_request_facts *facts, int64_t wall_ns,
	struct sg_charge *ret_charge)
{
	const struct sg_price *price = sg_price_find(table, provider, model, wall_ns);
	const struct sg_price *later =
		sg_price_find(table, provider, model, wall_ns + LONGEST_CALL_NS);
	struct sg_charge dearer;

	if (!price || !is_bound(price, &facts->units))
		return -ENOENT;
	// What has no end costs nothing only where output does, and a fee that is not known is no
	// bound.
	if ((facts->searches_files && !price->file_search) ||
		(facts->uses_for_a_fee && !dearest_fee(price)))
		return -ERANGE;
	if (is_search_unpriced(price, facts))
		return -ERANGE;
	if (facts->units.containers && (!price->pieces || !price->pieces->container_count))
		return -ERANGE;
	if (facts->unbounded_sound && price->pieces && price->pieces->audio_hour)
		return -ERANGE;
	if (facts->unbounded || is_tier_unpriced(price, facts) ||
		(facts->unbounded_output && price->output) || facts->tool_turns < 0 ||
		facts->tool_turns > MAX_TOOL_TURNS || facts->calls > MAX_CALLS ||
		facts->choices > MAX_CHOICES || facts->units.images > MAX_CHOICES ||
		facts->partial_images > MAX_PARTIAL_IMAGES)
		return -ERANGE;
	*ret_charge = bound_at(price, facts);
	if (later == price)
		return 0;
	dearer = bound_at(later, facts);
	take_dearer(ret_charge, &dearer);
	return 0;
}

int sg_price_bound(const struct sg_price_table *table, const struct sg_provider *provider,
	const struct sg_request_facts *facts, int64_t wall_ns, struct sg_charge *ret_charge)
{
	const char *name = sg_provider_name(provider);
	struct sg_charge other;
	int r = bound_of_model(table, name, facts->model, facts, wall_ns, ret_charge);
	int other_r;

	if (!facts->other_model[0])
		return r;
	// Either may answer, and one without a price has no bound.
	other_r = bound_of_model(table, name, facts->other_model, facts, wall_ns, &other);
	if (r < 0 || other_r < 0)
		return -ERANGE;
	take_dearer(ret_charge, &other);
	return 0;
}

// The usage that was told, with the dearest end that the call may have had where it was cut. Of
// what kind the output was to be is not known either.
static void assume_worst(struct sg_usage *usage, const struct sg_price *price,
	const struct sg_request_facts *facts, const struct sg_charge *bound)
{
	bool sound = price && price->audio_output > price->image_output;

	usage->output_tokens = max_of(bound->output_tokens, usage->output_tokens);
	usage->audio_output_tokens = sound ? usage->output_tokens : 0;
	usage->image_output_tokens = sound ? 0 : usage->output_tokens;
	if (!usage->service_tier[0] && price && dearest_tier(price, facts) > SG_PRICE_ONE)
		strcpy(usage->service_tier, "priority");
	if (!usage->speed[0] && facts->fast)
		strcpy(usage->speed, "fast");
	if (!usage->inference_geo[0])
		strcpy(usage->inference_geo, "us");
}

void sg_price_estimate(const struct sg_price_table *table, const struct sg_provider *provider,
	const struct sg_request_facts *facts, const struct sg_outcome *outcome,
	const struct sg_charge *bound, int64_t wall_ns, struct sg_charge *ret_charge)
{
	const struct sg_price *price = find_used(
		table, sg_provider_name(provider), outcome->usage.model, facts->model, wall_ns);
	struct sg_outcome worst = *outcome;
	struct sg_charge told, charge;

	*ret_charge = *bound;
	// What is told and has no price may be anything.
	if (outcome->bad_evidence || outcome->usage.input_tokens < 0 ||
		sg_price_cost(table, provider, facts->model, outcome, wall_ns, &told) < 0)
		return;
	// Where the provider told the input before the cut, only the output is uncertain; hosted
	// tools may have looped further, and what nothing bounds may have come to anything.
	worst.line_count = 0;
	assume_worst(&worst.usage, price, facts, bound);
	if (!facts->tool_turns && !facts->unbounded &&
		sg_price_cost(table, provider, facts->model, &worst, wall_ns, &charge) == 0 &&
		charge.nanousd < ret_charge->nanousd)
		*ret_charge = charge;
	if (told.nanousd > ret_charge->nanousd)
		*ret_charge = told;
}
