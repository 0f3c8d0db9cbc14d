// SPDX-License-Identifier: Apache-2.0
// One agent's account: its policy, what was spent in each budget's window, what is held. Every call
// is under the account's own lock; nothing here allocates but sg_account_new. Used by the engine
// only.
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "budget/engine.h"
#include "budget/policy.h"
#include "budget/window.h"

struct sg_account {
	struct sg_account *next;
	char name[SG_BUDGET_NAME_BYTES];
	pthread_mutex_t lock;
	struct sg_policy policy;
	struct sg_window *windows; // one a budget
	struct sg_charge held;	   // of all calls in flight; every budget counts every call
	struct sg_charge spent;	   // since the account was first seen
	uint64_t waiting;	   // workers that wait for a hold to end, a bit each
	int64_t calls, refused, estimated;
};

int sg_account_new(const char *name, struct sg_account **ret_account) SG_WUNRES;
struct sg_account *sg_account_free(struct sg_account *account);

// What is asked of an account: a hold for a call, or more of one that is out.
struct sg_ask {
	struct sg_charge hold;
	bool is_more; // only what is asked more of can refuse
	int64_t now_ns;
};

// Locked by the caller: does the hold fit every budget? Returns 0 and holds it, -EDQUOT with the
// refusal, or -ENOBUFS when the sum of all that is held could not be kept.
int sg_account_hold(struct sg_account *account, const struct sg_ask *ask,
	struct sg_refusal *ret_refusal, bool *ret_soft_alert) SG_WUNRES;

// Locked by the caller. May a stream be ended for want of room: does every budget that could refuse
// say so?
bool sg_account_may_cut(const struct sg_account *account);

// Locked by the caller. What is left of every cap, beside `held`.
void sg_account_room_beside(struct sg_account *account, const struct sg_charge *held,
	int64_t now_ns, struct sg_room *ret_room);

// Takes the lock itself. New reference, or NULL.
json_t *sg_account_describe(struct sg_account *account, int64_t now_ns, int64_t wall_ns);

// Locked by the caller.
void sg_account_unhold(struct sg_account *account, const struct sg_charge *bound);
void sg_account_spend(
	struct sg_account *account, const struct sg_charge *charge, bool estimated, int64_t now_ns);
