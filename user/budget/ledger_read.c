// SPDX-License-Identifier: Apache-2.0
// Reading the ledger, and forgetting.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "budget/ledger_state.h"

// Some 50 ms.
#define MOST_CALLS 50000

#define PRUNE_ROWS "1000"
#define FREE_PAGES "200"

static const char read_sums[] =
	"SELECT newest_ns, provider, model, nanousd, input, output, requests, estimated FROM sums "
	"WHERE subject = ?1 AND slice >= ?2 AND slice <= ?3 ORDER BY slice";

static const char count_slices[] =
	"SELECT slice, sum(requests) FROM sums WHERE subject = ?1 AND slice >= ?2 GROUP BY slice";

// Calls between two times.
#define READ_CALLS(whose)                                                                          \
	"SELECT at_ns, provider, requested_model, nanousd, input, output, 1, state <> 'settled' "  \
	"FROM calls WHERE " whose " AND at_ns >= ?2 AND at_ns < ?3 ORDER BY at_ns"

static const char read_agent[] = READ_CALLS("agent = ?1");
static const char read_host[] = READ_CALLS("?1 IS NOT NULL");
static const char read_label[] = READ_CALLS("label_set IN (SELECT id FROM label_sets WHERE "
					    "instr(',' || labels || ',', ',' || ?1 || ','))");

static const char agent_prefix[] = "agent/";
static const char label_prefix[] = "label/";
static const char host_subject[] = "host";

void sg_subject_of_agent(const char *agent, char out[SG_SUBJECT_BYTES])
{
	snprintf(out, SG_SUBJECT_BYTES, "%s%s", agent_prefix, agent);
}

void sg_subject_of_label(const char *label, char out[SG_SUBJECT_BYTES])
{
	snprintf(out, SG_SUBJECT_BYTES, "%s%s", label_prefix, label);
}

void sg_subject_of_host(char out[SG_SUBJECT_BYTES])
{
	strcpy(out, host_subject);
}

// ---- Rows ----

