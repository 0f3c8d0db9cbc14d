// SPDX-License-Identifier: Apache-2.0
// Reading the ledger beside a daemon that writes it: read-only, and nobody waits.
#pragma once

#include <sqlite3.h>

#include "base/attr.h"
#include "base/error.h"

struct sg_ledger_options {
	const char *state_directory; // NULL: of the environment, or the default
	const char *agent;	     // NULL: all
	const char *since, *until;   // a date, or a time as 2026-11-24T08:30:00Z; NULL: no bound
};

// The options that both commands have.
#define SG_LEDGER_OPTION_AGENT 'a'
#define SG_LEDGER_OPTION_SINCE 's'
#define SG_LEDGER_OPTION_UNTIL 'u'
#define SG_LEDGER_OPTION_STATE 'd'

#define SG_LEDGER_ARGP_OPTIONS                                                                     \
	{ "agent", SG_LEDGER_OPTION_AGENT, "NAME", 0, "only calls of this agent", 0 },             \
		{ "since", SG_LEDGER_OPTION_SINCE, "TIME", 0,                                      \
			"from this day (2026-11-24) or time (2026-11-24T08:30:00Z) on", 0 },       \
		{ "until", SG_LEDGER_OPTION_UNTIL, "TIME", 0,                                      \
			"up to the end of this day, or up to this time", 0 },                      \
		{ "state-dir", SG_LEDGER_OPTION_STATE, "DIR", 0, "of spendgated", 0 },

// Takes one of these options. Returns 0 or ARGP_ERR_UNKNOWN.
int sg_ledger_take_option(struct sg_ledger_options *options, int key, const char *argument);

// Prepares "SELECT `columns` FROM calls WHERE (what the options say) `tail`". In `columns` and
// `tail` team and day are columns too. *ret_db is closed by the caller, after the statement.
// Returns 0 or -errno with the sentence.
int sg_ledger_query(const struct sg_ledger_options *options, const char *columns, const char *tail,
	sqlite3 **ret_db, sqlite3_stmt **ret_statement, struct sg_error *error) SG_WUNRES;

// An error of SQLite in words; -EIO.
int sg_ledger_query_failed(sqlite3 *db, struct sg_error *error);
