// SPDX-License-Identifier: Apache-2.0
// Hold journals of versions 2 and 3 are taken over: what was held or settled is charged once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "base/fd.h"
#include "budget/journal.h"
#include "lib/engine_fixture.h"

#define SLOTS	     16384
#define HEADER_BYTES 4096

// As they were on disk.
struct old_slot {
	uint32_t state, checksum;
	uint64_t call_id;
	int64_t at_ns;
	struct sg_charge bound;
	char agent[64], provider[24], api[16], model[128];
	struct sg_charge charge;
	int64_t settled_at_ns, classes[4];
	uint32_t http_status;
	uint8_t marks[4];
	char settled_model[128];
	uint32_t settled_checksum, label_set;
	int64_t held_nanousd;
};

struct old_journal {
	struct {
		uint64_t magic;
		uint32_t version, slot_bytes, slot_count, checksum;
		char rest[HEADER_BYTES - 24];
	} header;
	struct old_slot slots[SLOTS];
};

static const struct sg_budget_policy budget = { .limit_nanousd = 100000, .window_ns = HOUR_NS };

static struct old_journal *new_journal(uint32_t version)
{
	struct old_journal *journal = calloc(1, sizeof(*journal));

	assert_non_null(journal);
	journal->header.magic = 0x4c4e524a45544753ull;
	journal->header.version = version;
	journal->header.slot_bytes = sizeof(struct old_slot);
	journal->header.slot_count = SLOTS;
	journal->header.checksum = (uint32_t)crc32(0, (const Bytef *)&journal->header, 20);
	return journal;
}

static uint32_t checksum(const void *start, const void *end)
{
	uint64_t first = 1, second = 0;

	for (const uint32_t *word = start; word < (const uint32_t *)end; word++) {
		first += *word;
		second += first;
	}
	first ^= second << 32 | second >> 32;
	return (uint32_t)(first ^ first >> 32);
}

// Held with 40; `charge` is what it was raised to, or what an earlier call left there.
static void hold(struct old_slot *slot, uint64_t call_id, int64_t charge)
{
	*slot = (struct old_slot){ .state = SG_SLOT_HELD,
		.call_id = call_id,
		.at_ns = now_ns,
		.bound = cost(40),
		.agent = "a",
		.provider = "openai",
		.api = "chat",
		.model = "gpt-4o",
		.charge = cost(charge) };
	slot->checksum = checksum(&slot->call_id, &slot->charge);
}

static void end(struct old_slot *slot)
{
	slot->state = SG_SLOT_SETTLED;
	slot->settled_at_ns = now_ns;
	strcpy(slot->settled_model, "gpt-4o-2024-08-06");
	slot->settled_checksum = checksum(&slot->charge, &slot->settled_checksum);
}

static void put(struct old_journal *journal)
{
	char path[128];

	engine = sg_engine_close(engine);
	path_in_state(path, sizeof(path), "holds.journal");
	assert_int_equal(sg_fd_write_file(path, journal, sizeof(*journal), 0600), 0);
	free(journal);
}

static void what_version_3_held_and_settled_is_charged(void **state)
{
	struct old_journal *journal = new_journal(3);

	(void)state;
	hold(&journal->slots[0], 1000, 300); // raised
	hold(&journal->slots[7], 1001, 40);
	hold(&journal->slots[SLOTS - 1], 1002, 5);
	end(&journal->slots[SLOTS - 1]);
	hold(&journal->slots[9], 1003, 9000);
	journal->slots[9].state = SG_SLOT_FILLING; // never sent
	put(journal);
	for (int i = 0; i < 2; i++) {
		open_engine(2);
		assert_int_equal(spent_of(account_with("a", &budget)), 345);
		engine = sg_engine_close(engine);
	}
}

static void a_torn_slot_of_version_3_stays_torn(void **state)
{
	struct old_journal *journal = new_journal(3);

	(void)state;
	hold(&journal->slots[0], 1000, 300);
	journal->slots[0].bound.nanousd++;
	hold(&journal->slots[1], 1001, 5);
	end(&journal->slots[1]);
	journal->slots[1].charge.nanousd--; // its settlement is torn: the hold is charged
	put(journal);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 40);
}

// In place of a raised bound stands what an earlier call was charged.
static void version_2_had_no_raises(void **state)
{
	struct old_journal *journal = new_journal(2);

	(void)state;
	hold(&journal->slots[0], 1000, 90000);
	put(journal);
	open_engine(2);
	assert_int_equal(spent_of(account_with("a", &budget)), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(what_version_3_held_and_settled_is_charged),
		T(a_torn_slot_of_version_3_stays_torn),
		T(version_2_had_no_raises),
	};

	return cmocka_run_group_tests_name("journal_before", tests, NULL, NULL);
}
