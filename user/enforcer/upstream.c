// SPDX-License-Identifier: Apache-2.0
#include "enforcer/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/link.h"
#include "enforcer/upstream_tls.h"
#include "enforcer/worker.h"

static void unlink_upstream(struct sg_upstream *upstream)
{
	if (!upstream->link)
		return;
	*upstream->link = upstream->next;
	if (upstream->next)
		upstream->next->link = upstream->link;
	upstream->link = NULL;
}

static void link_upstream(struct sg_upstream **head, struct sg_upstream *upstream)
{
	upstream->next = *head;
	upstream->link = head;
	if (*head)
		(*head)->link = &upstream->next;
	*head = upstream;
}

static void free_deferred(struct sg_deferred *deferred)
{
	struct sg_upstream *upstream =
		(struct sg_upstream *)((char *)deferred - offsetof(struct sg_upstream, deferred));

	sg_buf_release(&upstream->in);
	sg_buf_release(&upstream->out);
	free(upstream);
}

static void close_upstream(struct sg_upstream *upstream)
{
	struct sg_loop *loop = upstream->worker->loop;

	if (upstream->state == SG_UPSTREAM_CLOSED)
		return;
	if (upstream->state == SG_UPSTREAM_IDLE)
		upstream->origin->idle_count--;
	unlink_upstream(upstream);
	sg_loop_disarm(&upstream->timer);
	sg_transport_close(&upstream->transport, loop);
	sg_pool_origin_put(upstream->origin, sg_loop_now_ms(loop));
	upstream->state = SG_UPSTREAM_CLOSED;
	upstream->user = NULL;
	sg_loop_defer(loop, &upstream->deferred, free_deferred);
}

// Tells the user why there will be no connection.
static void fail(struct sg_upstream *upstream, int error, const char *detail)
{
	struct sg_upstream_user *user = upstream->user;

	upstream->user = NULL;
	close_upstream(upstream);
	if (user)
		user->on_failed(user, error, detail);
}

static void become_active(struct sg_upstream *upstream)
{
	upstream->state = SG_UPSTREAM_ACTIVE;
	sg_loop_disarm(&upstream->timer);
	upstream->user->on_event(upstream->user);
}

static void fail_handshake(struct sg_upstream *upstream)
{
	long verified = SSL_get_verify_result(upstream->transport.ssl);
	char reason[256], detail[640];

	sg_transport_tls_error(reason, sizeof(reason));
	if (verified != X509_V_OK)
		snprintf(detail, sizeof(detail), "the certificate of %s is not trusted: %s",
			upstream->origin->key.host, X509_verify_cert_error_string(verified));
	else
		snprintf(detail, sizeof(detail), "TLS with %s failed: %s",
			upstream->origin->key.host, reason);
	fail(upstream, -EPROTO, detail);
}

static void shake_hands(struct sg_upstream *upstream)
{
	int r = sg_transport_handshake(&upstream->transport);

	if (r == -EAGAIN)
		return;
	if (r < 0)
		fail_handshake(upstream);
	else
		become_active(upstream);
}

static int start_tls(struct sg_upstream *upstream)
{
	const struct sg_pool_key *key = &upstream->origin->key;
	SSL *ssl;
	int r = sg_transport_start_tls(&upstream->transport, key->context, false);

	if (r < 0)
		return r;
	ssl = upstream->transport.ssl;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_set1_host(ssl, key->host) != 1 || SSL_set_tlsext_host_name(ssl, key->host) != 1 ||
		SSL_set_ex_data(ssl, sg_upstream_tls_origin_index(), upstream->origin) != 1)
		return -ENOMEM;
	if (upstream->origin->session)
		SSL_set_session(ssl, upstream->origin->session);
	return 0;
}

static void finish_connect(struct sg_upstream *upstream)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(upstream->transport.watch.fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		error = errno;
	if (error) {
		fail(upstream, -error, strerror(error));
		return;
	}
	if (!upstream->origin->key.context) {
		become_active(upstream);
		return;
	}
	if (start_tls(upstream) < 0) {
		fail(upstream, -ENOMEM, "out of memory");
		return;
	}
	upstream->state = SG_UPSTREAM_HANDSHAKE;
	shake_hands(upstream);
}

static void check_idle(struct sg_upstream *upstream);

static void on_event(struct sg_watch *watch, uint32_t events)
{
	struct sg_upstream *upstream = (struct sg_upstream *)watch;
	bool alive = sg_transport_note_events(&upstream->transport, events);

	switch (upstream->state) {
	case SG_UPSTREAM_CONNECTING:
		if (!alive || (events & EPOLLOUT))
			finish_connect(upstream);
		break;
	case SG_UPSTREAM_HANDSHAKE:
		shake_hands(upstream);
		break;
	case SG_UPSTREAM_ACTIVE:
		upstream->user->on_event(upstream->user);
		break;
	case SG_UPSTREAM_IDLE:
		check_idle(upstream);
		break;
	case SG_UPSTREAM_SOCKET:
	case SG_UPSTREAM_CLOSED:
		break;
	}
}

