// SPDX-License-Identifier: Apache-2.0
// Case 72 of docs/budgets.md: random calls of two workers, of which agents abort 30 %, upstreams
// reset 10 %, and 5 % end with the process, which is killed at any instruction. After each kill,
// nothing is held, and what is spent is what the ledger has, and what was really billed.
//
// SPENDGATE_LONG=1: a million calls in place of 50,000, in a few minutes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/engine_fixture.h"
#include "lib/ledger_file.h"

#define WORKERS	       2
#define IN_FLIGHT      26   // of a worker: of the calls of a round, that many are killed
#define CALLS_A_ROUND  1000 // on average
#define MOST_A_ROUND   (3 * CALLS_A_ROUND)
#define MAX_HOLD       1000
#define CALLS	       50000
#define CALLS_IF_ASKED 1000000

// ---- What was billed, in memory that outlives the child ----

// What happened lies between the two at every instruction: `high` is raised before something is
// done, `low` after; the other way round for what lowers it.
struct range {
	_Atomic int64_t low, high;
};

struct truth {
	struct range nanousd, calls;
	_Atomic int64_t taken, ended, aborted, reset, released;
};

static struct truth *truths; // one a worker
static _Atomic int64_t *stop_taking;

static void may_grow(struct range *range, int64_t by)
{
	atomic_fetch_add(by < 0 ? &range->low : &range->high, by);
}

static void has_grown(struct range *range, int64_t by)
{
	atomic_fetch_add(by < 0 ? &range->high : &range->low, by);
}

// ---- The child ----

struct call {
	struct sg_hold hold;
	int64_t first, at_risk; // what it is charged if it is killed now
};

struct spender {
	unsigned worker;
	uint64_t seed;
	struct sg_account *accounts[2];
	struct call calls[IN_FLIGHT];
	unsigned count;
};

static int64_t up_to(struct spender *spender, int64_t most)
{
	spender->seed = spender->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (int64_t)((spender->seed >> 33) % (uint64_t)(most + 1));
}

static void take_one(struct spender *spender)
{
	struct truth *truth = &truths[spender->worker];
	struct call *call = &spender->calls[spender->count];
	struct sg_refusal refusal;

	call->first = call->at_risk = up_to(spender, MAX_HOLD);
	may_grow(&truth->nanousd, call->first);
	may_grow(&truth->calls, 1);
	if (take(spender->worker, spender->accounts[up_to(spender, 1)], call->first, &call->hold,
		    &refusal) < 0)
		_exit(1);
	has_grown(&truth->nanousd, call->first);
	has_grown(&truth->calls, 1);
	spender->count++;
	atomic_fetch_add(&truth->taken, 1);
}

// The first bound counts after a crash however far it was lowered.
static void change_bound(struct spender *spender, struct call *call)
{
	struct truth *truth = &truths[spender->worker];
	int64_t held = call->hold.bound.nanousd, more, before = call->at_risk, after;
	struct sg_charge bound = call->hold.bound;
	struct sg_refusal refusal;

	more = up_to(spender, 1) ? up_to(spender, MAX_HOLD) : -up_to(spender, held);
	after = held + more > call->first ? held + more : call->first;
	may_grow(&truth->nanousd, after - before);
	bound.nanousd += more;
	if (more < 0)
		sg_hold_lower(engine, &call->hold, &bound);
	else if (sg_hold_top_up(engine, &call->hold, &(struct sg_charge){ .nanousd = more }, false,
			 &refusal) < 0)
		_exit(1);
	has_grown(&truth->nanousd, after - before);
	call->at_risk = after;
}

// Its upstream reset it before anything was sent.
static void give_back(struct truth *truth, struct call *call)
{
	may_grow(&truth->calls, -1);
	may_grow(&truth->nanousd, -call->at_risk);
	sg_hold_release(engine, &call->hold);
	has_grown(&truth->calls, -1);
	has_grown(&truth->nanousd, -call->at_risk);
	atomic_fetch_add(&truth->released, 1);
}

