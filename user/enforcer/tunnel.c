// SPDX-License-Identifier: Apache-2.0
#include "enforcer/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "enforcer/limits.h"
#include "enforcer/upstream.h"
#include "enforcer/worker.h"

struct direction {
	bool began; // bytes have passed
	bool ended; // FIN passed on
};

struct sg_tunnel {
	struct sg_upstream_user upstream_user; // first
	struct sg_client *client;
	struct sg_upstream *upstream;
	bool upstream_ready;
	struct direction to_server;
	struct direction to_agent;
};

// The dial ended, or the provider's side had an event.
static void on_upstream(struct sg_upstream_user *user)
{
	struct sg_tunnel *tunnel = (struct sg_tunnel *)user;

	tunnel->upstream_ready = true;
	sg_tunnel_run(tunnel->client);
}

static void on_upstream_failed(
	struct sg_upstream_user *user, int error SG_UNUSED, const char *detail)
{
	struct sg_tunnel *tunnel = (struct sg_tunnel *)user;
	struct sg_client *client = tunnel->client;

	tunnel->upstream = NULL;
	sg_log(SG_LOG_DEBUG, "dial_failed", "agent=%s connection=%llu reason=\"%s\"",
		client->agent->name, (unsigned long long)client->connection, detail);
	sg_client_close(client, "dial");
}

void sg_tunnel_start(struct sg_client *client)
{
	struct sg_worker *worker = client->worker;
	struct sg_pool_origin *origin;
	struct sg_pool_key key;
	int r;

	client->tunnel = calloc(1, sizeof(*client->tunnel));
	if (!client->tunnel) {
		sg_client_close(client, "resources");
		return;
	}
	client->tunnel->upstream_user = (struct sg_upstream_user){ .on_event = on_upstream,
		.on_failed = on_upstream_failed };
	client->tunnel->client = client;
	memset(&key, 0, sizeof(key));
	if (!client->agent->egress_host &&
		client->flow.netns_cookie != worker->enforcer->netns_cookie)
		key.netns_cookie = client->flow.netns_cookie;
	memcpy(key.address, client->flow.destination, sizeof(key.address));
	key.port = client->flow.destination_port;
	r = sg_pool_origin_get(&worker->pool, &key, sg_loop_now_ms(worker->loop), &origin);
	if (r == 0) {
		r = sg_upstream_get(worker, origin, &client->tunnel->upstream_user,
			SG_UPSTREAM_FRESH | SG_UPSTREAM_HTTP1, &client->tunnel->upstream);
		sg_pool_origin_put(&worker->pool, origin, sg_loop_now_ms(worker->loop));
	}
	if (r < 0)
		sg_client_close(client, "dial");
}

// Moves bytes one way through the sink's buffer. Returns false when the connection is dead.
static bool copy(struct sg_worker *worker, struct sg_transport *from, struct sg_transport *to,
	struct sg_buf *out, struct direction *direction)
{
	for (;;) {
		int r = sg_transport_flush(to, out);
		ssize_t n;

		if (r == -EAGAIN)
			return true;
		if (r < 0)
			return false;
		if (direction->ended)
			return true;
		n = sg_transport_read(from, worker->scratch, SG_SCRATCH_BYTES);
		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return false;
		if (n == 0) {
			direction->ended = true;
			sg_transport_shutdown(to);
			return true;
		}
		if (sg_buf_append(out, worker->scratch, (size_t)n) < 0)
			return false;
		direction->began = true;
	}
}

void sg_tunnel_run(struct sg_client *client)
{
	struct sg_worker *worker = client->worker;
	struct sg_tunnel *tunnel = client->tunnel;
	struct sg_upstream *upstream = tunnel->upstream;

	if (!tunnel->upstream_ready)
		return;
	// Before the agent's first bytes are judged, none of them go out.
	if ((client->state == SG_CLIENT_TUNNEL &&
		    !copy(worker, &client->transport, &upstream->transport, &upstream->out,
			    &tunnel->to_server)) ||
		!copy(worker, &upstream->transport, &client->transport, &client->out,
			&tunnel->to_agent)) {
		sg_client_close(client, "reset");
		return;
	}
	if (tunnel->to_server.ended && tunnel->to_agent.ended && !sg_buf_length(&client->out) &&
		!sg_buf_length(&upstream->out))
		sg_client_close(client, "done");
}

bool sg_tunnel_has_greeted(const struct sg_client *client)
{
	return client->tunnel->to_agent.began;
}

void sg_tunnel_close(struct sg_client *client)
{
	if (!client->tunnel)
		return;
	if (client->tunnel->upstream)
		sg_upstream_put(client->tunnel->upstream, &client->tunnel->upstream_user, false);
	free(client->tunnel);
	client->tunnel = NULL;
}
