// SPDX-License-Identifier: Apache-2.0
// A metered request that comes compressed. What it says is read while it is gathered; where it is
// to be changed, or a policy evaluator reads it, it is sent without its coding. Few bytes can stand
// for many: all calls of a worker together decode so much in a turn of its loop, then the others
// have theirs. Worker thread only.
#pragma once

#include <stdbool.h>

#include "base/attr.h"
#include "http/h1.h"

struct sg_exchange;
struct sg_undo;

// The request's coding; one that is not known is told when the body is whole
// (exchange->bad_coding). Returns 0 or -ENOMEM.
int sg_coded_begin(struct sg_exchange *exchange, struct sg_str coding) SG_WUNRES;

// Has the request's body a coding whose turn is over? Then it goes on in a later one.
bool sg_coded_must_pause(struct sg_exchange *exchange);

// Gives the request's reader what is behind a piece of the body. Returns 0 or -errno.
int sg_coded_read(struct sg_exchange *exchange, struct sg_str piece) SG_WUNRES;

// The body is whole. Is it to be sent without its coding?
bool sg_coded_must_undo(const struct sg_exchange *exchange);

// Does a part of that. Returns 0 when it is done (exchange->body is what is sent), -EAGAIN when it
// goes on in a later turn, or another -errno.
int sg_coded_undo(struct sg_exchange *exchange) SG_WUNRES;

// NULL is fine. Returns NULL.
struct sg_undo *sg_undo_free(struct sg_undo *undo);