static void settle_one(
	struct truth *truth, struct call *call, const struct sg_settlement *settlement)
{
	int64_t more = settlement->charge.nanousd - call->at_risk;

	may_grow(&truth->nanousd, more);
	sg_hold_settle(engine, &call->hold, settlement);
	has_grown(&truth->nanousd, more);
	atomic_fetch_add(&truth->aborted, settlement->aborted_by_agent);
	atomic_fetch_add(&truth->reset, settlement->cut_by_upstream);
}

static void end_one(struct spender *spender, struct call *call)
{
	const int64_t held = call->hold.bound.nanousd, dice = up_to(spender, 99);
	const bool aborted = dice < 30, reset = dice >= 30 && dice < 35;
	const struct sg_settlement settlement = { .state = aborted || reset ? SG_ESTIMATED
									    : SG_SETTLED,
		.charge = cost(reset ? held : up_to(spender, held)),
		.http_status = 200,
		.aborted_by_agent = aborted,
		.cut_by_upstream = reset };
	struct truth *truth = &truths[spender->worker];

	if (dice >= 35 && dice < 40)
		give_back(truth, call);
	else
		settle_one(truth, call, &settlement);
	*call = spender->calls[--spender->count];
	atomic_fetch_add(&truth->ended, 1);
}

static void *spend_until_killed(void *context)
{
	struct spender *spender = context;
	struct truth *truth = &truths[spender->worker];

	while (atomic_load(&truth->taken) < atomic_load(stop_taking)) {
		struct call *call;

		if (spender->count < IN_FLIGHT) {
			take_one(spender);
			continue;
		}
		call = &spender->calls[up_to(spender, IN_FLIGHT - 1)];
		if (up_to(spender, 3) == 0)
			change_bound(spender, call);
		else
			end_one(spender, call);
		if (up_to(spender, 199) == 0)
			sg_engine_flush(engine); // the other one goes on through the commit
	}
	return NULL;
}

static const struct sg_budget_policy own = { .limit_nanousd = INT64_C(1) << 50 };
static const struct sg_budget_policy host = {
	.name = "host", .limit_nanousd = INT64_C(1) << 50, .scope = SG_SCOPE_HOST
};

static void share_host(void)
{
	struct sg_error error = { "" };

	assert_int_equal(sg_engine_set_budgets(engine, &host, 1, &error), 0);
}

static _Noreturn void run_child(uint64_t seed_of_child)
{
	static struct spender spenders[WORKERS];
	pthread_t threads[WORKERS];

	open_engine(WORKERS);
	share_host();
	for (unsigned i = 0; i < WORKERS; i++) {
		spenders[i] = (struct spender){ .worker = i,
			.seed = seed_of_child + i,
			.accounts = { account_with("a", &own), account_with("b", &own) } };
		if (pthread_create(&threads[i], NULL, spend_until_killed, &spenders[i]) != 0)
			_exit(1);
	}
	for (;;)
		pause();
}

// ---- The parent ----

static int64_t sum_of(size_t offset)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		sum += atomic_load((_Atomic int64_t *)((char *)&truths[i] + offset));
	return sum;
}

#define SUM_OF(field) sum_of(offsetof(struct truth, field))

// Until so many calls of this round have ended; fails when the child ends by itself.
static void run_and_kill(int64_t ended)
{
	const int64_t until = SUM_OF(ended) + ended;
	uint64_t seed_of_child = random_number();
	int status = 0;
	pid_t child;

	atomic_store(stop_taking, SUM_OF(taken) + MOST_A_ROUND);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		run_child(seed_of_child);
	while (SUM_OF(ended) < until && waitpid(child, &status, WNOHANG) == 0)
		sched_yield();
	for (uint64_t i = random_number() % 2000; i; i--)
		atomic_thread_fence(memory_order_seq_cst); // not at the end of a call, but anywhere
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
}

