// SPDX-License-Identifier: Apache-2.0
// Before a call is held: gate-request, the tool filter, decoration.
#include "enforcer/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/client.h"
#include "enforcer/exchange.h"
#include "enforcer/gate_state.h"
#include "enforcer/limits.h"
#include "enforcer/worker.h"

// ---- The body ----

// The gathered body as one text, which the caller frees. Returns 0, -ENOMEM, -EFBIG, -EILSEQ (it is
// no JSON), or what reading gave.
static int read_body(const struct sg_exchange *exchange, char **ret_text, size_t *ret_length)
{
	uint64_t length = exchange->body.length;
	uint64_t done = 0;
	char *text;

	if (length > SG_GATE_REQUEST_BYTES)
		return -EFBIG;
	text = malloc(length + 1);
	if (!text)
		return -ENOMEM;
	while (done < length) {
		ssize_t n = sg_body_read(&exchange->body, done, text + done, length - done);

		if (n <= 0) {
			free(text);
			return n < 0 ? (int)n : -EIO;
		}
		done += (uint64_t)n;
	}
	text[length] = 0;
	if (text[strspn(text, " \t\r\n")] != '{') { // a form
		free(text);
		return -EILSEQ;
	}
	*ret_text = text;
	*ret_length = length;
	return 0;
}

// Another body in the place of the gathered one, read as that was. Returns 0 or -errno; -EACCES: it
// was refused.
static int replace_body(struct sg_exchange *exchange, const char *text, size_t length)
{
	const char *directory = exchange->client->worker->enforcer->spill_directory;
	struct sg_request_reader *reader;
	struct sg_body body;
	int r = sg_request_reader_new(
		&exchange->route, (struct sg_str){ "application/json", 16 }, &reader);

	if (r < 0)
		return r;
	sg_exchange_read_headers(exchange, reader);
	sg_body_init(&body, exchange->body.share, exchange->body.share_bytes);
	r = sg_request_reader_feed(reader, text, length);
	if (r == 0)
		r = sg_body_append(&body, text, length, directory);
	if (r < 0) {
		sg_body_done(&body);
		sg_request_reader_free(reader);
		return r;
	}
	sg_body_done(&exchange->body);
	exchange->body = body;
	exchange->body_is_ours = true;
	sg_request_reader_free(exchange->request_reader);
	exchange->request_reader = reader;
	return sg_exchange_understand(exchange) ? 0 : -EACCES;
}

// Puts the verdict into the body. Returns 0, -EACCES (it was refused then), or another -errno: it
// is as it was.
static int patch(struct sg_exchange *exchange, const struct sg_verdict *verdict)
{
	struct sg_gate *gate = exchange->gate;
	char *text;
	size_t length;
	int r = sg_request_patch(sg_api_name(exchange->route.api), gate->request,
		gate->request_length, verdict, &text, &length);

	if (r < 0)
		return r;
	r = replace_body(exchange, text, length);
	if (r < 0) {
		free(text);
		return r;
	}
	free(gate->request);
	gate->request = text;
	gate->request_length = length;
	return 0;
}

// ---- Decoration ----

static void on_decoration(void *context, int result, const char *text, size_t length)
{
	struct sg_exchange *exchange = context;
	struct sg_verdict verdict;
	int r = sg_gate_take_verdict(exchange, result, text, length, &verdict);

	if (r == 0) {
		r = sg_verdict_patches(&verdict) ? patch(exchange, &verdict) : -ENODATA;
		if (r != -ENODATA)
			sg_gate_tell(exchange, r < 0 ? SG_LOG_WARN : SG_LOG_INFO,
				r < 0 ? "passed" : "decorate",
				verdict.intervention[0] ? verdict.intervention : "policy_decorated",
				r < 0 ? strerror(-r) : verdict.reason);
		sg_verdict_done(&verdict);
	}
	if (r != -EACCES)
		exchange->request = SG_REQUEST_ADMIT;
	sg_exchange_resume(exchange);
}

static void ask_for_decoration(struct sg_exchange *exchange)
{
	int r = sg_gate_ask(exchange, SG_HOOK_DECORATE, (struct sg_str){ NULL, 0 }, on_decoration);

	if (r < 0 && sg_gate_survives(exchange, strerror(-r)))
		exchange->request = SG_REQUEST_ADMIT;
}

// ---- The gate ----

static void on_verdict(void *context, int result, const char *text, size_t length)
{
	struct sg_exchange *exchange = context;
	struct sg_verdict verdict;
	int r = sg_gate_take_verdict(exchange, result, text, length, &verdict);

	if (r == 0) {
		r = sg_verdict_patches(&verdict) ? patch(exchange, &verdict) : 0;
		sg_verdict_done(&verdict);
		if (r < 0 && r != -EACCES &&
			!sg_gate_survives(
				exchange, "the tool filter can't be applied to this request"))
			r = -EACCES;
	}
	if (r != -EACCES)
		ask_for_decoration(exchange);
	sg_exchange_resume(exchange);
}

bool sg_gate_request(struct sg_exchange *exchange)
{
	struct sg_gate *gate;
	int r;

	if (!sg_gate_applies(exchange))
		return false;
	gate = exchange->gate = calloc(1, sizeof(*gate));
	if (!gate) {
		exchange->side->abort(exchange, "resources");
		return true;
	}
	gate->hook = SG_HOOK_GATE_REQUEST;
	exchange->request = SG_REQUEST_GATE;
	r = read_body(exchange, &gate->request, &gate->request_length);
	if (r == 0)
		r = sg_gate_ask(
			exchange, SG_HOOK_GATE_REQUEST, (struct sg_str){ NULL, 0 }, on_verdict);
	if (r == 0 ||
		!sg_gate_survives(exchange, r == -EFBIG	   ? "the request is too large to be told"
					    : r == -EILSEQ ? "the request is a form, or no UTF-8"
							   : strerror(-r)))
		return true;
	// What can't be told now can't be asked about later either.
	exchange->gate = sg_gate_free(gate);
	return false;
}
