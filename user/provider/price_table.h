// SPDX-License-Identifier: Apache-2.0
// The table's own shape. Not for other modules.
#pragma once

#include <stdatomic.h>

#include "provider/price.h"

struct sg_price_table {
	_Atomic unsigned taken; // beside its owner
	size_t count;
	struct sg_price *prices;	// sorted by provider, model, from_ns
	struct sg_price_pieces *pieces; // all, also of entries that others replaced
};

// price_pieces.c: the members of an entry that are no prices of tokens. `place` is for the
// sentence. *ret_pieces is NULL where there are none. Returns 0, -EINVAL or -ENOMEM.
int sg_price_pieces_read(const json_t *model, const char *place,
	struct sg_price_pieces **ret_pieces, struct sg_error *error) SG_WUNRES;

// Millionths of a pico-dollar for what was used, or may be: an unknown kind costs the dearest.
typedef unsigned __int128 sg_wide;
sg_wide sg_price_pieces_cost(
	const struct sg_price_pieces *pieces, const struct sg_units *units, const char *kind);

// Has each unit that is there a price? `pieces` NULL: none has.
bool sg_price_pieces_know(const struct sg_price_pieces *pieces, const struct sg_units *units);

// The tokens that a picture takes at most, or -1: it is not told.
int64_t sg_price_pieces_image_tokens(const struct sg_price_pieces *pieces, const char *kind);

// Of one picture at most, for the model; -1: not known, the context window bounds it.
int64_t sg_image_tokens(const struct sg_price *price);
