// SPDX-License-Identifier: Apache-2.0
// Messages that the peer has no room for yet: they go when it has, in their order. The owner locks.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "spendgate/channel.h"

// A peer that takes nothing for so long is not waited for any more.
#define SG_OUTBOX_MAX 65536

struct sg_kept_message;

// All zero: empty.
struct sg_outbox {
	struct sg_kept_message *first, **last;
	unsigned count;
};

// As sg_channel_send; where that gives -EAGAIN, or others wait, the message is kept (descriptors as
// duplicates), and sg_outbox_flush is due when the socket can be written to. Returns 0, -ENOBUFS
// (SG_OUTBOX_MAX are kept), or another -errno.
int sg_outbox_send(struct sg_outbox *outbox, int fd, enum sg_channel_type type, uint32_t id,
	int32_t result, const void *payload, size_t length, const int *fds,
	unsigned fd_count) SG_WUNRES;

// Sends what is kept, as far as the peer takes it. What can't be sent at all is lost: the
// connection is, and the reader learns it.
void sg_outbox_flush(struct sg_outbox *outbox, int fd);

// Drops what is kept.
void sg_outbox_clear(struct sg_outbox *outbox);
