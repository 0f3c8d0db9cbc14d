// SPDX-License-Identifier: Apache-2.0
#include "budget/ledger_sums.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "budget/ledger_state.h"
#include "budget/window.h"

struct sg_pending_sum {
	UT_hash_handle hh;
	int64_t newest_ns;
	struct sg_charge charge;
	int64_t estimated;
	char key[]; // a tally's or a sum's
};

// Names as they stand in a slot. Keys are cut to their length.
struct tally_key {
	int64_t slice;
	uint32_t label_set;
	char names[sizeof(((struct sg_slot *)NULL)->names)];
};

// Subject, provider and model, each with its NUL.
struct sum_key {
	int64_t slice;
	char text[SG_SUBJECT_BYTES + SG_SLOT_PROVIDER_BYTES + SG_SLOT_MODEL_BYTES];
};

struct entry {
	int64_t newest_ns;
	const struct sg_charge *charge;
	int64_t estimated;
};

static struct sg_pending_sum *find_or_make(
	struct sg_pending_sum **table, const void *key, size_t length)
{
	struct sg_pending_sum *sum;

	HASH_FIND(hh, *table, key, length, sum);
	if (sum)
		return sum;
	sum = calloc(1, sizeof(*sum) + length);
	if (!sum)
		return NULL;
	memcpy(sum->key, key, length);
	HASH_ADD_KEYPTR(hh, *table, sum->key, length, sum);
	return sum;
}

static int count(
	struct sg_pending_sum **table, const void *key, size_t length, const struct entry *entry)
{
	struct sg_pending_sum *sum = find_or_make(table, key, length);

	if (!sum)
		return -ENOMEM;
	if (entry->newest_ns > sum->newest_ns)
		sum->newest_ns = entry->newest_ns;
	sg_charge_add(&sum->charge, entry->charge);
	sum->estimated += entry->estimated;
	return 0;
}

int sg_sums_add(struct sg_ledger *ledger, const struct sg_slot *slot, int64_t at_ns,
	const struct sg_charge *charge, bool estimated)
{
	const struct entry entry = { at_ns, charge, estimated };
	struct tally_key key;

	key.slice = at_ns / SLICE_NS;
	key.label_set = slot->label_set;
	memcpy(key.names, slot->names, slot->names_bytes);
	return count(&ledger->tallies, &key, offsetof(struct tally_key, names) + slot->names_bytes,
		&entry);
}

// ---- For whom they count ----

static char *put(char *at, const char *text)
{
	size_t length = strlen(text) + 1;

	memcpy(at, text, length);
	return at + length;
}

struct tally {
	const struct tally_key *key;
	const char *provider, *model;
	struct entry entry;
};

static int count_for(struct sg_ledger *ledger, const char *subject, const struct tally *tally)
{
	struct sum_key key = { .slice = SINCE_EVER };
	size_t length = (size_t)(put(put(put(key.text, subject), tally->provider), tally->model) -
				 (char *)&key);
	int r = count(&ledger->sums, &key, length, &tally->entry);

	key.slice = tally->key->slice;
	return r < 0 ? r : count(&ledger->sums, &key, length, &tally->entry);
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

static int count_for_labels(struct sg_ledger *ledger, const struct tally *tally)
{
	char subject[SG_SUBJECT_BYTES], label[SG_LABEL_BYTES];
	const char *at;
	int r;

	if (!tally->key->label_set)
		return 0;
	r = find_labels(ledger, tally->key->label_set);
	for (at = ledger->labels; r == 0 && *at;) {
		size_t length = strcspn(at, ",");

		if (length < sizeof(label)) {
			memcpy(label, at, length);
			label[length] = 0;
			sg_subject_of_label(label, subject);
			r = count_for(ledger, subject, tally);
		}
		at += length + (at[length] == ',');
	}
	return r;
}

static int sum_up(struct sg_ledger *ledger, const struct sg_pending_sum *pending)
{
	const struct tally_key *key = (const struct tally_key *)pending->key;
	const char *provider = key->names + strlen(key->names) + 1;
	const char *api = provider + strlen(provider) + 1;
	const struct tally tally = { .key = key,
		.provider = provider,
		.model = api + strlen(api) + 1,
		.entry = { pending->newest_ns, &pending->charge, pending->estimated } };
	char subject[SG_SUBJECT_BYTES];
	int r;

	sg_subject_of_agent(key->names, subject);
	r = count_for(ledger, subject, &tally);
	if (r == 0)
		r = count_for_labels(ledger, &tally);
	sg_subject_of_host(subject);
	return r < 0 ? r : count_for(ledger, subject, &tally);
}

// ---- Into the table ----

static int write_sum(struct sg_ledger *ledger, const struct sg_pending_sum *sum)
{
	const struct sum_key *key = (const struct sum_key *)sum->key;
	const char *subject = key->text, *provider = subject + strlen(subject) + 1,
		   *model = provider + strlen(provider) + 1;
	sqlite3_stmt *add = ledger->add_sum;

	sg_ledger_bind_text(add, 1, subject);
	sqlite3_bind_int64(add, 2, key->slice);
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

	for (struct sg_pending_sum *tally = ledger->tallies; r == 0 && tally;
		tally = tally->hh.next)
		r = sum_up(ledger, tally);
	for (struct sg_pending_sum *sum = ledger->sums; r == 0 && sum; sum = sum->hh.next)
		r = write_sum(ledger, sum);
	sg_sums_drop(ledger);
	return r;
}

static void drop(struct sg_pending_sum **table)
{
	struct sg_pending_sum *sum, *next;

	HASH_ITER(hh, *table, sum, next)
	{
		HASH_DEL(*table, sum);
		free(sum);
	}
}

void sg_sums_drop(struct sg_ledger *ledger)
{
	drop(&ledger->tallies);
	drop(&ledger->sums);
}
