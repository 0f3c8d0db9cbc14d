// SPDX-License-Identifier: Apache-2.0
// Prices by the picture, the character, the page and the second (docs/prices.md).
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/money.h"
#include "provider/api.h"
#include "provider/price_table.h"

#define MAX_PRICE (INT64_C(50000) * 1000000)
#define MAX_COUNT (INT64_C(1) << 30)

#define MS_PER_HOUR 3600000

// In millionths of a pico-dollar.
#define PER_PICO  ((sg_wide)1000000)
#define PER_NANO  ((sg_wide)1000 * PER_PICO)
#define PER_MICRO ((sg_wide)1000 * PER_NANO)

// ---- Reading ----

static int read_price(const json_t *value, const char *place, const char *key, int64_t *ret_value,
	struct sg_error *error)
{
	const char *text = json_string_value(value);

	if (!text || sg_money_parse(text, strlen(text), 6, ret_value) < 0 || *ret_value > MAX_PRICE)
		return sg_error_set(error, -EINVAL,
			"%s: %s must be a decimal number in quotes, as \"2.5\"", place, key);
	return 0;
}

static int read_tokens(const json_t *value, const char *place, const char *key, int64_t *ret_value,
	struct sg_error *error)
{
	*ret_value = json_integer_value(value);
	if (!json_is_integer(value) || *ret_value <= 0 || *ret_value > MAX_COUNT)
		return sg_error_set(error, -EINVAL, "%s: %s must be a positive number", place, key);
	return 0;
}

typedef int (*read_fn)(const json_t *value, const char *place, const char *key, int64_t *ret_value,
	struct sg_error *error);

static int read_kinds(const json_t *object, const char *place, const char *key, read_fn read,
	struct sg_price_kind *kinds, unsigned *ret_count, struct sg_error *error)
{
	const char *name;
	json_t *value;
	int r = 0;

	if (!object)
		return 0;
	if (!json_is_object(object) || json_object_size(object) > SG_PRICE_KINDS)
		return sg_error_set(error, -EINVAL, "%s: %s must be an object of at most %d kinds",
			place, key, SG_PRICE_KINDS);
	json_object_foreach((json_t *)object, name, value)
	{
		struct sg_price_kind *kind = &kinds[*ret_count];

		if (strlen(name) >= sizeof(kind->name))
			return sg_error_set(
				error, -EINVAL, "%s: %s: \"%.60s\" is too long", place, key, name);
		strcpy(kind->name, name);
		r = read(value, place, name, &kind->value, error);
		if (r < 0)
			break;
		++*ret_count;
	}
	return r;
}

int sg_price_pieces_read(const json_t *model, const char *place,
	struct sg_price_pieces **ret_pieces, struct sg_error *error)
{
	struct sg_price_pieces read = { .next = NULL };
	const struct {
		const char *key;
		read_fn read;
		int64_t *value;
	} members[] = {
		{ "per_million_characters", read_price, &read.characters },
		{ "per_1k_pages", read_price, &read.pages },
		{ "per_1k_annotated_pages", read_price, &read.annotated_pages },
		{ "per_audio_hour", read_price, &read.audio_hour },
		{ "least_audio_ms", read_tokens, &read.least_audio_ms },
	};
	const json_t *images = json_object_get(model, "per_image");
	const json_t *tokens = json_object_get(model, "image_tokens");
	const json_t *containers = json_object_get(model, "per_container");
	bool any = images || tokens || containers;
	int r;

	*ret_pieces = NULL;
	r = read_kinds(
		images, place, "per_image", read_price, read.images, &read.image_count, error);
	if (r == 0)
		r = read_kinds(tokens, place, "image_tokens", read_tokens, read.image_tokens,
			&read.image_token_count, error);
	if (r == 0)
		r = read_kinds(containers, place, "per_container", read_price, read.containers,
			&read.container_count, error);
	for (size_t i = 0; r == 0 && i < SG_ARRAY_SIZE(members); i++) {
		const json_t *value = json_object_get(model, members[i].key);

		any = any || value;
		if (value)
			r = members[i].read(value, place, members[i].key, members[i].value, error);
	}
	if (r < 0 || !any)
		return r;
	*ret_pieces = malloc(sizeof(read));
	if (!*ret_pieces)
		return sg_error_set(error, -ENOMEM, "out of memory");
	**ret_pieces = read;
	return 0;
}

// ---- Costs ----

// Of the kind, or the largest where it is not in the list; -1: the list is empty.
static int64_t value_of(const struct sg_price_kind *kinds, unsigned count, const char *kind)
{
	int64_t largest = -1;

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(kinds[i].name, kind) == 0)
			return kinds[i].value;
		if (kinds[i].value > largest)
			largest = kinds[i].value;
	}
	return largest;
}

static sg_wide counted(int64_t count)
{
	return count < 0 ? 0 : count > SG_COUNT_MAX ? (sg_wide)SG_COUNT_MAX : (sg_wide)count;
}

int64_t sg_price_pieces_image_tokens(const struct sg_price_pieces *pieces, const char *kind)
{
	return pieces ? value_of(pieces->image_tokens, pieces->image_token_count, kind) : -1;
}

bool sg_price_pieces_know(const struct sg_price_pieces *pieces, const struct sg_units *units)
{
	static const struct sg_price_pieces none;

	pieces = pieces ? pieces : &none;
	return (!units->images || pieces->image_count) &&
	       (!units->containers || pieces->container_count) &&
	       (!units->characters || pieces->characters) &&
	       (!units->pages || pieces->pages || pieces->annotated_pages) &&
	       (!units->milliseconds || pieces->audio_hour);
}

sg_wide sg_price_pieces_cost(
	const struct sg_price_pieces *pieces, const struct sg_units *units, const char *kind)
{
	int64_t image, page, container, milliseconds = units->milliseconds;
	sg_wide sum = 0;

	if (!pieces)
		return 0;
	container = value_of(pieces->containers, pieces->container_count, kind);
	image = value_of(pieces->images, pieces->image_count, kind);
	page = strcmp(kind, SG_KIND_ANNOTATED) == 0 && pieces->annotated_pages
		       ? pieces->annotated_pages
		       : pieces->pages;
	if (milliseconds && milliseconds < pieces->least_audio_ms)
		milliseconds = pieces->least_audio_ms;
	sum += counted(units->images) * counted(image) * PER_MICRO;
	sum += counted(units->containers) * counted(container) * PER_MICRO;
	sum += counted(units->characters) * counted(pieces->characters) * PER_PICO;
	sum += counted(units->pages) * counted(page) * PER_NANO;
	sum += (counted(milliseconds) * counted(pieces->audio_hour) * PER_MICRO + MS_PER_HOUR - 1) /
	       MS_PER_HOUR;
	return sum;
}
