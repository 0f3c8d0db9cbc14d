// SPDX-License-Identifier: Apache-2.0
#include "enforcer/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/relay.h"
#include "enforcer/route.h"
#include "enforcer/session.h"
#include "enforcer/tunnel.h"
#include "enforcer/worker.h"

static void free_deferred(struct sg_deferred *deferred)
{
	struct sg_client *client =
		(struct sg_client *)((char *)deferred - offsetof(struct sg_client, deferred));

	sg_buf_release(&client->in);
	sg_buf_release(&client->out);
	sg_agent_unref(client->agent);
	free(client);
}

void sg_client_close(struct sg_client *client, const char *reason)
{
	struct sg_worker *worker = client->worker;

	if (client->state == SG_CLIENT_CLOSED)
		return;
	client->state = SG_CLIENT_CLOSED;
	sg_log(SG_LOG_DEBUG, "closed", "agent=%s connection=%llu reason=%s", client->agent->name,
		(unsigned long long)client->connection, reason);
	sg_session_abandon(client);
	client->relay = sg_relay_free(client->relay);
	sg_tunnel_close(client);
	if (client->pool_origin)
		sg_pool_origin_put(
			&worker->pool, SG_TAKE(client->pool_origin), sg_loop_now_ms(worker->loop));
	sg_loop_disarm(&client->timer);
	sg_transport_close(&client->transport);
	sg_agent_leave(client->agent);
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	sg_loop_defer(worker->loop, &client->deferred, free_deferred);
}

static void on_timeout(struct sg_timer *timer)
{
	struct sg_client *client =
		(struct sg_client *)((char *)timer - offsetof(struct sg_client, timer));

	// A client that says nothing may wait for the server's greeting; a provider's does not.
	if (client->state == SG_CLIENT_PEEK)
		sg_client_enter(
			client, sg_route_may_greet(client) ? SG_CLIENT_GREETING : SG_CLIENT_FIRST);
	else
		sg_client_close(client, client->state == SG_CLIENT_SESSION ? "idle" : "timeout");
}

static int64_t state_timeout_ms(enum sg_client_state state)
{
	switch (state) {
	case SG_CLIENT_PEEK:
		return SG_SERVER_FIRST_MS;
	case SG_CLIENT_FIRST:
	case SG_CLIENT_LEAF:
	case SG_CLIENT_HANDSHAKE:
		return SG_HANDSHAKE_MS;
	case SG_CLIENT_LINGER:
		return SG_LINGER_MS;
	case SG_CLIENT_SESSION:
		return SG_IDLE_MS;
	case SG_CLIENT_GREETING:
	case SG_CLIENT_RELAY:
	case SG_CLIENT_TUNNEL:
	case SG_CLIENT_CLOSED:
		break;
	}
	return 0;
}

void sg_client_arm_idle(struct sg_client *client)
{
	sg_loop_arm(client->worker->loop, &client->timer, SG_IDLE_MS, on_timeout);
}

// ---- TLS towards the agent ----

// Did it refuse our certificate? Those that trust nobody we know say so in an alert; before TLS 1.3
// some only close.
static bool is_distrust(void)
{
	switch (ERR_GET_REASON(ERR_peek_last_error())) {
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
		return true;
	default:
		return false;
	}
}

static void log_handshake_failure(const struct sg_client *client)
{
	bool distrust = is_distrust();
	char reason[256], command[32];

	sg_transport_tls_error(reason, sizeof(reason));
	sg_log(SG_LOG_WARN, distrust ? "untrusted" : "handshake_failed",
		"agent=%s connection=%llu host=%s process=%u command=%s reason=\"%s\" "
		"remedy=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, client->host,
		client->flow.process_id,
		sg_log_value(client->flow.command, sizeof(client->flow.command), command,
			sizeof(command)),
		reason,
		distrust ? "this program has roots of its own, or pins those of its provider: let "
			   "it read /run/spendgate/bundle.pem (in a container) or the files that "
			   "the trust variables name, or switch its pinning off"
			 : "the client must trust the spendgate CA and offer http/1.1 or h2");
}

static bool speaks_h2(const SSL *ssl)
{
	const unsigned char *protocol;
	unsigned length;

	SSL_get0_alpn_selected(ssl, &protocol, &length);
	return length == 2 && memcmp(protocol, "h2", 2) == 0;
}