// What the ledger's calls come to. Ids grow with each open, so that only those since the last
// comparison are added up: a million calls would be read a thousand times.
struct total {
	int64_t last_id, nanousd, calls;
};

static int64_t ask_since(const char *what, int64_t id)
{
	char sql[128];

	snprintf(
		sql, sizeof(sql), "SELECT %s FROM calls WHERE call_id > %lld", what, (long long)id);
	return ask_sql(sql);
}

static void add_up(struct total *total)
{
	int64_t last_id = ask_sql("SELECT ifnull(max(call_id), 0) FROM calls");

	total->nanousd += ask_since("total(nanousd)", total->last_id);
	total->calls += ask_since("count(*)", total->last_id);
	total->last_id = last_id;
}

// Nothing is held; what is spent by the engine is what the ledger has, by its calls and by its
// sums, and lies within what was billed.
static void compare_all(struct total *total)
{
	int64_t spent, calls;
	const json_t *budget;
	json_t *status;

	open_engine(1);
	share_host();
	spent = spent_of(account_with("a", &own)) + spent_of(account_with("b", &own));
	status = sg_engine_budgets_status(engine);
	budget = json_array_get(status, 0);
	assert_int_equal(money_in(budget, "held_usd"), 0);
	assert_int_equal(json_integer_value(json_object_get(budget, "in_flight")), 0);
	assert_int_equal(money_in(budget, "spent_usd"), spent);
	calls = json_integer_value(json_object_get(budget, "requests"));
	json_decref(status);
	engine = sg_engine_close(engine);
	add_up(total);
	assert_int_equal(total->nanousd, spent);
	assert_int_equal(total->calls, calls);
	assert_int_equal(
		ask_sql("SELECT total(nanousd) FROM sums WHERE subject = 'host' AND slice >= 0"),
		spent);
	assert_in_range(spent, SUM_OF(nanousd.low), SUM_OF(nanousd.high));
	assert_in_range(calls, SUM_OF(calls.low), SUM_OF(calls.high));
}

// What a kill left in doubt is known now. What was in flight has ended.
static void settle_doubt(const struct total *total)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		truths[i].nanousd.low = truths[i].nanousd.high = i ? 0 : total->nanousd;
		truths[i].calls.low = truths[i].calls.high = i ? 0 : total->calls;
	}
}

static void case_72_holds_are_nothing_at_rest_and_spend_is_the_ledger(void **state)
{
	const int64_t wanted = getenv("SPENDGATE_LONG") ? CALLS_IF_ASKED : CALLS;
	struct total total = { .calls = 0 };
	int64_t killed, kills = 0;
	void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(shared != MAP_FAILED);
	truths = shared;
	stop_taking = (_Atomic int64_t *)&truths[WORKERS];
	choose_seed();
	engine = sg_engine_close(engine);
	for (; SUM_OF(taken) < wanted; kills++) {
		run_and_kill((int64_t)(random_number() % (2 * CALLS_A_ROUND - 100)));
		compare_all(&total);
		settle_doubt(&total);
		now_ns += 10 * SG_NS_PER_SEC;
	}
	assert_int_equal(ask_sql("SELECT total(nanousd) FROM calls"), total.nanousd);
	assert_int_equal(ask_sql("SELECT count(*) FROM calls"), total.calls);
	killed = SUM_OF(taken) - SUM_OF(ended);
	printf("%lld calls: %lld aborted, %lld reset, %lld given back, %lld killed in %lld kills\n",
		(long long)SUM_OF(taken), (long long)SUM_OF(aborted), (long long)SUM_OF(reset),
		(long long)SUM_OF(released), (long long)killed, (long long)kills);
	assert_true(killed > 0);
	munmap(shared, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			case_72_holds_are_nothing_at_rest_and_spend_is_the_ledger, setup, teardown),
	};

	sg_log_set_level(SG_LOG_ERROR); // not each call that is recovered
	return cmocka_run_group_tests_name("kills", tests, NULL, NULL);
}
