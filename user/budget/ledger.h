// SPDX-License-Identifier: Apache-2.0
// The ledger: a SQLite database of calls, and of sums over them, updated in the same transaction.
// One thread at a time. The tables are told in ledger_schema.c.
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

// Returns 0 or -errno with the remedy. A ledger of an earlier version is brought to this one first.
int sg_ledger_open(const char *path, unsigned flags, struct sg_ledger **ret_ledger,
	struct sg_error *error) SG_WUNRES;
struct sg_ledger *sg_ledger_close(struct sg_ledger *ledger);

int sg_ledger_begin(struct sg_ledger *ledger) SG_WUNRES;
int sg_ledger_commit(struct sg_ledger *ledger) SG_WUNRES;
void sg_ledger_rollback(struct sg_ledger *ledger);

// Inserts the call of a SETTLED slot, or of a HELD one as `recovered` (charged in full). A call id
// that is there already changes nothing. Returns 0 or -errno.
int sg_ledger_add(struct sg_ledger *ledger, const struct sg_slot *slot, bool recovered) SG_WUNRES;

// Whose calls are read: an agent's, those of all agents with a label ("team=red"), or all.
#define SG_SUBJECT_BYTES 144
void sg_subject_of_agent(const char *agent, char out[SG_SUBJECT_BYTES]);
void sg_subject_of_label(const char *label, char out[SG_SUBJECT_BYTES]);
void sg_subject_of_host(char out[SG_SUBJECT_BYTES]);

// A call, or a sum of calls for one model: charged at `at_ns` or before.
struct sg_ledger_row {
	int64_t at_ns; // wall
	const char *provider;
	const char *model; // as requested
	struct sg_charge charge;
	int64_t estimated; // how many by estimate
};

// What was charged from `since_ns` (wall) on, oldest first; INT64_MIN: since ever, by model. Sums
// of five minutes are told as of their newest call where they are at most `coarsest_ns` long;
// otherwise calls are read one by one, the oldest ones first, as many as take a moment: the time it
// takes does not depend on how many there were. Returns 0 or -errno.
#define SG_LEDGER_SLICE_NS (INT64_C(300) * 1000000000)
typedef void (*sg_ledger_visit_fn)(void *context, const struct sg_ledger_row *row);
int sg_ledger_read(struct sg_ledger *ledger, const char *subject, int64_t since_ns,
	int64_t coarsest_ns, sg_ledger_visit_fn visit, void *context) SG_WUNRES;

// The number that calls of agents with these labels carry; 0 for "". Returns 0 or -errno.
int sg_ledger_label_set(struct sg_ledger *ledger, const char *labels, uint32_t *ret_id) SG_WUNRES;

// The other way round; "" where there is no such set. Returns 0 or -errno.
int sg_ledger_labels(
	struct sg_ledger *ledger, uint32_t id, char *ret_labels, size_t size) SG_WUNRES;

// Forgets some of the calls, and five-minute sums, before `before_ns` (wall), and gives their space
// back; what was spent since ever stays. In its own transaction. Returns 0, 1 when there may be
// more to forget, or -errno.
int sg_ledger_prune(struct sg_ledger *ledger, int64_t before_ns) SG_WUNRES;

// Up to when calls were forgotten, 0: none were.
int sg_ledger_pruned_until(struct sg_ledger *ledger, int64_t *ret_wall_ns) SG_WUNRES;

// The newest call id, 0 when there is none.
int sg_ledger_last_call(struct sg_ledger *ledger, uint64_t *ret_call_id) SG_WUNRES;

// The last failure in words.
const char *sg_ledger_error(const struct sg_ledger *ledger);

// The sentence for a failure of reading or writing: names the file, and the remedy when it is
// damaged. Returns `r`.
int sg_ledger_explain(const struct sg_ledger *ledger, int r, struct sg_error *error);
