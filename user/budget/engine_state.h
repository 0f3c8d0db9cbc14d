// SPDX-License-Identifier: Apache-2.0
// What the engine consists of, for engine.c (control thread) and hold.c (workers) only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "budget/account.h"
#include "budget/engine.h"
#include "budget/journal.h"
#include "budget/ledger.h"
#include "budget/writer.h"

#define MAX_WORKERS 64

// A call id is unique over all time: the number of the open, the worker, and a counter (19 days of
// 10,000 calls a second).
#define EPOCH_SHIFT  40
#define WORKER_SHIFT 34
#define COUNTER_MASK ((UINT64_C(1) << WORKER_SHIFT) - 1)

// A worker's part of the journal. A slot that is taken comes from the ones that the writer gives
// back, or from `free`: slots that were not used yet, or were released. Both take the same time
// however full the journal is.
struct region {
	_Alignas(64) uint32_t *free;
	uint32_t free_count;
	uint64_t counter; // of call ids
};

struct sg_engine {
	int64_t (*monotonic_ns)(void);
	int64_t (*wall_ns)(void);
	sg_room_fn on_room;
	void *on_room_context;
	bool sync_before_dispatch;
	unsigned workers;
	int lock_fd;
	struct sg_journal journal;
	struct sg_ledger *reader; // for the control thread; the writer has its own connection
	struct sg_writer *writer;
	struct sg_account *accounts;
	uint32_t free_slots[SG_JOURNAL_SLOTS]; // a share a region
	struct region regions[MAX_WORKERS];
};
