// SPDX-License-Identifier: Apache-2.0
// One end of a connection: plain TCP or TLS over it, non-blocking, with edge-triggered readiness
// kept in two flags, so that no system call is made that is known to give EAGAIN. Owned by one
// worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/ssl.h>

#include "base/attr.h"
#include "base/buf.h"
#include "loop/loop.h"

struct sg_transport {
	struct sg_watch watch; // first: on_event gets the transport by its address
	struct sg_loop *loop;  // that it is watched by
	SSL *ssl;	       // NULL: plain
	uint64_t written;      // bytes that the kernel was given, as they are on the wire
	size_t allowance;      // bytes that it may still give in this turn of the loop
	bool can_read;
	bool can_write;
	bool peer_closed; // the peer will send nothing more
	bool broken;	  // a write has failed: what can still be read is what is there
	bool failed;	  // after an error: only sg_transport_close
};

#define SG_TRANSPORT_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

// Takes the descriptor, also on failure. Returns 0 or -errno.
int sg_transport_open(struct sg_transport *transport, struct sg_loop *loop, int fd,
	sg_watch_fn on_event) SG_WUNRES;

// To be called first in on_event. Returns false when the connection is dead (reset, or closed both
// ways).
bool sg_transport_note_events(struct sg_transport *transport, uint32_t events);

// What both ends of TLS have in common: versions, suites, groups, and how OpenSSL deals with its
// buffers.
void sg_transport_configure(SSL_CTX *context);

// Puts TLS on it. `accept`: as server. Returns 0 or -ENOMEM.
int sg_transport_start_tls(struct sg_transport *transport, SSL_CTX *context, bool accept) SG_WUNRES;

// Returns 0 when done, -EAGAIN, or -EPROTO (sg_transport_tls_error tells).
int sg_transport_handshake(struct sg_transport *transport) SG_WUNRES;

// Returns > 0 bytes, 0 at the peer's end of data, -EAGAIN, or another -errno. A connection gives no
// more than SG_TURN_BYTES for one event, then -EAGAIN; on_event is called again in the loop's next
// turn: who sends as fast as we read must not keep the worker from the others.
ssize_t sg_transport_read(struct sg_transport *transport, void *data, size_t size) SG_WUNRES;

// What was read makes as much work as so many bytes more: they count as read.
void sg_transport_charge(struct sg_transport *transport, size_t bytes);

// May it give more in this turn? If not, on_event is called in the next one.
bool sg_transport_has_turn(struct sg_transport *transport);

// Returns > 0 bytes (maybe fewer than asked), -EAGAIN, or another -errno.
ssize_t sg_transport_write(
	struct sg_transport *transport, const void *data, size_t length) SG_WUNRES;

// Writes what the buffer holds. Returns 0 (all written), -EAGAIN (some is left), or another -errno.
int sg_transport_flush(struct sg_transport *transport, struct sg_buf *buf) SG_WUNRES;

// Has the other side acknowledged any byte beyond the first `written` ones? Also true where it
// can't be told. (Linux: tcpi_bytes_acked of RFC 4898, which counts the SYN too.)
bool sg_transport_is_acknowledged(const struct sg_transport *transport, uint64_t written);

// Says that nothing more will be written (close_notify, FIN).
void sg_transport_shutdown(struct sg_transport *transport);

// Ends the connection by a reset, which the other side may see before anything that is on its way.
// Reads and writes fail from then on.
void sg_transport_reset(struct sg_transport *transport);

void sg_transport_close(struct sg_transport *transport);

static inline bool sg_transport_is_open(const struct sg_transport *transport)
{
	return transport->watch.fd >= 0;
}

// The reason of the last TLS failure in words, from OpenSSL's queue of this thread, which is
// emptied.
void sg_transport_tls_error(char *out, size_t size);
