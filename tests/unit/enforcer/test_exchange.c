// SPDX-License-Identifier: Apache-2.0
// What a call does as time goes by and when memory is short. Calls as a whole: tests/e2e.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/engine_fixture.h"

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/limits.h"
#include "enforcer/provider_side.h"
#include "enforcer/worker.h"
#include "provider/provider.h"

// The linker puts it in the place of the real one.
int __wrap_sg_response_reader_new(
	const struct sg_response_options *options, struct sg_response_reader **ret_reader);
int __wrap_sg_response_reader_new(
	const struct sg_response_options *options, struct sg_response_reader **ret_reader)
{
	(void)options;
	(void)ret_reader;
	return -ENOMEM;
}

static struct sg_enforcer enforcer;
static struct sg_worker worker = { .enforcer = &enforcer };
static struct sg_agent agent = { .name = "a" };
static struct sg_client client = { .worker = &worker, .agent = &agent };
static const struct sg_agent_side side = { .keeps_framing = true };
static struct sg_upstream upstream = { .state = SG_UPSTREAM_ACTIVE };
static struct sg_body_share bodies;
static struct sg_exchange exchange;

static int setup_call(void **state)
{
	memset(&exchange, 0, sizeof(exchange));
	if (setup(state) < 0 || sg_loop_new(&worker.loop) < 0)
		return -1;
	enforcer.engine = engine;
	sg_body_init(&exchange.body, &bodies, UINT64_MAX);
	exchange.client = &client;
	exchange.side = &side;
	exchange.upstream = &upstream;
	exchange.agent_gone = true; // nobody is told
	exchange.started_ms = sg_loop_now_ms(worker.loop);
	sg_exchange_arm(&exchange, SG_REQUEST_MS);
	return 0;
}

static int teardown_call(void **state)
{
	sg_loop_disarm(&exchange.timer);
	sg_body_done(&exchange.body);
	worker.loop = sg_loop_free(worker.loop);
	return teardown(state);
}

static void pass(int64_t ms)
{
	exchange.timer.deadline_ms -= ms;
	exchange.started_ms -= ms;
}

static int64_t left_ms(void)
{
	return exchange.timer.deadline_ms - sg_loop_now_ms(worker.loop);
}

// More of the request than was passed on before, to nobody.
static void feed_request(enum sg_request_state request)
{
	exchange.request = request;
	exchange.request_body =
		(struct sg_h1_body){ .framing = SG_H1_UNTIL_CLOSE, .state = SG_H1_BODY_DATA };
	exchange.bad_coding = "no"; // gathered, not read
	sg_buf_release(&upstream.out);
	assert_int_equal(sg_request_feed(&exchange, "x", 1), 1);
}

static void test_upload_may_last(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		pass(SG_REQUEST_MS - 1000);
		feed_request(SG_REQUEST_STREAM);
		assert_int_equal(left_ms(), SG_REQUEST_MS);
	}
	pass(1000);
	feed_request(SG_REQUEST_STREAM);
	assert_int_equal(left_ms(), SG_REQUEST_MS - 1000); // not for every piece
	sg_buf_release(&upstream.out);
}

static void test_gathered_has_an_end(void **state)
{
	int64_t passed_ms = 0;

	(void)state;
	while (passed_ms < SG_GATHER_MS - SG_REQUEST_MS) {
		pass(SG_REQUEST_MS / 2);
		passed_ms += SG_REQUEST_MS / 2;
		feed_request(SG_REQUEST_HOLD);
		assert_int_equal(left_ms(), SG_REQUEST_MS);
	}
	pass(SG_REQUEST_MS - 1000);
	feed_request(SG_REQUEST_HOLD);
	assert_int_equal(left_ms(), 1000);
	pass(1000);
	feed_request(SG_REQUEST_HOLD);
	assert_int_equal(left_ms(), 0);
}

static void test_dropped_has_an_end(void **state)
{
	(void)state;
	pass(SG_REQUEST_MS - 1000);
	feed_request(SG_REQUEST_DISCARD);
	assert_int_equal(left_ms(), 1000);
}

