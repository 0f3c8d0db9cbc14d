// SPDX-License-Identifier: Apache-2.0
// From usage to money (docs/prices.md).
#include <errno.h>
#include <string.h>

#include "provider/price_sums.h"

static int64_t total_input(const struct sg_usage *usage)
{
	return sg_counted(usage->input_tokens) + sg_counted(usage->cache_read_tokens) +
	       sg_counted(usage->cache_write_tokens) + sg_counted(usage->cache_write_1h_tokens);
}

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
		multiplier = SG_UNPRICED_TIER;
	if (strcmp(usage->speed, "fast") == 0)
		multiplier = sg_times_up(multiplier, price->fast);
	if (strcmp(usage->inference_geo, "us") == 0)
		multiplier = sg_times_up(multiplier, price->geo_us);
	return regional ? sg_times_up(multiplier, price->regional) : multiplier;
}

// Millionths of a pico-dollar.
static sg_wide cost_of(const struct sg_provider *provider, const struct sg_price *price,
	const struct sg_usage *usage, bool regional)
{
	int64_t input = sg_counted(usage->input_tokens), output = sg_counted(usage->output_tokens);
	int64_t audio_input = sg_min_of(sg_counted(usage->audio_input_tokens), input);
	int64_t audio_output = sg_min_of(sg_counted(usage->audio_output_tokens), output);
	int64_t image_input = sg_min_of(sg_counted(usage->image_input_tokens), input - audio_input);
	int64_t image_output =
		sg_min_of(sg_counted(usage->image_output_tokens), output - audio_output);
	int64_t cached = sg_counted(usage->cache_read_tokens);
	int64_t audio_cached = sg_min_of(sg_counted(usage->audio_cache_read_tokens), cached);
	int64_t image_cached =
		sg_min_of(sg_counted(usage->image_cache_read_tokens), cached - audio_cached);
	int64_t searches =
		sg_max_of(sg_counted(usage->web_search_requests), price->always_searches);
	struct sg_class_prices prices = sg_prices_for(price, total_input(usage));
	sg_wide sum = 0, fees;

	sum += (sg_wide)(input - audio_input - image_input) * (sg_wide)prices.input;
	sum += (sg_wide)image_input * (sg_wide)sg_max_of(price->image_input, prices.input);
	sum += (sg_wide)audio_input * (sg_wide)sg_max_of(price->audio_input, prices.input);
	sum += (sg_wide)(cached - audio_cached - image_cached) * (sg_wide)prices.cache_read;
	sum += (sg_wide)audio_cached *
	       (sg_wide)sg_max_of(price->audio_cache_read, prices.cache_read);
	sum += (sg_wide)image_cached *
	       (sg_wide)sg_max_of(price->image_cache_read, prices.cache_read);
	sum += (sg_wide)sg_counted(usage->cache_write_tokens) * (sg_wide)prices.cache_write;
	sum += (sg_wide)sg_counted(usage->cache_write_1h_tokens) * (sg_wide)prices.cache_write_1h;
	sum += (sg_wide)(output - audio_output - image_output) * (sg_wide)prices.output;
	sum += (sg_wide)image_output * (sg_wide)sg_max_of(price->image_output, prices.output);
	sum += (sg_wide)audio_output * (sg_wide)sg_max_of(price->audio_output, prices.output);
	sum += (sg_wide)sg_counted(usage->reasoning_apart_tokens) * (sg_wide)prices.output;
	sum *= (sg_wide)tier_multiplier(provider, price, usage, regional);
	sum += sg_price_pieces_cost(price->pieces, &usage->units, usage->kind);
	// Fees are per use, whatever the tier.
	searches += sg_counted(usage->search_units);
	fees = (sg_wide)searches * (sg_wide)price->web_search +
	       (sg_wide)sg_counted(usage->maps_requests) * (sg_wide)price->maps +
	       (sg_wide)sg_counted(usage->file_search_requests) * (sg_wide)price->file_search;
	return sum + fees * SG_PICO_PER_NANO * SG_PRICE_ONE;
}

bool sg_price_is_free(const struct sg_price *price)
{
	return !price->input && !price->output && !price->pieces;
}

bool sg_price_is_by_piece(const struct sg_price *price)
{
	return !price->input && !price->output && price->pieces;
}

bool sg_price_has_pieces(const struct sg_units *units)
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

	if (sg_price_is_free(price))
		return true;
	if (sg_price_is_by_piece(price) && tokens && !sg_price_has_pieces(&units))
		return false;
	if (!sg_price_is_by_piece(price) && tokens)
		units = (struct sg_units){ .milliseconds = units.milliseconds,
			.containers = units.containers };
	return sg_price_pieces_know(price->pieces, &units);
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

const struct sg_price *sg_price_find_used(const struct sg_price_table *table, const char *provider,
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

static sg_wide dearer_cost(const struct sg_provider *provider, const struct sg_price *price,
	const struct sg_price *other, const struct sg_usage *usage, bool regional)
{
	sg_wide cost = cost_of(provider, price, usage, regional), other_cost = 0;

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
	sg_wide sum = 0;

	*ret_charge = (struct sg_charge){ .input_tokens = total_input(usage),
		.output_tokens = sg_counted(usage->output_tokens) +
				 sg_counted(usage->reasoning_apart_tokens),
		.requests = 1 };
	// Who states the price has it right.
	if (outcome->provider_priced) {
		ret_charge->nanousd =
			sg_to_nanousd((sg_wide)outcome->provider_picousd * SG_PRICE_ONE);
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct sg_price *price =
			sg_price_find_used(table, name, lines[i].model, requested_model, wall_ns);

		if (!price && is_nothing(&lines[i]))
			continue;
		if (!price || !is_priced(price, &lines[i]))
			return -ENOENT;
		sum += dearer_cost(provider, price, deployment, &lines[i], outcome->regional);
	}
	ret_charge->nanousd = sg_to_nanousd(sum);
	return 0;
}

bool sg_price_guesses_tier(const struct sg_price_table *table, const struct sg_provider *provider,
	const char *requested_model, const struct sg_outcome *outcome, int64_t wall_ns)
{
	const struct sg_usage *usage = &outcome->usage;
	const struct sg_price *price;

	if (outcome->provider_priced || !is_dear_tier(provider, usage->service_tier))
		return false;
	price = sg_price_find_used(
		table, sg_provider_name(provider), usage->model, requested_model, wall_ns);
	return price && !price->has_priority && (price->input || price->output);
}
