// SPDX-License-Identifier: Apache-2.0
#include "budget/ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "budget/ledger_state.h"

static const char insert_call[] =
	"INSERT OR IGNORE INTO calls VALUES "
	"(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)";
static const char add_sum[] =
	"INSERT INTO sums VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10) ON CONFLICT DO UPDATE SET "
	"newest_ns = max(newest_ns, excluded.newest_ns), nanousd = nanousd + excluded.nanousd, "
	"input = input + excluded.input, output = output + excluded.output, requests = requests + "
	"excluded.requests, estimated = estimated + excluded.estimated";
static const char find_labels[] = "SELECT labels FROM label_sets WHERE id = ?1";

// ---- Errors ----

int sg_ledger_errno(int status)
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

int sg_ledger_say_damaged(const char *path, const char *how, struct sg_error *error)
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
		return sg_ledger_say_damaged(path, sqlite3_errmsg(ledger->db), error);
	return sg_error_set(error, r, "%s: %s", path, sqlite3_errmsg(ledger->db));
}

int sg_ledger_fail(
	const struct sg_ledger *ledger, const char *path, int status, struct sg_error *error)
{
	int r = sg_ledger_errno(status);

	if (r == -EBADMSG)
		return sg_ledger_say_damaged(path, sqlite3_errmsg(ledger->db), error);
	return sg_error_set(error, r < 0 ? r : -EIO, "%s: %s", path, sqlite3_errmsg(ledger->db));
}

// ---- Opening ----

int sg_ledger_number(struct sg_ledger *ledger, const char *query, int64_t *ret_number)
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
		r = sg_ledger_fail(ledger, path, status, error);
	} else {
		verdict = (const char *)sqlite3_column_text(statement, 0);
		if (!verdict || strcmp(verdict, "ok") != 0)
			r = sg_ledger_say_damaged(path, verdict ? verdict : "out of memory", error);
	}
	sqlite3_finalize(statement);
	return r;
}

static int prepare_all(struct sg_ledger *ledger)
{
	const struct {
		const char *text;
		sqlite3_stmt **statement;
	} statements[] = { { insert_call, &ledger->insert }, { add_sum, &ledger->add_sum },
		{ find_labels, &ledger->find_labels } };
	int status = SQLITE_OK;

	for (size_t i = 0; status == SQLITE_OK && i < SG_ARRAY_SIZE(statements); i++)
		status = sqlite3_prepare_v3(ledger->db, statements[i].text, -1,
			SQLITE_PREPARE_PERSISTENT, statements[i].statement, NULL);
	return status;
}

static int prepare(
	struct sg_ledger *ledger, unsigned flags, const char *path, struct sg_error *error)
{
	// Before there is anything in the file: what is forgotten later gives its space back. Pages
	// that many calls change are moved from the log (16 MB at most) once for all of them.
	int status = sqlite3_exec(ledger->db,
		"PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA "
		"wal_autocheckpoint = 4000; PRAGMA cache_size = -8192",
		NULL, NULL, NULL);
	int r;

	if (status == SQLITE_OK)
		status = sqlite3_exec(ledger->db,
			flags & SG_LEDGER_FULL_SYNC ? "PRAGMA synchronous = FULL"
						    : "PRAGMA synchronous = NORMAL",
			NULL, NULL, NULL);
	if (status != SQLITE_OK)
		return sg_ledger_fail(ledger, path, status, error);
	r = sg_ledger_make_schema(ledger, path, flags, error);
	if (r == 0 && flags & SG_LEDGER_CHECK)
		r = check_pages(ledger, path, error);
	if (r < 0)
		return r;
	status = prepare_all(ledger);
	return status == SQLITE_OK ? 0 : sg_ledger_fail(ledger, path, status, error);
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
		return sg_ledger_say_damaged(path, "it is empty", error);
	}
	status = sqlite3_open_v2(path, &ledger->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	if (status == SQLITE_OK) {
		sqlite3_busy_timeout(ledger->db, 2000);
		r = prepare(ledger, flags, path, error);
	} else {
		r = ledger->db ? sg_ledger_fail(ledger, path, status, error)
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
	sg_sums_drop(ledger);
	sqlite3_finalize(ledger->insert);
	sqlite3_finalize(ledger->add_sum);
	sqlite3_finalize(ledger->find_labels);
	sqlite3_finalize(ledger->read_sums);
	sqlite3_finalize(ledger->count_slices);
	sqlite3_finalize(ledger->read_agent);
	sqlite3_finalize(ledger->read_label);
	sqlite3_finalize(ledger->read_host);
	sqlite3_close(ledger->db);
	free(ledger);
	return NULL;
}

// ---- Writing ----

int sg_ledger_begin(struct sg_ledger *ledger)
{
	return sg_ledger_errno(sqlite3_exec(ledger->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
}

int sg_ledger_commit(struct sg_ledger *ledger)
{
	int r = sg_sums_write(ledger);

	if (r < 0)
		return r;
	return sg_ledger_errno(sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL));
}

void sg_ledger_rollback(struct sg_ledger *ledger)
{
	sg_sums_drop(ledger);
	if (!sqlite3_get_autocommit(ledger->db))
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
}

void sg_ledger_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

int sg_ledger_run(sqlite3_stmt *statement)
{
	int status = sqlite3_step(statement);

	sqlite3_reset(statement);
	return sg_ledger_errno(status);
}

int sg_ledger_add(struct sg_ledger *ledger, const struct sg_slot *slot, bool recovered)
{
	const struct sg_charge charge = recovered ? sg_slot_bound(slot) : slot->charge;
	const struct sg_slot_names names = sg_slot_names(slot);
	bool estimated = recovered || slot->estimated;
	int64_t at_ns = recovered ? slot->at_ns : slot->settled_at_ns;
	sqlite3_stmt *insert = ledger->insert;
	int r;

	sqlite3_bind_int64(insert, 1, (int64_t)slot->call_id);
	sg_ledger_bind_text(insert, 2, names.agent);
	sqlite3_bind_int64(insert, 3, at_ns);
	sg_ledger_bind_text(insert, 4, names.provider);
	sg_ledger_bind_text(insert, 5, names.api);
	sg_ledger_bind_text(insert, 6, recovered ? names.model : sg_slot_settled_model(slot));
	sg_ledger_bind_text(insert, 7, names.model);
	sg_ledger_bind_text(insert, 8,
		recovered	  ? "recovered"
		: slot->estimated ? "estimated"
				  : "settled");
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
	sqlite3_bind_int64(insert, 20, slot->label_set);
	r = sg_ledger_run(insert);
	if (r < 0 || !sqlite3_changes(ledger->db))
		return r;
	return sg_sums_add(ledger, slot, at_ns, &charge, estimated);
}
