// SPDX-License-Identifier: Apache-2.0
// The hold journal: a memory-mapped file of fixed slots. What is in it survives the end of the
// process at any instruction, since the pages belong to the kernel. A slot's state word is written
// last (release), so a slot is either whole or not there; a checksum over the rest tells a slot
// that was torn by a loss of power.
//
//   FREE -> FILLING -> HELD -> SETTLED -> FREE     (settled: until the ledger has it)
//                      HELD -> FREE                (released)
//                      HELD -> DEFERRED -> SETTLED or FREE
//
// A deferred call was answered, and goes on at the provider: a later answer tells what it cost, to
// whichever process runs then.
//
// A hold may be raised while it is out. The raised bound is under no checksum: each of its amounts
// is one store, and grows, so that whatever was there at any instruction covers what the caller was
// told.
//
// Slots are in regions, one a worker: only that worker takes slots there; the writer thread frees
// settled ones.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/charge.h"
#include "base/error.h"

#define SG_JOURNAL_SLOTS 32768

enum sg_slot_state {
	SG_SLOT_FREE,
	SG_SLOT_FILLING,
	SG_SLOT_HELD,
	SG_SLOT_SETTLED,
	SG_SLOT_DEFERRED,
};

// With their NULs: what is longer is cut to fit.
#define SG_SLOT_AGENT_BYTES    64
#define SG_SLOT_PROVIDER_BYTES 24
#define SG_SLOT_API_BYTES      16
#define SG_SLOT_MODEL_BYTES    128

// On disk. Little-endian as the machine. Names stand one after the other, so that a call whose
// names are short touches half of its slot.
struct sg_slot {
	_Atomic uint32_t state;
	uint32_t checksum; // as of HELD: over what follows, up to `charge`, and the names
	uint64_t call_id;
	int64_t at_ns;		// wall time of the hold
	struct sg_charge bound; // at first
	uint32_t label_set;	// of the agent, as the ledger numbers them
	uint16_t names_bytes;
	uint16_t model_at; // in `names`
	// settled
	struct sg_charge charge; // until then: the bound as it was raised last
	int64_t settled_at_ns;
	int64_t cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens;
	uint16_t http_status; // of a deferred one: what its caller needs to know again
	uint8_t estimated : 1, aborted : 1, cut : 1;
	uint8_t settled_model_bytes; // 0: as requested; of a deferred one: of the provider's id
	uint32_t settled_checksum;   // from `charge` to here, and the settled model
	int64_t held_nanousd;	     // when it was settled, for the ledger: under no checksum
	char names[360];	     // agent, provider, api, model; the settled model
};

_Static_assert(sizeof(struct sg_slot) == 512, "a slot is 512 bytes on disk");
_Static_assert(sizeof((struct sg_slot){ 0 }.names) == SG_SLOT_AGENT_BYTES + SG_SLOT_PROVIDER_BYTES +
							      SG_SLOT_API_BYTES +
							      2 * SG_SLOT_MODEL_BYTES,
	"the longest names fit");

// Within a slot, each ended by its NUL.
struct sg_slot_names {
	const char *agent, *provider, *api;
	const char *model; // as requested
};

struct sg_journal {
	int fd;
	void *map;
	size_t map_bytes;
	struct sg_slot *slots;	// SG_JOURNAL_SLOTS
	uint64_t epoch;		// counts the opens: part of every call id
	bool ledger_expected;	// the journal was open beside a ledger before
	bool machine_went_down; // before it was closed: what was not synced may be torn
	bool in_use;		// since sg_journal_begin
};

// Opens or makes <path>, whole on the disk. Returns 0 or -errno with the remedy (-ENOSPC: disk
// full; -EBADMSG: not ours).
int sg_journal_open(const char *path, struct sg_journal *journal, struct sg_error *error) SG_WUNRES;

// The ledger is open and in order: from here on call ids are of an epoch after both the journal's
// last and `last_epoch`, the newest in the ledger, so that none is given twice when either file was
// moved aside. Returns 0 or -errno.
int sg_journal_begin(struct sg_journal *journal, uint64_t last_epoch) SG_WUNRES;

// Closed in good order when it was in use.
void sg_journal_close(struct sg_journal *journal);

// To the disk (`durability: power`). Returns 0 or -errno.
int sg_journal_sync(const struct sg_journal *journal, const struct sg_slot *slot) SG_WUNRES;

// Puts the names into a slot that is being filled; NULL is "". What was put is in *ret_names.
void sg_slot_set_names(struct sg_slot *slot, const char *agent, const char *provider,
	const char *api, const char *model, struct sg_slot_names *ret_names);

// Puts the model that the provider says into a held slot; NULL: as requested.
void sg_slot_set_settled_model(struct sg_slot *slot, const char *model);

// Of a slot that is whole. They stay as they are while another thread settles it.
struct sg_slot_names sg_slot_names(const struct sg_slot *slot);

// Of a slot that is settled whole: as the provider says, or as requested where it says none.
const char *sg_slot_settled_model(const struct sg_slot *slot);

// Seals a filled slot: checksum, then HELD.
void sg_slot_hold(struct sg_slot *slot);
bool sg_slot_is_whole(const struct sg_slot *slot);

// The bound of a slot that is being filled, or is held, is `bound` from here on. Where it is below
// the first one, that still counts after a crash.
void sg_slot_raise(struct sg_slot *slot, const struct sg_charge *bound);

// What a whole held slot may have cost at most.
struct sg_charge sg_slot_bound(const struct sg_slot *slot);

// Seals a held slot as deferred: checksum, then DEFERRED. The id is not empty; it stands where the
// settled model will.
void sg_slot_defer(struct sg_slot *slot, const char *id, uint16_t flags);

// The id of a deferred slot; NULL: it is torn.
const char *sg_slot_deferred_id(const struct sg_slot *slot);

// Seals the settled part of a held or deferred slot: checksum, then SETTLED.
void sg_slot_settle(struct sg_slot *slot);
bool sg_slot_is_settled_whole(const struct sg_slot *slot);
