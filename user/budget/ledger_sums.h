// SPDX-License-Identifier: Apache-2.0
// Sums of one transaction, before they are added to the ledger's: calls are tallied by who made
// them and what for, tallies are summed up for whom they count. A batch of calls of the same agent
// and model costs a few rows, not a few a call.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/charge.h"
#include "budget/journal.h"

struct sg_ledger;
struct sg_pending_sum;

// Counts a call for its agent, each of its labels and the host: in its slice, and since ever.
// Returns 0 or -errno.
int sg_sums_add(struct sg_ledger *ledger, const struct sg_slot *slot, int64_t at_ns,
	const struct sg_charge *charge, bool estimated) SG_WUNRES;

// Adds them to the table. Returns 0 or -errno; nothing is pending then.
int sg_sums_write(struct sg_ledger *ledger) SG_WUNRES;
void sg_sums_drop(struct sg_ledger *ledger);
