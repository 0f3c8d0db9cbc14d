// SPDX-License-Identifier: Apache-2.0
// What the engine does with files that are damaged, gone or of another time (cases 35 and 38 of
// docs/budgets.md).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/fd.h"
#include "budget/journal.h"
#include "lib/engine_fixture.h"

#define JOURNAL_HEADER_BYTES 4096
#define OFFSET_OF_IN_USE     36
#define OFFSET_OF_BOOT_ID    40

static const struct sg_budget_policy budget = { .limit_nanousd = 1000000, .window_ns = HOUR_NS };

static void spend(struct sg_account *account, int64_t nanousd)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(take(0, account, nanousd, &hold, &refusal), 0);
	settle(&hold, nanousd);
}

static void change_file(const char *name, off_t offset, const void *data, size_t length)
{
	char path[128];
	int fd;

	path_in_state(path, sizeof(path), name);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, length, offset), length);
	close(fd);
}

static void move_aside(const char *name)
{
	char path[128], aside[160];

	path_in_state(path, sizeof(path), name);
	snprintf(aside, sizeof(aside), "%s.aside", path);
	assert_int_equal(rename(path, aside), 0);
}

static void assert_refused(const char *file, const char *remedy)
{
	struct sg_error error = { "" };

	assert_true(try_open_engine(1, &error) < 0);
	if (!strstr(error.text, file) || !strstr(error.text, remedy))
		fail_msg("\"%s\" does not name %s and \"%s\"", error.text, file, remedy);
}

// The remedy for a damaged journal is to move it aside. The one that is made then must not give the
// call ids of the old one again: the ledger would take new calls for those that it has, and leave
// them out.
static void call_ids_are_new_after_the_journal_was_moved_aside(void **state)
{
	(void)state;
	spend(account_with("a", &budget), 100);
	engine = sg_engine_close(engine);
	move_aside("holds.journal");
	open_engine(2);
	spend(account_with("a", &budget), 30);
	engine = sg_engine_close(engine);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 130);
}

static void a_ledger_that_was_moved_aside_starts_empty(void **state)
{
	(void)state;
	spend(account_with("a", &budget), 100);
	engine = sg_engine_close(engine);
	move_aside("ledger.db");
	open_engine(2);
	spend(account_with("a", &budget), 30);
	engine = sg_engine_close(engine);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 30);
}

static void case_35_an_emptied_ledger_is_refused(void **state)
{
	char path[128];

	(void)state;
	spend(account_with("a", &budget), 100);
	engine = sg_engine_close(engine);
	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(truncate(path, 0), 0);
	assert_refused("ledger.db", "move it aside");
}

static void case_35_a_ledger_cut_short_is_refused(void **state)
{
	char path[128];

	(void)state;
	spend(account_with("a", &budget), 100);
	engine = sg_engine_close(engine);
	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(truncate(path, 8192), 0);
	assert_refused("ledger.db", "move it aside");
}

static void case_35_a_ledger_of_noise_is_refused(void **state)
{
	char noise[4096];

	(void)state;
	engine = sg_engine_close(engine);
	memset(noise, 0x5a, sizeof(noise));
	change_file("ledger.db", 0, noise, sizeof(noise));
	assert_refused("ledger.db", "move it aside");
}

// The number of a table's first page, from 0.
static off_t page_of(const char *table)
{
	sqlite3_stmt *statement;
	char path[128];
	sqlite3 *db;
	off_t page;

	path_in_state(path, sizeof(path), "ledger.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_master WHERE name = ?1", -1,
			&statement, NULL),
		SQLITE_OK);
	sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	page = sqlite3_column_int64(statement, 0) - 1;
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return page;
}

// Damage on a page that nothing at the opening touches is found when an account needs it: its
// budgets are not taken as unspent.
static void case_35_a_damaged_page_is_never_an_empty_account(void **state)
{
	const struct sg_policy policy = { .count = 1, .budgets = { budget } };
	struct sg_error error = { "" };
	struct sg_account *account;
	char noise[4096];

	(void)state;
	for (int i = 0; i < 300; i++) {
		spend(account_with("a", &budget), 1);
		now_ns++;
	}
	engine = sg_engine_close(engine);
	memset(noise, 0x5a, sizeof(noise));
	for (off_t page = 1; page < 8; page++)
		change_file("ledger.db", page * 4096, noise, sizeof(noise));
	if (try_open_engine(1, &error) == 0)
		assert_true(sg_account_set(engine, "a", &policy, &account, &error) < 0);
	assert_non_null(strstr(error.text, "ledger.db"));
	assert_non_null(strstr(error.text, "move it aside"));
}

// The sums are read at the first call: where they can't be, it is refused, and so is the next.
static void case_35_sums_that_cant_be_read_refuse_the_calls(void **state)
{
	struct sg_room now, at_rest;
	struct sg_account *account;
	struct sg_refusal refusal;
	struct sg_hold hold;
	char noise[4096];

	(void)state;
	spend(account_with("a", &budget), 1);
	engine = sg_engine_close(engine);
	memset(noise, 0x5a, sizeof(noise));
	change_file("ledger.db", page_of("sums") * 4096, noise, sizeof(noise));
	open_engine(1);
	account = account_with("a", &budget);
	for (int i = 0; i < 2; i++)
		assert_int_equal(take(0, account, 1, &hold, &refusal), -EIO);
	sg_account_room(engine, account,
		&(struct sg_call){ .provider = "openai", .model = "gpt-4o" }, &now, &at_rest);
	assert_int_equal(at_rest.nanousd, 0);
}

