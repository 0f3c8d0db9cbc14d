// SPDX-License-Identifier: Apache-2.0
// What a call of a model without a price holds and costs where it is let through: its tokens.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "enforcer/agent.h"
#include "enforcer/call.h"
#include "enforcer/client.h"
#include "enforcer/worker.h"
#include "lib/engine_fixture.h"
#include "lib/price_file.h"

static struct sg_price_table *prices;
static struct sg_enforcer enforcer;
static struct sg_worker worker;
static struct sg_agent agent;
static struct sg_client client;

static int set_up(void **state)
{
	const struct sg_budget_policy budget = { .max_tokens = 200000 };
	struct sg_error error = { "" };
	int r = setup(state);

	if (r < 0 || sg_price_table_builtin(&prices, &error) < 0 || sg_loop_new(&worker.loop) < 0)
		return -1;
	enforcer.engine = engine;
	enforcer.prices = prices;
	worker.enforcer = &enforcer;
	agent.account = account_with("a", &budget);
	agent.unknown_model = SG_UNKNOWN_ALLOW;
	client.worker = &worker;
	client.agent = &agent;
	client.provider = sg_provider_by_name("openai");
	return 0;
}

static int tear_down(void **state)
{
	worker.loop = sg_loop_free(worker.loop);
	prices = sg_price_table_free(prices);
	return teardown(state);
}

static struct sg_request_facts facts_of(int64_t max_output, int64_t choices)
{
	struct sg_request_facts facts = {
		.is_object = true, .max_output = max_output, .choices = choices, .body_bytes = 900
	};

	strcpy(facts.model, "nobody-knows-it");
	return facts;
}

static int64_t output_held(int64_t max_output, int64_t choices)
{
	struct sg_request_facts facts = facts_of(max_output, choices);
	struct sg_charge bound;

	assert_int_equal(sg_call_bound(&client, prices, &facts, &bound), 0);
	assert_int_equal(bound.nanousd, 0);
	assert_int_equal(bound.input_tokens, 900);
	return bound.output_tokens;
}

static void what_has_no_limit_holds_tokens_all_the_same(void **state)
{
	(void)state;
	assert_int_equal(output_held(50, 1), 50);
	assert_int_equal(output_held(50, 3), 150);
	assert_int_equal(output_held(0, 1), 0); // it writes nothing
	assert_int_equal(output_held(-1, 1), 131072);
	assert_int_equal(output_held(-1, 2), 262144);
}

static struct sg_settlement settle_with(enum sg_exchange_state state, int64_t input, int64_t output)
{
	struct sg_request_facts facts = facts_of(-1, 1);
	struct sg_outcome outcome = { .state = state };
	struct sg_settlement settlement = { .http_status = 200 };
	struct sg_charge bound;

	outcome.usage.input_tokens = input;
	outcome.usage.output_tokens = output;
	assert_int_equal(sg_call_bound(&client, prices, &facts, &bound), 0);
	sg_call_price(&client, prices, &facts, 0, &bound, &outcome, &settlement);
	assert_int_equal(settlement.charge.nanousd, 0);
	return settlement;
}

static void the_tokens_that_were_told_count(void **state)
{
	struct sg_settlement settlement;

	(void)state;
	settlement = settle_with(SG_EXCHANGE_SETTLED, 120, 4000);
	assert_int_equal(settlement.state, SG_SETTLED);
	assert_int_equal(settlement.charge.input_tokens, 120);
	assert_int_equal(settlement.charge.output_tokens, 4000);
	settlement = settle_with(SG_EXCHANGE_ESTIMATED, -1, -1); // nothing was told
	assert_int_equal(settlement.state, SG_ESTIMATED);
	assert_int_equal(settlement.charge.input_tokens, 900);
	assert_int_equal(settlement.charge.output_tokens, 131072);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(what_has_no_limit_holds_tokens_all_the_same),
		T(the_tokens_that_were_told_count),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
