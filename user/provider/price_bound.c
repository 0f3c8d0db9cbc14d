// SPDX-License-Identifier: Apache-2.0
// From a request to the most that it may cost, and what is charged of a call that was cut
// (docs/prices.md).
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "provider/price_sums.h"

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

static bool is_bound(const struct sg_price *price, const struct sg_units *units)
{
	return !sg_price_is_by_piece(price) ||
	       (sg_price_has_pieces(units) && sg_price_pieces_know(price->pieces, units));
}

// Of a batch.
static int64_t calls_of(const struct sg_request_facts *facts)
{
	return sg_max_of(facts->calls, 1);
}

// All context windows that a request may fill: each call has one, and each input of a list.
static int64_t window_bound(const struct sg_price *price, const struct sg_request_facts *facts)
{
	sg_wide windows =
		(sg_wide)calls_of(facts) * (sg_wide)sg_max_of(sg_counted(facts->inputs), 1);
	sg_wide tokens = (sg_wide)price->context_window * windows;

	return tokens > (sg_wide)SG_COUNT_MAX ? SG_COUNT_MAX : (int64_t)tokens;
}

static int64_t input_bound(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t overhead = TOKENS_OVERHEAD + (facts->tools ? TOKENS_FOR_TOOLS : 0);
	int64_t window = window_bound(price, facts);
	int64_t image = facts->images_only ? sg_image_tokens(price) : 0;

	// What a hosted tool finds is read by the next turn of its loop.
	if (facts->known_input > 0 && !facts->tool_turns)
		return sg_min_of(window, sg_money_add(facts->known_input, overhead));
	if ((facts->context_window && !facts->images_only) || image < 0 || facts->tool_turns)
		return window;
	return sg_min_of(window,
		sg_counted(facts->body_bytes) - sg_counted(facts->image_bytes) -
			sg_counted(facts->text_bytes) + sg_counted(facts->text_tokens) +
			sg_counted(facts->repeated_bytes) + image * sg_counted(facts->images) +
			TOKENS_PER_MESSAGE * sg_counted(facts->messages) +
			overhead * calls_of(facts));
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
	int64_t choices = sg_max_of(facts->choices, 1);
	int64_t predicted = sg_min_of(sg_counted(facts->prediction_bytes), price->context_window);

	if (facts->max_output >= 0 && price->image_output > price->output)
		one = sg_max_of(one, TOKENS_OF_PICTURE);
	one += sg_counted(facts->partial_images) * TOKENS_OF_PARTIAL_IMAGE;
	return sg_min_of(one, price->context_window * calls_of(facts)) * choices + predicted;
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
		return sg_max_of(price->priority, SG_PRICE_ONE);
	return strcmp(facts->service_tier, "auto") == 0 &&
			       !(facts->traits & SG_TRAIT_PREPAID_PRIORITY)
		       ? SG_UNPRICED_TIER
		       : SG_PRICE_ONE;
}

// What a search costs is not told: neither here nor, later, by the provider.
static bool is_search_unpriced(const struct sg_price *price, const struct sg_request_facts *facts)
{
	static const unsigned states_cost =
		SG_TRAIT_COST | SG_TRAIT_COST_TOTAL | SG_TRAIT_COST_TICKS;

	return facts->searches_web && !price->web_search && !sg_price_is_free(price) &&
	       !(facts->traits & states_cost);
}

// The dearest modifier that the answer may come back with.
static int64_t worst_multiplier(const struct sg_price *price, const struct sg_request_facts *facts)
{
	int64_t multiplier = dearest_tier(price, facts);

	if (facts->batch)
		multiplier = price->batch;
	multiplier = sg_times_up(multiplier, sg_max_of(price->geo_us, SG_PRICE_ONE));
	if (facts->regional)
		multiplier = sg_times_up(multiplier, price->regional);
	return facts->fast ? sg_times_up(multiplier, sg_max_of(price->fast, SG_PRICE_ONE))
			   : multiplier;
}

// Anthropic writes to its cache only where the request asks for it; others do so by themselves.
static int64_t dearest_text(const struct sg_price *price, const struct sg_class_prices *prices,
	const struct sg_request_facts *facts)
{
	bool asks = strcmp(price->provider, "anthropic") == 0;
	int64_t dearest = sg_max_of(prices->input, prices->cache_read);

	if (!asks || facts->cache_write)
		dearest = sg_max_of(dearest, prices->cache_write);
	if (!asks || facts->cache_write_1h)
		dearest = sg_max_of(dearest, prices->cache_write_1h);
	return dearest;
}

static int64_t dearest_input(const struct sg_price *price, const struct sg_class_prices *prices,
	const struct sg_request_facts *facts)
{
	int64_t dearest = sg_max_of(price->audio_input, price->image_input);

	dearest = sg_max_of(dearest, sg_max_of(price->audio_cache_read, price->image_cache_read));
	return sg_max_of(dearest, dearest_text(price, prices, facts));
}

// Of one use of a tool that the provider runs.
static int64_t dearest_fee(const struct sg_price *price)
{
	return sg_max_of(price->web_search, sg_max_of(price->maps, price->file_search));
}

static int64_t bound_money(const struct sg_price *price, const struct sg_request_facts *facts,
	int64_t input, int64_t output)
{
	int64_t turns = 1 + facts->tool_turns;
	// The answer tells the sum of all turns, and is priced by it.
	struct sg_class_prices prices = sg_prices_for(price, input * turns);
	bool searches = price->always_searches || facts->searches_web;
	int64_t text =
		facts->known_input > 0 ? sg_max_of(input - sg_counted(facts->known_sound), 0) : 0;
	sg_wide sum = (sg_wide)(input - text) * (sg_wide)dearest_input(price, &prices, facts);

	sum += (sg_wide)text * (sg_wide)dearest_text(price, &prices, facts);
	sum += (sg_wide)output * (sg_wide)sg_max_of(sg_max_of(prices.output, price->audio_output),
					 price->image_output);
	sum *= (sg_wide)worst_multiplier(price, facts) * (sg_wide)turns;
	sum += sg_price_pieces_cost(price->pieces, &facts->units, facts->kind);
	sum += ((sg_wide)sg_max_of(facts->tool_turns, facts->tool_queries) *
			       (sg_wide)dearest_fee(price) +
		       (sg_wide)(searches + sg_counted(facts->search_units)) *
			       (sg_wide)price->web_search) *
	       SG_PICO_PER_NANO * SG_PRICE_ONE;
	return sg_to_nanousd(sum);
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
	charge->nanousd = sg_max_of(charge->nanousd, other->nanousd);
	charge->input_tokens = sg_max_of(charge->input_tokens, other->input_tokens);
	charge->output_tokens = sg_max_of(charge->output_tokens, other->output_tokens);
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

	usage->output_tokens = sg_max_of(bound->output_tokens, usage->output_tokens);
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
	const struct sg_price *price = sg_price_find_used(
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
