// SPDX-License-Identifier: Apache-2.0
#include "enforcer/upstream.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/limits.h"
#include "enforcer/multiplex.h"
#include "enforcer/upstream_state.h"
#include "enforcer/worker.h"

// ---- Lists ----

void sg_upstream_unlink(struct sg_upstream *upstream)
{
	if (!upstream->link)
		return;
	*upstream->link = upstream->next;
	if (upstream->next)
		upstream->next->link = upstream->link;
	upstream->link = NULL;
}

void sg_upstream_link(struct sg_upstream **head, struct sg_upstream *upstream)
{
	upstream->next = *head;
	upstream->link = head;
	if (*head)
		(*head)->link = &upstream->next;
	*head = upstream;
}

static void unlink_user(struct sg_upstream_user *user)
{
	if (!user->link)
		return;
	*user->link = user->next;
	if (user->next)
		user->next->link = user->link;
	user->link = NULL;
}

static void link_user(struct sg_upstream *upstream, struct sg_upstream_user *user)
{
	user->next = upstream->users;
	user->link = &upstream->users;
	if (user->next)
		user->next->link = &user->next;
	upstream->users = user;
}

static struct sg_upstream_user *take_user(struct sg_upstream *upstream)
{
	struct sg_upstream_user *user = upstream->users;

	if (user)
		unlink_user(user);
	return user;
}

// ---- The end ----

static void free_deferred(struct sg_deferred *deferred)
{
	struct sg_upstream *upstream =
		(struct sg_upstream *)((char *)deferred - offsetof(struct sg_upstream, deferred));

	sg_multiplex_free(upstream->multiplex);
	sg_buf_release(&upstream->in);
	sg_buf_release(&upstream->out);
	free(upstream);
}

// It is no connection any more that calls may wait for.
static void forget_coming(struct sg_upstream *upstream)
{
	if (upstream->origin->coming == upstream)
		upstream->origin->coming = NULL;
}

static void close_upstream(struct sg_upstream *upstream)
{
	struct sg_loop *loop = upstream->worker->loop;

	if (upstream->state == SG_UPSTREAM_CLOSED)
		return;
	if (upstream->state == SG_UPSTREAM_IDLE)
		upstream->origin->idle_count--;
	sg_upstream_unlink(upstream);
	forget_coming(upstream);
	sg_loop_disarm(&upstream->timer);
	sg_transport_close(&upstream->transport);
	sg_pool_origin_put(&upstream->worker->pool, upstream->origin, sg_loop_now_ms(loop));
	upstream->state = SG_UPSTREAM_CLOSED;
	sg_loop_defer(loop, &upstream->deferred, free_deferred);
}

void sg_upstream_fail(struct sg_upstream *upstream, int error, const char *detail)
{
	struct sg_upstream_user *user;

	close_upstream(upstream);
	while ((user = take_user(upstream)))
		user->on_failed(user, error, detail);
}

// ---- The connection is there ----

static void on_timeout(struct sg_timer *timer);

static void become_shared(struct sg_upstream *upstream)
{
	struct sg_upstream_user *user;

	if (sg_multiplex_start(upstream) < 0) {
		sg_upstream_fail(upstream, -ENOMEM, "out of memory");
		return;
	}
	upstream->state = SG_UPSTREAM_SHARED;
	sg_upstream_link(&upstream->origin->shared, upstream);
	sg_loop_arm(upstream->worker->loop, &upstream->timer, SG_UPSTREAM_SILENCE_MS, on_timeout);
	while ((user = take_user(upstream)))
		user->on_event(user);
	sg_multiplex_run(upstream);
}

// It has one user. Others that waited for it, since the provider spoke HTTP/2 before, get
// connections of their own.
static void become_active(struct sg_upstream *upstream)
{
	upstream->state = SG_UPSTREAM_ACTIVE;
	sg_loop_disarm(&upstream->timer);
	while (upstream->user_count > 1) {
		struct sg_upstream_user *user = upstream->users->next;
		int r;

		unlink_user(user);
		upstream->user_count--;
		r = sg_upstream_get(
			upstream->worker, upstream->origin, user, SG_UPSTREAM_FRESH, user->slot);
		if (r < 0)
			user->on_failed(user, r, strerror(-r));
	}
	if (upstream->users)
		upstream->users->on_event(upstream->users);
}

void sg_upstream_become_ready(struct sg_upstream *upstream, bool h2)
{
	forget_coming(upstream);
	if (!upstream->http1_only)
		upstream->origin->speaks_h2 = h2;
	if (h2)
		become_shared(upstream);
	else
		become_active(upstream);
}