static void test_answer_may_last(void **state)
{
	(void)state;
	exchange.everything_sent = true;
	exchange.request = SG_REQUEST_DONE;
	exchange.response = SG_RESPONSE_BODY;
	exchange.response_body =
		(struct sg_h1_body){ .framing = SG_H1_UNTIL_CLOSE, .state = SG_H1_BODY_DATA };
	sg_exchange_arm(&exchange, SG_RESPONSE_MS);
	for (int i = 0; i < 100; i++) {
		pass(SG_RESPONSE_MS - 1000);
		assert_int_equal(sg_response_take(&exchange, "x", 1), 1);
		assert_int_equal(left_ms(), SG_RESPONSE_MS);
	}
	// Whose agent left has its time in all.
	exchange.draining = true;
	sg_exchange_arm(&exchange, SG_DRAIN_MS);
	pass(SG_DRAIN_MS - 1000);
	assert_int_equal(sg_response_take(&exchange, "x", 1), 1);
	assert_int_equal(left_ms(), 1000);
}

// What is read on is read for its usage: a call that has none ends with its agent.
static void test_free_call_ends_with_its_agent(void **state)
{
	(void)state;
	exchange.everything_sent = true;
	exchange.response = SG_RESPONSE_HEAD;
	exchange.route.kind = SG_ROUTE_METERED;
	assert_false(sg_exchange_agent_left(&exchange));
	assert_true(exchange.draining);
	exchange.route.kind = SG_ROUTE_FREE;
	assert_true(sg_exchange_agent_left(&exchange));
}

// No memory for what reads the answer: it is charged by its hold, which is not left out.
static void test_unread_answer(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
	const struct sg_budget_policy budget = { .limit_nanousd = 1000 };
	struct sg_account *account = account_with("a", &budget);
	struct sg_refusal refusal;

	(void)state;
	assert_int_equal(take(0, account, 600, &exchange.hold, &refusal), 0);
	client.provider = sg_provider_by_host("api.openai.com", strlen("api.openai.com"));
	exchange.route.kind = SG_ROUTE_METERED;
	exchange.request = SG_REQUEST_DONE;
	exchange.everything_sent = true;
	exchange.response = SG_RESPONSE_HEAD;
	assert_int_equal(sg_response_take(&exchange, head, sizeof(head) - 1), -ENOMEM);
	assert_int_equal(exchange.response, SG_RESPONSE_HEAD); // the agent is told so
	refusal = look_at(account);
	assert_int_equal(refusal.held_nanousd, 0);
	assert_int_equal(refusal.spent_nanousd, 600);
}

// The side has no way to answer: whoever left is told nothing, and the call is over.
static void test_refused_after_it_left(void **state)
{
	(void)state;
	exchange.response = SG_RESPONSE_HEAD;
	sg_exchange_refuse(&exchange, SG_ANSWER_UPSTREAM, NULL, "the connection ended");
	assert_int_equal(exchange.response, SG_RESPONSE_DONE);
	assert_int_equal(sg_buf_length(&exchange.answer), 0);
}

// The last piece went before it was known to be the last: all the same the provider has the call.
static void test_sent_to_the_byte(void **state)
{
	(void)state;
	exchange.request = SG_REQUEST_SEND;
	sg_h1_provider_side.flush(&exchange);
	assert_false(exchange.everything_sent);
	exchange.request = SG_REQUEST_DONE;
	sg_h1_provider_side.flush(&exchange);
	assert_true(exchange.everything_sent);
	assert_int_equal(left_ms(), SG_RESPONSE_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_upload_may_last, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(
			test_gathered_has_an_end, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(test_dropped_has_an_end, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(test_answer_may_last, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(
			test_free_call_ends_with_its_agent, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(test_unread_answer, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(
			test_refused_after_it_left, setup_call, teardown_call),
		cmocka_unit_test_setup_teardown(test_sent_to_the_byte, setup_call, teardown_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
