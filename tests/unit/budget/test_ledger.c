// SPDX-License-Identifier: Apache-2.0
// The ledger beside the engine: one of an earlier version, sums in the place of calls, what is
// forgotten, and a history of any length (case 64 of docs/budgets.md).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "budget/ledger.h"
#include "lib/engine_fixture.h"
#include "lib/ledger_file.h"

#define SLICE_NS (300 * SG_NS_PER_SEC)
#define DAY_NS	 (24 * HOUR_NS)

static void remove_ledger(void)
{
	static const char *const names[] = { "ledger.db", "ledger.db-wal", "ledger.db-shm" };
	char path[128];

	for (size_t i = 0; i < SG_ARRAY_SIZE(names); i++) {
		path_in_state(path, sizeof(path), names[i]);
		unlink(path);
	}
}

static struct sg_account *hourly(const char *name)
{
	return account_with(name, &(struct sg_budget_policy){ .limit_nanousd = INT64_C(1) << 50,
					  .window_ns = HOUR_NS });
}

// As the first version made it.
static const char first_schema[] =
	"CREATE TABLE calls (call_id INTEGER PRIMARY KEY, agent TEXT NOT NULL, at_ns INTEGER NOT "
	"NULL, provider TEXT NOT NULL, api TEXT NOT NULL, model TEXT NOT NULL, requested_model "
	"TEXT "
	"NOT NULL, state TEXT NOT NULL, http_status INTEGER NOT NULL, input INTEGER NOT NULL, "
	"output "
	"INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL, "
	"cache_write_1h INTEGER NOT NULL, reasoning INTEGER NOT NULL, nanousd INTEGER NOT NULL, "
	"hold_nanousd INTEGER NOT NULL, aborted INTEGER NOT NULL, cut INTEGER NOT NULL);"
	"CREATE INDEX calls_by_agent ON calls (agent, at_ns);"
	"CREATE TABLE totals (agent TEXT PRIMARY KEY, nanousd INTEGER NOT NULL, input INTEGER NOT "
	"NULL, output INTEGER NOT NULL, requests INTEGER NOT NULL, estimated INTEGER NOT NULL) "
	"WITHOUT ROWID; PRAGMA user_version = 1;";

static void a_ledger_of_the_version_before_loses_nothing(void **state)
{
	struct sg_account *account;
	char sql[1024];
	json_t *status;

	(void)state;
	engine = sg_engine_close(engine);
	remove_ledger();
	run_sql(first_schema);
	for (int i = 0; i < 5; i++) {
		snprintf(sql, sizeof(sql),
			"INSERT INTO calls VALUES "
			"(%d,'a',%lld,'openai','chat','gpt-4o','gpt-4o','%s',"
			"200,10,10,0,0,0,0,%d,100,0,0)",
			i + 1, (long long)(now_ns - i * 20 * 60 * SG_NS_PER_SEC),
			i == 1 ? "estimated" : "settled", 1 << i);
		run_sql(sql);
	}
	run_sql("INSERT INTO totals VALUES ('a', 31, 50, 50, 5, 1)");
	open_engine(2);
	account = hourly("a");
	assert_int_equal(spent_of(account), 1 + 2 + 4); // one exactly an hour old, one older
	status = sg_account_status(engine, account);
	assert_string_equal(json_string_value(json_object_get(status, "spent_usd")), "0.000000031");
	assert_int_equal(json_integer_value(json_object_get(status, "calls")), 5);
	assert_int_equal(json_integer_value(json_object_get(status, "estimated")), 1);
	json_decref(status);
	engine = sg_engine_close(engine);
	assert_int_equal(ask_sql("PRAGMA user_version"), 2);
	assert_int_equal(ask_sql("SELECT count(*) FROM calls"), 5);
	open_engine(2); // and again
	assert_int_equal(spent_of(hourly("a")), 7);
}

