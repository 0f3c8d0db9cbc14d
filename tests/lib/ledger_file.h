// SPDX-License-Identifier: Apache-2.0
// The ledger of the fixture's engine by its SQL. Include after engine_fixture.h.
#pragma once

#include <sqlite3.h>

static inline void run_sql(const char *sql)
{
	char path[128], *error = NULL;
	sqlite3 *db;

	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	sqlite3_close(db);
}

static inline int64_t ask_sql(const char *sql)
{
	sqlite3_stmt *statement;
	char path[128];
	sqlite3 *db;
	int64_t number;

	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

// Freed by the caller.
static inline char *ask_sql_text(const char *sql)
{
	sqlite3_stmt *statement;
	char path[128], *text;
	sqlite3 *db;

	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	text = strdup((const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return text;
}
