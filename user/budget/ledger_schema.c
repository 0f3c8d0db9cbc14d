// SPDX-License-Identifier: Apache-2.0
// The ledger's tables.
//
//   calls       a row a call, as long as the retention wants it
//   sums        what was charged, by whose calls (an agent's, a label's, the host's), slice of five
//               minutes (-1: since ever), provider and model: the start reads these, not the calls
//   label_sets  the labels that an agent had at the time of a call, by number
//   marks       up to when calls were forgotten ("pruned")
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "budget/ledger_state.h"

#define SCHEMA_VERSION	2
#define WITHOUT_SUMS	1 // a table of totals by agent in their place; no labels
#define VERSION_AS_TEXT "2"

static const char calls[] =
	"CREATE TABLE calls (call_id INTEGER PRIMARY KEY, agent TEXT NOT NULL, at_ns INTEGER NOT "
	"NULL, provider TEXT NOT NULL, api TEXT NOT NULL, model TEXT NOT NULL, requested_model "
	"TEXT NOT NULL, state TEXT NOT NULL, http_status INTEGER NOT NULL, input INTEGER NOT NULL, "
	"output INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, "
	"cache_write_1h INTEGER NOT NULL, reasoning INTEGER NOT NULL, nanousd INTEGER NOT NULL, "
	"hold_nanousd INTEGER NOT NULL, aborted INTEGER NOT NULL, cut INTEGER NOT NULL, "
	"label_set INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX calls_by_agent ON calls (agent, at_ns);";

static const char sums[] =
	"CREATE INDEX calls_by_time ON calls (at_ns);"
	"CREATE TABLE sums (subject TEXT NOT NULL, slice INTEGER NOT NULL, provider TEXT NOT NULL, "
	"model TEXT NOT NULL, newest_ns INTEGER NOT NULL, nanousd INTEGER NOT NULL, input INTEGER "
	"NOT NULL, output INTEGER NOT NULL, requests INTEGER NOT NULL, estimated INTEGER NOT NULL, "
	"PRIMARY KEY (subject, slice, provider, model)) WITHOUT ROWID;"
	"CREATE INDEX sums_by_slice ON sums (slice);"
	"CREATE TABLE label_sets (id INTEGER PRIMARY KEY, labels TEXT NOT NULL UNIQUE);"
	"CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

static const char widen_calls[] =
	"ALTER TABLE calls ADD COLUMN label_set INTEGER NOT NULL DEFAULT 0;"
	"DROP TABLE totals;";

// Every call of the version before, summed as the writer would have. %s: the subject, the slice.
#define SUM_UP(subject, slice)                                                                     \
	"INSERT INTO sums SELECT " subject ", " slice ", provider, requested_model, max(at_ns), "  \
	"sum(nanousd), sum(input), sum(output), count(*), sum(state <> 'settled') FROM calls "     \
	"GROUP BY 1, 2, 3, 4;"
#define SLICE "at_ns / 300000000000"

static const char sum_up[] = SUM_UP("'agent/' || agent", SLICE) SUM_UP("'agent/' || agent", "-1")
	SUM_UP("'host'", SLICE) SUM_UP("'host'", "-1");

_Static_assert(SLICE_NS == INT64_C(300000000000), "a slice as SQL writes it");

static int run_all(struct sg_ledger *ledger, const char *const *texts)
{
	int status = sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	for (; status == SQLITE_OK && *texts; texts++)
		status = sqlite3_exec(ledger->db, *texts, NULL, NULL, NULL);
	if (status == SQLITE_OK)
		status = sqlite3_exec(ledger->db,
			"PRAGMA user_version = " VERSION_AS_TEXT "; COMMIT", NULL, NULL, NULL);
	if (status != SQLITE_OK)
		sg_ledger_rollback(ledger);
	return status;
}

static int make_tables(struct sg_ledger *ledger)
{
	static const char *const texts[] = { calls, sums, NULL };

	return run_all(ledger, texts);
}

static int bring_up_to_date(struct sg_ledger *ledger, const char *path)
{
	static const char *const texts[] = { widen_calls, sums, sum_up, NULL };
	int64_t start_ns = sg_clock_monotonic_ns();
	int status;

	sg_log(SG_LOG_INFO, "ledger_migration",
		"path=%s effect=\"the ledger of an earlier version is brought up to date\"", path);
	status = run_all(ledger, texts);
	if (status == SQLITE_OK)
		sg_log(SG_LOG_INFO, "ledger_migrated", "path=%s ms=%lld", path,
			(long long)((sg_clock_monotonic_ns() - start_ns) / SG_NS_PER_MS));
	return status;
}

int sg_ledger_make_schema(
	struct sg_ledger *ledger, const char *path, unsigned flags, struct sg_error *error)
{
	int64_t version = 0, tables = 0;
	int status = sg_ledger_number(ledger, "PRAGMA user_version", &version);

	if (status == SQLITE_OK)
		status = sg_ledger_number(ledger, "SELECT count(*) FROM sqlite_master", &tables);
	if (status != SQLITE_OK)
		return sg_ledger_fail(ledger, path, status, error);
	if (version == SCHEMA_VERSION)
		return 0;
	if (version != WITHOUT_SUMS && tables)
		return sg_error_set(error, -EPROTO,
			"%s was written by another version of spendgate (schema %lld), or by "
			"another program",
			path, (long long)version);
	if (!tables && flags & SG_LEDGER_EXPECTED)
		return sg_ledger_say_damaged(path, "it is empty", error);
	status = tables ? bring_up_to_date(ledger, path) : make_tables(ledger);
	return status == SQLITE_OK ? 0 : sg_ledger_fail(ledger, path, status, error);
}
