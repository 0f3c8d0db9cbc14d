// SPDX-License-Identifier: Apache-2.0
// Calls that were answered before it was known what they cost (background answers, batches): their
// holds stay out until a later GET tells, or until nobody can be expected to ask any more. Shared
// by the workers, under a lock that only such calls take. The journal keeps what is here over a
// restart.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "budget/engine.h"
#include "provider/price.h"
#include "provider/provider.h"

struct sg_enforcer;
struct sg_worker;

struct sg_pending {
	struct sg_pending *next;
	const struct sg_provider *provider;
	char id[SG_PENDING_ID_BYTES];
	struct sg_request_facts facts; // of the call
	struct sg_hold hold;
	const struct sg_price_table *prices; // by which it is settled
	bool own_host;	    // the provider's own: it gives an id once, whoever asks about it
	int64_t expires_ms; // of the loop's clock
};

struct sg_pendings;

int sg_pendings_new(unsigned workers, struct sg_pendings **ret_pendings) SG_WUNRES;

// What an earlier process left. Before any call of this one. Returns 0 or -errno.
int sg_pendings_restore(struct sg_pendings *pendings, struct sg_engine *engine,
	const struct sg_price_table *prices, struct sg_error *error) SG_WUNRES;
struct sg_pendings *sg_pendings_free(struct sg_pendings *pendings);

// Copies, takes the prices, and tells the journal. The hold is the table's then. Returns 0, -EEXIST
// (a call of that id is held for already), -ENOSPC (one worker, or one account with it, has as many
// out as may be) or -ENOMEM.
int sg_pending_put(struct sg_pendings *pendings, struct sg_engine *engine,
	const struct sg_pending *pending) SG_WUNRES;

// More work for the call of that id: its hold is raised by pending->hold, which is given back.
// Returns 0, -ENOENT (there is none of the same account) or -ENOBUFS.
int sg_pending_join(struct sg_pendings *pendings, struct sg_engine *engine,
	struct sg_pending *pending) SG_WUNRES;

// The call that a GET asks about, without taking it out; its prices are the caller's to give back:
// of the provider's own host whichever agent asks, else the account's only.
bool sg_pending_find(struct sg_pendings *pendings, const struct sg_account *account, bool own_host,
	const struct sg_provider *provider, const char *id, struct sg_pending *ret_pending);

// Settles it as the outcome says, once: of several GETs the first one counts. `settlement` NULL:
// nothing is owed.
void sg_pending_settle(struct sg_worker *worker, const struct sg_pending *pending,
	const struct sg_settlement *settlement);

// A worker's own that nobody asked about in time: charged by their holds.
void sg_pending_sweep(struct sg_worker *worker, int64_t now_ms);

// What another worker found out about a hold of this one (SG_MAIL_SETTLE). Frees it.
struct sg_pending_end;
void sg_pending_end(struct sg_worker *worker, struct sg_pending_end *end);
