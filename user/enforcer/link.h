// SPDX-License-Identifier: Apache-2.0
// The enforcer's end of the channel to the warden: connects, reconnects when the warden was
// restarted, hands listeners, leaves and sockets to the workers. Owned by the main thread; the two
// asking calls may come from any thread.
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "channel/channel.h"
#include "loop/loop.h"

struct sg_enforcer;
struct sg_leaves;
struct sg_link;

// A worker's socket request travels as 8 bits of worker and 24 bits of request.
#define SG_LINK_REQUEST_MASK 0xffffffu

int sg_link_new(const char *warden_path, struct sg_link **ret_link) SG_WUNRES;
struct sg_link *sg_link_free(struct sg_link *link);

// Connects, announces the leaf key, and waits (blocking) until the warden has sent the CA and the
// configuration.
int sg_link_connect(
	struct sg_link *link, struct sg_leaves *leaves, json_t **ret_configuration) SG_WUNRES;

// Starts serving what the warden says, in `loop`; reconnects by itself from now on.
int sg_link_start(
	struct sg_link *link, struct sg_enforcer *enforcer, struct sg_loop *loop) SG_WUNRES;

// Asks for a certificate; the answer goes to sg_leaves_put and as SG_MAIL_LEAF to every worker.
// Returns 0 or -errno
// (-ENOTCONN: the warden is down).
int sg_link_sign(void *link, const char *host) SG_WUNRES;

// Asks for the counters of the redirect; the answer comes as message COUNTERS_RESULT. Returns 0 or
// -errno.
int sg_link_ask_counters(struct sg_link *link) SG_WUNRES;

// Sends an answer in a memfd, whose owner it becomes; or why there is none (fd < 0). Main thread.
void sg_link_send_memfd(
	struct sg_link *link, enum sg_channel_type type, uint32_t id, int r, int fd);

// Asks for a TCP socket inside a network namespace; the answer goes to the worker as
// SG_MAIL_SOCKET. Returns 0 or -errno.
int sg_link_want_socket(struct sg_link *link, unsigned worker, uint32_t request,
	uint64_t netns_cookie, int family) SG_WUNRES;

// Asks for every agent of a name to be stopped, or to go on; message STOP comes back for each
// (stop.h). Returns 0 or -errno.
int sg_link_stop(struct sg_link *link, const struct sg_channel_stop *order) SG_WUNRES;