static void shake_hands(struct sg_client *client)
{
	int r = sg_transport_handshake(&client->transport);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		log_handshake_failure(client);
		sg_client_close(client, "handshake");
		return;
	}
	client->speaks_h2 = speaks_h2(client->transport.ssl);
	sg_client_enter(client, SG_CLIENT_SESSION);
}

static void get_leaf(struct sg_client *client)
{
	SSL_CTX *context;
	int r = sg_leaves_get(client->worker->enforcer->leaves, client->host, &context);

	if (r == -EINPROGRESS)
		return;
	if (r == 0) {
		r = sg_transport_start_tls(&client->transport, context, true);
		SSL_CTX_free(context);
	}
	if (r < 0) {
		sg_log(SG_LOG_ERROR, "no_leaf",
			"agent=%s connection=%llu host=%s reason=\"%s\" remedy=\"is spendgated "
			"running?\"",
			client->agent->name, (unsigned long long)client->connection, client->host,
			strerror(-r));
		sg_client_close(client, "no_leaf");
		return;
	}
	sg_client_enter(client, SG_CLIENT_HANDSHAKE);
}

void sg_client_on_leaf(struct sg_client *client)
{
	if (client->state == SG_CLIENT_LEAF)
		get_leaf(client);
}

// ---- States ----

void sg_client_enter(struct sg_client *client, enum sg_client_state state)
{
	int64_t timeout_ms = state_timeout_ms(state);

	client->state = state;
	if (timeout_ms)
		sg_loop_arm(client->worker->loop, &client->timer, timeout_ms, on_timeout);
	else
		sg_loop_disarm(&client->timer);
	switch (state) {
	case SG_CLIENT_LEAF:
		get_leaf(client);
		break;
	case SG_CLIENT_HANDSHAKE:
		shake_hands(client);
		break;
	case SG_CLIENT_SESSION:
		sg_session_run(client);
		break;
	case SG_CLIENT_RELAY:
		sg_relay_run(client);
		break;
	case SG_CLIENT_GREETING:
		sg_tunnel_start(client);
		break;
	case SG_CLIENT_TUNNEL:
		if (client->tunnel)
			sg_tunnel_run(client);
		else
			sg_tunnel_start(client);
		break;
	case SG_CLIENT_LINGER:
		sg_transport_shutdown(&client->transport);
		break;
	case SG_CLIENT_PEEK:
	case SG_CLIENT_FIRST:
	case SG_CLIENT_CLOSED:
		break;
	}
}

// The first bytes are a provider's. Where the server was dialled for its greeting, that connection
// is dropped; once it has said something, the agent can't be given another.
static void enter_session(struct sg_client *client, enum sg_client_state state)
{
	if (client->tunnel && sg_tunnel_has_greeted(client)) {
		sg_log(SG_LOG_WARN, "refused",
			"agent=%s connection=%llu host=%s reason=\"a call to a provider behind "
			"another server's greeting\"",
			client->agent->name, (unsigned long long)client->connection, client->host);
		sg_client_close(client, "refused");
		return;
	}
	sg_tunnel_close(client);
	sg_client_enter(client, state);
}

static void judge(struct sg_client *client, size_t length)
{
	switch (sg_route_first_bytes(client, client->worker->scratch, length)) {
	case SG_FIRST_MORE:
		if (client->state == SG_CLIENT_GREETING)
			sg_loop_arm(
				client->worker->loop, &client->timer, SG_HANDSHAKE_MS, on_timeout);
		else
			sg_client_enter(client, SG_CLIENT_FIRST);
		break;
	case SG_FIRST_TLS:
		enter_session(client, SG_CLIENT_LEAF);
		break;
	case SG_FIRST_HTTP2:
		client->speaks_h2 = true;
		enter_session(client, SG_CLIENT_SESSION);
		break;
	case SG_FIRST_HTTP:
		enter_session(client, SG_CLIENT_SESSION);
		break;
	case SG_FIRST_TUNNEL:
		sg_client_enter(client, SG_CLIENT_TUNNEL);
		break;
	case SG_FIRST_REFUSE:
		sg_client_close(client, "refused");
		break;
	}
}

