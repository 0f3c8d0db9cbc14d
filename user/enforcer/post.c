// SPDX-License-Identifier: Apache-2.0
#include "enforcer/post.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "enforcer/limits.h"
#include "enforcer/upstream.h"
#include "enforcer/worker.h"
#include "http/h1.h"

int sg_post_target_read(const json_t *object, SSL_CTX *context, struct sg_post_target *target)
{
	const char *address = json_string_value(json_object_get(object, "address"));
	const char *host = json_string_value(json_object_get(object, "host"));
	const char *path = json_string_value(json_object_get(object, "path"));

	if (!host || !path)
		return -EINVAL;
	if (strlen(host) >= sizeof(target->host) || strlen(path) >= sizeof(target->path))
		return -ENAMETOOLONG;
	strcpy(target->host, host);
	strcpy(target->path, path);
	target->context = json_is_true(json_object_get(object, "tls")) ? context : NULL;
	target->timeout_ms = json_integer_value(json_object_get(object, "timeout_ms"));
	sg_post_target_resolve(object, target);
	return address && !atomic_load(&target->port) ? -EINVAL : 0;
}

void sg_post_target_resolve(const json_t *object, struct sg_post_target *target)
{
	const char *text = json_string_value(json_object_get(object, "address"));
	uint8_t address[16];
	uint16_t port;

	if (!text || atomic_load(&target->port) || sg_address_parse(text, address, &port) < 0)
		return;
	memcpy(target->address, address, sizeof(address));
	atomic_store(&target->port, port); // last: who sees it sees the address
}

struct sg_post {
	struct sg_upstream_user user; // first
	struct sg_worker *worker;
	const struct sg_post_target *target;
	const char *more_path, *headers;
	sg_post_done_fn done; // NULL: nobody waits
	void *context;
	struct sg_pool_origin *origin;
	struct sg_upstream *upstream;
	struct sg_timer timer;
	struct sg_post *next, **link; // of the worker's
	struct sg_deferred start, end;
	struct sg_buf body;
	struct sg_buf answer;
	struct sg_h1_body framing;
	unsigned status; // 0: no head yet
	uint16_t port;	 // 0: nobody knows where
	bool started, over;
	bool sent, retried, keep_alive;
};

static void free_post(struct sg_deferred *deferred)
{
	struct sg_post *post = (struct sg_post *)((char *)deferred - offsetof(struct sg_post, end));

	sg_buf_release(&post->body);
	sg_buf_release(&post->answer);
	free(post);
}

static void finish(struct sg_post *post, int result)
{
	sg_post_done_fn done = SG_TAKE(post->done);

	post->over = true;
	*post->link = post->next;
	if (post->next)
		post->next->link = post->link;
	sg_loop_disarm(&post->timer);
	if (post->upstream)
		sg_upstream_put(SG_TAKE(post->upstream), &post->user,
			result == 0 && sg_h1_body_is_done(&post->framing) && post->keep_alive);
	sg_pool_origin_put(&post->worker->pool, post->origin, sg_loop_now_ms(post->worker->loop));
	if (post->started) // else it is still to be started, and freed there
		sg_loop_defer(post->worker->loop, &post->end, free_post);
	if (result == 0 && post->status / 100 != 2)
		result = -EPROTO;
	if (done)
		done(post->context, result, (const char *)sg_buf_head(&post->answer),
			result == 0 ? sg_buf_length(&post->answer) : 0);
}

static void on_timeout(struct sg_timer *timer)
{
	finish((struct sg_post *)((char *)timer - offsetof(struct sg_post, timer)), -ETIMEDOUT);
}

static int write_request(struct sg_post *post)
{
	const struct sg_post_target *target = post->target;
	const bool is_address = strchr(target->host, ':'); // of IPv6
	struct sg_buf *out = &post->upstream->out;
	int r = sg_buf_printf(out,
		"POST %s%s HTTP/1.1\r\nhost: %s%s%s:%u\r\ncontent-type: application/json\r\n"
		"accept: application/json\r\n%scontent-length: %zu\r\n\r\n",
		target->path, post->more_path, is_address ? "[" : "", target->host,
		is_address ? "]" : "", post->port, post->headers, sg_buf_length(&post->body));

	post->sent = true;
	return r < 0 ? r : sg_buf_append(out, sg_buf_head(&post->body), sg_buf_length(&post->body));
}

// Takes the head when it is whole. Returns the bytes taken, 0 for more, or -errno.
static ssize_t take_head(struct sg_post *post, const char *data, size_t length)
{
	struct sg_h1_head head;
	const char *reason;
	ssize_t n = sg_h1_parse_head(SG_H1_RESPONSE, false, data, length, &head, &reason);

	if (n <= 0 || head.status < 200)
		return n;
	post->status = head.status;
	post->keep_alive = head.keep_alive && head.framing != SG_H1_UNTIL_CLOSE;
	sg_h1_body_init(&post->framing, &head);
	return n;
}

static ssize_t take_body(struct sg_post *post, const char *data, size_t length)
{
	struct sg_str payload;
	ssize_t n = sg_h1_body_feed(&post->framing, data, length, &payload);
	int r = 0;

	if (n > 0 && payload.length)
		r = sg_buf_append(&post->answer, payload.data, payload.length);
	return r < 0 ? r : n;
}

static bool is_whole(const struct sg_post *post)
{
	return post->status && sg_h1_body_is_done(&post->framing);
}

