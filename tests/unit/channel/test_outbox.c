// SPDX-License-Identifier: Apache-2.0
// More messages than a socket holds: all arrive, in their order, with their descriptors.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/channel.h"
#include "channel/outbox.h"

#define MANY 5000

static struct sg_channel_message message; // large: not on the stack
static struct sg_outbox outbox;
static int pair[2];

static int make_pair(void **state)
{
	(void)state;
	memset(&outbox, 0, sizeof(outbox));
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
}

static int close_pair(void **state)
{
	(void)state;
	sg_outbox_clear(&outbox);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int send_number(uint32_t number, const int *fds, unsigned count)
{
	return sg_outbox_send(&outbox, pair[0], SG_CHANNEL_SOCKET, number, 0, &number,
		sizeof(number), fds, count);
}

// Takes what is there. Returns the number behind the last one.
static uint32_t receive_from(uint32_t next, unsigned fd_count)
{
	while (sg_channel_receive(pair[1], &message) == 1) {
		assert_int_equal(message.header.id, next);
		assert_int_equal(message.header.length, sizeof(next));
		assert_memory_equal(message.payload, &next, sizeof(next));
		assert_int_equal(message.fd_count, fd_count);
		for (unsigned i = 0; i < fd_count; i++)
			close(message.fds[i]);
		next++;
	}
	return next;
}

static void a_burst_waits_for_room_and_arrives_in_its_order(void **state)
{
	uint32_t next;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(send_number(i, NULL, 0), 0);
	assert_true(outbox.count > 0 && outbox.count < MANY);
	next = receive_from(0, 0);
	assert_true(next > 0 && next < MANY);
	// There is room, and those that were first still are.
	assert_int_equal(send_number(MANY, NULL, 0), 0);
	while (outbox.count) {
		sg_outbox_flush(&outbox, pair[0]);
		next = receive_from(next, 0);
	}
	assert_int_equal(next, MANY + 1);
	assert_int_equal(send_number(next, NULL, 0), 0);
	assert_int_equal(outbox.count, 0);
	assert_int_equal(receive_from(next, 0), next + 1);
}

static void descriptors_are_kept_as_duplicates(void **state)
{
	uint32_t sent = 0, next;

	(void)state;
	while (outbox.count < 3) {
		int fd = eventfd(0, EFD_CLOEXEC);

		assert_true(fd >= 0);
		assert_int_equal(send_number(sent++, &fd, 1), 0);
		close(fd);
	}
	next = receive_from(0, 1);
	sg_outbox_flush(&outbox, pair[0]);
	assert_int_equal(receive_from(next, 1), sent);
}

static void a_peer_that_takes_nothing_is_not_waited_for_without_end(void **state)
{
	uint32_t sent = 0;
	int r;

	(void)state;
	do
		r = send_number(sent++, NULL, 0);
	while (r == 0);
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(outbox.count, SG_OUTBOX_MAX);
	close(pair[1]);
	pair[1] = dup(pair[0]);
	sg_outbox_flush(&outbox, pair[0]);
	assert_int_equal(outbox.count, 0);
	assert_int_equal(send_number(0, NULL, 0), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_burst_waits_for_room_and_arrives_in_its_order, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(
			descriptors_are_kept_as_duplicates, make_pair, close_pair),
		cmocka_unit_test_setup_teardown(
			a_peer_that_takes_nothing_is_not_waited_for_without_end, make_pair,
			close_pair),
	};

	return cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