// Sums and calls must tell the same; where a sum is read in the place of its calls, they may not
// have been counted short.
static void sums_agree_with_the_calls(void **state)
{
	const int64_t start_ns = now_ns;

	(void)state;
	choose_seed();
	for (int i = 0; i < 3000; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;
		int64_t nanousd = (int64_t)(random_number() % 1000);
		char name[8];

		snprintf(name, sizeof(name), "%u", (unsigned)(random_number() % 5));
		assert_int_equal(
			take((unsigned)(i % 2), hourly(name), nanousd, &hold, &refusal), 0);
		settle(&hold, nanousd);
		now_ns += (int64_t)(random_number() % 20) * SG_NS_PER_SEC;
	}
	assert_true(now_ns - start_ns > 4 * HOUR_NS);
	engine = sg_engine_close(engine);
	assert_int_equal(
		ask_sql("SELECT count(*) FROM (SELECT agent, at_ns / 300000000000 AS slice, "
			"sum(nanousd) AS usd, count(*) AS n FROM calls GROUP BY 1, 2) AS c JOIN "
			"sums ON "
			"subject = 'agent/' || agent AND sums.slice = c.slice WHERE usd <> nanousd "
			"OR n "
			"<> requests"),
		0);
	assert_int_equal(
		ask_sql("SELECT sum(nanousd) FROM sums WHERE subject = 'host' AND slice >= 0"),
		ask_sql("SELECT sum(nanousd) FROM calls"));
	open_engine(2);
	for (int i = 0; i < 5; i++) {
		char name[8], sql[160];

		snprintf(name, sizeof(name), "%d", i);
		snprintf(sql, sizeof(sql),
			"SELECT total(nanousd) FROM calls WHERE agent = '%d' AND at_ns > %lld", i,
			(long long)(now_ns - HOUR_NS));
		assert_int_equal(spent_of(hourly(name)), ask_sql(sql));
	}
}

// Each call counts for one window after a restart, and not a nanosecond longer: by an agent's
// window, and by the host's.
static void case_38_a_restart_makes_no_window_longer(void **state)
{
	static const int64_t lengths_s[] = { 10, 60, 600, 7200 };
	struct sg_error error = { "" };

	(void)state;
	for (size_t i = 0; i < SG_ARRAY_SIZE(lengths_s); i++) {
		const int64_t length_ns = lengths_s[i] * SG_NS_PER_SEC, step_ns = length_ns / 5;
		const struct sg_budget_policy budget = { .limit_nanousd = 1 << 20,
			.window_ns = length_ns };
		struct sg_budget_policy host = { .name = "host",
			.scope = SG_SCOPE_HOST,
			.max_requests = 5,
			.window_ns = length_ns };
		struct sg_account *account;
		struct sg_refusal refusal;
		struct sg_hold hold;

		now_ns += length_ns;
		for (int call = 0; call < 5; call++) {
			now_ns += step_ns;
			assert_int_equal(
				take(0, account_with("a", &budget), 10, &hold, &refusal), 0);
			settle(&hold, 10);
		}
		engine = sg_engine_close(engine);
		open_engine(2);
		assert_int_equal(sg_engine_set_budgets(engine, &host, 1, &error), 0);
		account = account_with("a", &budget);
		now_ns += step_ns; // the first call is one window old
		for (int64_t left = 40; left >= 0; left -= 10) {
			assert_int_equal(spent_of(account), left);
			assert_int_equal(take(0, account, 10, &hold, &refusal), 0);
			sg_hold_release(engine, &hold);
			now_ns += step_ns - 1;
			assert_int_equal(spent_of(account), left);
			now_ns++;
		}
		assert_int_equal(sg_engine_set_budgets(engine, &host, 0, &error), 0);
	}
}

// Where there are too many calls to be read in a moment, their sums count: too much for minutes,
// never too little.
static void calls_too_many_to_be_read_count_by_their_sums(void **state)
{
	const struct sg_budget_policy budget = { .limit_nanousd = 1 << 20, .window_ns = HOUR_NS };
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	now_ns = (now_ns / HOUR_NS + 1) * HOUR_NS;
	for (int slice = 0; slice < 3; slice++) {
		assert_int_equal(take(0, account_with("a", &budget), 10, &hold, &refusal), 0);
		settle(&hold, 10);
		now_ns += SG_LEDGER_SLICE_NS;
	}
	engine = sg_engine_close(engine);
	run_sql("UPDATE sums SET nanousd = 70, requests = 40000 WHERE slice >= 0");
	open_engine(2);
	// The first slice by its one call, the others by their sums.
	assert_int_equal(spent_of(account_with("a", &budget)), 10 + 70 + 70);
}

