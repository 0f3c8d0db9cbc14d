// SPDX-License-Identifier: Apache-2.0
// Messages and descriptors arrive as they were sent; what is malformed is refused and leaks
// nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attr.h"
#include "channel/channel.h"

static struct sg_channel_message message; // large: not on the stack

static unsigned open_descriptors(void)
{
	DIR *entries = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(entries);
	while (readdir(entries))
		count++;
	closedir(entries);
	return count;
}

static void make_pair(int pair[2])
{
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void test_message(void **state)
{
	char payload[SG_CHANNEL_MAX_PAYLOAD];
	int pair[2], sent;

	(void)state;
	memset(payload, 'x', sizeof(payload));
	make_pair(pair);
	sent = sg_channel_memfd("test", "hello", 5);
	assert_true(sent >= 0);
	assert_int_equal(sg_channel_send(pair[0], SG_CHANNEL_LEAF, 7, -EACCES, payload,
				 sizeof(payload), &sent, 1),
		0);
	assert_int_equal(sg_channel_send(pair[0], SG_CHANNEL_READY, 8, 0, NULL, 0, NULL, 0), 0);
	assert_int_equal(sg_channel_receive(pair[1], &message), 1);
	assert_int_equal(message.header.type, SG_CHANNEL_LEAF);
	assert_int_equal(message.header.id, 7);
	assert_int_equal(message.header.result, -EACCES);
	assert_int_equal(message.header.length, sizeof(payload));
	assert_memory_equal(message.payload, payload, sizeof(payload));
	assert_int_equal(message.payload[sizeof(payload)], 0);
	assert_int_equal(message.fd_count, 1);
	assert_true(fcntl(message.fds[0], F_GETFD) & FD_CLOEXEC);
	close(message.fds[0]);
	assert_int_equal(sg_channel_receive(pair[1], &message), 1);
	assert_int_equal(message.header.type, SG_CHANNEL_READY);
	assert_int_equal(message.header.length, 0);
	assert_int_equal(message.fd_count, 0);
	assert_int_equal(message.fds[0], -1);
	assert_int_equal(sg_channel_receive(pair[1], &message), -EAGAIN);
	close(sent);
	close_pair(pair);
}

static void test_limits_of_sending(void **state)
{
	static const char payload[SG_CHANNEL_MAX_PAYLOAD + 1];
	int fds[SG_CHANNEL_MAX_FDS + 1] = { 0 }, pair[2];

	(void)state;
	make_pair(pair);
	assert_int_equal(
		sg_channel_send(pair[0], SG_CHANNEL_LEAF, 1, 0, payload, sizeof(payload), NULL, 0),
		-EMSGSIZE);
	assert_int_equal(
		sg_channel_send(pair[0], SG_CHANNEL_LEAF, 1, 0, NULL, 0, fds, SG_ARRAY_SIZE(fds)),
		-EMSGSIZE);
	close(pair[1]);
	assert_int_equal(
		sg_channel_send(pair[0], SG_CHANNEL_READY, 1, 0, NULL, 0, NULL, 0), -EPIPE);
	assert_int_equal(sg_channel_receive(pair[0], &message), 0);
	close(pair[0]);
}

// As a peer that was taken over may send them.
static void send_raw(int fd, const void *data, size_t length, unsigned fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { (void *)data, length };
	struct msghdr raw = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd_count) {
		struct cmsghdr *item;
		int fds[8] = { 0 };

		raw.msg_control = control.bytes;
		raw.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		item = CMSG_FIRSTHDR(&raw);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(item), fds, fd_count * sizeof(int));
	}
	assert_true(sendmsg(fd, &raw, 0) >= 0);
}

static void test_malformed(void **state)
{
	struct sg_channel_header lying = { .type = SG_CHANNEL_READY, .length = 1 };
	struct sg_channel_header good = { .type = SG_CHANNEL_READY };
	static char long_message[sizeof(good) + SG_CHANNEL_MAX_PAYLOAD + 1];
	unsigned before;
	int pair[2];

	(void)state;
	make_pair(pair);
	before = open_descriptors();
	send_raw(pair[0], "short", 5, 1);
	assert_int_equal(sg_channel_receive(pair[1], &message), -EBADMSG);
	send_raw(pair[0], &lying, sizeof(lying), 2);
	assert_int_equal(sg_channel_receive(pair[1], &message), -EBADMSG);
	send_raw(pair[0], &good, sizeof(good), SG_CHANNEL_MAX_FDS + 3);
	assert_int_equal(sg_channel_receive(pair[1], &message), -EBADMSG);
	send_raw(pair[0], long_message, sizeof(long_message), 1);
	assert_int_equal(sg_channel_receive(pair[1], &message), -EBADMSG);
	assert_int_equal(message.fd_count, 0);
	assert_int_equal(open_descriptors(), before);
	close_pair(pair);
}

static void test_memfd(void **state)
{
	char *data = NULL;
	size_t length = 0;
	int fd = sg_channel_memfd("test", "hello", 5);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(sg_channel_read_memfd(fd, 5, &data, &length), 0);
	assert_int_equal(length, 5);
	assert_string_equal(data, "hello");
	free(data);
	assert_int_equal(sg_channel_read_memfd(fd, 4, &data, &length), -EFBIG);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
	fd = sg_channel_memfd("empty", "", 0);
	assert_int_equal(sg_channel_read_memfd(fd, 5, &data, &length), 0);
	assert_int_equal(length, 0);
	free(data);
	close(fd);
}

static void test_listen(void **state)
{
	char directory[] = "/tmp/spendgate-channel-XXXXXX", path[64], too_long[300];
	struct stat status;
	int listening, client;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	assert_int_equal(sg_channel_connect(path), -ENOENT);
	listening = sg_channel_listen(path, getuid());
	assert_true(listening >= 0);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	client = sg_channel_connect(path);
	assert_true(client >= 0);
	close(client);
	close(listening);
	assert_int_equal(sg_channel_connect(path), -ECONNREFUSED);
	listening = sg_channel_listen(path, getuid()); // over what a dead one has left
	assert_true(listening >= 0);
	close(listening);
	unlink(path);
	rmdir(directory);
	memset(too_long, 'a', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = 0;
	assert_int_equal(sg_channel_listen(too_long, getuid()), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_limits_of_sending),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