static void check_idle(struct sg_upstream *upstream);

void sg_upstream_on_event(struct sg_watch *watch, uint32_t events)
{
	struct sg_upstream *upstream = (struct sg_upstream *)watch;
	bool alive = sg_transport_note_events(&upstream->transport, events);

	switch (upstream->state) {
	case SG_UPSTREAM_CONNECTING:
		if (!alive || (events & EPOLLOUT))
			sg_upstream_finish_connect(upstream);
		break;
	case SG_UPSTREAM_HANDSHAKE:
		sg_upstream_shake_hands(upstream);
		break;
	case SG_UPSTREAM_ACTIVE:
		upstream->users->on_event(upstream->users);
		break;
	case SG_UPSTREAM_SHARED:
		sg_multiplex_run(upstream);
		break;
	case SG_UPSTREAM_IDLE:
		check_idle(upstream);
		break;
	case SG_UPSTREAM_SOCKET:
	case SG_UPSTREAM_CLOSED:
		break;
	}
}

// Nobody has called for a while, or those who did have waited for a while.
static void on_quiet_time(struct sg_upstream *upstream)
{
	if (!upstream->user_count) {
		sg_multiplex_say_goodbye(upstream);
		close_upstream(upstream);
		return;
	}
	sg_loop_arm(upstream->worker->loop, &upstream->timer, SG_UPSTREAM_SILENCE_MS, on_timeout);
	sg_multiplex_watch(upstream);
}

static void on_timeout(struct sg_timer *timer)
{
	struct sg_upstream *upstream =
		(struct sg_upstream *)((char *)timer - offsetof(struct sg_upstream, timer));

	if (upstream->state == SG_UPSTREAM_IDLE) {
		close_upstream(upstream);
	} else if (upstream->state == SG_UPSTREAM_SHARED) {
		on_quiet_time(upstream);
	} else {
		sg_upstream_fail(upstream, -ETIMEDOUT, "no connection within 15 s");
	}
}

// ---- Use ----

static struct sg_upstream *take_idle(struct sg_pool_origin *origin)
{
	struct sg_upstream *upstream = origin->idle;

	if (!upstream)
		return NULL;
	sg_upstream_unlink(upstream);
	origin->idle_count--;
	sg_loop_disarm(&upstream->timer);
	upstream->state = SG_UPSTREAM_ACTIVE;
	return upstream;
}

// One that speaks HTTP/2 and has room, or is on its way and will have.
static struct sg_upstream *find_shared(const struct sg_pool_origin *origin)
{
	struct sg_upstream *upstream = origin->shared;
	unsigned limit = origin->call_limit ? origin->call_limit : 1;

	while (upstream && !sg_multiplex_has_room(upstream))
		upstream = upstream->next;
	if (!upstream && origin->coming && origin->coming->user_count < limit)
		upstream = origin->coming;
	return upstream;
}

static int dial(struct sg_worker *worker, struct sg_pool_origin *origin, bool http1_only,
	struct sg_upstream **ret_upstream)
{
	struct sg_upstream *upstream = calloc(1, sizeof(*upstream));
	int r;

	if (!upstream)
		return -ENOMEM;
	upstream->transport.watch.fd = -1;
	upstream->worker = worker;
	upstream->origin = origin;
	upstream->http1_only = http1_only;
	origin->users++;
	r = sg_upstream_connect(upstream);
	if (r < 0) {
		close_upstream(upstream);
		return r;
	}
	sg_loop_arm(worker->loop, &upstream->timer, SG_CONNECT_MS, on_timeout);
	if (origin->speaks_h2 && !http1_only)
		origin->coming = upstream;
	*ret_upstream = upstream;
	return 0;
}

int sg_upstream_get(struct sg_worker *worker, struct sg_pool_origin *origin,
	struct sg_upstream_user *user, unsigned want, struct sg_upstream **ret_upstream)
{
	bool http1_only = want & SG_UPSTREAM_HTTP1;
	struct sg_upstream *upstream = NULL;
	int r;