static void on_timeout(struct sg_timer *timer)
{
	struct sg_upstream *upstream =
		(struct sg_upstream *)((char *)timer - offsetof(struct sg_upstream, timer));

	if (upstream->state == SG_UPSTREAM_IDLE)
		close_upstream(upstream);
	else
		fail(upstream, -ETIMEDOUT, "no connection within 15 s");
}

static int connect_socket(struct sg_upstream *upstream, int fd)
{
	const struct sg_pool_key *key = &upstream->origin->key;
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(key->port) };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(key->port) };
	bool ipv4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)key->address);
	int on = 1, r;

	memcpy(&to6.sin6_addr, key->address, 16);
	memcpy(&to4.sin_addr, key->address + 12, 4);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	r = ipv4 ? connect(fd, (struct sockaddr *)&to4, sizeof(to4))
		 : connect(fd, (struct sockaddr *)&to6, sizeof(to6));
	if (r < 0 && errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	upstream->state = SG_UPSTREAM_CONNECTING;
	return sg_transport_open(&upstream->transport, upstream->worker->loop, fd, on_event);
}

static int open_socket(struct sg_upstream *upstream)
{
	struct sg_worker *worker = upstream->worker;
	const struct sg_pool_key *key = &upstream->origin->key;
	bool ipv4 = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)key->address);
	int family = ipv4 ? AF_INET : AF_INET6;
	int fd;

	if (key->netns_cookie) {
		upstream->state = SG_UPSTREAM_SOCKET;
		upstream->socket_request = ++worker->next_socket_request & SG_LINK_REQUEST_MASK;
		link_upstream(&worker->waiting_sockets, upstream);
		return sg_link_want_socket(worker->enforcer->link, worker->index,
			upstream->socket_request, key->netns_cookie, family);
	}
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : connect_socket(upstream, fd);
}

void sg_upstream_on_socket(struct sg_worker *worker, uint32_t request, int result, int fd)
{
	struct sg_upstream *upstream = worker->waiting_sockets;
	int r = result;

	while (upstream && upstream->socket_request != request)
		upstream = upstream->next;
	if (!upstream) {
		if (fd >= 0)
			close(fd);
		return;
	}
	unlink_upstream(upstream);
	if (r == 0)
		r = connect_socket(upstream, fd);
	if (r < 0)
		fail(upstream, r, strerror(-r));
}

static struct sg_upstream *take_idle(struct sg_pool_origin *origin)
{
	struct sg_upstream *upstream = origin->idle;

	if (!upstream)
		return NULL;
	unlink_upstream(upstream);
	origin->idle_count--;
	sg_loop_disarm(&upstream->timer);
	upstream->state = SG_UPSTREAM_ACTIVE;
	return upstream;
}

int sg_upstream_get(struct sg_worker *worker, struct sg_pool_origin *origin,
	struct sg_upstream_user *user, bool fresh, struct sg_upstream **ret_upstream)
{
	struct sg_upstream *upstream = fresh ? NULL : take_idle(origin);
	int r;

	if (!upstream) {
		upstream = calloc(1, sizeof(*upstream));
		if (!upstream)
			return -ENOMEM;
		upstream->transport.watch.fd = -1;
		upstream->worker = worker;
		upstream->origin = origin;
		origin->users++;
		r = open_socket(upstream);
		if (r < 0) {
			close_upstream(upstream);
			return r;
		}
		sg_loop_arm(worker->loop, &upstream->timer, SG_CONNECT_MS, on_timeout);
	}
	upstream->user = user;
	upstream->saw_bytes = false;
	*ret_upstream = upstream;
	return 0;
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

void sg_upstream_put(struct sg_upstream *upstream, bool reusable)
{
	struct sg_pool_origin *origin = upstream->origin;

	upstream->user = NULL;
	if (upstream->state != SG_UPSTREAM_ACTIVE || !reusable || sg_buf_length(&upstream->in) ||
		sg_buf_length(&upstream->out) || upstream->transport.peer_closed ||
		origin->idle_count >= SG_UPSTREAM_MAX_IDLE) {
		close_upstream(upstream);
		return;
	}
	if (upstream->out.capacity > SG_IDLE_BUFFER_BYTES)
		sg_buf_release(&upstream->out);
	sg_buf_release(&upstream->in);
	upstream->state = SG_UPSTREAM_IDLE;
	upstream->reused = true;
	origin->idle_count++;
	link_upstream(&origin->idle, upstream);
	sg_loop_arm(upstream->worker->loop, &upstream->timer, SG_UPSTREAM_IDLE_MS, on_timeout);
	check_idle(upstream);
}

void sg_pool_close_idle(struct sg_pool *pool)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	while (origin->idle)
		close_upstream(origin->idle);
}

void sg_pool_close_idle_of(struct sg_pool *pool, uint64_t netns_cookie)
{
	struct sg_pool_origin *origin, *next;

	HASH_ITER(hh, pool->by_key, origin, next)
	while (origin->key.netns_cookie == netns_cookie && origin->idle)
		close_upstream(origin->idle);
}
