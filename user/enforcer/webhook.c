// SPDX-License-Identifier: Apache-2.0
#include "enforcer/webhook.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "enforcer/post.h"
#include "enforcer/worker.h"

#define ANSWER_BYTES (64u << 10) // nobody reads it
#define ID_BYTES     33

struct delivery {
	struct delivery *next; // newer
	char id[ID_BYTES];     // the same in each attempt
	char *body;
	size_t length;
	unsigned attempts;
	int64_t due_ms; // of the worker's loop; 0: at once
};

struct sg_webhook {
	struct sg_post_target target;
	char *secret;
	pthread_mutex_t lock;	  // of what follows, up to the counters
	struct sg_worker *worker; // NULL: nobody delivers
	struct delivery *first, **last;
	struct delivery *current; // its POST is out; it stays in the list
	unsigned waiting;
	int64_t delivered, failed, lost;
	// The worker's own
	struct sg_loop *loop;
	struct sg_timer timer;
	struct sg_post *post; // that is out, or NULL
	char *headers;	      // of it
};

// ---- Pure ----

int64_t sg_webhook_delay_ms(unsigned attempt)
{
	static const int64_t delays_ms[] = { 1000, 5000, 30000, 120000, 600000 };

	return attempt >= 1 && attempt <= SG_ARRAY_SIZE(delays_ms) ? delays_ms[attempt - 1] : -1;
}

static void write_hex(const uint8_t *bytes, size_t count, char *out)
{
	for (size_t i = 0; i < count; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int sg_webhook_sign(const char *secret, int64_t timestamp, const char *body, size_t length,
	char out[SG_WEBHOOK_SIGNATURE_BYTES])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct sg_buf text = { .data = NULL };
	unsigned digest_length = 0;
	int r = sg_buf_printf(&text, "%lld.", (long long)timestamp);

	if (r == 0)
		r = sg_buf_append(&text, body, length);
	if (r == 0 && !HMAC(EVP_sha256(), secret, (int)strlen(secret), sg_buf_head(&text),
			      sg_buf_length(&text), digest, &digest_length))
		r = -ENOMEM;
	if (r == 0)
		write_hex(digest, digest_length, out);
	sg_buf_release(&text);
	return r;
}

// ---- The queue ----

static struct delivery *free_delivery(struct delivery *delivery)
{
	if (delivery)
		free(delivery->body);
	free(delivery);
	return NULL;
}

// Locked.
static void take_out(struct sg_webhook *webhook, struct delivery *delivery)
{
	struct delivery **link = &webhook->first;

	while (*link != delivery)
		link = &(*link)->next;
	*link = delivery->next;
	if (!*link)
		webhook->last = link;
	webhook->waiting--;
}

// Locked. The oldest, but for the one that is on its way.
static struct delivery *drop_oldest(struct sg_webhook *webhook)
{
	struct delivery *oldest = webhook->first;

	if (webhook->waiting < SG_WEBHOOK_WAITING)
		return NULL;
	if (oldest == webhook->current)
		oldest = oldest->next;
	take_out(webhook, oldest);
	webhook->lost++;
	return oldest;
}

static int make_delivery(
	const char *event, int64_t at_ns, const json_t *fields, struct delivery **ret_delivery)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	uint8_t id[(ID_BYTES - 1) / 2];
	char at[32];
	json_t *record;

	if (!delivery)
		return -ENOMEM;
	sg_clock_format(at_ns, at, sizeof(at));
	record = json_pack("{s:s, s:s}", "event", event, "at", at);
	if (record && json_object_update(record, (json_t *)fields) == 0)
		delivery->body = json_dumps(record, JSON_COMPACT);
	json_decref(record);
	if (!delivery->body || RAND_bytes(id, sizeof(id)) != 1) {
		free_delivery(delivery);
		return -ENOMEM;
	}
	delivery->length = strlen(delivery->body);
	write_hex(id, sizeof(id), delivery->id);
	*ret_delivery = delivery;
	return 0;
}

// Locked.
static void call_worker(const struct sg_webhook *webhook)
{
	const struct sg_mail mail = { .kind = SG_MAIL_WEBHOOK, .fds = { -1, -1 } };

	if (webhook->worker && sg_worker_post(webhook->worker, &mail) < 0)
		sg_log(SG_LOG_ERROR, "mailbox", "worker=0 reason=\"out of memory\"");
}

