// SPDX-License-Identifier: Apache-2.0
// The thread that moves settled slots into the ledger: a batch in one transaction, at most every
// 100 ms. Workers hand slots over through a ring each (one producer, one consumer), without a lock
// or a system call.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "budget/journal.h"
#include "budget/ledger.h"

#define SG_MAX_WORKERS 64

struct sg_writer;

// Called by the writer's thread after each pass, without a lock; `ledger` is NULL when it can't be
// written now.
typedef void (*sg_writer_pass_fn)(void *context, struct sg_ledger *ledger);

// Takes the ledger.
int sg_writer_start(struct sg_journal *journal, struct sg_ledger *ledger, unsigned workers,
	sg_writer_pass_fn after_pass, void *context, struct sg_writer **ret_writer) SG_WUNRES;

// A pass soon, not at the next interval. Any thread.
void sg_writer_nudge(struct sg_writer *writer);

// Writes what is there, and ends.
struct sg_writer *sg_writer_stop(struct sg_writer *writer);

// Worker `worker`: a slot is SETTLED.
void sg_writer_push(struct sg_writer *writer, unsigned worker, uint32_t slot);

// Worker `worker`: takes back a slot that is committed and free. Returns false when there is none.
bool sg_writer_take_back(struct sg_writer *writer, unsigned worker, uint32_t *ret_slot);

// The same, of a worker whose slots are all pushed or in flight: waits for the writer. Returns
// false when it can't write, too.
bool sg_writer_await_slot(struct sg_writer *writer, unsigned worker, uint32_t *ret_slot);

// Worker `worker`: is there a slot that it pushed and that was not taken back yet?
bool sg_writer_is_behind(const struct sg_writer *writer, unsigned worker);

// Waits until what was pushed before is committed (0), or can't be (-EIO).
int sg_writer_flush(struct sg_writer *writer);
