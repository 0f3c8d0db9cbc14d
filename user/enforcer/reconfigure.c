// SPDX-License-Identifier: Apache-2.0
#include "enforcer/reconfigure.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/money.h"
#include "enforcer/hook.h"
#include "enforcer/webhook.h"
#include "enforcer/worker.h"
#include "provider/price.h"

// A table that was replaced: a worker may be in the middle of a sum. Whoever takes his mail is not,
// and the last of them frees it.
struct sg_retired {
	struct sg_price_table *prices;
	_Atomic unsigned left;
};

void sg_set_log_level(const json_t *configuration)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	const char *wanted = json_string_value(json_object_get(configuration, "log_level"));
	enum sg_log_level level = SG_LOG_INFO;

	for (unsigned i = 0; wanted && i < SG_ARRAY_SIZE(names); i++)
		if (strcmp(wanted, names[i]) == 0)
			level = (enum sg_log_level)i;
	sg_log_set_level(level);
}

int sg_load_prices(
	const json_t *configuration, struct sg_price_table **ret_prices, struct sg_error *error)
{
	const char *path = json_string_value(json_object_get(configuration, "prices"));

	return path ? sg_price_table_load(path, ret_prices, error)
		    : sg_price_table_builtin(ret_prices, error);
}

int sg_set_shared_budgets(
	struct sg_enforcer *enforcer, const json_t *configuration, struct sg_error *error)
{
	const json_t *list = json_object_get(configuration, "budgets");
	struct sg_budget_policy *budgets = NULL;
	unsigned count = 0;
	int r = list ? sg_shared_budgets_parse(list, &budgets, &count, error) : 0;

	if (r == 0)
		r = sg_engine_set_budgets(enforcer->engine, budgets, count, error);
	free(budgets);
	return r;
}

void sg_retired_pass(struct sg_retired *retired)
{
	if (atomic_fetch_sub(&retired->left, 1) != 1)
		return;
	sg_price_table_free(retired->prices);
	free(retired);
}

static int replace_prices(struct sg_enforcer *enforcer, struct sg_price_table *prices)
{
	struct sg_retired *retired = calloc(1, sizeof(*retired));

	if (!retired)
		return -ENOMEM;
	// Ours is one more, so that nobody frees it before all are told.
	retired->left = enforcer->worker_count + 1;
	retired->prices = (struct sg_price_table *)atomic_exchange(&enforcer->prices, prices);
	for (unsigned i = 0; i < enforcer->worker_count; i++) {
		const struct sg_mail mail = {
			.kind = SG_MAIL_PRICES, .fds = { -1, -1 }, .retired = retired
		};

		// Out of memory: the table stays for ever, which is better than too short.
		if (sg_worker_post(enforcer->workers[i], &mail) < 0)
			sg_log(SG_LOG_ERROR, "mailbox", "worker=%u reason=\"out of memory\"", i);
	}
	sg_retired_pass(retired);
	return 0;
}

// {"hold_usd": amount}, as the warden has checked it; "deny": 0.
static int64_t amount_of(const json_t *configuration, const char *key)
{
	const char *text =
		json_string_value(json_object_get(json_object_get(configuration, key), "hold_usd"));
	int64_t nanousd = 0;

	return text && sg_money_parse(text, strlen(text), 9, &nanousd) == 0 ? nanousd : 0;
}

void sg_set_amounts(struct sg_enforcer *enforcer, const json_t *configuration)
{
	atomic_store(&enforcer->unbounded_hold, amount_of(configuration, "unbounded"));
	atomic_store(&enforcer->unknown_path_hold, amount_of(configuration, "unknown_path"));
}

// An address that is found later is no change: it is in force.
static bool is_same(const json_t *before, const json_t *after)
{
	json_t *found = json_object_get(before, "host") && !json_object_get(before, "address")
				? json_copy((json_t *)after)
				: NULL;
	bool same;

	if (found)
		json_object_del(found, "address");
	same = json_equal(before, found ? found : after);
	json_decref(found);
	return same;
}

static void name_restart_keys(
	const json_t *running, const json_t *next, char *ret_restart, size_t size)
{
	static const char *const keys[] = { "user", "workers", "durability", "providers",
		"retention", "compiled", "governance", "policy", "webhook", "budget_fail_mode",
		"refusal" };

	*ret_restart = 0;
	for (size_t i = 0; i < SG_ARRAY_SIZE(keys); i++) {
		const json_t *before = json_object_get(running, keys[i]);
		const json_t *after = json_object_get(next, keys[i]);
		size_t used = strlen(ret_restart);

		if (before == after || is_same(before, after))
			continue;
		snprintf(ret_restart + used, size - used, "%s%s", used ? ", " : "", keys[i]);
	}
}

int sg_reconfigure(struct sg_enforcer *enforcer, const json_t *next, char *ret_restart, size_t size,
	struct sg_error *error)
{
	struct sg_price_table *prices = NULL;
	int r = sg_load_prices(next, &prices, error);

	if (r < 0)
		return sg_error_prefix(error, r, "prices: ");
	r = sg_set_shared_budgets(enforcer, next, error);
	if (r < 0) {
		sg_price_table_free(prices);
		return r;
	}
	r = replace_prices(enforcer, prices);
	if (r < 0) {
		sg_price_table_free(prices);
		return sg_error_set(error, r, "out of memory");
	}
	sg_webhook_resolve(enforcer->webhook, json_object_get(next, "webhook"));
	sg_evaluator_resolve(enforcer->evaluator, json_object_get(next, "policy"));
	sg_set_log_level(next);
	sg_set_amounts(enforcer, next);
	name_restart_keys(enforcer->configuration, next, ret_restart, size);
	sg_audit_write(enforcer->audit, "configured", true,
		json_pack("{s:s?, s:I, s:s}", "prices",
			json_string_value(json_object_get(next, "prices")), "price_entries",
			(json_int_t)sg_price_table_count(prices), "restart_needed", ret_restart));
	sg_log(SG_LOG_INFO, "configured", "restart_needed=\"%s\"", ret_restart);
	return 0;
}
