// SPDX-License-Identifier: Apache-2.0
// An engine on a directory of its own, with a clock that the test moves. Include after cmocka.h.
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/money.h"
#include "budget/engine.h"

#define HOUR_NS (3600 * SG_NS_PER_SEC)

static char directory[64];
static struct sg_engine *engine;
static _Atomic int64_t now_ns; // the writer's thread looks too
static uint64_t seed;

static inline int64_t fake_clock(void)
{
	return now_ns;
}

static inline int try_open_engine(unsigned workers, struct sg_error *error)
{
	struct sg_engine_options options = { .state_directory = directory,
		.workers = workers,
		.monotonic_ns = fake_clock,
		.wall_ns = fake_clock };

	engine = NULL;
	return sg_engine_open(&options, &engine, error);
}

static inline void open_engine(unsigned workers)
{
	struct sg_error error = { "" };

	if (try_open_engine(workers, &error) < 0)
		fail_msg("%s", error.text);
}

static inline int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/spendgate-engine-XXXXXX");
	now_ns = INT64_C(1790000000) * SG_NS_PER_SEC;
	if (!mkdtemp(directory))
		return -1;
	open_engine(2);
	return 0;
}

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	engine = sg_engine_close(engine);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

// The seed of a random test: SEED from the environment, or the time; printed, so that a failure can
// be had again.
static inline void choose_seed(void)
{
	const char *given = getenv("SEED");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)sg_clock_wall_ns();
	printf("SEED=%llu\n", (unsigned long long)seed);
}

static inline uint64_t random_number(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return seed >> 33;
}

static inline struct sg_account *account_with(
	const char *name, const struct sg_budget_policy *budget)
{
	struct sg_policy policy = { .count = 1, .budgets = { *budget } };
	struct sg_account *account = NULL;
	struct sg_error error = { "" };

	strcpy(policy.budgets[0].name, "b");
	if (sg_account_set(engine, name, &policy, &account, &error) < 0)
		fail_msg("%s", error.text);
	return account;
}

static inline struct sg_charge cost(int64_t nanousd)
{
	return (struct sg_charge){
		.nanousd = nanousd, .input_tokens = 10, .output_tokens = 10, .requests = 1
	};
}

static inline int take(unsigned worker, struct sg_account *account, int64_t nanousd,
	struct sg_hold *hold, struct sg_refusal *refusal)
{
	static const struct sg_call call = {
		.provider = "openai", .model = "gpt-4o", .api = "chat"
	};
	struct sg_charge bound = cost(nanousd);
	bool soft_alert;

	return sg_hold_take(engine, worker, account, &call, &bound, hold, refusal, &soft_alert);
}

static inline void settle(struct sg_hold *hold, int64_t nanousd)
{
	struct sg_settlement settlement = {
		.state = SG_SETTLED, .charge = cost(nanousd), .http_status = 200
	};

	sg_hold_settle(engine, hold, &settlement);
}

// What a money budget has spent in its window, of any account that nothing else is charged to: a
// hold that can't fit is refused with the exact amounts.
static inline struct sg_refusal look_at(struct sg_account *account)
{
	struct sg_refusal refusal;
	struct sg_hold hold;

	assert_int_equal(take(0, account, INT64_C(8000000000000000000), &hold, &refusal), -EDQUOT);
	return refusal;
}

static inline int64_t spent_of(struct sg_account *account)
{
	struct sg_refusal refusal = look_at(account);

	assert_int_equal(refusal.held_nanousd, 0);
	return refusal.spent_nanousd;
}

static inline void path_in_state(char *out, size_t size, const char *name)
{
	snprintf(out, size, "%s/%s", directory, name);
}

// An amount of a status.
static inline int64_t money_in(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	int64_t nanousd;

	assert_non_null(text);
	assert_int_equal(sg_money_parse(text, strlen(text), 9, &nanousd), 0);
	return nanousd;
}

// What is spent and held of an account's first budget, at this instant.
static inline void watch_cap(struct sg_account *account, int64_t cap)
{
	json_t *status = sg_account_status(engine, account);
	const json_t *budget = json_array_get(json_object_get(status, "budgets"), 0);

	assert_true(money_in(budget, "held_usd") >= 0);
	assert_true(money_in(budget, "spent_usd") + money_in(budget, "held_usd") <= cap);
	json_decref(status);
}
