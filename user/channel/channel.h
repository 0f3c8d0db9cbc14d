// SPDX-License-Identifier: Apache-2.0
// Sends and receives messages of spendgate/channel.h with their descriptors. A channel has one
// owner thread for receiving; any thread may send (a datagram is atomic).
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "spendgate/channel.h"

struct sg_channel_message {
	struct sg_channel_header header;
	int fds[SG_CHANNEL_MAX_FDS]; // -1: none; owned by the receiver, borrowed when sending
	unsigned fd_count;
	char payload[SG_CHANNEL_MAX_PAYLOAD + 1]; // NUL after the last byte
};

// Opens the warden's listening socket (mode 0600, owned by uid `owner`), or connects to it.
// Non-blocking, close-on-exec. Returns a descriptor or -errno.
int sg_channel_listen(const char *path, uid_t owner) SG_WUNRES;
int sg_channel_connect(const char *path) SG_WUNRES;

// Returns 0 or -errno (-EAGAIN: the peer does not read; -EPIPE: it is gone). `fds` stay with the
// caller.
int sg_channel_send(int fd, enum sg_channel_type type, uint32_t id, int32_t result,
	const void *payload, size_t length, const int *fds, unsigned fd_count) SG_WUNRES;

// Returns 1 with a message, 0 when the peer has closed, -EAGAIN when nothing is there, or another
// -errno (-EBADMSG: malformed; its descriptors are closed).
int sg_channel_receive(int fd, struct sg_channel_message *ret_message) SG_WUNRES;

// A sealed memfd that holds `length` bytes. Returns a descriptor or -errno.
int sg_channel_memfd(const char *name, const void *data, size_t length) SG_WUNRES;

// Reads a memfd from its start; at most `limit` bytes; NUL-terminated, freed by the caller. Returns
// 0 or -errno.
int sg_channel_read_memfd(int fd, size_t limit, char **ret_data, size_t *ret_length) SG_WUNRES;
