// SPDX-License-Identifier: Apache-2.0
// What an earlier process left in the hold journal goes into the ledger. At the opening only.
#pragma once

#include "base/attr.h"
#include "base/error.h"
#include "budget/journal.h"
#include "budget/ledger.h"

// Held slots are charged in full, settled ones as they were settled; then every slot is free, but
// for deferred ones before `usable`, which go on. On failure nothing is freed.
int sg_recovery_run(const struct sg_journal *journal, uint32_t usable, struct sg_ledger *ledger,
	struct sg_error *error) SG_WUNRES;
