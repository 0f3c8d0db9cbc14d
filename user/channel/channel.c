// SPDX-License-Identifier: Apache-2.0
#include "channel/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static int address_of(const char *path, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret_address->sun_path, path);
	return 0;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int sg_channel_listen(const char *path, uid_t owner)
{
	SG_CLEANUP_CLOSE int fd = open_socket();
	struct sockaddr_un address;
	mode_t mask;
	int r = fd < 0 ? fd : address_of(path, &address);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r < 0)
		return r;
	if (chown(path, owner, (gid_t)-1) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return sg_fd_take(&fd);
}

int sg_channel_connect(const char *path)
{
	SG_CLEANUP_CLOSE int fd = open_socket();
	struct sockaddr_un address;
	int r = fd < 0 ? fd : address_of(path, &address);

	if (r < 0)
		return r;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return sg_fd_take(&fd);
}

union control_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(SG_CHANNEL_MAX_FDS * sizeof(int))];
};

int sg_channel_send(int fd, enum sg_channel_type type, uint32_t id, int32_t result,
	const void *payload, size_t length, const int *fds, unsigned fd_count)
{
	struct sg_channel_header header = {
		.type = (uint32_t)type, .id = id, .result = result, .length = (uint32_t)length
	};
	struct iovec parts[2] = { { &header, sizeof(header) }, { (void *)payload, length } };
	union control_space control;
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = length ? 2 : 1 };
	ssize_t n;

	if (length > SG_CHANNEL_MAX_PAYLOAD || fd_count > SG_CHANNEL_MAX_FDS)
		return -EMSGSIZE;
	if (fd_count) {
		struct cmsghdr *item;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		item = CMSG_FIRSTHDR(&message);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(item), fds, fd_count * sizeof(int));
	}
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static void take_descriptors(struct msghdr *message, struct sg_channel_message *ret_message)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
		item = CMSG_NXTHDR(message, item)) {
		size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
			if (ret_message->fd_count < SG_CHANNEL_MAX_FDS)
				ret_message->fds[ret_message->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

int sg_channel_receive(int fd, struct sg_channel_message *ret_message)
{
	struct iovec parts[2] = { { &ret_message->header, sizeof(ret_message->header) },
		{ ret_message->payload, SG_CHANNEL_MAX_PAYLOAD } };
	union control_space control;
	struct msghdr message = { .msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control) };
	ssize_t n;

	ret_message->fd_count = 0;
	for (int i = 0; i < SG_CHANNEL_MAX_FDS; i++)
		ret_message->fds[i] = -1;
	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	take_descriptors(&message, ret_message);
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
		(size_t)n < sizeof(ret_message->header) ||
		ret_message->header.length != (size_t)n - sizeof(ret_message->header)) {
		for (unsigned i = 0; i < ret_message->fd_count; i++)
			close(ret_message->fds[i]);
		ret_message->fd_count = 0;
		return -EBADMSG;
	}
	ret_message->payload[ret_message->header.length] = 0;
	return 1;
}

int sg_channel_memfd(const char *name, const void *data, size_t length)
{
	SG_CLEANUP_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t written = 0;

	if (fd < 0)
		return -errno;
	while (written < length) {
		ssize_t n = write(fd, (const char *)data + written, length - written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		written += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return sg_fd_take(&fd);
}

int sg_channel_read_memfd(int fd, size_t limit, char **ret_data, size_t *ret_length)
{
	struct stat status;
	size_t length, done = 0;
	char *data;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (status.st_size < 0 || (uint64_t)status.st_size > limit)
		return -EFBIG;
	length = (size_t)status.st_size;
	data = malloc(length + 1);
	if (!data)
		return -ENOMEM;
	while (done < length) {
		ssize_t n = pread(fd, data + done, length - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(data);
			return n < 0 ? -errno : -EBADMSG;
		}
		done += (size_t)n;
	}
	data[length] = 0;
	*ret_data = data;
	*ret_length = length;
	return 0;
}