// What the first bytes say.
static void peek(struct sg_client *client)
{
	ssize_t n = recv(client->transport.watch.fd, client->worker->scratch, SG_SCRATCH_BYTES,
		MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		judge(client, (size_t)n);
	else if (n == 0 && client->state == SG_CLIENT_GREETING)
		sg_client_enter(client, SG_CLIENT_TUNNEL); // it only listens
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		sg_client_close(client, "no_data");
}

static void drop_input(struct sg_client *client)
{
	ssize_t n;

	while ((n = sg_transport_read(
			&client->transport, client->worker->scratch, SG_SCRATCH_BYTES)) > 0) {
		client->dropped_bytes += (uint32_t)n;
		if (client->dropped_bytes > SG_LINGER_BYTES)
			break;
	}
	if (n != -EAGAIN)
		sg_client_close(client, "done");
}

static void on_event(struct sg_watch *watch, uint32_t events)
{
	struct sg_client *client = (struct sg_client *)watch;
	bool alive = sg_transport_note_events(&client->transport, events);

	if (!alive && client->state != SG_CLIENT_SESSION && client->state != SG_CLIENT_RELAY &&
		client->state != SG_CLIENT_TUNNEL) {
		sg_client_close(client, "reset");
		return;
	}
	switch (client->state) {
	case SG_CLIENT_PEEK:
	case SG_CLIENT_FIRST:
		peek(client);
		break;
	case SG_CLIENT_GREETING:
		peek(client);
		if (client->state == SG_CLIENT_GREETING)
			sg_tunnel_run(client);
		break;
	case SG_CLIENT_HANDSHAKE:
		shake_hands(client);
		break;
	case SG_CLIENT_SESSION:
		if (!alive)
			sg_session_on_reset(client);
		else
			sg_session_run(client);
		break;
	case SG_CLIENT_RELAY:
		if (!alive)
			sg_relay_on_reset(client);
		else
			sg_relay_run(client);
		break;
	case SG_CLIENT_TUNNEL:
		sg_tunnel_run(client);
		break;
	case SG_CLIENT_LINGER:
		drop_input(client);
		break;
	case SG_CLIENT_LEAF:
	case SG_CLIENT_CLOSED:
		break;
	}
}

// ---- Accept ----

// Who is calling: the kernel answers by the socket itself.
static int ask_flow(int fd, struct sg_flow_record *ret_flow)
{
	socklen_t length = sizeof(*ret_flow);

	if (getsockopt(fd, SOL_SPENDGATE, SG_FLOW, ret_flow, &length) < 0)
		return -errno;
	return length == sizeof(*ret_flow) ? 0 : -EPROTO;
}

// A counted reference, or NULL: not redirected by us (somebody addressed the listener itself), or
// an agent that is being removed. Nothing is owed then.
static struct sg_agent *ask_agent(struct sg_worker *worker, int fd, struct sg_flow_record *ret_flow)
{
	int r = ask_flow(fd, ret_flow);
	struct sg_agent *agent =
		r == 0 ? sg_agents_get(worker->enforcer->agents, ret_flow->agent_id) : NULL;

	if (!agent)
		sg_log(SG_LOG_WARN, "unknown_flow", "agent_id=%u reason=\"%s\"", ret_flow->agent_id,
			r < 0 ? strerror(-r) : "no such agent");
	return agent;
}

void sg_client_accept(struct sg_worker *worker, int fd)
{
	struct sg_flow_record flow = { 0 };
	struct sg_agent *agent = ask_agent(worker, fd, &flow);
	bool enters = agent && sg_agent_enter(agent);
	struct sg_client *client = enters ? calloc(1, sizeof(*client)) : NULL;
	int on = 1;

	if (!client) {
		if (enters)
			sg_agent_leave(agent);
		sg_agent_unref(agent);
		close(fd);
		return;
	}
	client->worker = worker;
	client->agent = agent;
	client->flow = flow;
	client->connection = ++worker->next_connection * SG_MAX_WORKERS + worker->index;
	client->next = worker->clients;
	client->link = &worker->clients;
	if (client->next)
		client->next->link = &client->next;
	worker->clients = client;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (sg_transport_open(&client->transport, worker->loop, fd, on_event) < 0) {
		sg_client_close(client, "resources");
		return;
	}
	sg_client_enter(client, SG_CLIENT_PEEK);
	peek(client);
}
