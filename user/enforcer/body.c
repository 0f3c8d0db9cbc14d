// SPDX-License-Identifier: Apache-2.0
#include "enforcer/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "enforcer/limits.h"

void sg_body_init(struct sg_body *body, struct sg_body_share *share, uint64_t share_bytes)
{
	*body = (struct sg_body){ .fd = -1, .share = share, .share_bytes = share_bytes };
}

// In steps: a small body takes no room, and a large one does not ask with each piece.
static int take_room(struct sg_body *body, uint64_t length)
{
	uint64_t step, before;

	if (length <= SG_BODY_UNCOUNTED_BYTES || length <= body->taken)
		return 0;
	step = (length - body->taken + SG_BODY_STEP_BYTES - 1) / SG_BODY_STEP_BYTES *
	       SG_BODY_STEP_BYTES;
	before = atomic_fetch_add_explicit(&body->share->taken, step, memory_order_relaxed);
	body->taken += step;
	return before + step > body->share_bytes ? -ENOBUFS : 0;
}

void sg_body_done(struct sg_body *body)
{
	sg_buf_release(&body->memory);
	if (body->fd >= 0)
		close(body->fd);
	body->fd = -1;
	if (body->taken)
		atomic_fetch_sub_explicit(&body->share->taken, body->taken, memory_order_relaxed);
	body->taken = 0;
}

static int write_at(int fd, const uint8_t *data, size_t length, uint64_t offset)
{
	while (length) {
		ssize_t n = pwrite(fd, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

// The ledger is on the same disk: it has the last of the room.
static int check_disk(int fd)
{
	struct statvfs disk;
	uint64_t left, reserve;

	if (fstatvfs(fd, &disk) < 0)
		return -errno;
	left = (uint64_t)disk.f_bavail * disk.f_frsize;
	reserve = (uint64_t)disk.f_blocks * disk.f_frsize / SG_BODY_RESERVE_PART;
	if (reserve > SG_BODY_RESERVE_BYTES)
		reserve = SG_BODY_RESERVE_BYTES;
	return left < reserve + SG_BODY_STEP_BYTES ? -ENOSPC : 0;
}

static int spill(struct sg_body *body, const char *directory)
{
	int r;

	body->fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (body->fd < 0)
		return -errno;
	r = check_disk(body->fd);
	if (r < 0)
		return r;
	r = write_at(body->fd, sg_buf_head(&body->memory), sg_buf_length(&body->memory), 0);
	sg_buf_release(&body->memory);
	return r;
}

int sg_body_append(struct sg_body *body, const void *data, size_t length, const char *directory)
{
	uint64_t taken = body->taken;
	int r;

	if (body->length + length > SG_BODY_MAX_BYTES || body->length + length > body->share_bytes)
		return -EFBIG;
	r = take_room(body, body->length + length);
	if (r == 0 && body->fd >= 0 && body->taken > taken)
		r = check_disk(body->fd);
	if (r < 0)
		return r;
	if (body->fd < 0 && body->length + length > SG_BODY_MEMORY_BYTES) {
		r = spill(body, directory);
		if (r < 0)
			return r;
	}
	r = body->fd < 0 ? sg_buf_append(&body->memory, data, length)
			 : write_at(body->fd, data, length, body->length);
	if (r == 0)
		body->length += length;
	return r;
}

ssize_t sg_body_read(const struct sg_body *body, uint64_t offset, void *data, size_t size)
{
	ssize_t n;

	if (offset >= body->length)
		return 0;
	if (size > body->length - offset)
		size = body->length - offset;
	if (body->fd < 0) {
		memcpy(data, sg_buf_head(&body->memory) + offset, size);
		return (ssize_t)size;
	}
	n = pread(body->fd, data, size, (off_t)offset);
	return n < 0 ? -errno : n;
}