static int take_bytes(struct sg_post *post, const void *data, size_t length)
{
	struct sg_buf *in = &post->upstream->in;
	int r = sg_buf_append(in, data, length);

	while (r == 0 && sg_buf_length(in) && !is_whole(post)) {
		const char *at = (const char *)sg_buf_head(in);
		ssize_t n = post->status ? take_body(post, at, sg_buf_length(in))
					 : take_head(post, at, sg_buf_length(in));

		if (n <= 0)
			return (int)n;
		sg_buf_consume(in, (size_t)n);
	}
	return r;
}

static int dial(struct sg_post *post, bool fresh)
{
	return sg_upstream_get(post->worker, post->origin, &post->user,
		SG_UPSTREAM_HTTP1 | (fresh ? SG_UPSTREAM_FRESH : 0), &post->upstream);
}

// A kept connection that ends without a byte was closed while it was idle: once more on a new one.
static void on_broken(struct sg_post *post, int error)
{
	bool stale = post->upstream->reused && !post->upstream->saw_bytes && !post->retried;

	if (!stale) {
		finish(post, error);
		return;
	}
	post->retried = true;
	post->sent = false;
	sg_upstream_put(SG_TAKE(post->upstream), &post->user, false);
	error = dial(post, true);
	if (error < 0)
		finish(post, error);
}

static void on_event(struct sg_upstream_user *user)
{
	struct sg_post *post = (struct sg_post *)user;
	struct sg_upstream *upstream = post->upstream;
	ssize_t n;
	int r = 0;

	if (!upstream || upstream->state != SG_UPSTREAM_ACTIVE)
		return;
	if (!post->sent)
		r = write_request(post);
	if (r == 0)
		r = sg_transport_flush(&upstream->transport, &upstream->out);
	while (r == 0 && !is_whole(post)) {
		n = sg_transport_read(
			&upstream->transport, post->worker->scratch, SG_SCRATCH_BYTES);
		if (n == 0 && post->status && post->framing.framing == SG_H1_UNTIL_CLOSE) {
			finish(post, 0);
			return;
		}
		r = n == 0 ? -ECONNRESET : n < 0 ? (int)n : 0;
		if (r == 0) {
			upstream->saw_bytes = true;
			r = take_bytes(post, post->worker->scratch, (size_t)n);
		}
	}
	if (r == 0)
		finish(post, 0);
	else if (r != -EAGAIN)
		on_broken(post, r);
}

static void on_failed(struct sg_upstream_user *user, int error, const char *detail SG_UNUSED)
{
	struct sg_post *post = (struct sg_post *)user;

	post->upstream = NULL;
	finish(post, error < 0 ? error : -ECONNREFUSED);
}

static void start(struct sg_deferred *deferred)
{
	struct sg_post *post =
		(struct sg_post *)((char *)deferred - offsetof(struct sg_post, start));
	int r;

	post->started = true;
	if (post->over) { // cancelled in the same turn
		free_post(&post->end);
		return;
	}
	r = post->port ? dial(post, false) : -EHOSTUNREACH;
	if (r < 0)
		finish(post, r);
	else
		on_event(&post->user);
}

static int find_origin(struct sg_worker *worker, const struct sg_post_target *target, uint16_t port,
	struct sg_pool_origin **ret_origin)
{
	struct sg_pool_key key;

	memset(&key, 0, sizeof(key)); // hashed as bytes, padding too
	key.context = target->context;
	memcpy(key.address, target->address, sizeof(key.address));
	key.port = port;
	memcpy(key.host, target->host, strlen(target->host));
	return sg_pool_origin_get(&worker->pool, &key, sg_loop_now_ms(worker->loop), ret_origin);
}

int sg_post_start(struct sg_worker *worker, const struct sg_post_request *request,
	struct sg_buf *body, sg_post_done_fn done, void *context, struct sg_post **ret_post)
{
	struct sg_post *post = calloc(1, sizeof(*post));
	uint16_t port = atomic_load(&request->target->port);
	int r = post ? find_origin(worker, request->target, port, &post->origin) : -ENOMEM;

	if (r < 0) {
		sg_buf_release(body);
		free(post);
		return r;
	}
	post->user = (struct sg_upstream_user){ .on_event = on_event, .on_failed = on_failed };
	post->worker = worker;
	post->port = port;
	post->target = request->target;
	post->more_path = request->more_path;
	post->headers = request->headers;
	post->done = done;
	post->context = context;
	post->body = *body;
	*body = (struct sg_buf){ .limit = body->limit };
	post->answer.limit = request->answer_limit;
	post->next = worker->posts;
	post->link = &worker->posts;
	if (post->next)
		post->next->link = &post->next;
	worker->posts = post;
	sg_loop_arm(worker->loop, &post->timer, post->target->timeout_ms, on_timeout);
	sg_loop_defer(worker->loop, &post->start, start);
	if (ret_post)
		*ret_post = post;
	return 0;
}

unsigned sg_post_status(const struct sg_post *post)
{
	return post->status;
}

struct sg_post *sg_post_cancel(struct sg_post *post)
{
	if (post) {
		post->done = NULL;
		finish(post, -ECANCELED);
	}
	return NULL;
}

void sg_post_cancel_all(struct sg_worker *worker)
{
	while (worker->posts)
		sg_post_cancel(worker->posts);
}
