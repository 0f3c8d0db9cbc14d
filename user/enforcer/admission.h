// SPDX-License-Identifier: Apache-2.0
// A call's way past its budgets: held whole; or it waits until other calls give room back; or,
// where the policy says so, with a lower output limit (docs/budgets.md,
// docs/decisions/0007-wait-and-clamp.md). Worker thread only.
#pragma once

#include <stdbool.h>

struct sg_exchange;

// Prices and holds. Returns true when admitted; otherwise the refusal has been answered, or the
// call waits (SG_REQUEST_WAIT).
bool sg_exchange_admit(struct sg_exchange *exchange);

// Bounds the input by the tokens of its texts, once, where the provider's vocabulary is known and
// the body is not too long for that. Returns true when the call's bound is a new one.
bool sg_admission_count_texts(struct sg_exchange *exchange);
