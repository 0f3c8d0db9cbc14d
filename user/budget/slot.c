// SPDX-License-Identifier: Apache-2.0
// The slots of the hold journal.
#include <stddef.h>
#include <string.h>

#include "budget/journal.h"

// Fletcher's sum over 32-bit words with 64-bit sums: enough to tell a torn slot, and a fraction of
// what CRCs take.
struct fletcher {
	uint64_t first, second;
};

static inline void add_words(struct fletcher *sum, const void *data, size_t bytes)
{
	const char *at = data, *end = at + (bytes & ~(sizeof(uint32_t) - 1));
	uint64_t first = sum->first, second = sum->second;

	// Four at once: the same sums, in fewer steps that wait for each other.
	for (uint32_t four[4]; end - at >= (ptrdiff_t)sizeof(four); at += sizeof(four)) {
		memcpy(four, at, sizeof(four));
		second += 4 * first + 4 * (uint64_t)four[0] + 3 * (uint64_t)four[1] +
			  2 * (uint64_t)four[2] + four[3];
		first += (uint64_t)four[0] + four[1] + four[2] + four[3];
	}
	for (uint32_t word; at < end; at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		first += word;
		second += first;
	}
	*sum = (struct fletcher){ first, second };
}

static void add_bytes(struct fletcher *sum, const char *data, size_t bytes)
{
	size_t left = bytes % sizeof(uint32_t);
	uint32_t word = 0;

	add_words(sum, data, bytes);
	memcpy(&word, data + bytes - left, left);
	add_words(sum, &word, sizeof(word));
}

static uint32_t fold(const struct fletcher *sum)
{
	uint64_t folded = sum->first ^ (sum->second << 32 | sum->second >> 32);

	return (uint32_t)(folded ^ folded >> 32);
}

static uint32_t held_checksum(const struct sg_slot *slot)
{
	struct fletcher sum = { 1, 0 };

	add_words(&sum, &slot->call_id,
		offsetof(struct sg_slot, charge) - offsetof(struct sg_slot, call_id));
	add_bytes(&sum, slot->names, slot->names_bytes);
	return fold(&sum);
}

static uint32_t settled_checksum(const struct sg_slot *slot)
{
	struct fletcher sum = { 1, 0 };

	add_words(&sum, &slot->charge,
		offsetof(struct sg_slot, settled_checksum) - offsetof(struct sg_slot, charge));
	add_bytes(&sum, slot->names + slot->names_bytes, slot->settled_model_bytes);
	return fold(&sum);
}

static char *put_name(char *at, const char *name, size_t size)
{
	size_t length = name ? strnlen(name, size - 1) : 0;

	if (length)
		memcpy(at, name, length);
	at[length] = 0;
	return at + length + 1;
}

void sg_slot_set_names(struct sg_slot *slot, const char *agent, const char *provider,
	const char *api, const char *model, struct sg_slot_names *ret_names)
{
	char *provider_at = put_name(slot->names, agent, SG_SLOT_AGENT_BYTES);
	char *api_at = put_name(provider_at, provider, SG_SLOT_PROVIDER_BYTES);
	char *model_at = put_name(api_at, api, SG_SLOT_API_BYTES);
	char *end = put_name(model_at, model, SG_SLOT_MODEL_BYTES);

	slot->names_bytes = (uint16_t)(end - slot->names);
	slot->model_at = (uint16_t)(model_at - slot->names);
	slot->settled_model_bytes = 0;
	*ret_names = (struct sg_slot_names){ slot->names, provider_at, api_at, model_at };
}

void sg_slot_set_settled_model(struct sg_slot *slot, const char *model)
{
	char *at = slot->names + slot->names_bytes;

	slot->settled_model_bytes = 0;
	if (model && *model && strcmp(model, slot->names + slot->model_at) != 0)
		slot->settled_model_bytes =
			(uint8_t)(put_name(at, model, SG_SLOT_MODEL_BYTES) - at);
}

