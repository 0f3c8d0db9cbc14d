// SPDX-License-Identifier: Apache-2.0
#include "budget/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#define SCHEMA_VERSION 1

static const char schema[] =
	"CREATE TABLE calls (call_id INTEGER PRIMARY KEY, agent TEXT NOT NULL, at_ns INTEGER NOT "
	"NULL, provider TEXT NOT NULL,"
	" api TEXT NOT NULL, model TEXT NOT NULL, requested_model TEXT NOT NULL, state TEXT NOT "
	"NULL, http_status INTEGER NOT NULL,"
	" input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL, "
	"cache_write INTEGER NOT NULL,"
	" cache_write_1h INTEGER NOT NULL, reasoning INTEGER NOT NULL, nanousd INTEGER NOT NULL, "
	"hold_nanousd INTEGER NOT NULL,"
	" aborted INTEGER NOT NULL, cut INTEGER NOT NULL);"
	"CREATE INDEX calls_by_agent ON calls (agent, at_ns);"
	"CREATE TABLE totals (agent TEXT PRIMARY KEY, nanousd INTEGER NOT NULL, input INTEGER NOT "
	"NULL, output INTEGER NOT NULL,"
	" requests INTEGER NOT NULL, estimated INTEGER NOT NULL) WITHOUT ROWID;";

static const char insert_call[] =
	"INSERT OR IGNORE INTO calls VALUES "
	"(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)";
static const char add_totals[] = "INSERT INTO totals VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT "
				 "(agent) DO UPDATE SET nanousd = nanousd + excluded.nanousd,"
				 " input = input + excluded.input, output = output + "
				 "excluded.output, requests = requests + excluded.requests,"
				 " estimated = estimated + excluded.estimated";
static const char read_calls[] = "SELECT at_ns, nanousd, input, output, 1, state <> 'settled' FROM "
				 "calls WHERE agent = ?1 AND at_ns > ?2 ORDER BY at_ns";
static const char read_totals[] =
	"SELECT 0, nanousd, input, output, requests, estimated FROM totals WHERE agent = ?1";

struct sg_ledger {
	sqlite3 *db;
	sqlite3_stmt *insert, *totals;
};

// ---- Errors ----

static int to_errno(int status)
{
	switch (status & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	default:
		return -EIO;
	}
}

const char *sg_ledger_error(const struct sg_ledger *ledger)
{
	return sqlite3_errmsg(ledger->db);
}

static int say_damaged(const char *path, const char *how, struct sg_error *error)
{
	return sg_error_set(error, -EBADMSG,
		"%s is damaged (%s): put a copy back, or move it aside to start with an empty "
		"ledger (budgets then "
		"forget what was spent; the hold journal keeps the calls that are not in it)",
		path, how);
}

int sg_ledger_explain(const struct sg_ledger *ledger, int r, struct sg_error *error)
{
	const char *path = sqlite3_db_filename(ledger->db, "main");

	if (r == -EBADMSG)
		return say_damaged(path, sqlite3_errmsg(ledger->db), error);
	return sg_error_set(error, r, "%s: %s", path, sqlite3_errmsg(ledger->db));
}

static int fail(
	const struct sg_ledger *ledger, const char *path, int status, struct sg_error *error)
{
	int r = to_errno(status);

	if (r == -EBADMSG)
		return say_damaged(path, sqlite3_errmsg(ledger->db), error);
	return sg_error_set(error, r < 0 ? r : -EIO, "%s: %s", path, sqlite3_errmsg(ledger->db));
}

// ---- Opening ----

static int read_number(struct sg_ledger *ledger, const char *query, int64_t *ret_number)
{
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(ledger->db, query, -1, &statement, NULL);

	if (status == SQLITE_OK)
		status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		*ret_number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return status == SQLITE_ROW ? SQLITE_OK : status;
}

