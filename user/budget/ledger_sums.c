// SPDX-License-Identifier: Apache-2.0
#include "budget/ledger_sums.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "budget/ledger_state.h"
#include "budget/window.h"

#define HALF_KEY_BYTES (SG_SUBJECT_BYTES + 24 + 128)

// Slice, then subject, provider and model, each with its NUL: as long as they are.
struct key {
	int64_t slice;
	char text[HALF_KEY_BYTES];
};

struct sg_pending_sum {
	UT_hash_handle hh;
	int64_t newest_ns;
	struct sg_charge charge;
	int64_t estimated;
	struct key key; // last: cut to its length
};

static char *put(char *at, const char *text)
{
	size_t length = strlen(text) + 1;

	memcpy(at, text, length);
	return at + length;
}

static struct sg_pending_sum *find_or_make(
	struct sg_ledger *ledger, const struct key *key, size_t length)
{
	struct sg_pending_sum *sum;

	HASH_FIND(hh, ledger->pending, key, length, sum);
	if (sum)
		return sum;
	sum = calloc(1, offsetof(struct sg_pending_sum, key) + length);
	if (!sum)
		return NULL;
	memcpy(&sum->key, key, length);
	HASH_ADD(hh, ledger->pending, key, length, sum);
	return sum;
}

struct entry {
	int64_t at_ns;
	const struct sg_charge *charge;
	bool estimated;
};

static int count(
	struct sg_ledger *ledger, const struct key *key, size_t length, const struct entry *entry)
{
	struct sg_pending_sum *sum = find_or_make(ledger, key, length);

	if (!sum)
		return -ENOMEM;
	if (entry->at_ns > sum->newest_ns)
		sum->newest_ns = entry->at_ns;
	sg_charge_add(&sum->charge, entry->charge);
	sum->estimated += entry->estimated;
	return 0;
}

static int count_for(struct sg_ledger *ledger, const char *subject, const struct sg_slot *slot,
	const struct entry *entry)
{
	struct key key = { .slice = SINCE_EVER };
	size_t length = (size_t)(put(put(put(key.text, subject), slot->provider), slot->model) -
				 (char *)&key);
	int r = count(ledger, &key, length, entry);

	key.slice = entry->at_ns / SLICE_NS;
	return r < 0 ? r : count(ledger, &key, length, entry);
}

// The labels of a set, by its number; they never change.
static int find_labels(struct sg_ledger *ledger, uint32_t label_set)
{
	sqlite3_stmt *find = ledger->find_labels;
	const char *text;
	int status;

	if (ledger->label_set == label_set)
		return 0;
	sqlite3_bind_int64(find, 1, label_set);
	status = sqlite3_step(find);
	text = status == SQLITE_ROW ? (const char *)sqlite3_column_text(find, 0) : NULL;
	ledger->labels[0] = 0;
	if (text && strlen(text) < sizeof(ledger->labels))
		strcpy(ledger->labels, text);
	ledger->label_set = label_set;
	sqlite3_reset(find);
	return sg_ledger_errno(status);
}

static int count_for_labels(
	struct sg_ledger *ledger, const struct sg_slot *slot, const struct entry *entry)
{
	char subject[SG_SUBJECT_BYTES], label[SG_LABEL_BYTES];
	const char *at;
	int r;

	if (!slot->label_set)
		return 0;
	r = find_labels(ledger, slot->label_set);
	for (at = ledger->labels; r == 0 && *at;) {
		size_t length = strcspn(at, ",");

		if (length < sizeof(label)) {
			memcpy(label, at, length);
			label[length] = 0;
			sg_subject_of_label(label, subject);
			r = count_for(ledger, subject, slot, entry);
		}
		at += length + (at[length] == ',');
	}
	return r;
}

int sg_sums_add(struct sg_ledger *ledger, const struct sg_slot *slot, int64_t at_ns,
	const struct sg_charge *charge, bool estimated)
{
	const struct entry entry = { at_ns, charge, estimated };
	char subject[SG_SUBJECT_BYTES];
	int r;

	sg_subject_of_agent(slot->agent, subject);
	r = count_for(ledger, subject, slot, &entry);
	if (r == 0)
		r = count_for_labels(ledger, slot, &entry);
	sg_subject_of_host(subject);
	return r < 0 ? r : count_for(ledger, subject, slot, &entry);
}

static int write_sum(struct sg_ledger *ledger, const struct sg_pending_sum *sum)
{
	const char *subject = sum->key.text, *provider = subject + strlen(subject) + 1,
		   *model = provider + strlen(provider) + 1;
	sqlite3_stmt *add = ledger->add_sum;

	sg_ledger_bind_text(add, 1, subject);
	sqlite3_bind_int64(add, 2, sum->key.slice);
	sg_ledger_bind_text(add, 3, provider);
	sg_ledger_bind_text(add, 4, model);
	sqlite3_bind_int64(add, 5, sum->newest_ns);
	sqlite3_bind_int64(add, 6, sum->charge.nanousd);
	sqlite3_bind_int64(add, 7, sum->charge.input_tokens);
	sqlite3_bind_int64(add, 8, sum->charge.output_tokens);
	sqlite3_bind_int64(add, 9, sum->charge.requests);
	sqlite3_bind_int64(add, 10, sum->estimated);
	return sg_ledger_run(add);
}

int sg_sums_write(struct sg_ledger *ledger)
{
	int r = 0;

	for (struct sg_pending_sum *sum = ledger->pending; r == 0 && sum; sum = sum->hh.next)
		r = write_sum(ledger, sum);
	sg_sums_drop(ledger);
	return r;
}

void sg_sums_drop(struct sg_ledger *ledger)
{
	struct sg_pending_sum *sum, *next;

	HASH_ITER(hh, ledger->pending, sum, next)
	{
		HASH_DEL(ledger->pending, sum);
		free(sum);
	}
}