// Only a machine that went down can tear the ledger, so only then is every page looked at.
static void after_the_machine_went_down_every_page_is_checked(void **state)
{
	const uint32_t in_use = 1;
	char noise[4096];

	(void)state;
	spend(account_with("a", &budget), 1);
	engine = sg_engine_close(engine);
	memset(noise, 0x5a, sizeof(noise));
	// Nothing at the opening reads this index.
	change_file("ledger.db", page_of("calls_by_agent") * 4096, noise, sizeof(noise));
	open_engine(1);
	engine = sg_engine_close(engine);
	change_file("holds.journal", OFFSET_OF_IN_USE, &in_use, sizeof(in_use));
	open_engine(1); // killed, but on the same boot
	engine = sg_engine_close(engine);
	change_file("holds.journal", OFFSET_OF_IN_USE, &in_use, sizeof(in_use));
	change_file("holds.journal", OFFSET_OF_BOOT_ID, "another", 8);
	assert_refused("ledger.db", "move it aside");
	assert_refused("ledger.db", "move it aside"); // again: it was not forgotten
}

static void a_damaged_header_is_refused(void **state)
{
	const uint32_t slots = 1;

	(void)state;
	engine = sg_engine_close(engine);
	change_file("holds.journal", 16, &slots, sizeof(slots));
	assert_refused("holds.journal", "move it aside");
}

static void fill(struct sg_slot *slot, uint64_t call_id, int64_t bound)
{
	struct sg_slot_names names;

	slot->call_id = call_id;
	slot->at_ns = now_ns;
	slot->bound = cost(bound);
	sg_slot_set_names(slot, "a", "openai", "chat", "gpt-4o", &names);
	sg_slot_hold(slot);
}

// Leaves a held call in slot 0 and a settled one in slot 1, as a process does that is killed before
// its next commit.
static void leave_calls_in_journal(int64_t held, int64_t settled, int64_t bound)
{
	struct sg_journal journal;
	struct sg_error error = { "" };
	char path[128];

	path_in_state(path, sizeof(path), "holds.journal");
	assert_int_equal(sg_journal_open(path, &journal, &error), 0);
	fill(&journal.slots[0], 1000, held);
	fill(&journal.slots[1], 1001, bound);
	journal.slots[1].charge = cost(settled);
	journal.slots[1].settled_at_ns = now_ns;
	sg_slot_settle(&journal.slots[1]);
	sg_journal_close(&journal);
}

static off_t offset_of_slot(unsigned index, size_t field)
{
	return JOURNAL_HEADER_BYTES + (off_t)(index * sizeof(struct sg_slot) + field);
}

static void what_was_held_and_what_was_settled_is_charged(void **state)
{
	(void)state;
	engine = sg_engine_close(engine);
	leave_calls_in_journal(500, 20, 50);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 520);
}

static void a_torn_settlement_is_charged_as_held(void **state)
{
	const int64_t less = 1;

	(void)state;
	engine = sg_engine_close(engine);
	leave_calls_in_journal(500, 20, 50);
	change_file("holds.journal", offset_of_slot(1, offsetof(struct sg_slot, charge)), &less,
		sizeof(less));
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 550);
}

static void a_torn_hold_does_not_touch_the_others(void **state)
{
	const int64_t huge = INT64_C(1) << 62;

	(void)state;
	engine = sg_engine_close(engine);
	leave_calls_in_journal(500, 20, 50);
	change_file("holds.journal", offset_of_slot(0, offsetof(struct sg_slot, bound)), &huge,
		sizeof(huge));
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 20);
}

static void a_slot_in_no_known_state_is_not_taken_for_a_call(void **state)
{
	const uint32_t unknown = 77;

	(void)state;
	engine = sg_engine_close(engine);
	leave_calls_in_journal(500, 20, 50);
	change_file("holds.journal", offset_of_slot(0, offsetof(struct sg_slot, state)), &unknown,
		sizeof(unknown));
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 20);
}

// What is in the journal already is in the ledger when the process is killed between its commit and
// the freeing of the slots.
static void a_slot_that_is_in_the_ledger_already_counts_once(void **state)
{
	char path[128], *copy = NULL;
	size_t length;

	(void)state;
	engine = sg_engine_close(engine);
	leave_calls_in_journal(500, 20, 50);
	path_in_state(path, sizeof(path), "holds.journal");
	assert_int_equal(sg_fd_read_file(path, 1 << 25, &copy, &length), 0);
	open_engine(2);
	engine = sg_engine_close(engine);
	assert_int_equal(sg_fd_write_file(path, copy, length, 0600), 0);
	free(copy);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 520);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(call_ids_are_new_after_the_journal_was_moved_aside),
		T(a_ledger_that_was_moved_aside_starts_empty),
		T(case_35_an_emptied_ledger_is_refused),
		T(case_35_a_ledger_cut_short_is_refused),
		T(case_35_a_ledger_of_noise_is_refused),
		T(case_35_a_damaged_page_is_never_an_empty_account),
		T(case_35_sums_that_cant_be_read_refuse_the_calls),
		T(after_the_machine_went_down_every_page_is_checked),
		T(a_damaged_header_is_refused),
		T(what_was_held_and_what_was_settled_is_charged),
		T(a_torn_settlement_is_charged_as_held),
		T(a_torn_hold_does_not_touch_the_others),
		T(a_slot_in_no_known_state_is_not_taken_for_a_call),
		T(a_slot_that_is_in_the_ledger_already_counts_once),
	};

	return cmocka_run_group_tests_name("recovery", tests, NULL, NULL);
}