static int check_pages(struct sg_ledger *ledger, const char *path, struct sg_error *error)
{
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(ledger->db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	const char *verdict;
	int r = 0;

	if (status == SQLITE_OK)
		status = sqlite3_step(statement);
	if (status != SQLITE_ROW) {
		r = fail(ledger, path, status, error);
	} else {
		verdict = (const char *)sqlite3_column_text(statement, 0);
		if (!verdict || strcmp(verdict, "ok") != 0)
			r = say_damaged(path, verdict ? verdict : "out of memory", error);
	}
	sqlite3_finalize(statement);
	return r;
}

// In one transaction, so that a ledger either has its schema or is empty.
static int make_schema(struct sg_ledger *ledger)
{
	int status = sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (status == SQLITE_OK)
		status = sqlite3_exec(ledger->db, schema, NULL, NULL, NULL);
	if (status == SQLITE_OK)
		status = sqlite3_exec(
			ledger->db, "PRAGMA user_version = 1; COMMIT", NULL, NULL, NULL);
	return status;
}

static int check_schema(
	struct sg_ledger *ledger, unsigned flags, const char *path, struct sg_error *error)
{
	int64_t version = 0, tables = 0;
	int status = read_number(ledger, "PRAGMA user_version", &version);

	if (status == SQLITE_OK)
		status = read_number(ledger, "SELECT count(*) FROM sqlite_master", &tables);
	if (status != SQLITE_OK)
		return fail(ledger, path, status, error);
	if (version != SCHEMA_VERSION && tables)
		return sg_error_set(error, -EPROTO,
			"%s was written by another version of spendgate (schema %lld), or by "
			"another program",
			path, (long long)version);
	if (version != SCHEMA_VERSION && flags & SG_LEDGER_EXPECTED)
		return say_damaged(path, "it is empty", error);
	if (version != SCHEMA_VERSION)
		status = make_schema(ledger);
	if (status != SQLITE_OK)
		return fail(ledger, path, status, error);
	return flags & SG_LEDGER_CHECK ? check_pages(ledger, path, error) : 0;
}

static int prepare(
	struct sg_ledger *ledger, unsigned flags, const char *path, struct sg_error *error)
{
	int status = sqlite3_exec(ledger->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	int r;

	if (status == SQLITE_OK)
		status = sqlite3_exec(ledger->db,
			flags & SG_LEDGER_FULL_SYNC ? "PRAGMA synchronous = FULL"
						    : "PRAGMA synchronous = NORMAL",
			NULL, NULL, NULL);
	if (status != SQLITE_OK)
		return fail(ledger, path, status, error);
	r = check_schema(ledger, flags, path, error);
	if (r < 0)
		return r;
	status = sqlite3_prepare_v2(ledger->db, insert_call, -1, &ledger->insert, NULL);
	if (status == SQLITE_OK)
		status = sqlite3_prepare_v2(ledger->db, add_totals, -1, &ledger->totals, NULL);
	return status == SQLITE_OK ? 0 : fail(ledger, path, status, error);
}

int sg_ledger_open(
	const char *path, unsigned flags, struct sg_ledger **ret_ledger, struct sg_error *error)
{
	struct sg_ledger *ledger = calloc(1, sizeof(*ledger));
	struct stat file;
	int status, r;

	if (!ledger)
		return sg_error_set(error, -ENOMEM, "out of memory");
	// Before SQLite sees it: it would make an empty file a new database, and drop the log
	// beside it.
	if (flags & SG_LEDGER_EXPECTED && stat(path, &file) == 0 && file.st_size == 0) {
		free(ledger);
		return say_damaged(path, "it is empty", error);
	}
	status = sqlite3_open_v2(path, &ledger->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (status == SQLITE_OK) {
		sqlite3_busy_timeout(ledger->db, 2000);
		r = prepare(ledger, flags, path, error);
	} else {
		r = ledger->db ? fail(ledger, path, status, error)
			       : sg_error_set(error, -ENOMEM, "out of memory");
	}
	if (r < 0) {
		sg_ledger_close(ledger);
		return r;
	}
	*ret_ledger = ledger;
	return 0;
}

struct sg_ledger *sg_ledger_close(struct sg_ledger *ledger)
{
	if (!ledger)
		return NULL;
	sqlite3_finalize(ledger->insert);
	sqlite3_finalize(ledger->totals);
	sqlite3_close(ledger->db);
	free(ledger);
	return NULL;
}

// ---- Writing ----

int sg_ledger_begin(struct sg_ledger *ledger)
{
	return to_errno(sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
}

int sg_ledger_commit(struct sg_ledger *ledger)
{
	return to_errno(sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL));
}

void sg_ledger_rollback(struct sg_ledger *ledger)
{
	if (!sqlite3_get_autocommit(ledger->db))
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
}

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int run(sqlite3_stmt *statement)
{
	int status = sqlite3_step(statement);

	sqlite3_reset(statement);
	return to_errno(status);
}

static int add_to_totals(struct sg_ledger *ledger, const struct sg_slot *slot,
	const struct sg_charge *charge, bool estimated)
{
	bind_text(ledger->totals, 1, slot->agent);
	sqlite3_bind_int64(ledger->totals, 2, charge->nanousd);
	sqlite3_bind_int64(ledger->totals, 3, charge->input_tokens);
	sqlite3_bind_int64(ledger->totals, 4, charge->output_tokens);
	sqlite3_bind_int64(ledger->totals, 5, charge->requests);
	sqlite3_bind_int64(ledger->totals, 6, estimated);
	return run(ledger->totals);
}

int sg_ledger_add(struct sg_ledger *ledger, const struct sg_slot *slot, bool recovered)
{
	const struct sg_charge charge = recovered ? sg_slot_bound(slot) : slot->charge;
	bool estimated = recovered || slot->estimated;
	sqlite3_stmt *insert = ledger->insert;
	int r;

	sqlite3_bind_int64(insert, 1, (int64_t)slot->call_id);
	bind_text(insert, 2, slot->agent);
	sqlite3_bind_int64(insert, 3, recovered ? slot->at_ns : slot->settled_at_ns);
	bind_text(insert, 4, slot->provider);
	bind_text(insert, 5, slot->api);
	bind_text(insert, 6,
		recovered || !slot->settled_model[0] ? slot->model : slot->settled_model);
	bind_text(insert, 7, slot->model);
	bind_text(insert, 8, recovered ? "recovered" : slot->estimated ? "estimated" : "settled");
	sqlite3_bind_int(insert, 9, recovered ? 0 : (int)slot->http_status);
	sqlite3_bind_int64(insert, 10, charge.input_tokens);
	sqlite3_bind_int64(insert, 11, charge.output_tokens);
	sqlite3_bind_int64(insert, 12, recovered ? 0 : slot->cache_read_tokens);
	sqlite3_bind_int64(insert, 13, recovered ? 0 : slot->cache_write_tokens);
	sqlite3_bind_int64(insert, 14, recovered ? 0 : slot->cache_write_1h_tokens);
	sqlite3_bind_int64(insert, 15, recovered ? 0 : slot->reasoning_tokens);
	sqlite3_bind_int64(insert, 16, charge.nanousd);
	sqlite3_bind_int64(insert, 17,
		slot->held_nanousd > slot->bound.nanousd ? slot->held_nanousd
							 : slot->bound.nanousd);
	sqlite3_bind_int(insert, 18, recovered ? 0 : slot->aborted);
	sqlite3_bind_int(insert, 19, recovered ? 0 : slot->cut);
	r = run(insert);
	if (r < 0 || !sqlite3_changes(ledger->db))
		return r;
	return add_to_totals(ledger, slot, &charge, estimated);
}

// ---- Reading ----

int sg_ledger_last_call(struct sg_ledger *ledger, uint64_t *ret_call_id)
{
	int64_t call_id = 0;
	int r = to_errno(read_number(ledger, "SELECT max(call_id) FROM calls", &call_id));

	if (r == 0)
		*ret_call_id = (uint64_t)call_id;
	return r;
}

int sg_ledger_read(struct sg_ledger *ledger, const char *agent, int64_t since_ns,
	sg_ledger_visit_fn visit, void *context)
{
	bool totals = since_ns == INT64_MIN;
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(
		ledger->db, totals ? read_totals : read_calls, -1, &statement, NULL);

	if (status == SQLITE_OK)
		bind_text(statement, 1, agent);
	if (status == SQLITE_OK && !totals)
		sqlite3_bind_int64(statement, 2, since_ns);
	while (status == SQLITE_OK || status == SQLITE_ROW) {
		struct sg_charge charge;

		status = sqlite3_step(statement);
		if (status != SQLITE_ROW)
			break;
		charge = (struct sg_charge){ .nanousd = sqlite3_column_int64(statement, 1),
			.input_tokens = sqlite3_column_int64(statement, 2),
			.output_tokens = sqlite3_column_int64(statement, 3),
			.requests = sqlite3_column_int64(statement, 4) };
		visit(context, sqlite3_column_int64(statement, 0), &charge,
			sqlite3_column_int64(statement, 5));
	}
	sqlite3_finalize(statement);
	return to_errno(status);
}
