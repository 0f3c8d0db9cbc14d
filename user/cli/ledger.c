// SPDX-License-Identifier: Apache-2.0
#include "cli/ledger.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/date.h"
#include "control/override.h"
#include "spendgate/control.h"

int sg_ledger_take_option(struct sg_ledger_options *options, int key, const char *argument)
{
	switch (key) {
	case SG_LEDGER_OPTION_AGENT:
		options->agent = argument;
		return 0;
	case SG_LEDGER_OPTION_SINCE:
		options->since = argument;
		return 0;
	case SG_LEDGER_OPTION_UNTIL:
		options->until = argument;
		return 0;
	case SG_LEDGER_OPTION_STATE:
		options->state_directory = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

// ---- Bounds ----

// `until`: the first moment that is outside; else the first inside.
static int parse_bound(const char *text, bool until, int64_t *ret_ns, struct sg_error *error)
{
	struct sg_error unused = { "" };

	*ret_ns = until ? INT64_MAX : 0;
	if (!text || sg_override_parse_time(text, ret_ns) == 0)
		return 0;
	if (sg_date_parse(text, ret_ns, &unused) < 0)
		return sg_error_set(error, -EINVAL,
			"\"%s\": must be a day as 2026-11-24 or a time as 2026-11-24T08:30:00Z",
			text);
	*ret_ns +=
		until ? SG_NS_PER_SEC : -86399 * SG_NS_PER_SEC; // it is the last second of the day
	return 0;
}

// ---- Teams ----

// SQL function: the value of "team" in a text of labels ("team=red"), or nothing.
static void team_of(sqlite3_context *context, int count SG_UNUSED, sqlite3_value **values)
{
	static const char key[] = "team=";
	const char *labels = (const char *)sqlite3_value_text(values[0]);

	while (labels && *labels) {
		size_t length = strcspn(labels, ",;\n");

		if (strncmp(labels, key, strlen(key)) == 0) {
			sqlite3_result_text(context, labels + strlen(key),
				(int)(length - strlen(key)), SQLITE_TRANSIENT);
			return;
		}
		labels += length + strspn(labels + length, ",;\n");
	}
	sqlite3_result_text(context, "", 0, SQLITE_STATIC);
}

// Ledgers of before had no labels.
static bool has_labels(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	bool found = sqlite3_prepare_v2(db, "SELECT labels FROM label_sets LIMIT 0", -1, &statement,
			     NULL) == SQLITE_OK;

	sqlite3_finalize(statement);
	return found;
}

// ---- Queries ----

int sg_ledger_query_failed(sqlite3 *db, struct sg_error *error)
{
	return sg_error_set(error, -EIO, "the ledger can't be read: %s",
		db ? sqlite3_errmsg(db) : "out of memory");
}

static int open_ledger(
	const struct sg_ledger_options *options, sqlite3 **ret_db, struct sg_error *error)
{
	const char *state = options->state_directory;
	char path[PATH_MAX];
	int status;

	if (!state)
		state = getenv(SG_ENV_STATE_DIRECTORY);
	snprintf(path, sizeof(path), "%s/ledger/ledger.db",
		state && *state ? state : SG_DEFAULT_STATE_DIRECTORY);
	status = sqlite3_open_v2(path, ret_db, SQLITE_OPEN_READONLY, NULL);
	if (status == SQLITE_CANTOPEN)
		return sg_error_set(
			error, -ENOENT, "%s: there is no ledger here, or it is root's", path);
	if (status != SQLITE_OK)
		return sg_ledger_query_failed(*ret_db, error);
	sqlite3_busy_timeout(*ret_db, 2000);
	status = sqlite3_create_function(*ret_db, "team_of", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
		NULL, team_of, NULL, NULL);
	return status == SQLITE_OK ? 0 : sg_ledger_query_failed(*ret_db, error);
}

static int prepare(sqlite3 *db, const char *columns, const char *tail, sqlite3_stmt **ret_statement,
	struct sg_error *error)
{
	static const char with_labels[] =
		"team_of(labels) AS team, calls.* FROM calls LEFT JOIN label_sets ON "
		"label_sets.id = calls.label_set";
	static const char without_labels[] = "'' AS team, calls.* FROM calls";
	char text[1024];

	snprintf(text, sizeof(text),
		"SELECT %s FROM (SELECT strftime('%%Y-%%m-%%d', at_ns / 1000000000, 'unixepoch') "
		"AS day, %s) "
		"WHERE (?1 IS NULL OR agent = ?1) AND at_ns >= ?2 AND at_ns < ?3 %s",
		columns, has_labels(db) ? with_labels : without_labels, tail);
	return sqlite3_prepare_v2(db, text, -1, ret_statement, NULL) == SQLITE_OK
		       ? 0
		       : sg_ledger_query_failed(db, error);
}

int sg_ledger_query(const struct sg_ledger_options *options, const char *columns, const char *tail,
	sqlite3 **ret_db, sqlite3_stmt **ret_statement, struct sg_error *error)
{
	int64_t since_ns = 0, until_ns = 0;
	int r = parse_bound(options->since, false, &since_ns, error);

	if (r == 0)
		r = parse_bound(options->until, true, &until_ns, error);
	if (r < 0)
		return r;
	*ret_db = NULL;
	r = open_ledger(options, ret_db, error);
	if (r == 0)
		r = prepare(*ret_db, columns, tail, ret_statement, error);
	if (r < 0) {
		sqlite3_close(*ret_db);
		return r;
	}
	sqlite3_bind_text(*ret_statement, 1, options->agent, -1, SQLITE_STATIC);
	sqlite3_bind_int64(*ret_statement, 2, since_ns);
	sqlite3_bind_int64(*ret_statement, 3, until_ns);
	return 0;
}
