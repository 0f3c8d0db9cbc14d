// SPDX-License-Identifier: Apache-2.0
// What an agent has spent, read back from the ledger. The control thread.
#pragma once

#include <stdint.h>

#include "base/attr.h"
#include "budget/account.h"
#include "budget/ledger.h"
#include "budget/policy.h"

// The two clocks at one moment: rows carry wall time, windows run on the monotonic clock.
struct sg_usage_time {
	int64_t monotonic_ns;
	int64_t wall_ns;
};

// The totals since the agent was first seen. Returns 0 or -errno.
int sg_usage_read_totals(struct sg_ledger *ledger, struct sg_account *account) SG_WUNRES;

// Would the windows of `policy` have to be read from the ledger (a length that the account does not
// keep)?
bool sg_usage_needs_ledger(const struct sg_account *account, const struct sg_policy *policy);

// A window a budget of `policy`: one that the account keeps at that length is copied, another is
// read. Usage is never reset by a change. *ret_windows is freed by the caller. Returns 0 or -errno.
int sg_usage_make_windows(struct sg_ledger *ledger, const struct sg_account *account,
	const struct sg_policy *policy, const struct sg_usage_time *now,
	struct sg_window **ret_windows) SG_WUNRES;