void sg_webhook_tell(
	struct sg_webhook *webhook, const char *event, int64_t at_ns, const json_t *fields)
{
	struct delivery *delivery, *dropped;

	if (!webhook)
		return;
	if (make_delivery(event, at_ns, fields, &delivery) < 0) {
		sg_log(SG_LOG_ERROR, "webhook_lost", "told=%s reason=\"out of memory\"", event);
		return;
	}
	pthread_mutex_lock(&webhook->lock);
	dropped = drop_oldest(webhook);
	*webhook->last = delivery;
	webhook->last = &delivery->next;
	webhook->waiting++;
	call_worker(webhook);
	pthread_mutex_unlock(&webhook->lock);
	if (dropped)
		sg_log(SG_LOG_ERROR, "webhook_lost", "delivery=%s reason=\"%d wait already\"",
			dropped->id, SG_WEBHOOK_WAITING);
	free_delivery(dropped);
}

// ---- Delivery ----

static void on_timeout(struct sg_timer *timer)
{
	sg_webhook_on_mail(
		(struct sg_webhook *)((char *)timer - offsetof(struct sg_webhook, timer)));
}

// Locked. The oldest that is due, or NULL: then the timer waits for the next one.
static struct delivery *next_due(struct sg_webhook *webhook)
{
	int64_t now_ms = sg_loop_now_ms(webhook->loop), next_ms = INT64_MAX;

	for (struct delivery *at = webhook->first; at; at = at->next) {
		if (at->due_ms <= now_ms)
			return at;
		next_ms = at->due_ms < next_ms ? at->due_ms : next_ms;
	}
	if (next_ms != INT64_MAX)
		sg_loop_arm(webhook->loop, &webhook->timer, next_ms - now_ms, on_timeout);
	return NULL;
}

static void log_failure(const struct delivery *delivery, int result, unsigned status)
{
	int64_t delay_ms = sg_webhook_delay_ms(delivery->attempts);
	char reason[64];

	if (status)
		snprintf(reason, sizeof(reason), "the receiver answered %u", status);
	else
		snprintf(reason, sizeof(reason), "%s", strerror(-result));
	if (delay_ms < 0)
		sg_log(SG_LOG_ERROR, "webhook_lost", "delivery=%s attempts=%u reason=\"%s\"",
			delivery->id, delivery->attempts, reason);
	else
		sg_log(SG_LOG_WARN, "webhook_failed",
			"delivery=%s attempts=%u reason=\"%s\" again_ms=%lld", delivery->id,
			delivery->attempts, reason, (long long)delay_ms);
}

// The attempt is over.
static void finish(struct sg_webhook *webhook, int result, unsigned status)
{
	struct delivery *delivery = webhook->current;
	bool delivered = status / 100 == 2;
	int64_t delay_ms = sg_webhook_delay_ms(++delivery->attempts);
	bool over = delivered || delay_ms < 0;

	if (delivered)
		sg_log(SG_LOG_INFO, "webhook_delivered", "delivery=%s attempts=%u", delivery->id,
			delivery->attempts);
	else
		log_failure(delivery, result, status);
	pthread_mutex_lock(&webhook->lock);
	delivery->due_ms = sg_loop_now_ms(webhook->loop) + delay_ms;
	webhook->current = NULL;
	webhook->delivered += delivered;
	webhook->failed += !delivered;
	webhook->lost += over && !delivered;
	if (over)
		take_out(webhook, delivery);
	pthread_mutex_unlock(&webhook->lock);
	if (over)
		free_delivery(delivery);
}

static int write_headers(struct sg_webhook *webhook, const struct delivery *delivery)
{
	int64_t now_s = time(NULL); // the receiver compares it with its own clock
	char signature[SG_WEBHOOK_SIGNATURE_BYTES];
	int r = sg_webhook_sign(
		webhook->secret, now_s, delivery->body, delivery->length, signature);

	free(SG_TAKE(webhook->headers));
	if (r == 0 && asprintf(&webhook->headers,
			      "user-agent: spendgate\r\nx-spendgate-delivery: %s\r\n"
			      "x-spendgate-timestamp: %lld\r\n"
			      "x-spendgate-signature: sha256=%s\r\n",
			      delivery->id, (long long)now_s, signature) < 0) {
		webhook->headers = NULL;
		r = -ENOMEM;
	}
	return r;
}

