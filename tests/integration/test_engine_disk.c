// SPDX-License-Identifier: Apache-2.0
// The budget engine on a disk that is full or read-only (case 35 of docs/budgets.md): a small tmpfs
// in a mount namespace of this process alone. Needs root.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "budget/journal.h"
#include "lib/engine_fixture.h"

#define MORE_CALLS 1000

static const struct sg_budget_policy budget = { .limit_nanousd = 1000000, .window_ns = HOUR_NS };

static int make_disk(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/spendgate-disk-XXXXXX");
	now_ns = INT64_C(1790000000) * SG_NS_PER_SEC;
	engine = NULL;
	if (!mkdtemp(directory))
		return -1;
	return mount("tmpfs", directory, "tmpfs", 0, "size=64m");
}

static int remove_disk(void **state)
{
	(void)state;
	engine = sg_engine_close(engine);
	if (umount(directory) < 0)
		return -1;
	return rmdir(directory);
}

static void remount(unsigned long flags, const char *options)
{
	assert_int_equal(mount("tmpfs", directory, "tmpfs", MS_REMOUNT | flags, options), 0);
}

// Leaves not one byte free.
static void fill_disk(void)
{
	static const char block[4096];
	char path[128];
	int fd;

	path_in_state(path, sizeof(path), "filler");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void free_disk(void)
{
	char path[128];

	path_in_state(path, sizeof(path), "filler");
	assert_int_equal(unlink(path), 0);
}

static void spend(struct sg_account *account, unsigned calls)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	for (unsigned i = 0; i < calls; i++) {
		assert_int_equal(take(0, account, 1, &hold, &refusal), 0);
		settle(&hold, 1);
	}
}

// Spends one nano-dollar a call until the engine refuses to: returns the calls, and why it ended.
static unsigned spend_until_refused(struct sg_account *account, int *ret_reason)
{
	unsigned calls = 0;

	for (;; calls++) {
		struct sg_refusal refusal;
		struct sg_hold hold;

		*ret_reason = take(0, account, 1, &hold, &refusal);
		if (*ret_reason < 0)
			return calls;
		settle(&hold, 1);
	}
}

static void no_room_for_the_journal_is_told_at_the_opening(void **state)
{
	struct sg_error error = { "" };
	char path[128];

	(void)state;
	remount(0, "size=4m");
	assert_int_equal(try_open_engine(1, &error), -ENOSPC);
	assert_non_null(strstr(error.text, "holds.journal"));
	assert_non_null(strstr(error.text, "make room"));
	path_in_state(path, sizeof(path), "holds.journal.new");
	assert_int_equal(access(path, F_OK), -1); // nothing half made is left
	remount(0, "size=64m");
	open_engine(1);
}

static void a_read_only_directory_is_told_at_the_opening(void **state)
{
	struct sg_error error = { "" };

	(void)state;
	open_engine(1);
	engine = sg_engine_close(engine);
	remount(MS_RDONLY, NULL);
	assert_int_equal(try_open_engine(1, &error), -EROFS);
	assert_non_null(strstr(error.text, directory));
	remount(0, NULL);
	open_engine(1);
}

// The journal keeps the calls while the ledger can't; when it is full the engine refuses, and with
// room again it goes on.
static void a_full_disk_fails_closed_and_comes_back(void **state)
{
	struct sg_account *account;
	unsigned calls;
	int reason;

	(void)state;
	open_engine(1);
	account = account_with("a", &budget);
	fill_disk();
	calls = spend_until_refused(account, &reason);
	assert_int_equal(reason, -ENOBUFS);
	assert_true(calls >= SG_JOURNAL_SLOTS);
	assert_int_equal(spend_until_refused(account, &reason), 0);
	free_disk();
	sg_engine_flush(engine);
	spend(account, MORE_CALLS);
	engine = sg_engine_close(engine);
	open_engine(1);
	assert_int_equal(spent_of(account_with("a", &budget)), calls + MORE_CALLS);
}

// Calls wait in the journal that the ledger does not have: a window that must be read from the
// ledger would miss them.
static void no_new_window_while_calls_wait(void **state)
{
	const struct sg_policy longer = { .count = 1,
		.budgets = {
			{ .name = "b", .limit_nanousd = 1000000, .window_ns = 2 * HOUR_NS } } };
	const struct sg_policy raised = { .count = 1,
		.budgets = { { .name = "b", .limit_nanousd = 2000000, .window_ns = HOUR_NS } } };
	struct sg_account *account, *same;
	struct sg_error error = { "" };
	unsigned calls;
	int reason;

	(void)state;
	open_engine(1);
	account = account_with("a", &budget);
	fill_disk();
	calls = spend_until_refused(account, &reason);
	assert_true(sg_account_set(engine, "a", &longer, &same, &error) < 0);
	assert_non_null(strstr(error.text, "agent a: the ledger can't be written"));
	assert_int_equal(sg_account_set(engine, "a", &raised, &same, &error), 0);
	assert_ptr_equal(same, account);
	free_disk();
	sg_engine_flush(engine);
	assert_int_equal(sg_account_set(engine, "a", &longer, &same, &error), 0);
	assert_int_equal(spent_of(account), calls);
}

static void a_restart_on_a_full_disk_is_refused_and_loses_nothing(void **state)
{
	struct sg_error error = { "" };
	unsigned calls;
	int reason;

	(void)state;
	open_engine(1);
	fill_disk();
	calls = spend_until_refused(account_with("a", &budget), &reason);
	engine = sg_engine_close(engine);
	assert_true(try_open_engine(1, &error) < 0);
	assert_non_null(strstr(error.text, "ledger"));
	free_disk();
	open_engine(1);
	assert_int_equal(spent_of(account_with("a", &budget)), calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, make_disk, remove_disk)
		T(no_room_for_the_journal_is_told_at_the_opening),
		T(a_read_only_directory_is_told_at_the_opening),
		T(a_full_disk_fails_closed_and_comes_back),
		T(no_new_window_while_calls_wait),
		T(a_restart_on_a_full_disk_is_refused_and_loses_nothing),
	};

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fprintf(stderr, "test_engine_disk: NOT RUN: needs root for a mount namespace: %s\n",
			strerror(errno));
		return getenv("SPENDGATE_ALLOW_SKIP") ? 0 : 1;
	}
	return cmocka_run_group_tests_name("engine_disk", tests, NULL, NULL);
}
