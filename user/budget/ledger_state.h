// SPDX-License-Identifier: Apache-2.0
// What a ledger consists of, for ledger*.c only.
#pragma once

#include <stdint.h>

#include <sqlite3.h>

#include "budget/ledger.h"
#include "budget/ledger_sums.h"
#include "budget/policy.h"

// Sums are kept for slices of this length, and since ever.
#define SLICE_NS   SG_LEDGER_SLICE_NS
#define SINCE_EVER INT64_C(-1)

struct sg_ledger {
	sqlite3 *db;
	sqlite3_stmt *insert, *add_sum, *find_labels;
	sqlite3_stmt *read_sums, *count_slices, *read_agent, *read_label, *read_host;
	struct sg_pending_sum *tallies, *sums; // of the transaction that is open
	// The labels of the set that was asked for last.
	uint32_t label_set;
	char labels[SG_LABELS_BYTES];
};

// ---- ledger_schema.c ----

// Makes the tables, or brings those of an earlier version to this one: all of it or nothing.
int sg_ledger_make_schema(struct sg_ledger *ledger, const char *path, unsigned flags,
	struct sg_error *error) SG_WUNRES;

// ---- ledger.c ----

int sg_ledger_errno(int status);
int sg_ledger_say_damaged(const char *path, const char *how, struct sg_error *error);
int sg_ledger_fail(
	const struct sg_ledger *ledger, const char *path, int status, struct sg_error *error);
// SQLITE_OK with a number, SQLITE_DONE when there is no row, or a failure.
int sg_ledger_number(struct sg_ledger *ledger, const char *query, int64_t *ret_number);

// Steps a statement that gives no rows, and resets it. Returns 0 or -errno.
int sg_ledger_run(sqlite3_stmt *statement);
void sg_ledger_bind_text(sqlite3_stmt *statement, int index, const char *text);