struct sg_slot_names sg_slot_names(const struct sg_slot *slot)
{
	const char *provider = slot->names + strlen(slot->names) + 1;
	const char *api = provider + strlen(provider) + 1;

	return (struct sg_slot_names){ slot->names, provider, api, slot->names + slot->model_at };
}

const char *sg_slot_settled_model(const struct sg_slot *slot)
{
	return slot->names + (slot->settled_model_bytes ? slot->names_bytes : slot->model_at);
}

void sg_slot_hold(struct sg_slot *slot)
{
	slot->checksum = held_checksum(slot);
	atomic_store_explicit(&slot->state, SG_SLOT_HELD, memory_order_release);
}

// Four names and no more, so that who reads them stays within the slot.
static bool has_names(const struct sg_slot *slot)
{
	unsigned ends = 0;

	if (slot->names_bytes > sizeof(slot->names) - SG_SLOT_MODEL_BYTES ||
		slot->model_at >= slot->names_bytes)
		return false;
	for (unsigned i = 0; i < slot->names_bytes; i++)
		ends += !slot->names[i];
	return ends == 4 && !slot->names[slot->names_bytes - 1];
}

bool sg_slot_is_whole(const struct sg_slot *slot)
{
	return has_names(slot) && slot->checksum == held_checksum(slot);
}

void sg_slot_raise(struct sg_slot *slot, const struct sg_charge *bound)
{
	__atomic_store_n(&slot->charge.input_tokens, bound->input_tokens, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->charge.output_tokens, bound->output_tokens, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->charge.nanousd, bound->nanousd, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->held_nanousd, bound->nanousd, __ATOMIC_RELAXED);
}

static int64_t greatest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

// Where a settlement had begun, `charge` has what was to be charged already, or in part: the bound
// covers that too.
struct sg_charge sg_slot_bound(const struct sg_slot *slot)
{
	const struct sg_charge *first = &slot->bound, *raised = &slot->charge;

	return (struct sg_charge){ .nanousd = greatest(first->nanousd, raised->nanousd),
		.input_tokens = greatest(first->input_tokens, raised->input_tokens),
		.output_tokens = greatest(first->output_tokens, raised->output_tokens),
		.requests = first->requests };
}

static uint32_t deferred_checksum(const struct sg_slot *slot)
{
	struct fletcher sum = { 1, 0 };

	add_bytes(&sum, slot->names + slot->names_bytes, slot->settled_model_bytes);
	return fold(&sum);
}

void sg_slot_defer(struct sg_slot *slot, const char *id, uint16_t flags)
{
	char *at = slot->names + slot->names_bytes;

	slot->http_status = flags;
	slot->settled_model_bytes = (uint8_t)(put_name(at, id, SG_SLOT_MODEL_BYTES) - at);
	slot->settled_checksum = deferred_checksum(slot);
	atomic_store_explicit(&slot->state, SG_SLOT_DEFERRED, memory_order_release);
}

const char *sg_slot_deferred_id(const struct sg_slot *slot)
{
	size_t bytes = slot->settled_model_bytes;
	const char *id = slot->names + slot->names_bytes;
	bool whole = sg_slot_is_whole(slot) && bytes > 1 && bytes <= SG_SLOT_MODEL_BYTES &&
		     !id[bytes - 1] && slot->settled_checksum == deferred_checksum(slot);

	return whole ? id : NULL;
}

void sg_slot_settle(struct sg_slot *slot)
{
	slot->settled_checksum = settled_checksum(slot);
	atomic_store_explicit(&slot->state, SG_SLOT_SETTLED, memory_order_release);
}

bool sg_slot_is_settled_whole(const struct sg_slot *slot)
{
	size_t bytes = slot->settled_model_bytes;

	return bytes <= SG_SLOT_MODEL_BYTES &&
	       (!bytes || !slot->names[slot->names_bytes + bytes - 1]) &&
	       slot->settled_checksum == settled_checksum(slot);
}