static void what_is_older_than_the_retention_is_forgotten(void **state)
{
	const struct sg_engine_options options = { .state_directory = directory,
		.workers = 1,
		.monotonic_ns = fake_clock,
		.wall_ns = fake_clock,
		.retention_ns = DAY_NS };
	const struct sg_budget_policy two_days = { .limit_nanousd = 1, .window_ns = 2 * DAY_NS };
	const struct sg_policy long_policy = { .count = 1, .budgets = { two_days } };
	struct sg_error error = { "" };
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;

	(void)state;
	for (int i = 0; i < 2500; i++) {
		assert_int_equal(take(0, hourly("a"), 3, &hold, &refusal), 0);
		settle(&hold, 3);
		now_ns += 10 * SG_NS_PER_SEC;
	}
	now_ns += DAY_NS - 1000 * 10 * SG_NS_PER_SEC;
	engine = sg_engine_close(engine);
	assert_int_equal(sg_engine_open(&options, &engine, &error), 0);
	for (int i = 0; i < 10; i++)
		sg_engine_flush(engine);
	assert_int_equal(ask_sql("SELECT count(*) FROM calls"), 1000);
	assert_true(ask_sql("SELECT count(*) FROM sums WHERE slice >= 0") <= 2 * (1000 / 30 + 2));
	account = account_with("a", &(struct sg_budget_policy){ .limit_nanousd = 1 << 30 });
	assert_int_equal(spent_of(account), 7500); // since ever, all the same
	assert_true(sg_account_set(engine, "b", &long_policy, &account, &error) < 0);
	assert_non_null(strstr(error.text, "window 2d is longer than the ledger's retention (1d)"));
	// A day has 25 hours once a year.
	for (enum sg_calendar calendar = SG_HOUR; calendar <= SG_MONTH; calendar++) {
		const struct sg_policy periods = { .count = 1,
			.budgets = { { .limit_nanousd = 1, .calendar = calendar } } };

		assert_int_equal(sg_account_set(engine, "c", &periods, &account, &error),
			calendar == SG_HOUR ? 0 : -EINVAL);
	}
	assert_non_null(strstr(
		error.text, "window calendar:month is longer than the ledger's retention (1d)"));
}

// ---- Any length ----

// A call of each agent in turn, over thirty days. The sums are those of the calls, added up agent
// by agent, as they lie in the table.
static void fill_ledger(int64_t rows, int64_t agents)
{
	// Indexes are made faster than kept.
	char *make_indexes = ask_sql_text("SELECT group_concat(sql, ';') FROM sqlite_master WHERE "
					  "type = 'index' AND sql IS NOT NULL");
	char *sql = sqlite3_mprintf(
		"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = "
		"-1000000; PRAGMA temp_store = "
		"MEMORY; "
		"BEGIN; DROP INDEX calls_by_agent; DROP INDEX calls_by_time; DROP INDEX "
		"sums_by_slice; "
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
		"%lld) INSERT INTO calls SELECT i, 'agent-' || (i %% %lld), %lld + i * %lld, "
		"'openai', 'chat', 'gpt-4o', 'gpt-4o', 'settled', 200, 10, 10, 0, 0, 0, 0, 5, 9, "
		"0, "
		"0, 0 FROM n;"
		"CREATE TEMP TABLE a AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 "
		"FROM "
		"n WHERE i < %lld - 1) SELECT 'agent-' || i AS name, i FROM n ORDER BY name;"
		"CREATE TEMP TABLE k AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 "
		"FROM "
		"n WHERE i <= %lld / %lld) SELECT i FROM n;"
		"INSERT INTO sums SELECT 'agent/' || c.agent, c.at_ns / 300000000000, 'openai', "
		"'gpt-4o', c.at_ns, c.nanousd, c.input, c.output, 1, 0 FROM a CROSS JOIN k CROSS "
		"JOIN "
		"calls AS c ON c.call_id = k.i * %lld + a.i WHERE true ON CONFLICT DO UPDATE SET "
		"newest_ns = max(newest_ns, excluded.newest_ns), nanousd = nanousd + "
		"excluded.nanousd, input = input + excluded.input, output = output + "
		"excluded.output, requests = requests + 1;"
		"INSERT INTO sums SELECT 'host', at_ns / 300000000000, 'openai', 'gpt-4o', "
		"max(at_ns), sum(nanousd), sum(input), sum(output), count(*), 0 FROM calls GROUP "
		"BY "
		"2;"
		"INSERT INTO sums SELECT subject, -1, 'openai', 'gpt-4o', max(newest_ns), "
		"sum(nanousd), sum(input), sum(output), sum(requests), 0 FROM sums GROUP BY 1; %s; "
		"COMMIT",
		rows, agents, now_ns - 30 * DAY_NS, 30 * DAY_NS / rows, agents, rows, agents,
		agents, make_indexes);

	run_sql(sql);
	sqlite3_free(sql);
	free(make_indexes);
}

