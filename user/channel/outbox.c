// SPDX-License-Identifier: Apache-2.0
#include "channel/outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/channel.h"

struct sg_kept_message {
	struct sg_kept_message *next;
	enum sg_channel_type type;
	uint32_t id;
	int32_t result;
	int fds[SG_CHANNEL_MAX_FDS]; // ours
	unsigned fd_count;
	size_t length;
	char payload[];
};

static void free_message(struct sg_kept_message *message)
{
	for (unsigned i = 0; i < message->fd_count; i++)
		close(message->fds[i]);
	free(message);
}

static int copy_fds(struct sg_kept_message *message, const int *fds, unsigned count)
{
	for (; message->fd_count < count; message->fd_count++) {
		int fd = fcntl(fds[message->fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		message->fds[message->fd_count] = fd;
	}
	return 0;
}

static void put_last(struct sg_outbox *outbox, struct sg_kept_message *message)
{
	if (!outbox->first)
		outbox->last = &outbox->first;
	*outbox->last = message;
	outbox->last = &message->next;
	outbox->count++;
}

static struct sg_kept_message *take_first(struct sg_outbox *outbox)
{
	struct sg_kept_message *message = outbox->first;

	if (!message)
		return NULL;
	outbox->first = message->next;
	outbox->count--;
	return message;
}

int sg_outbox_send(struct sg_outbox *outbox, int fd, enum sg_channel_type type, uint32_t id,
	int32_t result, const void *payload, size_t length, const int *fds, unsigned fd_count)
{
	struct sg_kept_message *message;
	int r = outbox->first
			? -EAGAIN
			: sg_channel_send(fd, type, id, result, payload, length, fds, fd_count);

	if (r != -EAGAIN)
		return r;
	if (length > SG_CHANNEL_MAX_PAYLOAD || fd_count > SG_CHANNEL_MAX_FDS)
		return -EMSGSIZE;
	if (outbox->count >= SG_OUTBOX_MAX)
		return -ENOBUFS;
	message = malloc(sizeof(*message) + length);
	if (!message)
		return -ENOMEM;
	*message = (struct sg_kept_message){
		.type = type, .id = id, .result = result, .length = length
	};
	if (length)
		memcpy(message->payload, payload, length);
	r = copy_fds(message, fds, fd_count);
	if (r < 0)
		free_message(message);
	else
		put_last(outbox, message);
	return r;
}

void sg_outbox_flush(struct sg_outbox *outbox, int fd)
{
	const struct sg_kept_message *first;

	while ((first = outbox->first)) {
		if (sg_channel_send(fd, first->type, first->id, first->result, first->payload,
			    first->length, first->fds, first->fd_count) == -EAGAIN)
			return;
		free_message(take_first(outbox));
	}
}

void sg_outbox_clear(struct sg_outbox *outbox)
{
	struct sg_kept_message *message;

	while ((message = take_first(outbox)))
		free_message(message);
}