	if (origin->speaks_h2 && !http1_only)
		upstream = find_shared(origin);
	if (!upstream && !(want & SG_UPSTREAM_FRESH))
		upstream = take_idle(origin);
	if (!upstream) {
		r = dial(worker, origin, http1_only, &upstream);
		if (r < 0)
			return r;
	}
	user->slot = ret_upstream;
	user->link = NULL;
	if (upstream->state != SG_UPSTREAM_SHARED)
		link_user(upstream, user);
	else if (!upstream->user_count)
		sg_loop_arm(worker->loop, &upstream->timer, SG_UPSTREAM_SILENCE_MS, on_timeout);
	if (!upstream->user_count) {
		upstream->saw_bytes = false;
		upstream->written_before = upstream->transport.written;
	}
	upstream->user_count++;
	*ret_upstream = upstream;
	return 0;
}

bool sg_upstream_was_stale(const struct sg_upstream *upstream)
{
	return upstream->reused && !upstream->saw_bytes &&
	       !sg_transport_is_acknowledged(&upstream->transport, upstream->written_before);
}

// An idle connection has nothing to say: session tickets are taken in, anything else (end of data,
// bytes) ends it.
static void check_idle(struct sg_upstream *upstream)
{
	char byte;

	if (sg_transport_read(&upstream->transport, &byte, 1) != -EAGAIN ||
		upstream->transport.peer_closed)
		close_upstream(upstream);
}

// Of HTTP/1.1, and done with.
static void keep(struct sg_upstream *upstream)
{
	if (upstream->out.capacity > SG_IDLE_BUFFER_BYTES)
		sg_buf_release(&upstream->out);
	sg_buf_release(&upstream->in);
	upstream->state = SG_UPSTREAM_IDLE;
	upstream->reused = true;
	upstream->origin->idle_count++;
	sg_upstream_link(&upstream->origin->idle, upstream);
	sg_loop_arm(upstream->worker->loop, &upstream->timer, SG_UPSTREAM_IDLE_MS, on_timeout);
	check_idle(upstream);
}

static void leave_shared(struct sg_upstream *upstream)
{
	if (upstream->user_count) {
		sg_multiplex_put_off(upstream);
		return;
	}
	if (!upstream->link) { // retired
		sg_multiplex_say_goodbye(upstream);
		close_upstream(upstream);
		return;
	}
	upstream->reused = true;
	sg_loop_arm(upstream->worker->loop, &upstream->timer, SG_UPSTREAM_IDLE_MS, on_timeout);
	sg_multiplex_put_off(upstream);
}

void sg_upstream_put(struct sg_upstream *upstream, struct sg_upstream_user *user, bool reusable)
{
	unlink_user(user);
	upstream->user_count--;
	if (upstream->user_count && upstream->state != SG_UPSTREAM_SHARED)
		return;
	switch (upstream->state) {
	case SG_UPSTREAM_ACTIVE:
		if (reusable && !sg_buf_length(&upstream->in) && !sg_buf_length(&upstream->out) &&
			!upstream->transport.peer_closed &&
			sg_transport_has_turn(&upstream->transport) && // all that is there was read
			upstream->origin->idle_count < SG_UPSTREAM_MAX_IDLE)
			keep(upstream);
		else
			close_upstream(upstream);
		break;
	case SG_UPSTREAM_SHARED:
		leave_shared(upstream);
		break;
	case SG_UPSTREAM_SOCKET:
	case SG_UPSTREAM_CONNECTING:
	case SG_UPSTREAM_HANDSHAKE:
		close_upstream(upstream);
		break;
	case SG_UPSTREAM_IDLE:
	case SG_UPSTREAM_CLOSED:
		break;
	}
}

void sg_upstream_pass(struct sg_upstream *upstream, struct sg_upstream_user *user)
{
	unlink_user(upstream->users);
	link_user(upstream, user);
}

void sg_upstream_retire(struct sg_upstream *upstream)
{
	sg_upstream_unlink(upstream);
	if (!upstream->user_count)
		close_upstream(upstream);
}

// ---- The pool's ----

// Those that nobody uses. The origin may end with its last one.
static void close_idle(struct sg_pool *pool, struct sg_pool_origin *origin)
{
	struct sg_upstream *upstream, *next;

	origin->users++;
	while (origin->idle)
		close_upstream(origin->idle);
	for (upstream = origin->shared; upstream; upstream = next) {
		next = upstream->next;
		if (upstream->user_count)
			continue;
		sg_multiplex_say_goodbye(upstream);
		close_upstream(upstream);
	}
	sg_pool_origin_put(pool, origin, origin->last_used_ms);
}

void sg_pool_close_idle(struct sg_pool *pool)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	close_idle(pool, origin);
}

void sg_pool_close_idle_of(struct sg_pool *pool, uint64_t netns_cookie)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	if (origin->key.netns_cookie == netns_cookie)
		close_idle(pool, origin);
}