// A start would wait for what was filled to be on the disk, which no calls leave behind.
static void sync_ledger(void)
{
	char path[128];
	int fd;

	path_in_state(path, sizeof(path), "ledger.db");
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static int64_t microseconds(int64_t since_ns)
{
	return (sg_clock_monotonic_ns() - since_ns) / 1000;
}

static int compare_times(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

// The median time in which it is decided on a call of an agent that made some before.
static int64_t decision_ns(struct sg_account *account)
{
	static int64_t times_ns[20001];

	for (size_t i = 0; i < SG_ARRAY_SIZE(times_ns); i++) {
		int64_t start_ns = sg_clock_monotonic_ns();
		struct sg_refusal refusal;
		struct sg_hold hold;

		assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
		times_ns[i] = sg_clock_monotonic_ns() - start_ns;
		sg_hold_release(engine, &hold);
	}
	qsort(times_ns, SG_ARRAY_SIZE(times_ns), sizeof(*times_ns), compare_times);
	return times_ns[SG_ARRAY_SIZE(times_ns) / 2];
}

// A month of calls of thousands of agents. Nothing here judges a time: they are told, and the start
// and the first calls must find what each agent and the host had spent in their windows.
static void case_64_a_long_history_is_found_by_its_sums(void **state)
{
	const char *given = getenv("SPENDGATE_LEDGER_ROWS");
	const int64_t rows = given ? strtoll(given, NULL, 10) : 100000;
	const int64_t agents = rows >= 1000000 ? 10000 : 1000;
	const struct sg_budget_policy host = { .name = "host",
		.limit_nanousd = INT64_C(1) << 50,
		.window_ns = DAY_NS,
		.scope = SG_SCOPE_HOST };
	struct sg_account **accounts = calloc((size_t)agents, sizeof(struct sg_account *));
	int64_t start_ns, opened_us, set_us, first_us, spent = 0;
	struct sg_error error = { "" };
	json_t *shared;
	char name[32];

	(void)state;
	assert_non_null(accounts);
	engine = sg_engine_close(engine);
	start_ns = sg_clock_monotonic_ns();
	fill_ledger(rows, agents);
	sync_ledger();
	printf("filled in %lld ms\n", (long long)(microseconds(start_ns) / 1000));
	start_ns = sg_clock_monotonic_ns();
	open_engine(2);
	assert_int_equal(sg_engine_set_budgets(engine, &host, 1, &error), 0);
	opened_us = microseconds(start_ns);
	start_ns = sg_clock_monotonic_ns();
	for (int64_t i = 0; i < agents; i++) {
		snprintf(name, sizeof(name), "agent-%lld", (long long)i);
		accounts[i] = account_with(
			name, &(struct sg_budget_policy){
				      .limit_nanousd = INT64_C(1) << 50, .window_ns = DAY_NS });
	}
	set_us = microseconds(start_ns);
	start_ns = sg_clock_monotonic_ns();
	for (int64_t i = 0; i < agents; i++) {
		struct sg_refusal refusal;
		struct sg_hold hold;

		assert_int_equal(take(0, accounts[i], 1, &hold, &refusal), 0);
		sg_hold_release(engine, &hold);
	}
	first_us = microseconds(start_ns);
	printf("%lld rows, %lld agents: open %lld us, accounts %lld us, a first call %lld us, a "
	       "decision after that %lld ns\n",
		(long long)rows, (long long)agents, (long long)opened_us, (long long)set_us,
		(long long)(first_us / agents), (long long)decision_ns(accounts[0]));
	for (int64_t i = 0; i < agents; i++) {
		json_t *status = sg_account_status(engine, accounts[i]);
		json_t *budget = json_array_get(json_object_get(status, "budgets"), 0);

		spent += json_integer_value(json_object_get(budget, "requests"));
		json_decref(status);
	}
	// The last day of thirty: calls that are exactly a day old do not count.
	assert_int_equal(spent, (rows + 29) / 30);
	shared = sg_engine_budgets_status(engine);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(shared, 0), "requests")), spent);
	json_decref(shared);
	free(accounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_ledger_of_the_version_before_loses_nothing),
		T(sums_agree_with_the_calls),
		T(case_38_a_restart_makes_no_window_longer),
		T(calls_too_many_to_be_read_count_by_their_sums),
		T(what_is_older_than_the_retention_is_forgotten),
		T(case_64_a_long_history_is_found_by_its_sums),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