static int prepare_once(struct sg_ledger *ledger, const char *text, sqlite3_stmt **statement)
{
	if (*statement)
		return SQLITE_OK;
	return sqlite3_prepare_v3(ledger->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static int visit_rows(sqlite3_stmt *statement, sg_ledger_visit_fn visit, void *context)
{
	int status;

	while ((status = sqlite3_step(statement)) == SQLITE_ROW) {
		const struct sg_ledger_row row = { .at_ns = sqlite3_column_int64(statement, 0),
			.provider = (const char *)sqlite3_column_text(statement, 1),
			.model = (const char *)sqlite3_column_text(statement, 2),
			.charge = { .nanousd = sqlite3_column_int64(statement, 3),
				.input_tokens = sqlite3_column_int64(statement, 4),
				.output_tokens = sqlite3_column_int64(statement, 5),
				.requests = sqlite3_column_int64(statement, 6) },
			.estimated = sqlite3_column_int64(statement, 7) };

		visit(context, &row);
	}
	sqlite3_reset(statement);
	return status == SQLITE_DONE ? SQLITE_OK : status;
}

// Rows between two numbers (of slices, or times), of one who.
static int read_between(sqlite3_stmt *statement, const char *who, const int64_t bounds[2],
	sg_ledger_visit_fn visit, void *context)
{
	sg_ledger_bind_text(statement, 1, who);
	sqlite3_bind_int64(statement, 2, bounds[0]);
	sqlite3_bind_int64(statement, 3, bounds[1]);
	return visit_rows(statement, visit, context);
}

static int read_slices(struct sg_ledger *ledger, const char *subject, const int64_t slices[2],
	sg_ledger_visit_fn visit, void *context)
{
	int status = prepare_once(ledger, read_sums, &ledger->read_sums);

	return status == SQLITE_OK
		       ? read_between(ledger->read_sums, subject, slices, visit, context)
		       : status;
}

static int read_calls(struct sg_ledger *ledger, const char *subject, const int64_t times[2],
	sg_ledger_visit_fn visit, void *context)
{
	const struct {
		const char *prefix, *text;
		sqlite3_stmt **statement;
	} kinds[] = { { agent_prefix, read_agent, &ledger->read_agent },
		{ label_prefix, read_label, &ledger->read_label },
		{ host_subject, read_host, &ledger->read_host } };

	for (size_t i = 0; i < SG_ARRAY_SIZE(kinds); i++) {
		size_t length = strlen(kinds[i].prefix);
		int status;

		if (strncmp(subject, kinds[i].prefix, length) != 0)
			continue;
		status = prepare_once(ledger, kinds[i].text, kinds[i].statement);
		return status == SQLITE_OK ? read_between(*kinds[i].statement, subject + length,
						     times, visit, context)
					   : status;
	}
	return SQLITE_MISUSE;
}

static bool is_label(const char *subject)
{
	return strncmp(subject, label_prefix, strlen(label_prefix)) == 0;
}

// *ret_slice: calls before it are few enough to be read one by one. The calls of a label are found
// among everybody's.
static int find_first_coarse(
	struct sg_ledger *ledger, const char *subject, int64_t from, int64_t *ret_slice)
{
	int status = prepare_once(ledger, count_slices, &ledger->count_slices);
	sqlite3_stmt *count = ledger->count_slices;
	int64_t calls = 0;

	*ret_slice = INT64_MAX / SLICE_NS; // all are
	if (status != SQLITE_OK)
		return status;
	sg_ledger_bind_text(count, 1, is_label(subject) ? host_subject : subject);
	sqlite3_bind_int64(count, 2, from);
	while ((status = sqlite3_step(count)) == SQLITE_ROW) {
		calls += sqlite3_column_int64(count, 1);
		if (calls <= MOST_CALLS)
			continue;
		*ret_slice = sqlite3_column_int64(count, 0);
		break;
	}
	sqlite3_reset(count);
	return status == SQLITE_ROW ? SQLITE_DONE : status;
}

// From which slice on sums are read: what is before is read call by call. The first slice is so at
// least, since only a part of it counts; where calls of it were forgotten, its whole sum counts:
// too much, never too little.
static int find_first_sum(struct sg_ledger *ledger, const char *subject, int64_t since_ns,
	int64_t coarsest_ns, int64_t *ret_slice)
{
	int64_t first = since_ns > 0 ? since_ns / SLICE_NS : 0, pruned_ns = 0;
	int r = sg_ledger_pruned_until(ledger, &pruned_ns);

	if (r < 0)
		return r;
	*ret_slice = first;
	if (since_ns < pruned_ns)
		return 0;
	if (coarsest_ns < SLICE_NS) {
		int status = find_first_coarse(ledger, subject, first, ret_slice);

		if (status != SQLITE_DONE)
			return sg_ledger_errno(status);
	}
	if (*ret_slice == first && first * SLICE_NS < since_ns)
		++*ret_slice;
	return 0;
}

static int read_since(struct sg_ledger *ledger, const char *subject, int64_t since_ns,
	int64_t coarsest_ns, sg_ledger_visit_fn visit, void *context)
{
	static const int64_t since_ever[2] = { SINCE_EVER, SINCE_EVER };
	int64_t slices[2] = { 0, INT64_MAX };
	int status = SQLITE_OK, r;

	if (since_ns == INT64_MIN)
		return sg_ledger_errno(read_slices(ledger, subject, since_ever, visit, context));
	r = find_first_sum(ledger, subject, since_ns, coarsest_ns, &slices[0]);
	if (r < 0)
		return r;
	if (slices[0] * SLICE_NS > since_ns) {
		const int64_t times[2] = { since_ns, slices[0] * SLICE_NS };

		status = read_calls(ledger, subject, times, visit, context);
	}
	if (status == SQLITE_OK)
		status = read_slices(ledger, subject, slices, visit, context);
	return sg_ledger_errno(status);
}

// As of one moment, whatever the writer does meanwhile.
int sg_ledger_read(struct sg_ledger *ledger, const char *subject, int64_t since_ns,
	int64_t coarsest_ns, sg_ledger_visit_fn visit, void *context)
{
	int status = sqlite3_exec(ledger->db, "BEGIN", NULL, NULL, NULL), r;

	if (status != SQLITE_OK)
		return sg_ledger_errno(status);
	r = read_since(ledger, subject, since_ns, coarsest_ns, visit, context);
	status = sqlite3_exec(ledger->db, "COMMIT", NULL, NULL, NULL);
	return r < 0 ? r : sg_ledger_errno(status);
}

static int read_number(struct sg_ledger *ledger, const char *query, int64_t *ret_number)
{
	int status = sg_ledger_number(ledger, query, ret_number);

	return sg_ledger_errno(status);
}

int sg_ledger_last_call(struct sg_ledger *ledger, uint64_t *ret_call_id)
{
	int64_t call_id = 0;
	int r = read_number(ledger, "SELECT max(call_id) FROM calls", &call_id);

	*ret_call_id = (uint64_t)call_id;
	return r;
}

int sg_ledger_pruned_until(struct sg_ledger *ledger, int64_t *ret_wall_ns)
{
	*ret_wall_ns = 0;
	return read_number(ledger, "SELECT value FROM marks WHERE name = 'pruned'", ret_wall_ns);
}

// ---- Labels ----

// Runs one statement about some labels; a row is a number.
static int about_labels(
	struct sg_ledger *ledger, const char *text, const char *labels, uint32_t *ret_id)
{
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(ledger->db, text, -1, &statement, NULL);

	if (status == SQLITE_OK) {
		sg_ledger_bind_text(statement, 1, labels);
		status = sqlite3_step(statement);
	}
	if (status == SQLITE_ROW)
		*ret_id = (uint32_t)sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return sg_ledger_errno(status);
}

int sg_ledger_label_set(struct sg_ledger *ledger, const char *labels, uint32_t *ret_id)
{
	static const char find[] = "SELECT id FROM label_sets WHERE labels = ?1";
	static const char add[] = "INSERT OR IGNORE INTO label_sets (labels) VALUES (?1)";
	int r = 0;

	*ret_id = 0;
	if (!*labels)
		return 0;
	r = about_labels(ledger, find, labels, ret_id);
	if (r < 0 || *ret_id) // what is there is found on a full disk too
		return r;
	r = about_labels(ledger, add, labels, ret_id);
	return r < 0 ? r : about_labels(ledger, find, labels, ret_id);
}

int sg_ledger_labels(struct sg_ledger *ledger, uint32_t id, char *ret_labels, size_t size)
{
	static const char find[] = "SELECT labels FROM label_sets WHERE id = ?1";
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(ledger->db, find, -1, &statement, NULL);

	ret_labels[0] = 0;
	if (status == SQLITE_OK) {
		sqlite3_bind_int64(statement, 1, id);
		status = sqlite3_step(statement);
	}
	if (status == SQLITE_ROW)
		snprintf(ret_labels, size, "%s", (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return sg_ledger_errno(status);
}

// ---- Forgetting ----

static int forget(struct sg_ledger *ledger, const char *text, int64_t before)
{
	sqlite3_stmt *statement = NULL;
	int status = sqlite3_prepare_v2(ledger->db, text, -1, &statement, NULL);

	if (status == SQLITE_OK) {
		sqlite3_bind_int64(statement, 1, before);
		status = sqlite3_step(statement);
	}
	sqlite3_finalize(statement);
	return sg_ledger_errno(status);
}

static int forget_some(struct sg_ledger *ledger, int64_t before_ns, int *ret_count)
{
	static const char mark[] = "INSERT INTO marks VALUES ('pruned', ?1) ON CONFLICT DO UPDATE "
				   "SET value = max(value, excluded.value)";
	static const char old_calls[] =
		"DELETE FROM calls WHERE call_id IN (SELECT call_id FROM "
		"calls WHERE at_ns < ?1 ORDER BY at_ns LIMIT " PRUNE_ROWS ")";
	static const char old_sums[] =
		"DELETE FROM sums WHERE (subject, slice, provider, model) IN (SELECT subject, "
		"slice, provider, model FROM sums WHERE slice >= 0 AND slice < ?1 LIMIT " PRUNE_ROWS
		")";
	int r = forget(ledger, mark, before_ns);

	if (r == 0)
		r = forget(ledger, old_calls, before_ns);
	*ret_count = sqlite3_changes(ledger->db);
	if (r == 0)
		r = forget(ledger, old_sums, before_ns / SLICE_NS);
	*ret_count += sqlite3_changes(ledger->db);
	return r;
}

int sg_ledger_prune(struct sg_ledger *ledger, int64_t before_ns)
{
	int count = 0, r = sg_ledger_begin(ledger);

	if (r == 0)
		r = forget_some(ledger, before_ns, &count);
	if (r == 0)
		r = sg_ledger_commit(ledger);
	if (r < 0) {
		sg_ledger_rollback(ledger);
		return r;
	}
	if (count)
		r = sg_ledger_errno(sqlite3_exec(
			ledger->db, "PRAGMA incremental_vacuum(" FREE_PAGES ")", NULL, NULL, NULL));
	return r < 0 ? r : count > 0;
}