static void on_done(
	void *context, int result, const char *answer SG_UNUSED, size_t length SG_UNUSED)
{
	struct sg_webhook *webhook = context;

	finish(webhook, result, sg_post_status(SG_TAKE(webhook->post)));
	sg_webhook_on_mail(webhook);
}

static int post(
	struct sg_webhook *webhook, struct sg_worker *worker, const struct delivery *delivery)
{
	struct sg_buf body = { .data = NULL };
	int r = write_headers(webhook, delivery);
	const struct sg_post_request request = { .target = &webhook->target,
		.more_path = "",
		.headers = webhook->headers,
		.answer_limit = ANSWER_BYTES };

	if (r == 0)
		r = sg_buf_append(&body, delivery->body, delivery->length);
	if (r < 0) {
		sg_buf_release(&body);
		return r;
	}
	return sg_post_start(worker, &request, &body, on_done, webhook, &webhook->post);
}

void sg_webhook_on_mail(struct sg_webhook *webhook)
{
	struct delivery *delivery;
	struct sg_worker *worker;
	int r = -EAGAIN;

	while (r < 0 && !webhook->post) {
		pthread_mutex_lock(&webhook->lock);
		worker = webhook->worker;
		delivery = worker ? next_due(webhook) : NULL;
		webhook->current = delivery;
		pthread_mutex_unlock(&webhook->lock);
		if (!delivery)
			return;
		r = post(webhook, worker, delivery);
		if (r < 0)
			finish(webhook, r, 0);
	}
}

// ---- Life ----

int sg_webhook_new(const json_t *configured, SSL_CTX *context, struct sg_webhook **ret_webhook,
	struct sg_error *error)
{
	const char *secret = json_string_value(json_object_get(configured, "secret"));
	struct sg_webhook *webhook;
	int r;

	*ret_webhook = NULL;
	if (!configured)
		return 0;
	webhook = calloc(1, sizeof(*webhook));
	if (!webhook)
		return sg_error_set(error, -ENOMEM, "out of memory");
	pthread_mutex_init(&webhook->lock, NULL);
	webhook->last = &webhook->first;
	r = sg_post_target_read(configured, context, &webhook->target);
	if (r == 0 && !secret)
		r = -EINVAL;
	if (r == 0 && !(webhook->secret = strdup(secret)))
		r = -ENOMEM;
	if (r < 0) {
		sg_webhook_free(webhook);
		return sg_error_set(error, r, "webhook: %s", strerror(-r));
	}
	*ret_webhook = webhook;
	return 0;
}

void sg_webhook_resolve(struct sg_webhook *webhook, const json_t *configured)
{
	if (webhook && configured)
		sg_post_target_resolve(configured, &webhook->target);
}

struct sg_webhook *sg_webhook_free(struct sg_webhook *webhook)
{
	struct delivery *delivery, *next;

	if (!webhook)
		return NULL;
	for (delivery = webhook->first; delivery; delivery = next) {
		next = delivery->next;
		sg_log(SG_LOG_ERROR, "webhook_lost", "delivery=%s reason=\"stopped\"",
			delivery->id);
		free_delivery(delivery);
	}
	if (webhook->secret)
		OPENSSL_cleanse(webhook->secret, strlen(webhook->secret));
	free(webhook->secret);
	free(webhook->headers);
	pthread_mutex_destroy(&webhook->lock);
	free(webhook);
	return NULL;
}

void sg_webhook_serve(struct sg_webhook *webhook, struct sg_worker *worker)
{
	if (!webhook)
		return;
	pthread_mutex_lock(&webhook->lock);
	webhook->worker = worker;
	if (worker) {
		webhook->loop = worker->loop;
		call_worker(webhook);
	}
	pthread_mutex_unlock(&webhook->lock);
}

json_t *sg_webhook_status(struct sg_webhook *webhook)
{
	json_t *status;

	pthread_mutex_lock(&webhook->lock);
	status = json_pack("{s:I, s:I, s:I, s:I}", "waiting", (json_int_t)webhook->waiting,
		"delivered", (json_int_t)webhook->delivered, "failed", (json_int_t)webhook->failed,
		"lost", (json_int_t)webhook->lost);
	pthread_mutex_unlock(&webhook->lock);
	return status;
}
