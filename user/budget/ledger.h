// SPDX-License-Identifier: Apache-2.0
// The ledger: a SQLite database of calls, and of totals by agent, updated in the same transaction.
// One thread at a time.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/charge.h"
#include "base/error.h"
#include "budget/journal.h"

struct sg_ledger;

enum sg_ledger_flags {
	SG_LEDGER_FULL_SYNC = 1, // survive a loss of power at each commit
	SG_LEDGER_EXPECTED = 2,	 // one was there: an empty one is damage, not a new one
	SG_LEDGER_CHECK = 4, // the machine went down: look at every page (some seconds a gigabyte)
};

// Returns 0 or -errno with the remedy.
int sg_ledger_open(const char *path, unsigned flags, struct sg_ledger **ret_ledger,
	struct sg_error *error) SG_WUNRES;
struct sg_ledger *sg_ledger_close(struct sg_ledger *ledger);

int sg_ledger_begin(struct sg_ledger *ledger) SG_WUNRES;
int sg_ledger_commit(struct sg_ledger *ledger) SG_WUNRES;
void sg_ledger_rollback(struct sg_ledger *ledger);

// Inserts the call of a SETTLED slot, or of a HELD one as `recovered` (charged in full). A call id
// that is there already changes nothing. Returns 0 or -errno.
int sg_ledger_add(struct sg_ledger *ledger, const struct sg_slot *slot, bool recovered) SG_WUNRES;

// Rows of an agent from `since_ns` (wall) on, oldest first; with INT64_MIN the totals as one row.
typedef void (*sg_ledger_visit_fn)(
	void *context, int64_t at_ns, const struct sg_charge *charge, int64_t estimated);
int sg_ledger_read(struct sg_ledger *ledger, const char *agent, int64_t since_ns,
	sg_ledger_visit_fn visit, void *context) SG_WUNRES;

// The newest call id, 0 when there is none.
int sg_ledger_last_call(struct sg_ledger *ledger, uint64_t *ret_call_id) SG_WUNRES;

// The last failure in words.
const char *sg_ledger_error(const struct sg_ledger *ledger);

// The sentence for a failure of reading or writing: names the file, and the remedy when it is
// damaged. Returns `r`.
int sg_ledger_explain(const struct sg_ledger *ledger, int r, struct sg_error *error);
